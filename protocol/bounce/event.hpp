// Which failures of a member's copy count against him (score.hpp), by the class of the reply (smtp/reply_class.hpp).
//
// - A final reply of class `score` is a failure, one of class `soft` half of one; of all other classes, such as `ours` and
//   `post_fails`, nobody is scored.
// - A reply speaks about the recipient when it answers RCPT; a reply to DATA or to the end of the content only when the
//   transaction had one recipient (or the peer speaks LMTP, and answers for each).
// - That the domain does not exist, or takes no mail (5.1.2 and 5.1.10 from DNS), is a failure.
// - An expiry counts half when the host kept refusing this recipient for now: by `soft`, or by the plain `retry`. Where the host
//   was down, or closed its connections, no reply was heard, and nothing counts.
// - Temporary replies, and final ones with a status of 4.x.x, count nothing.
// Pure. See also: scan.hpp (what a report says).
#pragma once
#include <optional>

#include "protocol/bounce/scan.hpp"
#include "protocol/bounce/score.hpp"
#include "protocol/smtp/reply_class.hpp"
#include "protocol/smtp/stage.hpp"

namespace spoold::bounce {

/// `last`: of a recipient that has failed or, after its lifetime, expired. `alone`: the reply is about no other recipient.
std::optional<Event> event_of(const LastReply& last, bool expired, bool alone, const smtp::ReplyTable& table);
/// Of a report that came at this time. A failure for which it gives no reason counts half ("unexplained").
std::optional<Event> event_of(const Failure& failure, const smtp::ReplyTable& table, TimePoint at);

/// The reply that a report quotes. Its Status stands in where the diagnostic has no codes.
smtp::Reply reply_of(const Failure& failure);

}  // namespace spoold::bounce
