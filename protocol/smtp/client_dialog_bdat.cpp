// CHUNKING in the client (RFC 3030): one BDAT LAST a message. With PIPELINING whole transactions go out in
// one write, many before any reply, so that a copy costs a fraction of a round trip. LMTP keeps to DATA: how
// many replies a BDAT gets is not known before its RCPTs are answered.
//
// A message that is BINARYMIME goes by BDAT always, in lock-step too: DATA cannot carry it. Where its plan does not trust the
// host its BDAT waits for each RCPT, as DATA would.
//
// BDAT to several recipients waits until each RCPT is answered: a peer that is slow at one of them would still
// take the content behind it, when we have given up, and all the others would be in doubt.
//
// A BDAT whose RCPTs turn out to be refused is answered 503 or 554: that is no evidence of anything. What
// state it leaves the server in is not agreed on (Postfix forgets the transaction, Exchange does not, and
// would take the next RCPT and content for this sender), so RSET goes before each MAIL that is written while
// nobody of the transaction in front of it is known to be accepted.
#include "protocol/smtp/client_dialog.hpp"

namespace spoold::smtp {
namespace {
// More than that waits until somebody is accepted: it may be for nothing.
constexpr std::uint64_t most_unasked = 256 << 10;
}  // namespace

bool ClientDialog::overlaps() const {
  return options_.pipelining == Pipelining::connection && offered_.pipelining && !overlap_refused_;
}

/// Its content goes by BDAT.
bool ClientDialog::chunks(const Open& open) const {
  if (open.mail.binary) return true;  // begin() has refused it where that is not offered
  return open.mail.plan.chunked && open.mail.size > 0 && offered_.chunking && overlaps() && !options_.lmtp &&
         !lock_step(open) && !open.seen.data_sent;
}

/// All of it will be written without waiting for a reply.
bool ClientDialog::whole(const Open& open) const {
  return open.mail.plan.chunked && open.mail.size <= most_unasked && open.mail.addresses.size() == 1;
}

bool ClientDialog::may_chunk(const Open& open) const {
  if (open.mail.addresses.size() > 1 || !open.mail.plan.chunked || lock_step(open))
    return open.in_flight == 0 && open.accepted > 0;
  return open.accepted > 0 || open.mail.size <= most_unasked;
}

bool ClientDialog::chunk_before_lacks_end(std::size_t at) const {
  while (at-- > 0)
    if (open_[at].seen.mail_sent) return open_[at].seen.chunked && open_[at].accepted == 0;
  return false;
}

void ClientDialog::write_chunk(Open& open, Output& out) {
  put(out.commands, "BDAT ");
  put(out.commands, std::to_string(open.mail.size));
  put(out.commands, " LAST\r\n");
  open.content_at = generated_;
  out.contents.push_back({out.commands.size(), open.mail.plan.message, true, open.mail.size, open.mail.copy});
  ++generated_;  // the whole content counts as one octet of the stream
  open.seen.chunked = open.seen.content_sent = open.seen.dot_sent = open.written = true;
  open.dots = 1;
  expect(Command::dot, &open);
}

void ClientDialog::take_chunk(Open& open, const Reply& reply) {
  // 500, 501, 502, 504: the content behind it may be taken for commands. 503 with somebody accepted: the
  // command was refused, not the message.
  const bool as_command =
      (reply.code >= 500 && reply.code <= 504) && (reply.code != 503 || open.accepted > 0);
  if (as_command) {
    overlap_refused_ = true;
    open.seen.dot_sent = false;
    // A server that does not know BDAT takes none of those behind it either.
    if (reply.code == 500 || reply.code == 502)
      for (Open& behind : open_) behind.seen.dot_sent = behind.seen.dot_sent && !behind.seen.chunked;
    return die(Drop::How::garbage, reply, "CHUNKING was offered, and BDAT refused: " + reply.oneline());
  }
  if (!reply.completed()) needs_rset_ = true;
  open.seen.dot.emplace_back(reply);
  open.done = true;
}

}  // namespace spoold::smtp
