#include "server/privileges.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace spoold::server {

Privileges::Privileges(std::string user, std::string store_folder)
    : user_(std::move(user)),
      folder_(std::move(store_folder)),
      needed_(::geteuid() == 0 && !user_.empty() && user_ != "root") {}

tl::unexpected<std::string> Privileges::failed(const std::string& what) const {
  return tl::unexpected("cannot become [server] user \"" + user_ + "\": " + what);
}

tl::expected<void, std::string> Privileges::lower() {
  if (!needed_) return {};
  const passwd* who = ::getpwnam(user_.c_str());
  if (!who) return failed("there is no such user; make it with: adduser --system --group " + user_);
  uid_ = who->pw_uid;
  gid_ = who->pw_gid;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return failed("cannot make " + folder_ + ": " + error.message());
  if (::chown(folder_.c_str(), uid_, gid_) != 0)
    return failed("cannot give it " + folder_ + ": " + std::strerror(errno));
  if (::initgroups(user_.c_str(), gid_) != 0 || ::setegid(gid_) != 0 || ::seteuid(uid_) != 0)
    return failed(std::strerror(errno));
  return {};
}

void Privileges::raise() {
  if (!needed_) return;
  if (::seteuid(0) != 0 || ::setegid(0) != 0) std::abort();  // the saved ids are root's: cannot fail
}

tl::expected<void, std::string> Privileges::drop() {
  if (!needed_) return {};
  if (::setgid(gid_) != 0 || ::setuid(uid_) != 0) return failed(std::strerror(errno));
  if (::setuid(0) == 0) std::abort();  // root must not be had again
  return {};
}

}  // namespace spoold::server
