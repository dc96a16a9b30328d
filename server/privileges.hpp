// Root is needed for one thing: binding ports below 1024. The store is opened as the user that spoold will
// run as.
//
//   Privileges privileges(settings.server.user, settings.spool.path);
//   privileges.lower();  ... open the store ...  privileges.raise();  ... bind ...  privileges.drop();
//
// Guarantees: drop() is for good (the saved ids too). Not as root, or with no user or "root" configured, all
// three do nothing. Failures: one sentence that says what to do.
#pragma once
#include <sys/types.h>

#include <string>

#include <tl/expected.hpp>

namespace spoold::server {

class Privileges {
 public:
  Privileges(std::string user, std::string store_folder);

  tl::expected<void, std::string>
  lower();  // makes the store's folder if it is missing and gives it to the user
  void raise();
  tl::expected<void, std::string> drop();

 private:
  tl::unexpected<std::string> failed(const std::string& what) const;
  std::string user_, folder_;
  bool needed_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
};

}  // namespace spoold::server
