// What a commit of the spool changes in the directory (rows of `outbox`), and the mail that follows from it: here the spool,
// the directory and the office's notices meet, all in the commit that brought the change.
//
// Guarantees: an operation is applied once (its id, table `applied`), and its notices are accepted in the same commit. One
// that cannot be applied, because the list is gone meanwhile, is dropped and recorded. Failures: as spool/accept.hpp; then
// the transaction as a whole did not happen. See also: change.cpp (what operators and members submit), reporting.hpp.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "store/directory/changes.hpp"
#include "store/error.hpp"
#include "store/spool/acceptance.hpp"
#include "store/txn.hpp"

namespace spoold::store {

class HandOver {
 public:
  using Notices =
      std::function<Acceptance(const Read&, const directory::Applied&, std::string_view evidence)>;
  /// `notices` absent: nobody is told.
  HandOver(const Notices& notices, std::function<std::string(std::string_view)> route)
      : notices_(notices), route_(std::move(route)) {}

  /// Applies what waits in the outbox. `routes` gets what is to be woken after the commit.
  Result<void> drain(Write&, std::vector<std::string>& routes, std::string_view evidence = {}) const;
  Result<void> apply(Write&, const directory::Operation&, std::vector<std::string>& routes,
                     std::string_view evidence = {}) const;
  /// Accepts the mail that follows from what was applied.
  Result<void> tell(Write&, const directory::Applied&, std::vector<std::string>& routes,
                    std::string_view evidence = {}) const;
  /// Small mail, and what is recorded with it, in this commit.
  Result<void> accept(Write&, Acceptance, std::vector<std::string>& routes) const;

 private:
  const Notices& notices_;
  std::function<std::string(std::string_view)> route_;
};

/// The audit events of an operation.
void record_applied(Write&, const directory::Operation&, const directory::Applied&);

}  // namespace spoold::store
