#include "protocol/smtp/client_dialog.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/mail/ascii.hpp"

namespace spoold::smtp {
namespace {

using mail::is_ascii;

bool needs_utf8(const ClientDialog::Mail& mail) {
  return !is_ascii(mail.sender) || !std::all_of(mail.addresses.begin(), mail.addresses.end(),
                                                [](const auto& a) { return is_ascii(a); });
}

constexpr std::size_t words_kept = 1000;  // of a reply
constexpr std::size_t most_open = 32;
constexpr std::uint64_t most_content_open = 1 << 20;

}  // namespace

ClientDialog::ClientDialog(Options options)
    : options_(std::move(options)),
      opening_(options_.lmtp, options_.hostname, options_.tls, options_.credentials) {
  if (opening_.owed()) expect(Command::opening, nullptr);
}

void ClientDialog::expect(Command command, Open* open, std::uint32_t position) {
  expected_.push_back({command, position, generated_, open});
}

void ClientDialog::put(std::string& out, std::string_view text) {
  out += text;
  generated_ += text.size();
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
  delivery::Observation& seen = open.seen;
  seen.message = open.mail.plan.message;
  seen.recipients = open.mail.plan.recipients;
  seen.rcpt.resize(seen.recipients.size());

  // What the host said in EHLO decides without asking it again.
  if (open.mail.refused)
    seen.mail = std::move(open.mail.refused);
  else if (!offered_.utf8 && !is_ascii(open.mail.sender))
    seen.mail = Reply{553, {5, 6, 7}, "the sender needs SMTPUTF8, which the next hop does not offer"};
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

// ---- writing

bool ClientDialog::lock_step(const Open& open) const {
  return open.mail.plan.window <= 1 || !offered_.pipelining || options_.pipelining == Pipelining::none;
}

bool ClientDialog::output(Output& out, const Sending& sending) {
  assert(written_ == generated_);
  out.commands.clear();
  out.contents.clear();
  output_at_ = generated_;
  if (dead_) return false;
  if (!established_ && opening_.output(out.commands)) {
    generated_ += out.commands.size();
    expect(Command::opening, nullptr);
  }
  for (std::size_t i = 0; established_ && i < open_.size(); ++i) {
    Open& open = open_[i];
    if (open.written || open.done) continue;
    if (i > 0 && !(open.mail.plan.overlap && (open_[i - 1].written || open_[i - 1].done))) break;
    open.reset_first = chunk_before_lacks_end(i);
    if (open.go_ahead)
      write_content(open, out);
    else
      write_commands(open, out, sending);
    if (!open.written && !open.done) break;
  }
  finish_front();
  if (quitting_ && established_ && open_.empty() && !quit_written_) {
    put(out.commands, "QUIT\r\n");
    expect(Command::quit, nullptr);
    quit_written_ = true;
  }
  return generated_ != output_at_;
}

void ClientDialog::write_content(Open& open, Output& out) {
  open.written = true;
  open.content_at = generated_;
  open.seen.content_sent = open.seen.dot_sent = true;
  if (open.accepted == 0 || !open.seen.mail->completed()) {
    put(out.commands, ".\r\n");  // RFC 2920 3.1: DATA was in flight when the last recipient was refused
  } else {
    out.contents.push_back({out.commands.size(), open.mail.plan.message, false, open.mail.size});
    ++generated_;  // the whole content counts as one octet of the stream
  }
  open.dots = options_.lmtp ? std::max(open.accepted, 1u) : 1u;
  for (std::uint32_t i = 0; i < open.dots; ++i) expect(Command::dot, &open, i);
}

void ClientDialog::write_commands(Open& open, Output& output, const Sending& sending) {
  std::string& out = output.commands;
  if (open.seen.mail && !open.seen.mail->completed()) return;
  const bool step = lock_step(open);
  if (step && !expected_.empty()) return;
  const std::size_t start = out.size();
  const std::size_t expected = expected_.size();
  const bool rset = needs_rset_;
  bool fresh = false;
  if (!open.seen.mail_sent) {
    fresh = write_mail(open, out);
    if (step) return;
  }
  write_rcpts(open, out, sending);
  const bool all_written = all_offered(open);
  if (!all_written || (step && !expected_.empty())) return;
  if (open.in_flight + open.accepted == 0) {
    if (fresh) {  // nobody is left to send to: not even MAIL
      generated_ -= out.size() - start;
      out.resize(start);
      expected_.resize(expected, Expected{});
      open.seen.mail_sent = false;
      needs_rset_ = rset;
      open.done = true;
    }
    check_done(open);
    return;
  }
  if (open.seen.data_sent) return;
  if (chunks(open)) {
    if (may_chunk(open)) write_chunk(open, output);
    return;
  }
  put(out, "DATA\r\n");
  open.seen.data_sent = true;
  expect(Command::data, &open);
}

bool ClientDialog::write_mail(Open& open, std::string& out) {
  if (needs_rset_ || open.reset_first) {
    put(out, "RSET\r\n");
    expect(Command::rset, nullptr);
    needs_rset_ = false;
    if (lock_step(open)) return false;
  }
  const Mail& mail = open.mail;
  put(out, "MAIL FROM:<");
  put(out, mail.sender);
  put(out, ">");
  if (offered_.size && mail.size != 0) {
    put(out, " SIZE=");
    put(out, std::to_string(mail.size));
  }
  if (offered_.eight_bit && mail.eight_bit) put(out, " BODY=8BITMIME");
  if (offered_.utf8 && needs_utf8(mail)) put(out, " SMTPUTF8");
  if (offered_.dsn) {
    const std::size_t before = out.size();
    append_parameters(out, mail.dsn);
    generated_ += out.size() - before;
  }
  put(out, "\r\n");
  open.seen.mail_sent = true;
  open.behind_content = &open != &open_.front();
  expect(Command::mail, &open);
  return true;
}

bool ClientDialog::all_offered(const Open& open) const {
  return open.next_rcpt == open.seen.recipients.size() || open.rejects >= open.mail.plan.rejects_allowed;
}

bool ClientDialog::refused_locally(Open& open, std::size_t position) {
  if (offered_.utf8 || is_ascii(open.mail.addresses[position])) return false;
  open.seen.rcpt[position] =
      Reply{553, {5, 6, 7}, "the address needs SMTPUTF8, which the next hop does not offer"};
  return true;
}

void ClientDialog::write_requests(const Mail& mail, std::size_t position, std::string& out) {
  const std::size_t before = out.size();
  if (mail.list_copies)
    append_member_parameters(out, mail.addresses[position]);
  else if (position < mail.requests.size())
    append_parameters(out, mail.requests[position]);
  generated_ += out.size() - before;
}

void ClientDialog::write_rcpts(Open& open, std::string& out, const Sending& sending) {
  const bool step = lock_step(open);
  const delivery::Transaction& plan = open.mail.plan;
  while (!all_offered(open)) {
    // Once somebody is refused, all that are in flight may be: together no more than are allowed.
    const std::uint32_t most =
        open.rejects == 0 ? plan.window : std::min(plan.window, plan.rejects_allowed - open.rejects);
    if (step ? !expected_.empty() : open.in_flight >= most) return;
    const std::size_t position = open.next_rcpt++;
    const std::uint32_t number = plan.recipients[position];
    open.seen.rcpts_sent = static_cast<std::uint32_t>(open.next_rcpt);
    if (!sending(plan.message, number)) {
      open.seen.skipped.push_back(number);
      continue;
    }
    if (refused_locally(open, position)) {
      open.seen.skipped.push_back(number);
      continue;
    }
    put(out, "RCPT TO:<");
    put(out, open.mail.addresses[position]);
    put(out, ">");
    if (offered_.dsn) write_requests(open.mail, position, out);
    put(out, "\r\n");
    ++open.in_flight;
    expect(Command::rcpt, &open, static_cast<std::uint32_t>(position));
  }
}

// ---- reading

std::size_t ClientDialog::received(std::string_view bytes) {
  using State = ReplyReader::State;
  std::size_t replies = 0;
  Reply reply;
  while (!dead_ && !said_bye_) {
    const State state = reader_.read(bytes, reply);
    if (state == State::more) break;
    if (state == State::garbage) {
      die(delivery::Drop::How::garbage, Reply{0, {}, reader_.what()}, reader_.what());
      break;
    }
    ++replies;
    take(reply);
    // RFC 3207 4.2, CVE-2011-0411: what is behind the 220 was not said under TLS.
    if (wants_handshake() && !bytes.empty())
      die(delivery::Drop::How::garbage, Reply{}, "octets behind the reply to STARTTLS");
  }
  return replies;
}

void ClientDialog::take(const Reply& reply) {
  if (expected_.empty())
    return die(reply.code == 421 ? delivery::Drop::How::reply_421 : delivery::Drop::How::garbage, reply,
               "unexpected reply " + reply.oneline());
  const Expected expected = expected_.front();
  const bool wants_354 = expected.command == Command::data;
  // RFC 5321 3.8: 421 may answer any command, and the connection is over. As the answer to a content it is
  // one as well.
  if (reply.code == 421 && expected.command != Command::dot && expected.command != Command::quit) {
    if (expected.command == Command::mail) expected.open->seen.mail = reply;
    if (expected.command == Command::rcpt) expected.open->seen.rcpt[expected.position] = reply;
    return die(delivery::Drop::How::reply_421, reply, {});
  }
  if (expected.command == Command::opening) return take_opening(reply);
  if (reply.code < 400 && (reply.code >= 300) != wants_354)
    return die(delivery::Drop::How::garbage, reply, "out of order: " + reply.oneline());
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
  if (reply.code == 421 && !dead_) die(delivery::Drop::How::reply_421, reply, {});
}

void ClientDialog::take_opening(const Reply& reply) {
  if (auto fault = opening_.take(reply)) {
    fault_ = fault->garbage ? std::string() : fault->text;
    using How = delivery::Drop::How;
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
  die(delivery::Drop::How::closed, Reply{}, fault_);
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
    // Whether it keeps what it had of the content nobody knows: in doubt, so end() must not take it for unsent.
    Open& open = *expected.open;
    std::erase_if(expected_, [&](const Expected& e) { return e.command == Command::dot && e.open == &open; });
  }
  die(delivery::Drop::How::garbage, reply, "reply before the whole of it was sent: " + reply.oneline());
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

std::vector<delivery::Observation> ClientDialog::take_finished() {
  return std::exchange(finished_, {});
}

}  // namespace spoold::smtp
