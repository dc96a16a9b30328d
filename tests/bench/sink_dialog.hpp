// The dialog of smtp_sink: what it answers, and what it counts. No sockets: bytes come in `Connection::in`,
// go out in `Connection::out`. Accepts every command in its place; refuses only what is out of sequence. See
// also: smtp_sink.cpp.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <strings.h>

#include "group_file.hpp"
#include "hash_counts.hpp"
#include "net.hpp"

namespace bench {

struct SinkSettings {
  std::string listen, log, durable;
  std::vector<std::string> senders, verp;  // envelope senders that are right; see right_sender()
  bool lmtp = false, pipelining = true, chunking = true;
  std::uint64_t expect = 0;
  double linger = 0, timeout = 0;
};

/// What the whole sink has seen.
struct Totals {
  std::uint64_t connections = 0, open = 0, most_open = 0, transactions = 0, recipients = 0, duplicates = 0,
                bytes = 0, bad_commands = 0, most_per_connection = 0, dropped = 0, wrong_senders = 0;
  double first = 0, last = 0;  // wall clock of the first and the last accepted recipient
  HashCounts pairs, rcpts, senders;
  std::string first_wrong;  // sender and recipient of the first copy with a wrong envelope sender
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
  std::string sender, message_id, header, content;
  std::uint64_t group = 0;  // of the durable file: nothing is answered before
  std::vector<std::string> rcpts;
  std::size_t rcpt_count = 0;  // rcpts keeps its strings for reuse

  void forget_transaction() {
    have_mail = in_data = header_done = content_begun = chunked = last_chunk = false;
    message_id.clear();
    header.clear();
    content.clear();
    rcpt_count = 0;
  }
};

class SinkDialog {
 public:
  SinkDialog(const SinkSettings& sink_settings, Totals& sink_totals, FILE* log, GroupFile* durable)
      : settings(sink_settings), totals(sink_totals), log_file(log), file(durable) {}

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

 private:
  static bool starts_with_word(std::string_view line, std::string_view word) {
    return line.size() >= word.size() && strncasecmp(line.data(), word.data(), word.size()) == 0;
  }

  /// What stands between < and > of "MAIL FROM:<...> ..." (quoted local parts may hold a >, so take the >
  /// before a space or the end).
  static std::string_view path_of(std::string_view line) {
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

  /// A piece of content.
  void take(Connection& c, std::string_view bytes) {
    totals.bytes += bytes.size();
    if (file) c.content += bytes;
    scan_header(c, bytes);
  }

  /// Takes the Message-ID out of the first bytes of content; they may come in pieces.
  static void scan_header(Connection& c, std::string_view bytes) {
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

  /// Is it one of the plain senders, or NAME+local=domain@HOST of this recipient where NAME@HOST may write
  /// so? When nothing was said of senders all are right.
  bool right_sender(std::string_view sender, std::string_view rcpt) const {
    if (settings.senders.empty() && settings.verp.empty()) return true;
    for (const std::string& plain : settings.senders)
      if (sender == plain) return true;
    const auto at = rcpt.rfind('@');
    if (at == std::string_view::npos) return false;
    for (const std::string_view base : settings.verp) {
      const auto host = base.rfind('@');
      if (sender.size() != base.size() + 1 + rcpt.size() || !sender.starts_with(base.substr(0, host)) ||
          !sender.ends_with(base.substr(host)))
        continue;
      const std::string_view own = sender.substr(host, rcpt.size() + 1);
      if (own[0] == '+' && own.substr(1, at) == rcpt.substr(0, at) && own[at + 1] == '=' &&
          own.substr(at + 2) == rcpt.substr(at + 1))
        return true;
    }
    return false;
  }

  void commit(Connection& c) {
    ++totals.transactions;
    ++c.transactions;
    totals.most_per_connection = std::max(totals.most_per_connection, c.transactions);
    const double at = wall_clock();
    if (totals.first == 0) totals.first = at;
    totals.last = at;
    const std::uint64_t id = hash_of(c.message_id, 7);
    totals.senders.add(hash_of(c.sender, 3));
    for (std::size_t i = 0; i < c.rcpt_count; ++i) {
      if (!totals.pairs.add(hash_of(c.rcpts[i], id))) ++totals.duplicates;
      totals.rcpts.add(hash_of(c.rcpts[i], 5));
      if (!right_sender(c.sender, c.rcpts[i]) && totals.wrong_senders++ == 0)
        totals.first_wrong = c.sender + " for " + c.rcpts[i];
      if (log_file)
        std::fprintf(log_file, "%.6f %llu %llu %s %s %s\n", at, static_cast<unsigned long long>(c.number),
                     static_cast<unsigned long long>(c.transactions),
                     c.sender.empty() ? "<>" : c.sender.c_str(), c.rcpts[i].c_str(),
                     c.message_id.empty() ? "-" : c.message_id.c_str());
    }
    totals.recipients += c.rcpt_count;
    if (file) {
      for (std::size_t i = 0; i < c.rcpt_count; ++i) c.content += c.rcpts[i];
      c.group = file->add(c.content += c.sender);
    }
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
      c.last_chunk =
          line.find("LAST") != std::string_view::npos || line.find("last") != std::string_view::npos;
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
      take(c, have.substr(0, n));
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
    if (!c.content_begun && have.size() >= 3 &&
        have.substr(0, 3) == ".\r\n") {  // lone dot: no content at all
      c.begin += 3;
      commit(c);
      return true;
    }
    const void* found = memmem(have.data(), have.size(), "\r\n.\r\n", 5);
    if (!found) {
      const std::size_t keep =
          c.content_begun || have.size() > 4 ? std::min<std::size_t>(4, have.size()) : have.size();
      if (have.size() > keep) {
        take(c, have.substr(0, have.size() - keep));
        c.begin += have.size() - keep;
        c.content_begun = true;
      }
      return false;
    }
    const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - have.data()) + 2;
    take(c, have.substr(0, size));
    c.begin += size + 3;
    commit(c);
    return true;
  }

  const SinkSettings& settings;
  Totals& totals;
  FILE* log_file;
  GroupFile* file;
};

}  // namespace bench
