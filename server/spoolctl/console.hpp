// One call of spoolctl: where its verbs read and ask, and how they print. A verb prints a table or JSON on standard
// output, the reason of a failure on standard error, and answers with the exit code (admin/json.hpp).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "server/admin/reads.hpp"
#include "server/spoolctl/access.hpp"
#include "server/spoolctl/interrupt.hpp"
#include "server/verp_key.hpp"
#include "store/broken.hpp"

namespace spoold::server::admin {

class Console {
 public:
  Console(Access& access_, bool json_) : access(access_), json(json_) {}

  Access& access;
  const bool json;

  Exit fail(const Json& failure) const;
  Exit fail(Exit exit, const std::string& why) const { return fail(failure(exit, why)); }
  Exit nothing_matched() const;
  /// An object: as JSON, or as lines "key value".
  Exit print(const Json& object) const;
  /// The answer to a changing request (Access::change); a record that cannot be read is a failure.
  Json ask(const Json& request) const;
  /// ask(), and the answer is printed.
  Exit change(const Json& request) const;

  /// Runs body(reads, now). A store that cannot be opened, or a record that cannot be read, is a failure.
  template <class Body>
  Exit reading(Body body) const {
    try {
      const auto store = access.store();
      if (!store) return fail(Exit::failed, store.error().text);
      const auto secret = verp_secret(access.settings().verp, (*store)->secret());
      if (!secret) return fail(Exit::failed, secret.error());
      return body(Reads(**store, access.settings(), hmac_sha256(*secret), unless_interrupted),
                  (*store)->now());
    } catch (const store::Broken& broken) {
      return fail(failure(broken.error));
    }
  }

  /// reading(), of the list with this address.
  template <class Body>
  Exit reading_list(const std::string& address, Body body) const {
    return reading([&](const Reads& reads, TimePoint) {
      const auto found = reads.list(address);
      return found ? body(reads, *found) : fail(Exit::nothing_matched, "there is no list " + address);
    });
  }
};

/// Rows as a JSON array, written as they come; or as tables of 1,000 rows each, so that none has to be kept.
class Rows {
 public:
  using Table = std::function<std::string(const std::vector<Json>&)>;
  Rows(bool json, Table table) : json_(json), table_(std::move(table)) {}
  void operator()(Json row);
  void finish();
  std::size_t count = 0;

 private:
  void print();
  bool json_;
  Table table_;
  std::vector<Json> page_;
};

}  // namespace spoold::server::admin
