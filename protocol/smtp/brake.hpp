// What a client without rights may waste in one session before the server slows it down or ends the session:
// refused recipients (a search for addresses, an old list of addresses) and commands that carry no mail.
//
// An honest sender with dead addresses is only slowed down: the first `free_refusals` cost nothing, the
// following ones a pause each. Refusals count for the whole session. Commands without mail (EHLO, MAIL, RSET,
// NOOP, VRFY, HELP and unknown ones) count since the last message. Failures: none; the verdict is the answer.
// See also: server_dialog.hpp, which asks at each refused RCPT and each such command.
#pragma once
#include <chrono>
#include <cstdint>

namespace spoold::smtp {

class Brake {
 public:
  struct Limits {
    int free_refusals = 20, refusals = 100;
    int idle_commands = 100;
    std::chrono::milliseconds pause = std::chrono::seconds(1);
  };
  enum class Verdict : std::uint8_t { go_on, pause, close };

  explicit Brake(const Limits& limits) : limits_(limits) {}

  void release() { released_ = true; }  // for a client that is trusted

  /// A recipient was refused for good.
  Verdict refused() {
    if (released_) return Verdict::go_on;
    if (++refusals_ >= limits_.refusals) return Verdict::close;
    return refusals_ > limits_.free_refusals ? Verdict::pause : Verdict::go_on;
  }
  /// A command that carries no mail.
  Verdict idle_command() {
    return !released_ && ++idle_commands_ > limits_.idle_commands ? Verdict::close : Verdict::go_on;
  }
  void message() { idle_commands_ = 0; }  // the end of a content was reached

 private:
  const Limits& limits_;  // of the profile
  int refusals_ = 0, idle_commands_ = 0;
  bool released_ = false;
};

}  // namespace spoold::smtp
