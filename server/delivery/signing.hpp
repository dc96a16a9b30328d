// DKIM signatures of our own (protocol/auth/dkim_sign.hpp), made when a message goes out; shared by all lanes.
//
// A message that is to be signed was accepted with a place for its signatures in front (office/signing.hpp): a blank, like those of a
// personalised post. Where no other blank is there, all copies have the same signatures: they are made once and kept. Where copies
// differ, each has its own, made when that copy is built; the hash of the body is computed once, unless a blank is in the body.
// All of it is done on threads of their own; a transaction waits for its signature, and the loop of its lane does not.
//
// Guarantees: t= is the time at which the message arrived, so that the same keys give the same octets whenever a copy is made: also
// after a restart. The stated size is exact. No read transaction outlives a slice. The domain is that of the list, and of its author where
// the place says so; of other mail that of its author. Keys are read at the start and at SIGHUP, never while mail goes out: a file that is gone changes nothing until
// then. A domain that has lost its tables in the configuration since the message was accepted: it goes out without a signature, and
// the log says so once (event=unsigned). Failures: as of any content, an exception in the form.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/canonical.hpp"
#include "server/asio.hpp"
#include "server/auth/signing_keys.hpp"
#include "server/current.hpp"
#include "server/delivery/form.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

/// There is a place for signatures, which is the first blank.
bool is_signed(const std::vector<store::BlankAt>& blanks);
/// There are other blanks: each copy is another one.
bool is_individual(const std::vector<store::BlankAt>& blanks);

class Signing {
 public:
  /// `threads`: how many signatures are made at a time.
  Signing(store::Store& store, int threads);
  /// Waits for the signatures that are being made; those that have not begun are not made, and nobody is called.
  ~Signing();

  /// Any thread. Of what is signed from now on.
  void use(std::shared_ptr<const SigningKeys> keys);

  /// Any thread. `copy`: with the values of all other blanks. Where the form is not ready() yet, `on_ready` is called when it is:
  /// it must only hand on.
  std::shared_ptr<Form> of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                           std::shared_ptr<const Copy> copy, std::function<void()> on_ready);
  /// Of a form of the message that is in memory: fields to stand in front of it.
  std::string signatures(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                         std::string_view mail);

 private:
  /// What is signed of a copy: the header block, and the hash of what is behind it.
  struct Hashed {
    std::string header;
    std::string body_hash;
  };
  /// What copies that differ have in common: all of it without the values.
  struct Shared {
    std::string header;
    std::string body_hash;
    // Where a value stands in the body: the hash of what is before the first one, and what is behind it. A copy then costs what
    // is behind it. Nothing: there is none, or too much is behind it.
    std::optional<auth::BodyHash> before = {};
    std::uint64_t from = 0;
    std::string behind = {};
    std::size_t size() const { return header.size() + behind.size(); }
  };
  struct Known {
    store::Id message = 0;
    std::shared_ptr<Form> form;  // of a message whose copies are all the same
    std::shared_ptr<const Shared> shared;
  };

  Known& known(store::Id message);
  void make(Form& form, const store::Message& message, const std::vector<store::BlankAt>& blanks,
            const Copy& copy);
  Hashed hashed_of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                   const Copy& copy);
  std::shared_ptr<const Shared> shared(const store::Message& message,
                                       const std::vector<store::BlankAt>& blanks);
  Shared read(const store::Message& message, std::shared_ptr<const Copy> copy,
              const std::vector<store::BlankAt>& blanks) const;
  std::string fields_for(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                         const Hashed& hashed);

  store::Store& store_;
  Current<SigningKeys> keys_;
  std::mutex mutex_;
  std::list<Known> order_;  // most recently used first
  std::map<store::Id, std::list<Known>::iterator> known_;
  std::size_t size_ = 0;            // octets of what is shared
  std::set<std::string> unsigned_;  // domains that the log has named
  asio::thread_pool pool_;          // the last: what waits in it uses the rest
};

}  // namespace spoold::server
