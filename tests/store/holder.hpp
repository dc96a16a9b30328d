// Another process that is inside Reads of a store, and can be killed there: its places in the reader table stay.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "store/env.hpp"
#include "store/txn.hpp"

namespace spoold::store {

class Holder {
 public:
  /// Forks at once: before the test opens the store, and has threads.
  Holder(const std::string& path, std::uint64_t max_size, std::size_t reads = 1) {
    if (::pipe(go_) != 0 || ::pipe(ready_) != 0) throw std::runtime_error("pipe");
    child_ = ::fork();
    if (child_ != 0) return;
    char c = 0;
    if (::read(go_[0], &c, 1) != 1) ::_exit(1);
    auto env = Env::open(
        {.path = path, .max_size = max_size, .open = Env::Settings::Open::read_only, .map_size = 0});
    if (!env) ::_exit(2);
    std::vector<std::unique_ptr<Read>> held;
    for (std::size_t i = 0; i < reads; ++i) held.push_back(std::make_unique<Read>(**env));
    if (::write(ready_[1], &c, 1) != 1) ::_exit(3);
    for (;;) ::pause();
  }
  ~Holder() {
    if (child_ > 0) kill();
    for (const int file : {go_[0], go_[1], ready_[0], ready_[1]}) ::close(file);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  /// Returns when it is inside its Reads.
  void begin() {
    char c = 0;
    ::close(std::exchange(ready_[1], -1));  // so that its death is an end of file, not a wait
    if (::write(go_[1], &c, 1) != 1 || ::read(ready_[0], &c, 1) != 1)
      throw std::runtime_error("the holder died");
  }
  void kill() {
    ::kill(child_, SIGKILL);
    int status = 0;
    ::waitpid(std::exchange(child_, -1), &status, 0);
  }
  int pid() const { return child_; }

 private:
  int go_[2], ready_[2];
  pid_t child_ = -1;
};

}  // namespace spoold::store
