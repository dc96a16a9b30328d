#include "server/spoolctl/secret_input.hpp"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <istream>

#include "server/auth/password.hpp"
#include "server/spoolctl/interrupt.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

constexpr std::size_t longest_line = 1024;

/// While it lives the terminal shows nothing of what is typed.
class Silent {
 public:
  Silent() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0)
      throw Usage{std::string("the terminal cannot be set up: ") + std::strerror(errno)};
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
      throw Usage{std::string("the terminal shows what is typed: ") + std::strerror(errno)};
  }
  ~Silent() {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    std::fputc('\n', stderr);  // in the place of the one that was typed
  }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;

 private:
  termios before_{};
};

/// Signals come while it waits for input and at no other time: one that came before would be noted, and the wait begin.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t ours;
    ::sigemptyset(&ours);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&ours, signal);
    ::sigprocmask(SIG_BLOCK, &ours, &before_);
  }
  ~SignalsHeld() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

  void wait_for_input() const {
    unless_interrupted();
    pollfd input{STDIN_FILENO, POLLIN, 0};
    ::ppoll(&input, 1, nullptr, &before_);
    unless_interrupted();
  }

 private:
  sigset_t before_{};
};

/// Octet by octet: what is behind the line belongs to somebody else. No buffer of the library keeps a secret.
std::string line_of_input() {
  const SignalsHeld signals;
  std::string line;
  for (char c = 0; line.size() < longest_line;) {
    signals.wait_for_input();
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0) throw Usage{std::string("standard input: ") + std::strerror(errno)};
    if (got == 0 || c == '\n') break;
    line += c;
  }
  return line;
}

std::string without_return(std::string line) {
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

std::string ask(const std::string& prompt) {
  const Silent silent;  // before the prompt: what is typed behind it must not be lost
  std::fputs(prompt.c_str(), stderr);
  return line_of_input();
}

}  // namespace

std::string read_password(const std::string& file, const std::string& whose) {
  std::string password;
  if (!file.empty() && file != "-") {
    std::ifstream in(file, std::ios::binary);
    std::string line;
    if (!in || (!std::getline(in, line) && !in.eof()))
      throw Usage{file + " cannot be read: " + std::strerror(errno)};
    password = without_return(std::move(line));
  } else if (::isatty(STDIN_FILENO) == 1) {
    password = ask("Password of " + whose + ": ");
    if (ask("The same again: ") != password) throw Usage{"the two passwords differ: nothing was changed"};
  } else {
    password = without_return(line_of_input());
  }
  if (const auto fault = password_fault(password)) throw Usage{*fault};
  return password;
}

}  // namespace spoold::server::admin
