// What the client writes: the commands of a transaction, in lock-step or in groups (RFC 2920 3.1), and its
// content. BDAT: client_dialog_bdat.cpp.
#include <algorithm>
#include <cassert>

#include "protocol/mail/ascii.hpp"
#include "protocol/smtp/client_dialog.hpp"

namespace spoold::smtp {
namespace {

using mail::is_ascii;

bool needs_utf8(const ClientDialog::Mail& mail) {
  return mail.utf8 || !is_ascii(mail.sender) ||
         !std::all_of(mail.addresses.begin(), mail.addresses.end(),
                      [](const auto& a) { return is_ascii(a); });
}

}  // namespace

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
    out.contents.push_back(
        {out.commands.size(), open.mail.plan.message, false, open.mail.size, open.mail.copy});
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
  if (mail.binary)
    put(out, " BODY=BINARYMIME");
  else if (offered_.eight_bit && mail.eight_bit)
    put(out, " BODY=8BITMIME");
  if (offered_.utf8 && needs_utf8(mail)) put(out, " SMTPUTF8");
  if (mail.require_tls) put(out, " REQUIRETLS");
  if (options_.credentials) put(out, " AUTH=<>");  // RFC 4954 5: for nobody in particular
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
  const TransactionPlan& plan = open.mail.plan;
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

}  // namespace spoold::smtp
