// smtp_sink: a next hop that accepts everything, counts everything and forgets the content. One thread,
// epoll. Every recipient is counted under (recipient, Message-ID), so a second copy of the same message to
// the same recipient shows as a duplicate whatever connection it came by. See USAGE for the rest.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <unordered_set>
#include <vector>

#include "net.hpp"
#include "sink_dialog.hpp"

namespace {

using bench::die, bench::Connection, bench::Totals;

const char* const USAGE = R"(smtp_sink --listen ADDRESS [OPTION...]
Accepts mail by SMTP or LMTP and counts it. When it listens it prints {"listen":"ADDRESS"} on a line; at its end (SIGTERM,
SIGINT, or --expect reached) one line of JSON with what it saw; SIGUSR1 asks for such a line at any time.

  --listen ADDRESS      HOST:PORT ([V6]:PORT, port 0 chooses one) or unix:PATH
  --lmtp                LHLO, and a reply per recipient after the dot
  --no-pipelining       do not offer PIPELINING        --no-chunking   do not offer CHUNKING (BDAT)
  --expect N            end when N recipients have been accepted
  --linger SECONDS      with --expect: stay this much longer and count what should not come (default 0)
  --timeout SECONDS     end after this time whatever came (default: never)
  --sender ADDRESS      an envelope sender that is right; may be given again. Copies with others count as wrong_senders
  --verp ADDRESS        the same for a VERP sender: of NAME@HOST, NAME+local=domain@HOST for local@domain
  --log FILE            a line per accepted recipient: time connection transaction sender recipient message-id
                        (sender <> is written <>, a missing Message-ID as -)
  --durable FILE        what is accepted is flushed to the disk before it is answered, and nothing else is done with it: what
                        is left to gain for a server
)";
bench::SinkSettings settings;
Totals totals;
FILE* log_file = nullptr;
std::unique_ptr<bench::GroupFile> file;
std::unordered_set<Connection*> connections;
std::vector<Connection*> not_durable;  // they are answered later
volatile sig_atomic_t stop_asked = 0, summary_asked = 0;

void finish(Connection& c, int epoll) {
  epoll_ctl(epoll, EPOLL_CTL_DEL, c.fd, nullptr);
  close(c.fd);
  if (!c.closing) ++totals.dropped;
  --totals.open;
  std::erase(not_durable, &c);
  connections.erase(&c);
  delete &c;
}

/// False when the connection is over.
bool flush(Connection& c, int epoll) {
  while (c.out_at < c.out.size()) {
    const ssize_t n = send(c.fd, c.out.data() + c.out_at, c.out.size() - c.out_at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN) return false;
      if (!c.wants_write) {
        c.wants_write = true;
        epoll_event e{};
        e.events = EPOLLOUT;
        e.data.ptr = &c;
        epoll_ctl(epoll, EPOLL_CTL_MOD, c.fd, &e);
      }
      return true;
    }
    c.out_at += static_cast<std::size_t>(n);
  }
  c.out.clear();
  c.out_at = 0;
  if (c.wants_write) {
    c.wants_write = false;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = &c;
    epoll_ctl(epoll, EPOLL_CTL_MOD, c.fd, &e);
  }
  return !c.closing;
}

bool receive(Connection& c) {
  if (c.begin == c.end) c.begin = c.end = 0;
  if (c.in.size() - c.end < 8192) {
    std::memmove(c.in.data(), c.in.data() + c.begin, c.end - c.begin);
    c.end -= c.begin;
    c.begin = 0;
    if (c.in.size() - c.end < 8192)
      c.in.resize(c.in.size() * 2);
    else if (c.in.size() < 131072)
      c.in.resize(131072);
  }
  const ssize_t n = recv(c.fd, c.in.data() + c.end, c.in.size() - c.end, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  c.end += static_cast<std::size_t>(n);
  return true;
}

void print_summary() {
  const double seconds = totals.last - totals.first;
  std::printf(
      "{\"connections\":%llu,\"most_open\":%llu,\"dropped\":%llu,\"transactions\":%llu,\"recipients\":%llu,"
      "\"distinct_recipients\":%zu,"
      "\"distinct_senders\":%zu,\"distinct_deliveries\":%zu,\"duplicates\":%llu,\"bytes\":%llu,\"bad_"
      "commands\":%llu,"
      "\"wrong_senders\":%llu,\"first_wrong\":%s,\"most_per_connection\":%llu,\"first\":%.6f,\"last\":%.6f,"
      "\"seconds\":%.6f,\"recipients_per_second\":%"
      ".0f}\n",
      static_cast<unsigned long long>(totals.connections), static_cast<unsigned long long>(totals.most_open),
      static_cast<unsigned long long>(totals.dropped), static_cast<unsigned long long>(totals.transactions),
      static_cast<unsigned long long>(totals.recipients), totals.rcpts.size(), totals.senders.size(),
      totals.pairs.size(), static_cast<unsigned long long>(totals.duplicates),
      static_cast<unsigned long long>(totals.bytes), static_cast<unsigned long long>(totals.bad_commands),
      static_cast<unsigned long long>(totals.wrong_senders), bench::json_text(totals.first_wrong).c_str(),
      static_cast<unsigned long long>(totals.most_per_connection), totals.first, totals.last, seconds,
      seconds > 0 ? static_cast<double>(totals.recipients) / seconds : 0.0);
  std::fflush(stdout);
}

void accept_all(int listener, int epoll, const bench::Address& address) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    bench::no_delay(fd, address);
    auto* c = new Connection;
    c->fd = fd;
    c->number = ++totals.connections;
    totals.most_open = std::max(totals.most_open, ++totals.open);
    c->out = settings.lmtp ? "220 sink LMTP\r\n" : "220 sink ESMTP\r\n";
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = c;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    connections.insert(c);
    if (!flush(*c, epoll)) finish(*c, epoll);
  }
}

/// Those whose group is on the disk.
void answer_durable(int epoll) {
  eventfd_t moved = 0;
  eventfd_read(file->event(), &moved);
  const auto durable = std::stable_partition(not_durable.begin(), not_durable.end(),
                                             [](const Connection* c) { return c->group > file->done(); });
  const std::vector<Connection*> ready(durable, not_durable.end());
  not_durable.erase(durable, not_durable.end());
  for (Connection* c : ready)
    if (!flush(*c, epoll)) finish(*c, epoll);
}

void run() {
  std::string shown = settings.listen;
  const int listener = bench::listen_on(shown);
  const bench::Address address = bench::parse_address(shown);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.ptr = nullptr;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
  std::printf("{\"listen\":\"%s\"}\n", shown.c_str());
  std::fflush(stdout);
  double end = settings.timeout > 0 ? bench::now() + settings.timeout : 1e18;
  if (file) {
    e.data.ptr = file.get();
    epoll_ctl(epoll, EPOLL_CTL_ADD, file->event(), &e);
  }
  bench::SinkDialog dialog(settings, totals, log_file, file.get());
  std::vector<epoll_event> events(512);
  bool met = false;
  while (!stop_asked && bench::now() < end) {
    const int wait = static_cast<int>(std::min(200.0, std::max(0.0, (end - bench::now()) * 1000)));
    const int n = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), wait);
    if (n <= 0 && log_file) std::fflush(log_file);
    if (summary_asked) {
      summary_asked = 0;
      if (log_file) std::fflush(log_file);
      print_summary();
    }
    for (int i = 0; i < n; ++i) {
      if (file && events[static_cast<std::size_t>(i)].data.ptr == file.get()) {
        answer_durable(epoll);
        continue;
      }
      auto* c = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (!c) {
        accept_all(listener, epoll, address);
        continue;
      }
      bool alive = true;
      if (events[static_cast<std::size_t>(i)].events & ~static_cast<std::uint32_t>(EPOLLOUT))
        alive = receive(*c);
      const bool waited = file && c->group > file->done();
      if (alive) dialog.work(*c);
      const bool waits = file && c->group > file->done();
      if (waits && !waited) not_durable.push_back(c);
      if ((!waits && !flush(*c, epoll)) || !alive) finish(*c, epoll);
    }
    if (settings.expect && totals.recipients >= settings.expect && !met) {
      met = true;
      end = std::min(end, bench::now() + settings.linger);
    }
  }
  if (log_file) std::fclose(log_file);
  print_summary();
  for (const Connection* c : connections) delete c;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Options options(argc, argv, USAGE);
  while (options.next()) {
    if (options.is("--listen"))
      settings.listen = options.text();
    else if (options.is("--lmtp"))
      settings.lmtp = true;
    else if (options.is("--no-pipelining"))
      settings.pipelining = false;
    else if (options.is("--no-chunking"))
      settings.chunking = false;
    else if (options.is("--expect"))
      settings.expect = static_cast<std::uint64_t>(options.number());
    else if (options.is("--linger"))
      settings.linger = options.real();
    else if (options.is("--timeout"))
      settings.timeout = options.real();
    else if (options.is("--sender"))
      settings.senders.push_back(options.text());
    else if (options.is("--verp"))
      settings.verp.push_back(options.text());
    else if (options.is("--log"))
      settings.log = options.text();
    else if (options.is("--durable"))
      settings.durable = options.text();
    else
      options.unknown();
  }
  if (settings.listen.empty()) die(USAGE);
  if (!settings.log.empty() && !(log_file = std::fopen(settings.log.c_str(), "w")))
    die(settings.log + ": " + std::strerror(errno));
  if (log_file) std::setvbuf(log_file, nullptr, _IOFBF, 1 << 16);
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = [](int) { summary_asked = 1; };
  sigaction(SIGUSR1, &action, nullptr);
  bench::raise_file_limit();
  if (!settings.durable.empty()) file = std::make_unique<bench::GroupFile>(settings.durable);
  run();
}
