// Root is needed for one thing: binding ports below 1024. The store is opened as the user that spoold will
// run as.
//
//   Privileges privileges(settings.server.user, settings.spool.path);
//   privileges.lower();  ... open the store ...  privileges.raise();  ... bind ...  privileges.drop();
//
// Guarantees: drop() is for good (the saved ids too). Root gives the user nothing but a folder that it has just
// made itself, in a place where the user could not: a user who puts a link to another folder there gains
// nothing. Not as root, or with no user or "root" configured, all three do nothing. Failures: one sentence that
// says what to do.
#pragma once
#include <sys/types.h>

#include <string>

#include <tl/expected.hpp>

namespace spoold::server {

class Privileges {
 public:
  Privileges(std::string user, std::string store_folder);

  /// Makes the store's folder (0750, of the user) where there is none; one that exists must be the user's.
  tl::expected<void, std::string> lower();
  void raise();
  tl::expected<void, std::string> drop();

 private:
  tl::unexpected<std::string> failed(const std::string& what) const;
  tl::expected<void, std::string> become();
  tl::expected<void, std::string> make_folder();
  tl::expected<void, std::string> make_folder_as_root();
  std::string user_, folder_;
  bool needed_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
};

}  // namespace spoold::server
