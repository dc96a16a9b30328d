// Sockets and options for the bench tools: plain POSIX, header only, nothing of spoold's.
// Addresses are HOST:PORT, [V6]:PORT or unix:PATH. What fails prints one line and exits 2: these are tools
// for scripts. See also: smtp_load.cpp, smtp_sink.cpp, delay_proxy.cpp.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(2);
}

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  const sockaddr* get() const { return static_cast<const sockaddr*>(static_cast<const void*>(&bytes)); }
  bool is_unix() const { return bytes.ss_family == AF_UNIX; }
};

inline Address parse_address(const std::string& text) {
  Address a;
  if (text.rfind("unix:", 0) == 0) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    const std::string path = text.substr(5);
    if (path.size() >= sizeof un.sun_path) die(text + ": path too long");
    std::memcpy(un.sun_path, path.data(), path.size());
    std::memcpy(&a.bytes, &un, sizeof un);
    a.size = sizeof un;
    return a;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) die(text + ": expected HOST:PORT, [V6]:PORT or unix:PATH");
  std::string host = text.substr(0, colon);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int rc = getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found); rc != 0)
    die(text + ": " + gai_strerror(rc));
  std::memcpy(&a.bytes, found->ai_addr, found->ai_addrlen);
  a.size = found->ai_addrlen;
  freeaddrinfo(found);
  return a;
}

inline void no_delay(int fd, const Address& a) {
  const int one = 1;
  if (!a.is_unix()) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/// A listening socket, on loopback only where `text` says 0.0.0.0; `text` gets the port that was chosen when
/// it asked for port 0.
inline int listen_on(std::string& text) {
  Address a = parse_address(text);
  const int fd = socket(a.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (a.is_unix()) unlink(text.c_str() + 5);
  // 0.0.0.0 stands for all of 127.0.0.0/8: nothing here is for another machine.
  const char loopback[] = "lo";
  if (text.rfind("0.0.0.0:", 0) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, loopback, sizeof loopback) != 0)
    die("listen on " + text + ": " + std::strerror(errno));
  if (fd < 0 || bind(fd, a.get(), a.size) != 0 || listen(fd, 4096) != 0)
    die("listen on " + text + ": " + std::strerror(errno));
  if (!a.is_unix()) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    getsockname(fd, static_cast<sockaddr*>(static_cast<void*>(&bound)), &size);
    char service[16];
    getnameinfo(static_cast<sockaddr*>(static_cast<void*>(&bound)), size, nullptr, 0, service, sizeof service,
                NI_NUMERICSERV);
    text = text.substr(0, text.rfind(':') + 1) + service;
  }
  return fd;
}

/// Starts a connection; the caller waits for writability. -1 when it is refused at once.
inline int connect_to(const Address& a) {
  const int fd = socket(a.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die(std::string("socket: ") + std::strerror(errno));
  no_delay(fd, a);
  if (connect(fd, a.get(), a.size) != 0 && errno != EINPROGRESS) {
    close(fd);
    return -1;
  }
  return fd;
}

inline void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Text as JSON; control characters become blanks.
inline std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return out + '"';
}

/// Command line of the form --name VALUE; `--help` prints the usage.
class Options {
 public:
  Options(int count, char** words, const char* usage) : count_(count), words_(words), usage_(usage) {
    for (int i = 1; i < count; ++i)
      if (std::string_view(words[i]) == "--help") {
        std::fputs(usage, stdout);
        std::exit(0);
      }
  }
  bool next() {
    if (++at_ >= count_) return false;
    name_ = words_[at_];
    return true;
  }
  bool is(std::string_view name) const { return name_ == name; }
  std::string text() {
    if (++at_ >= count_) die(name_ + " needs a value\n" + usage_);
    return words_[at_];
  }
  long number() {
    const std::string value = text();
    char* end = nullptr;
    const long n = std::strtol(value.c_str(), &end, 10);
    if (end == value.c_str() || *end || n < 0) die(name_ + ": '" + value + "' is not a number");
    return n;
  }
  double real() {
    const std::string value = text();
    char* end = nullptr;
    const double n = std::strtod(value.c_str(), &end);
    if (end == value.c_str() || *end || n < 0) die(name_ + ": '" + value + "' is not a number");
    return n;
  }
  [[noreturn]] void unknown() const { die("unknown option " + name_ + "\n" + usage_); }

 private:
  int count_;
  char** words_;
  const char* usage_;
  int at_ = 0;
  std::string name_;
};

}  // namespace bench
