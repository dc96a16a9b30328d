// What became of one recipient in one attempt: the words of the peer, or our own words and the stage where it
// happened.
#pragma once
#include <cstdint>
#include <string>

#include "protocol/smtp/reply.hpp"
#include "protocol/time.hpp"

namespace spoold {

/// Where in the dialog with a remote something happened. text(): "RCPT TO", as used in failure texts.
enum class Stage : std::uint8_t {
  none,
  connect,
  greeting,
  ehlo,
  starttls,
  auth,
  mail,
  rcpt,
  data,
  content,
  dot,
  quit,
  dns  // records of the store hold these numbers: new ones go to the end
};
const char* text(
    Stage);  // "connect", "greeting", "EHLO", "MAIL FROM", "RCPT TO", "DATA", "content", "end of data", "DNS"
const char* label(Stage);  // one word for logs and JSON: CONNECT GREETING EHLO STARTTLS AUTH MAIL RCPT DATA
                           // CONTENT DOT QUIT DNS

/// The last thing heard (or noticed) about a recipient: `last_reply` of the JSON contract.
struct LastReply {
  smtp::Reply
      reply;  // code 0: no reply was heard; text then says what happened ("connection closed after RCPT TO")
  std::string remote;  // "mx1.example.net[192.0.2.1]:25"
  TimePoint at{};
  Stage stage = Stage::none;
  std::string tls;  // "TLSv1.3 TLS_AES_256_GCM_SHA384 verified" (or dane, untrusted); empty: plain text
};

/// Why a host is left alone for a while, as one lane tells the others of its group.
struct HostFault {
  LastReply why;  // `at`: of the failed attempt
  TimePoint until{};
  std::uint32_t failures = 0;  // in a row
};

enum class Verdict : std::uint8_t {
  delivered,  // accepted by the next hop, in words
  deferred,   // to be tried again at `next_attempt`
  failed,     // 5xx for this recipient, or no way to reach it, for good
  expired,    // a failed attempt after its lifetime
  released,   // nothing happened to it: not charged, back to the queue (next_attempt says when)
};

struct Outcome {
  std::uint32_t number = 0;  // the recipient's number in its message
  Verdict verdict = Verdict::released;
  bool charged = true;  // counts as an attempt (isolation.md I2)
  TimePoint next_attempt{};
  LastReply last;
  bool possible_duplicate = false;  // the end of a copy was sent and never answered, now or before
};

}  // namespace spoold
