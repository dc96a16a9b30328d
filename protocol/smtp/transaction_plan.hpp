// A transaction of the client side as values: what is planned, what was seen of it, and how its connection
// ended. The dialog carries them out and fills them in; delivery/planner.hpp makes and judges them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/smtp/stage.hpp"

namespace spoold::smtp {

using MessageId = std::uint64_t;

/// One MAIL..dot for one connection.
struct TransactionPlan {
  MessageId message = 0;
  std::vector<std::uint32_t> recipients;  // in the order of their RCPTs
  std::uint32_t window = 32;  // RCPTs in flight; 1: lock-step, and MAIL, RCPT, DATA each alone too
  std::uint32_t rejects_allowed =
      1000;  // after so many 4xx/5xx to RCPT here write no further RCPT (DATA if one was accepted)
  /// Others wait: so long one RCPT, or MAIL with RCPTs behind it in the same write, may stay without an
  /// answer (the session's own limit may be shorter), as long as no content is written that the peer may
  /// deliver afterwards. 0: only the session's own limit.
  Duration patience{};
  bool overlap = false;     // MAIL may follow the end of the previous content in one write
  bool chunked = false;     // where CHUNKING is offered, its content may go out before RCPT is answered
  bool quit_after = false;  // the last transaction of this connection
};

/// What a session saw of one transaction. Empty optionals: no reply was read. A 421 that ended the connection
/// may be in its command's place too; it counts as unanswered there (the Drop tells its words).
struct Observation {
  MessageId message = 0;
  std::vector<std::uint32_t> recipients;  // as in the TransactionPlan
  std::uint32_t rcpts_sent = 0;           // positions before this were written, or are named in `skipped`
  /// No RCPT was written for them: sending() returned false, or `rcpt` holds our own refusal.
  std::vector<std::uint32_t> skipped;
  std::optional<Reply> mail, data;
  std::vector<std::optional<Reply>> rcpt;  // by position in `recipients`; may be shorter
  bool chunked = false;  // the content went by BDAT: there is no DATA, and `dot` answers BDAT LAST
  bool mail_sent = false, data_sent = false, content_sent = false, dot_sent = false;
  std::vector<std::optional<Reply>> dot;  // one; LMTP: one for each accepted recipient, in order
};

/// How a connection ended without our QUIT.
struct Drop {
  enum class How { closed, reset, timeout, reply_421, garbage, ours } how = How::closed;  // ours: we cut it
  Stage oldest = Stage::none;  // the oldest command without a reply; none: nothing was unanswered
  Reply reply{};               // the 421, or the last words heard
  std::string text{};          // "connection closed while waiting for the reply to RCPT TO"
};

}  // namespace spoold::smtp
