#include "protocol/smtp/client_dialog.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/mail/ascii.hpp"

namespace spoold::smtp {
namespace {

using mail::is_ascii;

constexpr std::size_t words_kept = 1000;  // of a reply
constexpr std::size_t most_open = 32;
constexpr std::uint64_t most_content_open = 1 << 20;

}  // namespace

ClientDialog::ClientDialog(Options options)
    : options_(std::move(options)),
      opening_(options_.lmtp, options_.hostname, options_.tls, options_.credentials) {
  if (opening_.owed()) expect(Command::opening, nullptr);
}

void ClientDialog::begin(Mail mail) {
  assert(wants_next() && mail.addresses.size() == mail.plan.recipients.size());
  // The planner hears of refusals when a transaction is done: those of the open ones are not in its figures.
  std::uint32_t refused = 0;
  for (const Open& before : open_) refused += before.rejects;
  if (std::uint32_t& allowed = mail.plan.rejects_allowed; refused > 0) {
    allowed = allowed > refused ? allowed - refused : 1;
    mail.plan.window = std::min(mail.plan.window, allowed);
  }
  Open& open = open_.emplace_back();
  ++begun_;
  content_open_ += mail.size;
  if (mail.plan.quit_after || (offered_.mail_max && begun_ >= *offered_.mail_max)) quitting_ = true;
  open.mail = std::move(mail);
  Observation& seen = open.seen;
  seen.message = open.mail.plan.message;
  seen.recipients = open.mail.plan.recipients;
  seen.rcpt.resize(seen.recipients.size());

  // What the host said in EHLO decides without asking it again.
  if (open.mail.refused)
    seen.mail = std::move(open.mail.refused);
  else if (!offered_.utf8 && !is_ascii(open.mail.sender))
    seen.mail = Reply{553, {5, 6, 7}, "the sender needs SMTPUTF8, which the next hop does not offer"};
  else if (!offered_.utf8 && open.mail.utf8)
    seen.mail =
        Reply{553, {5, 6, 7}, "the header of the message needs SMTPUTF8, which the next hop does not offer"};
  else if (open.mail.binary && (!offered_.binary || !offered_.chunking || options_.lmtp))
    seen.mail = Reply{554, {5, 6, 3}, "the message is BINARYMIME, which the next hop does not offer"};
  else if (open.mail.require_tls && !offered_.require_tls)
    seen.mail = Reply{550, {5, 7, 30}, "the message needs REQUIRETLS, which the next hop does not offer"};
  else if (offered_.max_size && open.mail.size > *offered_.max_size)
    seen.mail = Reply{
        552,
        {5, 3, 4},
        "message larger than the " + std::to_string(*offered_.max_size) + " octets that the next hop takes"};
  open.done = seen.mail.has_value() || seen.recipients.empty();
  finish_front();
}

void ClientDialog::quit() {
  quitting_ = true;
}

bool ClientDialog::wants_next() const {
  if (!established_ || quitting_ || dead_) return false;
  if (open_.empty()) return true;
  if (!overlaps()) return false;
  const Open& last = open_.back();
  if (last.rejects >= last.mail.plan.rejects_allowed) return false;  // this connection had its refusals
  if (chunks(last))
    return (last.written || last.done || whole(last)) && open_.size() < most_open &&
           content_open_ < most_content_open;
  // LMTP with nobody accepted: how many replies the lone dot gets is not said by RFC 2033.
  const bool counted = !options_.lmtp || last.accepted > 0;
  return open_.size() == 1 && last.go_ahead && counted;
}

std::optional<Duration> ClientDialog::limit() const {
  if (expected_.empty()) return std::nullopt;
  const conf::Timeouts& limits = options_.timeouts;
  switch (expected_.front().command) {
    case Command::opening:
      return opening_.stage() == Stage::greeting ? limits.greeting : limits.mail;
    case Command::rcpt:
      return shortened(limits.rcpt);
    case Command::data:
      return limits.data;
    case Command::dot:
      return limits.dot;
    case Command::quit:
      return std::min<Duration>(limits.mail, std::chrono::seconds(5));
    case Command::mail:
      return lock_step(*expected_.front().open) ? limits.mail : shortened(limits.mail);
    case Command::rset:
      return limits.mail;
  }
  return limits.mail;
}

/// A peer that holds its replies back until it has looked at the last RCPT of a write answers MAIL late too.
Duration ClientDialog::shortened(Duration limit) const {
  const Duration patience = expected_.front().open->mail.plan.patience;
  const auto content = [](const Expected& e) { return e.command == Command::dot; };
  if (patience == Duration{} || std::ranges::any_of(expected_, content)) return limit;
  return std::min(limit, patience);
}

std::size_t ClientDialog::received(std::string_view bytes) {
  using State = ReplyReader::State;
  std::size_t replies = 0;
  Reply reply;
  while (!dead_ && !said_bye_) {
    const State state = reader_.read(bytes, reply);
    if (state == State::more) break;
    if (state == State::garbage) {
      die(Drop::How::garbage, Reply{0, {}, reader_.what()}, reader_.what());
      break;
    }
    ++replies;
    take(reply);
    // RFC 3207 4.2, CVE-2011-0411: what is behind the 220 was not said under TLS.
    if (wants_handshake() && !bytes.empty())
      die(Drop::How::garbage, Reply{}, "octets behind the reply to STARTTLS");
  }
  return replies;
}

void ClientDialog::take(const Reply& reply) {
  if (expected_.empty())
    return die(reply.code == 421 ? Drop::How::reply_421 : Drop::How::garbage, reply,
               "unexpected reply " + reply.oneline());
  const Expected expected = expected_.front();
  const bool wants_354 = expected.command == Command::data;
  // RFC 5321 3.8: 421 may answer any command, and the connection is over. As the answer to a content it is
  // one as well.
  if (reply.code == 421 && expected.command != Command::dot && expected.command != Command::quit) {
    if (expected.command == Command::mail) expected.open->seen.mail = reply;
    if (expected.command == Command::rcpt) expected.open->seen.rcpt[expected.position] = reply;
    return die(Drop::How::reply_421, reply, {});
  }
  if (expected.command == Command::opening) return take_opening(reply);
  if (reply.code < 400 && (reply.code >= 300) != wants_354)
    return die(Drop::How::garbage, reply, "out of order: " + reply.oneline());
  if (reply.code < 400 && expected.end > written_) return take_too_early(expected, reply);
  expected_.pop_front();

  switch (expected.command) {
    case Command::opening:
    case Command::rset:
      return;
    case Command::quit:
      said_bye_ = true;
      return;
    case Command::mail: {
      Open& open = *expected.open;
      open.seen.mail = reply;
      if (open.behind_content &&
          (reply.code == 500 || reply.code == 501 || reply.code == 503 || reply.code == 554))
        overlap_refused_ = true;
      check_done(open);
      break;
    }
    case Command::rcpt:
      take_rcpt(expected, reply);
      break;
    case Command::data:
      take_data(*expected.open, reply);
      break;
    case Command::dot:
      take_dot(*expected.open, reply);
      break;
  }
  finish_front();
  if (reply.code == 421 && !dead_) die(Drop::How::reply_421, reply, {});
}

void ClientDialog::take_opening(const Reply& reply) {
  if (auto fault = opening_.take(reply)) {
    fault_ = fault->garbage ? std::string() : fault->text;
    using How = Drop::How;
    // Our own words are the reason then, not the reply (which may have been a friendly one).
    return die(fault->garbage ? How::garbage : How::closed, fault_.empty() ? reply : Reply{}, fault->text);
  }
  expected_.pop_front();
  offered_ = opening_.offered();
  established_ = opening_.done();
  if (established_) reader_.keep(words_kept);  // EHLO's list may be longer
}

void ClientDialog::secured() {
  reader_ = {};
  offered_ = {};
  opening_.secured();
  if (opening_.owed()) expect(Command::opening, nullptr);
}

void ClientDialog::handshake_failed(std::string text) {
  fault_ = std::move(text);
  die(Drop::How::closed, Reply{}, fault_);
}

bool ClientDialog::tls_broke() const {
  if (established_ || drop_.reply.code == 421) return false;
  // A server that dislikes the handshake may say so only to what comes next (TLS 1.3).
  const bool mute = opening_.secure() && opening_.stage() == Stage::ehlo && drop_.reply.code == 0;
  return opening_.stage() == Stage::starttls || mute;
}

bool ClientDialog::takes_no_mail() const {
  return dead_ && opening_.stage() == Stage::greeting && drop_.reply.code == 521;
}

void ClientDialog::take_rcpt(const Expected& expected, const Reply& reply) {
  Open& open = *expected.open;
  --open.in_flight;
  ++(reply.completed() ? open.accepted : open.rejects);
  if (open.behind_content && open.seen.mail->completed() && reply.code == 503) overlap_refused_ = true;
  open.seen.rcpt[expected.position] = reply;
  check_done(open);
}

// 2xx to what the peer cannot have read yet: a refusal may come early (RFC 5321 4.2.5), consent may not.
void ClientDialog::take_too_early(const Expected& expected, const Reply& reply) {
  if (expected.command == Command::dot) {
    // Whether it keeps what it had of the content nobody knows: in doubt, so end() must not take it for
    // unsent.
    Open& open = *expected.open;
    std::erase_if(expected_, [&](const Expected& e) { return e.command == Command::dot && e.open == &open; });
  }
  die(Drop::How::garbage, reply, "reply before the whole of it was sent: " + reply.oneline());
}

void ClientDialog::take_data(Open& open, const Reply& reply) {
  open.seen.data = reply;
  if (reply.code < 400) {
    open.go_ahead = true;
    return;
  }
  open.done = true;
}

void ClientDialog::take_dot(Open& open, const Reply& reply) {
  if (open.seen.chunked) return take_chunk(open, reply);
  open.seen.dot.emplace_back(reply);
  if (open.seen.dot.size() == open.dots) open.done = true;
}

// Everything put out for it was answered, and there is no way on to DATA.
void ClientDialog::check_done(Open& open) {
  if (open.in_flight != 0 || open.seen.data_sent || open.seen.content_sent || !open.seen.mail) return;
  const bool refused = !open.seen.mail->completed();
  const bool nobody = open.accepted == 0 && all_offered(open);
  if (refused || nobody) open.done = true;
}

void ClientDialog::finish_front() {
  while (!open_.empty() && open_.front().done) {
    Open& open = open_.front();
    // A transaction that stopped before its dot may leave something behind at the server.
    if (open.seen.mail_sent && open.seen.mail && open.seen.mail->completed() && open.seen.dot.empty())
      needs_rset_ = true;
    content_open_ -= open.mail.size;
    finished_.push_back(std::move(open.seen));
    open_.pop_front();
  }
}

std::vector<Observation> ClientDialog::take_finished() {
  return std::exchange(finished_, {});
}

}  // namespace spoold::smtp
