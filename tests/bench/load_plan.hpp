// What smtp_load sends and to whom: its settings, the content of its messages, its recipients, and what it
// counts.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "net.hpp"

namespace bench {

struct LoadSettings {
  std::string to, from = "load@sender.example", rcpt = "u%n-%r@rcpt.example", header_from, run = "0",
                  accepted;
  std::vector<std::string> rcpt_list;
  bool lmtp = false, connection_per_message = false, pipelining = false, chain = false, starttls = false,
       persist = false;
  long sessions = 1, messages = 1, size = 4096, recipients = 1;
  double timeout = 600, rate = 0;
};

/// %n and %r of --rcpt.
inline std::string expand(const std::string& pattern, long message, long recipient) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%' && i + 1 < pattern.size() && (pattern[i + 1] == 'n' || pattern[i + 1] == 'r'))
      out += std::to_string(pattern[++i] == 'n' ? message : recipient);
    else
      out += pattern[i];
  }
  return out;
}

inline void read_list(LoadSettings& settings, const std::string& name) {
  FILE* f = std::fopen(name.c_str(), "r");
  if (!f) die(name + ": " + std::strerror(errno));
  char line[1024];
  while (std::fgets(line, sizeof line, f)) {
    std::string address = line;
    while (!address.empty() && (address.back() == '\n' || address.back() == '\r')) address.pop_back();
    if (!address.empty()) settings.rcpt_list.push_back(address);
  }
  std::fclose(f);
  if (settings.rcpt_list.empty()) die(name + ": no address in it");
}

/// The messages of the run: one text, of which a field of fixed width is overwritten for each message.
class Content {
 public:
  void build(const LoadSettings& settings) {
    const std::string from = settings.header_from.empty() ? settings.from : settings.header_from;
    text_ = "From: <" + from +
            ">\r\nTo: somebody@rcpt.example\r\nSubject: load\r\nDate: Sun, 22 Nov 2026 10:00:00 "
            "+0000\r\nMessage-ID: <load." +
            settings.run + ".";
    number_at_ = text_.size();
    text_ += "0000000000@load.example>\r\n\r\n";
    const auto size = static_cast<std::size_t>(settings.size);
    while (text_.size() < size) {
      std::size_t line = std::min<std::size_t>(78, size - text_.size());
      line = line < 3 ? 3 : line;
      text_.append(line - 2, 'x');
      text_ += "\r\n";
    }
    text_ += ".\r\n";
  }
  void append_to(std::string& out, long number) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%010ld", number);
    std::memcpy(text_.data() + number_at_, digits, 10);
    out += text_;
  }

 private:
  std::string text_;
  std::size_t number_at_ = 0;
};

struct LoadTotals {
  long started = 0, accepted = 0, accepted_recipients = 0, refused = 0, lost = 0, connections = 0,
       connections_lost = 0, commands_refused = 0;
  std::vector<float> latency;  // seconds
  std::string first_refusal;
};

/// Milliseconds; reorders the values.
inline double percentile(std::vector<float>& latency, double p) {
  if (latency.empty()) return 0;
  const auto at = static_cast<std::size_t>(p * static_cast<double>(latency.size() - 1));
  std::nth_element(latency.begin(), latency.begin() + static_cast<std::ptrdiff_t>(at), latency.end());
  return static_cast<double>(latency[at]) * 1000;
}

}  // namespace bench
