// The lock of an mbox file, as programs of the field take it (Debian policy 11.6): first fcntl, then FILE.lock. Held until the end.
// A FILE.lock whose process is dead, or that is older than five minutes, is removed.
#pragma once
#include <chrono>
#include <string>

namespace spoold::store {

class MailboxLock {
 public:
  /// Waits for so long at most. `fd` is open for writing.
  MailboxLock(int fd, const std::string& path, std::chrono::milliseconds wait);
  ~MailboxLock();
  MailboxLock(const MailboxLock&) = delete;
  MailboxLock& operator=(const MailboxLock&) = delete;
  /// 0: it is held. EAGAIN: somebody else holds it.
  int fault() const { return fault_; }

 private:
  int take_file();
  const int fd_;
  const std::string file_;
  int fault_ = 0;
  bool locked_ = false, made_ = false;
};

}  // namespace spoold::store
