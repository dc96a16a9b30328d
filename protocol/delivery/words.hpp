// What the words of a refusal are about: the recipient, the sender, the errors on this connection, or the
// whole host. The enhanced status alone does not decide: Postfix answers 421 4.7.0 for one recipient
// ("<anne@example.net>: Recipient address rejected: ..") and for the errors of a connection ("Error: too many
// errors") alike. Pure functions. Words are compared without regard to case and whole ("load" is not found in
// "download"); what they do not show is Subject::unknown.
//
// See also: blame.hpp (which command was the oldest unanswered), trouble.cpp and conclude.cpp (what follows).
#pragma once
#include <cstdint>
#include <string_view>

#include "protocol/smtp/reply.hpp"

namespace spoold::delivery {

enum class Subject : std::uint8_t {
  unknown,
  recipient,  // the text holds the address of the recipient, or "recipient address rejected"
  sender,     // "sender address rejected"
  errors,     // "too many errors": the connection's budget of refused commands is used up
  host,       // 4.3.x, 4.7.x, or words about load, rate, connections
};

/// `recipient`: the address that the refused command named; empty: none.
Subject subject_of(const smtp::Reply&, std::string_view recipient);

/// The answer to an RCPT behind others of the same transaction: x.5.3, "too many recipients", or 452 or 552
/// without an enhanced status (RFC 5321 4.5.3.1.10).
bool too_many_recipients(const smtp::Reply&);
/// The answer to DATA or to the content: 452 and 552 alone mean the size of the message there.
bool too_many_recipients_for_content(const smtp::Reply&);

}  // namespace spoold::delivery
