// smtp_load: sends messages as fast as the server takes them, over N sessions, and measures. One thread,
// epoll. The figures are the server's: this end costs about as much as reading and writing the bytes. Each
// message carries its own Message-ID (<load.RUN.NUMBER@HOST>), so the receiving end can count copies. See
// USAGE.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "load_plan.hpp"
#include "net.hpp"
#include "tls_line.hpp"

namespace {

using bench::die;

const char* const USAGE = R"(smtp_load --to ADDRESS [OPTION...]
Sends messages over SMTP or LMTP and prints one line of JSON: accepted, refused, lost, seconds, messages_per_second and the
latency of a message (from its first byte sent to the reply to its end) as p50, p99 and max in milliseconds.

  --to ADDRESS          HOST:PORT, [V6]:PORT or unix:PATH     --lmtp           speak LMTP
  --sessions N          connections at the same time (1)      --messages N     messages in all (1)
  --size BYTES          of content (4096)                     --recipients N   a message (1)
  --from ADDRESS        (load@sender.example; <> is the null path)
  --rcpt PATTERN        %n is the message, %r the recipient of the message (u%n-%r@rcpt.example)
  --rcpt-file FILE      an address a line, taken in turns instead of --rcpt
  --header-from ADDRESS From: of the message (the same as --from)
  --run WORD            part of every Message-ID (0)
  --connection-per-message     a new connection for each message
  --starttls            TLS, a whole handshake for each connection
  --pipelining          MAIL, RCPT and DATA in one write
  --chain               also the content with the next MAIL, RCPT, DATA in one write (RFC 2920)
  --rate N              begin N messages a second, however fast the replies come; latency counts from the moment a message
                        was due, so that a server that stalls is charged for those that had to wait for a session
  --accepted FILE       the number of each message that was answered 250, a line each, written at once
  --persist             reconnect when the connection is lost or refused, until --timeout; a message whose end was not
                        answered counts as lost and is not sent again
  --timeout SECONDS     give up after this long (600)
Exit code: 0 everything was accepted, 1 not, 2 wrong use.
)";

bench::LoadSettings settings;
bench::Content content;
bench::LoadTotals totals;
FILE* accepted_file = nullptr;

enum class Stage { banner, ehlo, starttls, mail, rcpt, data, end, quit };
struct Awaited {
  Stage stage;
  long message;
};

struct Session {
  int fd = -1;
  bench::TlsLine tls;
  bool connecting = false, wants_write = false, finished = false;
  double retry_at = 0;
  std::string out, in;
  std::size_t out_at = 0;
  std::deque<Awaited> awaited;
  long message = -1;         // whose envelope is under way
  double begun = 0;          // of that message
  double begun_content = 0;  // of the message whose content is under way
  long rcpts_accepted = 0, end_replies = 0, end_rcpts = 0;
  long refused_envelope = 0;
  bool idle = false;  // --rate: no message is due yet
};

std::vector<std::unique_ptr<Session>> sessions;
bench::Address target;
int epoll = -1;
double run_began = 0;

/// With --rate: when message `number` is due.
double due(long number) {
  return run_began + static_cast<double>(number) / settings.rate;
}

void watch(Session& s, std::uint32_t events, int operation) {
  epoll_event e{};
  e.events = events;
  e.data.ptr = &s;
  epoll_ctl(epoll, operation, s.fd, &e);
}

void start_connection(Session& s) {
  s.fd = bench::connect_to(target);
  s.awaited.clear();
  s.in.clear();
  s.out.clear();
  s.out_at = 0;
  s.message = -1;
  if (s.fd < 0) {
    s.retry_at = bench::now() + 0.05;
    ++totals.connections_lost;
    if (!settings.persist) die("cannot connect to " + settings.to);
    return;
  }
  ++totals.connections;
  s.connecting = true;
  s.awaited.push_back({Stage::banner, -1});
  watch(s, EPOLLIN, EPOLL_CTL_ADD);
}

void lose(Session& s) {
  s.tls.end();
  if (s.fd >= 0) close(s.fd);
  s.fd = -1;
  const bool in_work = s.message >= 0 || (!s.awaited.empty() && s.awaited.front().stage == Stage::end);
  for (const Awaited& a : s.awaited)
    if (a.stage == Stage::end && a.message != s.message) ++totals.lost;
  if (s.message >= 0) ++totals.lost;
  s.message = -1;
  if (in_work || !s.awaited.empty()) ++totals.connections_lost;
  s.awaited.clear();
  if (totals.started >= settings.messages) s.finished = true;
  if (!settings.persist && !s.finished) die("connection to " + settings.to + " lost");
  s.retry_at = bench::now() + 0.05;
}

void send_out(Session& s) {
  while (s.out_at < s.out.size()) {
    const char* const from = s.out.data() + s.out_at;
    const std::size_t left = s.out.size() - s.out_at;
    const ssize_t n = s.tls ? s.tls.send(from, left) : send(s.fd, from, left, MSG_NOSIGNAL);
    if (n < 0 && s.tls.waits_to_read()) return;  // in the handshake: goes on when something comes
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      if (!s.wants_write) watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
      s.wants_write = true;
      return;
    }
    if (n < 0) return;  // the read side will see it
    s.out_at += static_cast<std::size_t>(n);
  }
  s.out.clear();
  s.out_at = 0;
  if (s.wants_write) watch(s, EPOLLIN, EPOLL_CTL_MOD);
  s.wants_write = false;
}

void say(Session& s, const std::string& line, Stage stage) {
  s.out += line;
  s.awaited.push_back({stage, s.message});
}

std::string rcpt_of(long message, long recipient) {
  if (!settings.rcpt_list.empty())
    return settings.rcpt_list[static_cast<std::size_t>(message * settings.recipients + recipient) %
                              settings.rcpt_list.size()];
  return bench::expand(settings.rcpt, message, recipient);
}

/// Begins the envelope of the next message, or says goodbye.
void begin_message(Session& s) {
  if (totals.started >= settings.messages) {
    s.message = -1;
    say(s, "QUIT\r\n", Stage::quit);
    return;
  }
  s.idle = settings.rate > 0 && bench::now() < due(totals.started);
  if (s.idle) {
    s.message = -1;
    return;
  }
  s.begun = settings.rate > 0 ? due(totals.started) : bench::now();
  s.message = totals.started++;
  s.rcpts_accepted = s.refused_envelope = 0;
  say(s, "MAIL FROM:<" + (settings.from == "<>" ? std::string() : settings.from) + ">\r\n", Stage::mail);
  if (!settings.pipelining) return;
  for (long r = 0; r < settings.recipients; ++r)
    say(s, "RCPT TO:<" + rcpt_of(s.message, r) + ">\r\n", Stage::rcpt);
  say(s, "DATA\r\n", Stage::data);
}

void refuse(const std::string& reply) {
  if (totals.first_refusal.empty()) totals.first_refusal = reply;
}

void ended(Session& s, long message, bool good) {
  if (settings.lmtp && good) ++totals.accepted_recipients;
  if (settings.lmtp && --s.end_replies > 0) return;
  if (good) {
    ++totals.accepted;
    if (!settings.lmtp) totals.accepted_recipients += s.end_rcpts;
    totals.latency.push_back(static_cast<float>(bench::now() - s.begun_content));
    if (accepted_file) {
      std::fprintf(accepted_file, "%ld\n", message);
      std::fflush(accepted_file);
    }
  } else {
    ++totals.refused;
  }
}

void next_message(Session& s) {
  if (settings.connection_per_message) {
    s.message = -1;
    say(s, "QUIT\r\n", Stage::quit);
  } else {
    begin_message(s);
  }
}

void reply(Session& s, const std::string& line, const char digit) {
  if (s.awaited.empty()) die("unexpected reply: " + line);
  const Awaited a = s.awaited.front();
  s.awaited.pop_front();
  const bool good = digit == '2' || digit == '3';
  if (!good) refuse(line);
  if (!good && a.stage != Stage::end) ++totals.commands_refused;
  switch (a.stage) {
    case Stage::banner:
      if (!good) return lose(s);
      say(s, settings.lmtp ? "LHLO load.example\r\n" : "EHLO load.example\r\n", Stage::ehlo);
      break;
    case Stage::ehlo:
      if (!good) return lose(s);
      if (settings.starttls && !s.tls) {
        say(s, "STARTTLS\r\n", Stage::starttls);
        break;
      }
      begin_message(s);
      break;
    case Stage::starttls:
      if (!good) return lose(s);
      s.tls.begin(s.fd);
      say(s, settings.lmtp ? "LHLO load.example\r\n" : "EHLO load.example\r\n", Stage::ehlo);
      break;
    case Stage::mail:
      if (!settings.pipelining) {
        if (good) {
          say(s, "RCPT TO:<" + rcpt_of(s.message, 0) + ">\r\n", Stage::rcpt);
        } else {
          ++totals.refused;
          next_message(s);
        }
      }
      break;
    case Stage::rcpt:
      if (good)
        ++s.rcpts_accepted;
      else
        ++s.refused_envelope;
      if (!settings.pipelining) {
        const long done = s.rcpts_accepted + s.refused_envelope;
        if (done < settings.recipients) {
          say(s, "RCPT TO:<" + rcpt_of(s.message, done) + ">\r\n", Stage::rcpt);
        } else if (s.rcpts_accepted > 0) {
          say(s, "DATA\r\n", Stage::data);
        } else {
          ++totals.refused;
          s.out += "RSET\r\n";
          s.awaited.push_back({Stage::ehlo, -1});
        }
      }
      break;
    case Stage::data:
      if (digit != '3') {
        ++totals.refused;
        s.message = -1;
        next_message(s);
        break;
      }
      content.append_to(s.out, s.message);
      s.end_replies = settings.lmtp ? s.rcpts_accepted : 1;
      for (long r = 0; r < s.end_replies; ++r) s.awaited.push_back({Stage::end, s.message});
      s.end_rcpts = s.rcpts_accepted;
      s.begun_content = s.begun;
      if (settings.chain) next_message(s);
      break;
    case Stage::end: {
      const bool last = !settings.lmtp || s.end_replies == 1;
      ended(s, a.message, good);
      if (last && !settings.chain) next_message(s);
      break;
    }
    case Stage::quit:
      s.tls.end();
      close(s.fd);
      s.fd = -1;
      if (totals.started >= settings.messages)
        s.finished = true;
      else
        start_connection(s);
      return;
  }
}

void read_in(Session& s) {
  static char buffer[65536];
  const ssize_t n = s.tls ? s.tls.recv(buffer, sizeof buffer) : recv(s.fd, buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return send_out(s);  // TLS: what waited for the handshake
  if (n <= 0) return lose(s);
  s.in.append(buffer, static_cast<std::size_t>(n));
  std::size_t at = 0;
  for (;;) {
    const auto eol = s.in.find('\n', at);
    if (eol == std::string::npos) break;
    const bool last_line = eol - at < 4 || s.in[at + 3] != '-';
    if (last_line) {
      const std::string line = s.in.substr(at, eol - at - (eol > at && s.in[eol - 1] == '\r' ? 1 : 0));
      const int fd = s.fd;
      reply(s, line, line.empty() ? '5' : line[0]);
      if (s.fd != fd || s.in.empty()) return;  // closed, or begun anew
    }
    at = eol + 1;
  }
  s.in.erase(0, at);
  send_out(s);
}

void run() {
  target = bench::parse_address(settings.to);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  content.build(settings);
  const double start = run_began = bench::now(), start_wall = bench::wall_clock();
  for (long i = 0; i < std::min(settings.sessions, settings.messages); ++i) {
    sessions.push_back(std::make_unique<Session>());
    start_connection(*sessions.back());
  }
  std::vector<epoll_event> events(512);
  bool timed_out = false;
  for (;;) {
    bool any = false;
    bool waiting = false;
    if (settings.persist || totals.accepted + totals.refused + totals.lost >= settings.messages) {
      const double now = bench::now();
      for (auto& s : sessions) {
        if (s->finished) continue;
        any = true;
        if (s->fd >= 0) continue;
        if (totals.started >= settings.messages)
          s->finished = true;
        else if (now >= s->retry_at)
          start_connection(*s);
        else
          waiting = true;
      }
      if (!any) break;
    }
    if (bench::now() - start > settings.timeout) {
      timed_out = true;
      break;
    }
    if (settings.rate > 0)
      for (auto& s : sessions)
        if (s->idle && s->fd >= 0 &&
            (totals.started >= settings.messages || bench::now() >= due(totals.started))) {
          s->idle = false;
          begin_message(*s);
          send_out(*s);
        }
    const int n = epoll_wait(epoll, events.data(), static_cast<int>(events.size()),
                             settings.rate > 0 ? 1
                             : waiting         ? 20
                                               : 200);
    for (int i = 0; i < n; ++i) {
      auto& s = *static_cast<Session*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (s.fd < 0) continue;
      if (events[static_cast<std::size_t>(i)].events & EPOLLOUT) send_out(s);
      if (s.fd >= 0 && events[static_cast<std::size_t>(i)].events & ~static_cast<std::uint32_t>(EPOLLOUT)) do
          read_in(s);
        while (s.fd >= 0 && s.tls.pending());
    }
  }
  const double seconds = bench::now() - start;
  const double p50 = bench::percentile(totals.latency, 0.5), p99 = bench::percentile(totals.latency, 0.99),
               most = bench::percentile(totals.latency, 1);
  std::printf(
      "{\"messages\":%ld,\"accepted\":%ld,\"accepted_recipients\":%ld,\"refused\":%ld,\"lost\":%ld,"
      "\"commands_refused\":%ld,\"connections\":%ld,"
      "\"connections_lost\":%ld,\"timed_out\":%s,\"start\":%.6f,\"seconds\":%.4f,\"messages_per_second\":%."
      "0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
      "\"max_ms\":%.3f,\"first_refusal\":%s}\n",
      settings.messages, totals.accepted, totals.accepted_recipients, totals.refused, totals.lost,
      totals.commands_refused, totals.connections, totals.connections_lost, timed_out ? "true" : "false",
      start_wall, seconds, static_cast<double>(totals.accepted) / seconds, p50, p99, most,
      bench::json_text(totals.first_refusal).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  bench::Options options(argc, argv, USAGE);
  while (options.next()) {
    if (options.is("--to"))
      settings.to = options.text();
    else if (options.is("--lmtp"))
      settings.lmtp = true;
    else if (options.is("--sessions"))
      settings.sessions = std::max(1L, options.number());
    else if (options.is("--messages"))
      settings.messages = options.number();
    else if (options.is("--size"))
      settings.size = options.number();
    else if (options.is("--recipients"))
      settings.recipients = std::max(1L, options.number());
    else if (options.is("--from"))
      settings.from = options.text();
    else if (options.is("--header-from"))
      settings.header_from = options.text();
    else if (options.is("--rcpt"))
      settings.rcpt = options.text();
    else if (options.is("--rcpt-file"))
      bench::read_list(settings, options.text());
    else if (options.is("--run"))
      settings.run = options.text();
    else if (options.is("--connection-per-message"))
      settings.connection_per_message = true;
    else if (options.is("--pipelining"))
      settings.pipelining = true;
    else if (options.is("--starttls"))
      settings.starttls = true;
    else if (options.is("--chain"))
      settings.chain = settings.pipelining = true;
    else if (options.is("--accepted"))
      settings.accepted = options.text();
    else if (options.is("--persist"))
      settings.persist = true;
    else if (options.is("--rate"))
      settings.rate = options.real();
    else if (options.is("--timeout"))
      settings.timeout = options.real();
    else
      options.unknown();
  }
  if (settings.to.empty()) die(USAGE);
  if (settings.chain && (settings.connection_per_message || settings.rate > 0))
    die("--chain keeps its connections full");
  if (!settings.accepted.empty() && !(accepted_file = std::fopen(settings.accepted.c_str(), "w")))
    die(settings.accepted + ": " + std::strerror(errno));
  signal(SIGPIPE, SIG_IGN);
  bench::raise_file_limit();
  run();
  if (accepted_file) std::fclose(accepted_file);
  return totals.accepted == settings.messages ? 0 : 1;
}