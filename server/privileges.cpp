#include "server/privileges.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
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
  if (auto became = become(); !became) return became;
  return make_folder();
}

tl::expected<void, std::string> Privileges::become() {
  if (::initgroups(user_.c_str(), gid_) != 0 || ::setegid(gid_) != 0 || ::seteuid(uid_) != 0)
    return failed(std::strerror(errno));
  return {};
}

// The user makes it where it may; so root never works in a folder that the user can change meanwhile.
tl::expected<void, std::string> Privileges::make_folder() {
  struct stat status {};
  if (::stat(folder_.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) return failed(folder_ + " is no folder");
    if (status.st_uid == uid_) return {};
    return failed(folder_ + " belongs to somebody else; if it is spoold's, give it with: chown -R " + user_ +
                  ": " + folder_);
  }
  if (errno != ENOENT && errno != EACCES) return failed(folder_ + ": " + std::strerror(errno));
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder_).parent_path(), error);
  if (!error && ::mkdir(folder_.c_str(), 0750) == 0) return {};
  raise();
  auto made = make_folder_as_root();
  auto became = become();
  return made ? became : made;
}

tl::expected<void, std::string> Privileges::make_folder_as_root() {
  const auto cannot = [this] { return failed("cannot make " + folder_ + ": " + std::strerror(errno)); };
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder_).parent_path(), error);
  if (error) return failed("cannot make " + folder_ + ": " + error.message());
  if (::mkdir(folder_.c_str(), 0750) != 0) return cannot();
  // What was just made and nothing else: by descriptor, and no link is followed.
  const int made = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (made < 0) return cannot();
  const int given = ::fchown(made, uid_, gid_);
  const int fault = errno;
  ::close(made);
  if (given != 0) return failed("cannot give it " + folder_ + ": " + std::strerror(fault));
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
