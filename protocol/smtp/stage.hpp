// Where in the dialog with a remote something happened, and what was heard there last.
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

}  // namespace spoold
