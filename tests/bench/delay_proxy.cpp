// delay_proxy: a long line on a short machine. Everything that passes is delivered DELAY later, each way, in
// order and at full width; a close travels the same way. One thread, epoll. See USAGE.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <vector>

#include "net.hpp"

namespace {

const char* const USAGE = R"(delay_proxy --listen ADDRESS --to ADDRESS --delay MILLISECONDS
Passes connections on and delays what passes by MILLISECONDS each way (a round trip costs twice that). Prints
{"listen":"ADDRESS"} when it listens; ends at SIGTERM. Addresses: HOST:PORT, [V6]:PORT or unix:PATH.
)";

struct Piece {
  double due;
  std::string bytes;  // empty: the end
};
/// One direction of a connection: what was read from `from` waits here until it may be written to `to`.
struct Direction {
  int from, to;
  std::deque<Piece> waiting;
  std::size_t written = 0, held = 0;
  bool ended = false, closed = false;
};
struct Pair {
  Direction up, down;
  bool connected = false;
};

std::unordered_map<int, Pair*> pairs;  // by either socket
int epoll = -1;
double delay = 0;
constexpr std::size_t most_held = 64u << 20;  // the pipe is wide, but not endless
volatile sig_atomic_t stop_asked = 0;

void read_side(Direction& d) {
  static char buffer[262144];
  while (!d.ended && d.held < most_held) {
    const ssize_t n = recv(d.from, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    d.waiting.push_back(
        {bench::now() + delay, n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string()});
    if (n > 0)
      d.held += static_cast<std::size_t>(n);
    else
      d.ended = true;
  }
}

void write_side(Direction& d) {
  const double now = bench::now();
  while (!d.waiting.empty() && d.waiting.front().due <= now && !d.closed) {
    Piece& p = d.waiting.front();
    if (p.bytes.empty()) {
      shutdown(d.to, SHUT_WR);
      d.closed = true;
      d.waiting.clear();
      return;
    }
    const ssize_t n = send(d.to, p.bytes.data() + d.written, p.bytes.size() - d.written, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN) d.closed = d.ended = true;
      return;
    }
    d.written += static_cast<std::size_t>(n);
    if (d.written == p.bytes.size()) {
      d.held -= p.bytes.size();
      d.written = 0;
      d.waiting.pop_front();
    }
  }
}

void forget(Pair* pair) {
  for (const int fd : {pair->up.from, pair->up.to}) {
    pairs.erase(fd);
    close(fd);
  }
  delete pair;
}

}  // namespace

int main(int argc, char** argv) {
  std::string listen, to;
  bench::Options options(argc, argv, USAGE);
  while (options.next()) {
    if (options.is("--listen"))
      listen = options.text();
    else if (options.is("--to"))
      to = options.text();
    else if (options.is("--delay"))
      delay = options.real() / 1000;
    else
      options.unknown();
  }
  if (listen.empty() || to.empty()) bench::die(USAGE);
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  bench::raise_file_limit();
  const bench::Address target = bench::parse_address(to);
  const int listener = bench::listen_on(listen);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [](int fd) {
    epoll_event e{};
    e.events = EPOLLIN | EPOLLOUT | EPOLLET;
    e.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
  };
  watch(listener);
  std::printf("{\"listen\":\"%s\"}\n", listen.c_str());
  std::fflush(stdout);
  std::vector<epoll_event> events(256);
  while (!stop_asked) {
    double next = bench::now() + 0.2;
    for (const auto& [fd, pair] : pairs)
      for (const Direction* d : {&pair->up, &pair->down})
        if (!d->waiting.empty()) next = std::min(next, d->waiting.front().due);
    const double wait = (next - bench::now()) * 1000;
    const int n = epoll_wait(epoll, events.data(), static_cast<int>(events.size()),
                             wait <= 0 ? 0 : static_cast<int>(wait + 0.999));
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd != listener) continue;
      for (int client; (client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        const int server = bench::connect_to(target);
        if (server < 0) {
          close(client);
          continue;
        }
        bench::no_delay(client, bench::parse_address(listen));
        auto* pair =
            new Pair{{client, server, {}, 0, 0, false, false}, {server, client, {}, 0, 0, false, false}};
        pairs[client] = pairs[server] = pair;
        watch(client);
        watch(server);
      }
    }
    std::vector<Pair*> over;
    for (const auto& [fd, pair] : pairs) {
      if (fd != pair->up.from) continue;
      for (Direction* d : {&pair->up, &pair->down}) {
        read_side(*d);
        write_side(*d);
      }
      if (pair->up.closed && pair->down.closed) over.push_back(pair);
    }
    for (Pair* pair : over) forget(pair);
  }
  std::vector<Pair*> rest;
  for (const auto& [fd, pair] : pairs)
    if (fd == pair->up.from) rest.push_back(pair);
  for (Pair* pair : rest) forget(pair);
}
