#include "server/spoolctl/new_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "server/spoolctl/access.hpp"
#include "store/folder.hpp"

namespace spoold::server::admin {

namespace {

tl::unexpected<std::string> failed(const std::string& path, int error) {
  return tl::unexpected(path + " cannot be written: " + std::strerror(error));
}

}  // namespace

tl::expected<std::unique_ptr<NewFile>, std::string> NewFile::make(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return tl::unexpected(path + " is not a file: name one that may be made or replaced");
  std::string temporary = path + ".XXXXXX";
  const int file = ::mkstemp(temporary.data());  // only its owner may read it: it holds mail
  if (file < 0) return failed(path, errno);
  return std::unique_ptr<NewFile>(new NewFile(path, temporary, file));
}

NewFile::~NewFile() {
  ::close(file_);
  if (temporary_.empty()) return;
  const OwnIds own;
  ::unlink(temporary_.c_str());
}

tl::expected<void, std::string> NewFile::keep() {
  const OwnIds own;
  if (::fsync(file_) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) return failed(path_, errno);
  temporary_.clear();
  const auto slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  if (auto flushed = store::sync_folders(folder); !flushed) return tl::unexpected(flushed.error().text);
  return {};
}

}  // namespace spoold::server::admin
