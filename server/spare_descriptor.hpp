// A descriptor kept for the moment when the process has none left: whoever must still accept a connection gives
// this one up, accepts, and keeps another one as soon as a descriptor is free.
//
// Lives on one thread. Between give() and accept() another thread may take the descriptor; then accept() fails
// as before and is tried again later.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace spoold::server {

class SpareDescriptor {
 public:
  SpareDescriptor() { keep(); }
  ~SpareDescriptor() { give(); }
  SpareDescriptor(const SpareDescriptor&) = delete;
  SpareDescriptor& operator=(const SpareDescriptor&) = delete;

  void keep() {
    if (fd_ < 0) fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  /// False: there was none to give.
  bool give() { return fd_ >= 0 && ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_ = -1;
};

}  // namespace spoold::server
