// smtp_sink: a next hop that accepts everything, counts everything and forgets the content. One thread,
// epoll. Every recipient is counted under (recipient, Message-ID), so a second copy of the same message to
// the same recipient shows as a duplicate whatever connection it came by. See USAGE for the rest.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "hash_counts.hpp"
#include "net.hpp"

namespace {

using bench::die, bench::HashCounts, bench::hash_of;

const char* const USAGE = R"(smtp_sink --listen ADDRESS [OPTION...]
Accepts mail by SMTP or LMTP and counts it. When it listens it prints {"listen":"ADDRESS"} on a line; at its end (SIGTERM,
SIGINT, or --expect reached) one line of JSON with what it saw; SIGUSR1 asks for such a line at any time.

  --listen ADDRESS      HOST:PORT ([V6]:PORT, port 0 chooses one) or unix:PATH
  --lmtp                LHLO, and a reply per recipient after the dot
  --no-pipelining       do not offer PIPELINING        --no-chunking   do not offer CHUNKING (BDAT)
  --expect N            end when N recipients have been accepted
  --linger SECONDS      with --expect: stay this much longer and count what should not come (default 0)
  --timeout SECONDS     end after this time whatever came (default: never)
  --log FILE            a line per accepted recipient: time connection transaction sender recipient message-id
                        (sender <> is written <>, a missing Message-ID as -)
)";

struct Settings {
  std::string listen, log;
  bool lmtp = false, pipelining = true, chunking = true;
  std::uint64_t expect = 0;
  double linger = 0, timeout = 0;
};

struct Totals {
  std::uint64_t connections = 0, open = 0, most_open = 0, transactions = 0, recipients = 0, duplicates = 0,
                bytes = 0, bad_commands = 0, most_per_connection = 0, dropped = 0;
  double first = 0, last = 0;  // wall clock of the first and the last accepted recipient
  HashCounts pairs, rcpts, senders;
};

struct Connection {
  int fd = -1;
  std::uint64_t number = 0, transactions = 0;
  std::vector<char> in = std::vector<char>(16384);
  std::size_t begin = 0, end = 0;  // unread part of `in`
  std::string out;
  std::size_t out_at = 0;
  bool closing = false, wants_write = false;
  // transaction
  bool have_mail = false, in_data = false, header_done = false, content_begun = false, chunked = false,
       last_chunk = false;
  std::uint64_t chunk_left = 0;
  std::string sender, message_id, header;
  std::vector<std::string> rcpts;
  std::size_t rcpt_count = 0;  // rcpts keeps its strings for reuse

  void forget_transaction() {
    have_mail = in_data = header_done = content_begun = chunked = last_chunk = false;
    message_id.clear();
    header.clear();
    rcpt_count = 0;
  }
};

Settings settings;
Totals totals;
FILE* log_file = nullptr;
std::unordered_set<Connection*> connections;
volatile sig_atomic_t stop_asked = 0, summary_asked = 0;

bool starts_with_word(std::string_view line, std::string_view word) {
  return line.size() >= word.size() && strncasecmp(line.data(), word.data(), word.size()) == 0;
}

/// What stands between < and > of "MAIL FROM:<...> ..." (quoted local parts may hold a >, so take the >
/// before a space or the end).
std::string_view path_of(std::string_view line) {
  const auto open = line.find('<');
  if (open == std::string_view::npos) return {};
  bool quoted = false;
  for (std::size_t i = open + 1; i < line.size(); ++i) {
    if (line[i] == '\\' && quoted)
      ++i;
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == '>' && !quoted)
      return line.substr(open + 1, i - open - 1);
  }
  return {};
}

/// Takes the Message-ID out of the first bytes of content; they may come in pieces.
void scan_header(Connection& c, std::string_view bytes) {
  if (c.header_done) return;
  c.header.append(bytes.substr(0, 65536 - std::min<std::size_t>(65536, c.header.size())));
  const auto empty = c.header.find("\r\n\r\n");
  if (empty == std::string::npos && c.header.size() < 65536) return;
  const std::string_view head(c.header.data(), empty == std::string::npos ? c.header.size() : empty + 2);
  for (std::size_t at = 0; at < head.size();) {
    if (starts_with_word(head.substr(at), "message-id:")) {
      auto value = head.substr(at + 11, head.find("\r\n", at) - at - 11);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
      c.message_id.assign(value);
      break;
    }
    const auto next = head.find("\r\n", at);
    if (next == std::string_view::npos) break;
    at = next + 2;
  }
  c.header_done = true;
}

void commit(Connection& c) {
  ++totals.transactions;
  ++c.transactions;
  totals.most_per_connection = std::max(totals.most_per_connection, c.transactions);
  const double at = bench::wall_clock();
  if (totals.first == 0) totals.first = at;
  totals.last = at;
  const std::uint64_t id = hash_of(c.message_id, 7);
  totals.senders.add(hash_of(c.sender, 3));
  for (std::size_t i = 0; i < c.rcpt_count; ++i) {
    if (!totals.pairs.add(hash_of(c.rcpts[i], id))) ++totals.duplicates;
    totals.rcpts.add(hash_of(c.rcpts[i], 5));
    if (log_file)
      std::fprintf(log_file, "%.6f %llu %llu %s %s %s\n", at, static_cast<unsigned long long>(c.number),
                   static_cast<unsigned long long>(c.transactions),
                   c.sender.empty() ? "<>" : c.sender.c_str(), c.rcpts[i].c_str(),
                   c.message_id.empty() ? "-" : c.message_id.c_str());
  }
  totals.recipients += c.rcpt_count;
  if (settings.lmtp)
    for (std::size_t i = 0; i < c.rcpt_count; ++i) c.out += "250 2.1.5 accepted\r\n";
  else
    c.out += "250 2.0.0 accepted\r\n";
  c.forget_transaction();
}

void command(Connection& c, std::string_view line) {
  if (starts_with_word(line, "RCPT TO:")) {
    if (!c.have_mail) {
      ++totals.bad_commands;
      c.out += "503 5.5.1 MAIL first\r\n";
      return;
    }
    if (c.rcpt_count == c.rcpts.size()) c.rcpts.emplace_back();
    c.rcpts[c.rcpt_count++].assign(path_of(line));
    c.out += "250 2.1.5 ok\r\n";
  } else if (starts_with_word(line, "MAIL FROM:")) {
    if (c.have_mail) {
      ++totals.bad_commands;
      c.out += "503 5.5.1 nested MAIL\r\n";
      return;
    }
    c.forget_transaction();
    c.have_mail = true;
    c.sender.assign(path_of(line));
    c.out += "250 2.1.0 ok\r\n";
  } else if (starts_with_word(line, "DATA")) {
    if (c.rcpt_count == 0 || c.chunked) {
      c.out += "503 5.5.1 RCPT first\r\n";
      return;
    }
    c.in_data = true;
    c.out += "354 go on\r\n";
  } else if (starts_with_word(line, "BDAT ")) {
    c.chunk_left = std::strtoull(line.data() + 5, nullptr, 10);
    c.last_chunk = line.find("LAST") != std::string_view::npos || line.find("last") != std::string_view::npos;
    c.chunked = true;
    c.in_data = true;
  } else if (starts_with_word(line, "EHLO ") || starts_with_word(line, "LHLO ") ||
             starts_with_word(line, "HELO ")) {
    c.forget_transaction();
    c.out += "250-sink\r\n";
    if (settings.pipelining) c.out += "250-PIPELINING\r\n";
    if (settings.chunking) c.out += "250-CHUNKING\r\n";
    c.out += "250-SIZE 0\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n";
  } else if (starts_with_word(line, "RSET")) {
    c.forget_transaction();
    c.out += "250 2.0.0 ok\r\n";
  } else if (starts_with_word(line, "NOOP")) {
    c.out += "250 2.0.0 ok\r\n";
  } else if (starts_with_word(line, "QUIT")) {
    c.out += "221 2.0.0 bye\r\n";
    c.closing = true;
  } else {
    ++totals.bad_commands;
    c.out += "500 5.5.2 what?\r\n";
  }
}

/// Consumes content up to its end. False when more bytes are needed.
bool content(Connection& c) {
  const std::string_view have(c.in.data() + c.begin, c.end - c.begin);
  if (c.chunked) {
    const std::size_t n = std::min<std::uint64_t>(c.chunk_left, have.size());
    scan_header(c, have.substr(0, n));
    totals.bytes += n;
    c.begin += n;
    c.chunk_left -= n;
    if (c.chunk_left > 0) return false;
    c.in_data = false;
    if (!c.have_mail || c.rcpt_count == 0) {
      ++totals.bad_commands;
      c.out += "503 5.5.1 RCPT first\r\n";
      c.forget_transaction();
    } else if (c.last_chunk) {
      commit(c);
    } else {
      c.out += "250 2.0.0 chunk\r\n";
    }
    return true;
  }
  if (!c.content_begun && have.size() >= 3 && have.substr(0, 3) == ".\r\n") {  // lone dot: no content at all
    c.begin += 3;
    commit(c);
    return true;
  }
  const void* found = memmem(have.data(), have.size(), "\r\n.\r\n", 5);
  if (!found) {
    const std::size_t keep =
        c.content_begun || have.size() > 4 ? std::min<std::size_t>(4, have.size()) : have.size();
    if (have.size() > keep) {
      scan_header(c, have.substr(0, have.size() - keep));
      totals.bytes += have.size() - keep;
      c.begin += have.size() - keep;
      c.content_begun = true;
    }
    return false;
  }
  const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - have.data()) + 2;
  scan_header(c, have.substr(0, size));
  totals.bytes += size;
  c.begin += size + 3;
  commit(c);
  return true;
}

void work(Connection& c) {
  while (c.begin < c.end && !c.closing) {
    if (c.in_data) {
      if (!content(c)) break;
      continue;
    }
    char* start = c.in.data() + c.begin;
    const void* eol = std::memchr(start, '\n', c.end - c.begin);
    if (!eol) {
      if (c.end - c.begin > 65536) c.closing = true;
      break;
    }
    auto size = static_cast<std::size_t>(static_cast<const char*>(eol) - start);
    c.begin += size + 1;
    if (size > 0 && start[size - 1] == '\r') --size;
    command(c, std::string_view(start, size));
    if (c.in_data && c.chunked && c.chunk_left == 0) content(c);  // BDAT 0 LAST
  }
}

void finish(Connection& c, int epoll) {
  epoll_ctl(epoll, EPOLL_CTL_DEL, c.fd, nullptr);
  close(c.fd);
  if (!c.closing) ++totals.dropped;
  --totals.open;
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
      "\"most_per_connection\":%llu,\"first\":%.6f,\"last\":%.6f,\"seconds\":%.6f,\"recipients_per_second\":%"
      ".0f}\n",
      static_cast<unsigned long long>(totals.connections), static_cast<unsigned long long>(totals.most_open),
      static_cast<unsigned long long>(totals.dropped), static_cast<unsigned long long>(totals.transactions),
      static_cast<unsigned long long>(totals.recipients), totals.rcpts.size(), totals.senders.size(),
      totals.pairs.size(), static_cast<unsigned long long>(totals.duplicates),
      static_cast<unsigned long long>(totals.bytes), static_cast<unsigned long long>(totals.bad_commands),
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
      auto* c = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (!c) {
        accept_all(listener, epoll, address);
        continue;
      }
      bool alive = true;
      if (events[static_cast<std::size_t>(i)].events & ~static_cast<std::uint32_t>(EPOLLOUT))
        alive = receive(*c);
      if (alive) work(*c);
      if (!flush(*c, epoll) || !alive) finish(*c, epoll);
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
    else if (options.is("--log"))
      settings.log = options.text();
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
  run();
}
