// Who is to blame for a lost connection: the oldest unanswered command (isolation.md section 2). Replies come
// in order, so position is free information. Pure functions over what the session observed.
//
// See also: planner.hpp (Observation, Drop), words.hpp (what the words of a 421 are about), trouble.cpp (what
// is done about it).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/delivery/planner.hpp"

namespace spoold::delivery {

struct Finding {
  enum class Blame : std::uint8_t {
    nobody,     // nothing was unanswered, or only innocent things
    suspect,    // RCPT at `position`, its MAIL answered
    ambiguous,  // MAIL with RCPTs behind it, nothing of this transaction answered
    sender,     // MAIL alone
    message,    // DATA or content, after accepted RCPTs
    in_doubt,   // the end of the content was sent and not answered
  };
  Blame blame = Blame::nobody;
  Stage stage = Stage::none;  // of the oldest unanswered command
  std::size_t position = 0;   // of the suspect in the transaction
  std::size_t answered = 0;   // RCPTs answered before the drop
  bool after_reject = false;  // the last thing heard was a 4xx/5xx to RCPT
  bool complete = false;      // everything of this transaction was answered, as far as anybody waits for it
  bool stopped = false;       // complete, but its BDAT was not answered: the peer did not get beyond it
};

/// What of `observation` the peer answered; a 421 that came as the end of the connection is no answer to
/// MAIL, RCPT or DATA (it is one to the end of content: the message was not accepted).
bool heard(const std::optional<smtp::Reply>&, const Drop*);

/// MAIL or a RCPT of it has the 421 that ended the connection for an answer.
bool ended_by_421(const Observation&);
/// Anything of it was answered.
bool heard_of(const Observation&);
/// The commands of this transaction that the peer refused.
std::uint32_t errors(const Observation&);
/// The position of the RCPT whose 5xx is the last that was heard of this transaction.
std::optional<std::size_t> parting_refusal(const Observation&);

/// `drop` may be null: then the transaction was answered in order.
Finding find_blame(const Observation&, const Drop&, bool lmtp);

/// The peer may still work through everything that was written to it: it is only silent, or our side ended
/// the connection. Otherwise the peer ended it, at its oldest unanswered command.
bool works_on(Drop::How);

/// "connection closed while waiting for the reply to RCPT TO"
std::string waiting_text(Drop::How, Stage);
/// "connection closed after RCPT TO"
std::string after_text(Drop::How, Stage);

}  // namespace spoold::delivery
