// The verbs of spoolctl behind its command line (main_spoolctl.cpp): each reads or asks, prints a table or
// JSON on standard output, the reason of a failure on standard error, and answers with the exit code
// (json.hpp).
#pragma once
#include <string>
#include <vector>

#include "server/admin/access.hpp"
#include "server/admin/filter.hpp"
#include "server/admin/reads.hpp"

namespace spoold::server::admin {

class Commands {
 public:
  Commands(Access& access, bool json) : access_(access), json_(json) {}

  int queue(const Filter&, const std::string& by);
  int show(const std::vector<std::string>& ids, bool content, bool senders);
  int trace(const std::string& what);
  /// `repair`: first counts anew what does not add up; with `dry_run` it only names that.
  int check(bool repair, bool dry_run);
  /// A consistent copy of the store, also beside a running daemon; FILE appears when it is whole.
  int backup(const std::string& path);
  /// Writes the store anew without its free pages; no daemon may run.
  int compact(bool dry_run);
  int stats();
  /// Those like `pattern`; with a filter, those where something that it matches waits, and how much.
  int destinations(const std::string& pattern, const Filter& filter);
  int lists();
  int list_show(const std::string& list);
  int members(const std::string& list);
  int member_show(const std::string& list, const std::string& address);
  int export_members(const std::string& list, bool csv);

  /// Sends a changing request and prints its answer.
  int change(const Json& request);
  /// edit-recipients without options.
  int edit_recipients_by_editor(const std::string& id, bool all_or_nothing, bool dry_run, bool yes);

 private:
  int fail(const Json& failure);
  int fail(Exit exit, const std::string& why) { return fail(failure(exit, why)); }
  /// Runs `body` with what can be read; a store that cannot be opened, or a record that cannot be read, is a
  /// failure.
  template <class Body>
  int reading(Body body);

  Access& access_;
  bool json_;
};

/// The octets of a file, "-": standard input.
tl::expected<std::string, std::string> read_file(const std::string& path);

}  // namespace spoold::server::admin
