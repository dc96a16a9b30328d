#include "store/folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>

namespace spoold::store {
namespace {

using Kind = Error::Kind;

std::string words(int error) {
  return std::strerror(error);
}

}  // namespace

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error || (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST))
    return fail(Kind::io,
                "cannot make the store's folder " + path + ": " + (error ? error.message() : words(errno)));
  return {};
}

Result<void> local_file_system(const std::string& path) {
  struct statfs fs {};
  if (::statfs(path.c_str(), &fs) != 0)
    return fail(Kind::io, "the store's folder " + path + ": " + words(errno));
  struct Known {
    std::uint32_t magic;
    const char* name;
  };
  static constexpr Known network[] = {{0x6969, "NFS"},       {0x517B, "SMB"},        {0xFF534D42, "CIFS"},
                                      {0xFE534D42, "SMB2"},  {0x01021997, "9p"},     {0x65735546, "FUSE"},
                                      {0x00C36400, "Ceph"},  {0x5346414F, "AFS"},    {0x73757245, "Coda"},
                                      {0x47504653, "GPFS"},  {0x0BD00BD0, "Lustre"}, {0x01161970, "GFS2"},
                                      {0x7461636F, "OCFS2"}, {0x19830326, "BeeGFS"}};
  for (const Known& k : network)
    if (static_cast<std::uint32_t>(fs.f_type) == k.magic)
      return fail(Kind::invalid, "the store's folder " + path + " is on a network file system (" + k.name +
                                     "): set [spool] path to a local disk");
  return {};
}

Result<void> sync_folders(const std::string& path) {
  std::error_code error;
  for (auto folder = std::filesystem::absolute(path, error);; folder = folder.parent_path()) {
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
      const bool failed = ::fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
      const int why = errno;
      ::close(fd);
      if (failed)
        return fail(Error::Kind::io,
                    "cannot flush the folder " + folder.string() + " to the disk: " + std::strerror(why));
    }
    if (folder == folder.parent_path()) return {};
  }
}

}  // namespace spoold::store
