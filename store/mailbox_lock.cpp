#include "store/mailbox_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <string_view>
#include <thread>

namespace spoold::store {
namespace {

constexpr std::time_t oldest = 300;  // seconds

int lock_by_fcntl(int fd, short type) {
  struct flock whole {};
  whole.l_type = type;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_SETLK, &whole) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

bool is_left_over(const std::string& file) {
  struct stat known {};
  if (::stat(file.c_str(), &known) != 0) return false;
  if (std::time(nullptr) - known.st_mtime > oldest) return true;
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 32> text{};
  const ::ssize_t size = ::read(fd, text.data(), text.size());
  ::close(fd);
  int pid = 0;
  if (size <= 0) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + size, pid);
  return error == std::errc() && pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH;
}

}  // namespace

MailboxLock::MailboxLock(int fd, const std::string& path, std::chrono::milliseconds wait)
    : fd_(fd), file_(path + ".lock") {
  const auto until = std::chrono::steady_clock::now() + wait;
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    if (!locked_) {
      fault_ = lock_by_fcntl(fd_, F_WRLCK);
      locked_ = fault_ == 0;
    }
    if (locked_) fault_ = take_file();
    if (fault_ != EAGAIN || std::chrono::steady_clock::now() >= until) return;
  }
}

int MailboxLock::take_file() {
  const int fd = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd >= 0) {
    made_ = true;
    const std::string pid = std::to_string(::getpid()) + "\n";
    (void)!::write(fd, pid.data(), pid.size());
    ::close(fd);
    return 0;
  }
  if (errno != EEXIST) return errno;
  if (is_left_over(file_)) ::unlink(file_.c_str());
  return EAGAIN;
}

MailboxLock::~MailboxLock() {
  if (made_) ::unlink(file_.c_str());
  if (locked_) (void)lock_by_fcntl(fd_, F_UNLCK);
}

}  // namespace spoold::store
