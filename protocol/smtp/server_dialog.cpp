#include "protocol/smtp/server_dialog.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace spoold::smtp {
namespace {

using Phase = ServerDialog::Phase;

constexpr EnhancedStatus bad_sequence{5, 5, 1}, bad_command{5, 5, 2}, bad_argument{5, 5, 4};

constexpr unsigned in(Phase phase) {
  return 1u << static_cast<unsigned>(phase);
}
constexpr unsigned start = in(Phase::start), ready = in(Phase::ready), given = in(Phase::mail),
                   named = in(Phase::rcpt), chunks = in(Phase::chunks);
constexpr unsigned anywhere = start | ready | given | named | chunks;
constexpr unsigned smtp = 1, lmtp = 2, both = smtp | lmtp;

}  // namespace

/// The command, in which protocol and phase, what it does; or, without an action, what is answered.
struct ServerDialog::Row {
  Verb verb;
  unsigned protocols, phases;
  Act act;
  int code = 0;
  EnhancedStatus enhanced{};
  const char* text = nullptr;
};

// The first row that fits decides. A DATA that does not lead to content ends the transaction, whichever row
// refused it.
const ServerDialog::Row ServerDialog::rows[] = {
    {Verb::helo, smtp, anywhere, &ServerDialog::hello},
    {Verb::ehlo, smtp, anywhere, &ServerDialog::hello},
    {Verb::lhlo, lmtp, anywhere, &ServerDialog::hello},
    {Verb::helo, lmtp, anywhere, nullptr, 500, bad_sequence, "this is LMTP: say LHLO"},
    {Verb::ehlo, lmtp, anywhere, nullptr, 500, bad_sequence, "this is LMTP: say LHLO"},
    {Verb::lhlo, smtp, anywhere, nullptr, 500, bad_sequence, "this is SMTP: say EHLO"},
    {Verb::mail, both, ready, &ServerDialog::mail},
    {Verb::mail, smtp, start, nullptr, 503, bad_sequence, "say EHLO first"},
    {Verb::mail, lmtp, start, nullptr, 503, bad_sequence, "say LHLO first"},
    {Verb::mail, both, given | named | chunks, nullptr, 503, bad_sequence,
     "the sender was given already; RSET starts over"},
    {Verb::rcpt, both, given | named, &ServerDialog::rcpt},
    {Verb::rcpt, both, chunks, nullptr, 503, bad_sequence, "the message has begun; RSET gives it up"},
    {Verb::rcpt, both, anywhere, nullptr, 503, bad_sequence, "say MAIL first"},
    {Verb::data, both, named, &ServerDialog::data},
    {Verb::data, smtp, given, nullptr, 554, bad_sequence, "no valid recipients"},
    {Verb::data, lmtp, given, nullptr, 503, bad_sequence, "no valid recipients"},  // RFC 2033 4.2
    {Verb::data, both, chunks, nullptr, 503, bad_sequence, "the message came by BDAT so far"},  // RFC 3030 2
    {Verb::data, both, anywhere, nullptr, 503, bad_sequence, "say MAIL and RCPT first"},
    {Verb::bdat, both, anywhere, &ServerDialog::bdat},
    {Verb::rset, both, anywhere, &ServerDialog::rset},
    {Verb::noop, both, anywhere, &ServerDialog::noop},
    {Verb::vrfy, both, anywhere, &ServerDialog::vrfy},
    {Verb::help, both, anywhere, &ServerDialog::help},
    {Verb::quit, both, anywhere, &ServerDialog::quit},
    {Verb::starttls, both, ready, &ServerDialog::starttls},
    {Verb::starttls, smtp, start, nullptr, 503, bad_sequence, "say EHLO first"},
    {Verb::starttls, lmtp, start, nullptr, 503, bad_sequence, "say LHLO first"},
    {Verb::starttls, both, given | named | chunks, nullptr, 503, bad_sequence,
     "not within a transaction; RSET ends it"},
    {Verb::auth, smtp, ready, &ServerDialog::auth},
    {Verb::auth, smtp, start, nullptr, 503, bad_sequence, "say EHLO first"},
    {Verb::auth, smtp, given | named | chunks, nullptr, 503, bad_sequence,
     "not within a transaction; RSET ends it"},
    {Verb::xclient, smtp, start | ready, &ServerDialog::xclient},
    {Verb::xclient, smtp, given | named | chunks, nullptr, 503, bad_sequence,
     "not within a transaction; RSET ends it"},
    {Verb::elsewhere, both, anywhere, nullptr, 502, bad_sequence, "this command is not offered here"},
    {Verb::unknown, both, anywhere, nullptr, 500, bad_command, "command not recognized"},
};

const char* ServerDialog::protocol() const {
  if (transaction_.utf8) {
    if (profile_.lmtp) return tls_.empty() ? "UTF8LMTP" : "UTF8LMTPS";
    return tls_.empty() ? "UTF8SMTP" : user_.empty() ? "UTF8SMTPS" : "UTF8SMTPSA";
  }
  if (tls_.empty()) return profile_.lmtp ? "LMTP" : extended_ ? "ESMTP" : "SMTP";
  if (extended_ && !user_.empty()) return "ESMTPSA";
  return profile_.lmtp ? "LMTPS" : extended_ ? "ESMTPS" : "SMTP";  // there is no word for HELO under TLS
}

ServerDialog::Action ServerDialog::more() const {
  const bool content = phase_ == Phase::content || phase_ == Phase::chunk;
  return {Action::What::more, content ? profile_.block_limit : profile_.command_limit};
}

ServerDialog::Action ServerDialog::say(std::string_view wire, std::string& out) const {
  out.append(wire);
  return more();
}

ServerDialog::Action ServerDialog::error(const Reply& reply, std::string& out, bool counts) {
  reply.append_wire(out);
  if (counts && ++errors_ >= profile_.max_errors) return close("421 4.7.0 too many errors\r\n", out);
  return more();
}

ServerDialog::Action ServerDialog::close(std::string_view wire, std::string& out) {
  out.append(wire);
  fresh();
  phase_ = Phase::closed;
  return {Action::What::close, {}};
}

void ServerDialog::fresh() {
  transaction_ = Transaction{};
  question_ = Question{};
  chunk_ = Chunk{};
  if (phase_ != Phase::start) phase_ = Phase::ready;
}

ServerDialog::ServerDialog(const ServerProfile& profile, Client client)
    : profile_(profile), client_(client), brake_(profile.brake) {
  if (!stranger()) brake_.release();
}

ServerDialog::Action ServerDialog::open(std::string& out) {
  greeted_ = true;
  out.append("220 ")
      .append(profile_.hostname)
      .append(profile_.lmtp ? " LMTP spoold\r\n" : " ESMTP spoold\r\n");
  return more();
}

ServerDialog::Action ServerDialog::implicit_tls() {
  phase_ = Phase::handshake;
  return {Action::What::handshake, profile_.handshake_limit};
}

// RFC 3207 4.2: what the client said before is forgotten, EHLO included. What it did wrong is not.
ServerDialog::Action ServerDialog::secured(std::string tls, std::string& out) {
  assert(phase_ == Phase::handshake && !tls.empty());
  tls_ = std::move(tls);
  transaction_ = Transaction{};
  question_ = Question{};
  chunk_ = Chunk{};
  hello_.clear();
  user_.clear();
  extended_ = mail_refused_ = false;
  phase_ = Phase::start;
  return greeted_ ? more() : open(out);
}

ServerDialog::Action ServerDialog::refused(std::string_view wire, std::string& out) {
  return close(wire, out);
}

ServerDialog::Action ServerDialog::timed_out(std::string& out) {
  return close("421 4.4.2 timed out waiting for you\r\n", out);
}

ServerDialog::Action ServerDialog::stopping(std::string& out) {
  return close("421 4.3.2 this server is shutting down\r\n", out);
}

ServerDialog::Action ServerDialog::consume(std::string_view& input, std::string& out, std::string& content) {
  while (!input.empty()) {
    if (phase_ == Phase::content) {
      const Action action = read_content(input, out, content);
      if (action.what != Action::What::more) return action;
      continue;
    }
    if (phase_ == Phase::chunk) {
      const Action action = read_chunk(input, out, content);
      if (action.what != Action::What::more) return action;
      continue;
    }
    if (phase_ == Phase::closed) return {Action::What::close, {}};
    assert(phase_ != Phase::asking && phase_ != Phase::committing && phase_ != Phase::handshake);
    // A client that does not read its replies, or sends faster than we answer, must not make us keep more.
    if (out.size() >= profile_.max_replies) return {Action::What::enough, {}};
    const auto feed = input.find('\n');
    if (feed == std::string_view::npos) {
      if (!skipping_ && input.size() < longest_line()) break;
      skipping_ = true;  // the rest of this line is thrown away, and answered once
      input = {};
      break;
    }
    const std::string_view line = input.substr(0, feed);
    input.remove_prefix(feed + 1);
    input_waits_ = !input.empty();
    Action action;
    if (std::exchange(skipping_, false) || line.size() >= longest_line()) {
      action = too_long(out);
    } else {
      action = command(line, out);
      if (phase_ == Phase::chunk && chunk_.left == 0) action = chunk_ended(out, content);
    }
    if (action.what != Action::What::more) return action;
  }
  return more();
}

// `line` is what stands before the LF: it must end with the only CR, and hold no NUL.
ServerDialog::Action ServerDialog::command(std::string_view line, std::string& out) {
  if (line.empty() || line.find('\r') != line.size() - 1)
    return bad_line("lines must end with <CR><LF>, and hold neither elsewhere", out);
  line.remove_suffix(1);
  if (line.find('\0') != std::string_view::npos) return bad_line("NUL in a command", out);
  if (phase_ == Phase::authenticating) return response(line, out);
  const Command parsed = split(line);
  if (parsed.verb != Verb::rcpt && parsed.verb != Verb::data && parsed.verb != Verb::bdat &&
      parsed.verb != Verb::quit && brake_.idle_command() == Brake::Verdict::close)
    return close("421 4.7.0 too many errors: too many commands without a message\r\n", out);
  const Action action = act(parsed, out);
  if (parsed.verb == Verb::data && phase_ != Phase::content && phase_ != Phase::closed) fresh();
  return action;
}

// What this listener does not offer is a command of some other server.
bool ServerDialog::offers(Verb verb) const {
  if (verb == Verb::auth) return profile_.submission;
  if (verb == Verb::xclient) return is_proxy() && tls_.empty();
  return verb != Verb::starttls || profile_.starttls;
}

ServerDialog::Action ServerDialog::act(const Command& command, std::string& out) {
  const unsigned protocol = profile_.lmtp ? lmtp : smtp;
  const Verb verb = offers(command.verb) ? command.verb : Verb::elsewhere;
  const Row& row = *std::find_if(std::begin(rows), std::end(rows), [&](const Row& candidate) {
    return candidate.verb == verb && (candidate.protocols & protocol) != 0 &&
           (candidate.phases & in(phase_)) != 0;
  });
  // What was sent behind DATA before its reply may be content: it must not be read as commands (RFC
  // 2920 3.1).
  if (command.verb == Verb::data && input_waits_)
    return close("554 5.5.0 protocol error: input behind DATA, before its reply\r\n", out);
  if (row.act != nullptr) return (this->*row.act)(command, out);
  const bool follows = mail_refused_ && (command.verb == Verb::rcpt || command.verb == Verb::data);
  return error({row.code, row.enhanced, row.text}, out, !follows);
}

ServerDialog::Action ServerDialog::hello(const Command& command, std::string& out) {
  const auto name = parse_hello(command.argument);
  if (!name) return error(name.error(), out);
  hello_ = *name;
  extended_ = command.verb != Verb::helo;
  mail_refused_ = false;
  fresh();
  phase_ = Phase::ready;
  if (!extended_) {
    out.append("250 ").append(profile_.hostname).append("\r\n");
    return more();
  }
  out.append("250-").append(profile_.hostname).append("\r\n250-PIPELINING\r\n250-SIZE ");
  out.append(std::to_string(profile_.content.size))
      .append(
          "\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-DSN\r\n250-LIMITS "
          "RCPTMAX=")
      .append(std::to_string(profile_.max_recipients))
      .append("\r\n");
  if (profile_.starttls && tls_.empty()) out.append("250-STARTTLS\r\n");
  if (!tls_.empty()) out.append("250-REQUIRETLS\r\n");
  if (profile_.submission && !tls_.empty()) out.append("250-AUTH ").append(sasl::mechanisms).append("\r\n");
  if (offers(Verb::xclient)) out.append("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n");
  out.append("250 ENHANCEDSTATUSCODES\r\n");
  return more();
}

ServerDialog::Action ServerDialog::mail(const Command& command, std::string& out) {
  mail_refused_ = true;
  if (profile_.submission && user_.empty())
    return error({530, {5, 7, 0}, tls_.empty() ? "log in first: STARTTLS, then AUTH" : "log in first: AUTH"},
                 out);
  auto parsed = parse_mail(command.argument, path_rules());
  if (!parsed) return error(parsed.error(), out);
  if (parsed->size > profile_.content.size)
    return error({552, {5, 3, 4}, "the message is larger than this server accepts"}, out, false);
  question_ = *std::move(parsed);
  phase_ = Phase::asking;
  return {Action::What::ask, {}};
}

ServerDialog::Action ServerDialog::mail_answered(MailArgument&& mail, Answer&& answer, std::string& out) {
  phase_ = Phase::ready;
  if (const auto* refusal = std::get_if<Reply>(&answer)) return error(*refusal, out, false);
  mail_refused_ = false;
  transaction_ = Transaction{};
  transaction_.open = true;
  if (mail.reverse_path) transaction_.reverse_path = mail.reverse_path->text();
  transaction_.declared_size = mail.size;
  transaction_.eight_bit = mail.eight_bit;
  transaction_.binary = mail.binary;
  transaction_.utf8 = mail.utf8;
  transaction_.require_tls = mail.require_tls;
  transaction_.dsn = std::move(mail.dsn);
  phase_ = Phase::mail;
  return say("250 2.1.0 sender ok\r\n", out);
}

ServerDialog::Action ServerDialog::rcpt(const Command& command, std::string& out) {
  auto parsed = parse_rcpt(command.argument, path_rules());
  if (!parsed) return error(parsed.error(), out);
  if (transaction_.recipients.size() >= profile_.max_recipients)
    return error({452, {4, 5, 3}, "too many recipients in one transaction; send the rest in another"}, out,
                 false);
  question_ = *std::move(parsed);
  phase_ = Phase::asking;
  return {Action::What::ask, {}};
}

ServerDialog::Action ServerDialog::rcpt_answered(RcptArgument&& rcpt, Answer&& answer, std::string& out) {
  phase_ = transaction_.recipients.empty() ? Phase::mail : Phase::rcpt;
  if (const auto* refusal = std::get_if<Reply>(&answer)) {
    error(*refusal, out, false);
    const Brake::Verdict verdict = refusal->code >= 500 ? brake_.refused() : Brake::Verdict::go_on;
    if (verdict == Brake::Verdict::close)
      return close("421 4.7.0 too many errors: too many recipients were refused\r\n", out);
    if (verdict == Brake::Verdict::pause) return {Action::What::pause, profile_.brake.pause};
    return more();
  }
  transaction_.recipients.push_back(std::get<Recipient>(std::move(answer)));
  transaction_.recipients.back().dsn = std::move(rcpt.dsn);
  phase_ = Phase::rcpt;
  return say("250 2.1.5 recipient ok\r\n", out);
}

ServerDialog::Action ServerDialog::answer(Answer answer, std::string& out) {
  assert(phase_ == Phase::asking);
  Question question = std::exchange(question_, Question{});
  // A filter's word: whoever says 421 closes the connection (RFC 5321 4.2.1).
  if (const auto* reply = std::get_if<Reply>(&answer); reply != nullptr && reply->code == 421)
    return close(reply->wire(), out);
  if (auto* mail = std::get_if<MailArgument>(&question))
    return mail_answered(std::move(*mail), std::move(answer), out);
  if (std::holds_alternative<sasl::Question>(question))
    return auth_step(sasl_->answered(std::get<sasl::Answer>(std::move(answer))), out);
  return rcpt_answered(std::get<RcptArgument>(std::move(question)), std::move(answer), out);
}

ServerDialog::Action ServerDialog::rset(const Command& command, std::string& out) {
  if (!command.argument.empty()) return error({501, bad_argument, "RSET takes no argument"}, out);
  mail_refused_ = false;
  fresh();
  return say("250 2.0.0 ok\r\n", out);
}

// What was sent behind it would be the client's words, before the client was greeted.
ServerDialog::Action ServerDialog::xclient(const Command& command, std::string& out) {
  if (input_waits_) return close("554 5.5.0 protocol error: input behind XCLIENT, before its reply\r\n", out);
  auto client = parse_xclient(command.argument);
  if (!client) return error(client.error(), out);
  xclient_ = *std::move(client);
  fresh();
  phase_ = Phase::closed;
  return {Action::What::handover, {}};
}

ServerDialog::Action ServerDialog::noop(const Command&, std::string& out) {
  return say("250 2.0.0 ok\r\n", out);
}

ServerDialog::Action ServerDialog::vrfy(const Command& command, std::string& out) {
  if (const auto fault = vrfy_fault(command.argument)) return error(*fault, out);
  return say("252 2.1.5 cannot say; send mail and see\r\n", out);
}

ServerDialog::Action ServerDialog::help(const Command&, std::string& out) {
  return say(profile_.lmtp
                 ? "214 2.0.0 LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT (RFC 2033)\r\n"
                 : "214 2.0.0 HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT (RFC 5321)\r\n",
             out);
}

ServerDialog::Action ServerDialog::quit(const Command& command, std::string& out) {
  if (!command.argument.empty()) return error({501, bad_argument, "QUIT takes no argument"}, out);
  return close("221 2.0.0 bye\r\n", out);
}

// What came behind STARTTLS in plain text could be anybody's: it must not be taken for the client's under TLS.
ServerDialog::Action ServerDialog::starttls(const Command& command, std::string& out) {
  if (input_waits_)
    return close("554 5.5.0 protocol error: input behind STARTTLS, before its reply\r\n", out);
  if (!command.argument.empty()) return error({501, bad_argument, "STARTTLS takes no argument"}, out);
  if (!tls_.empty()) return error({503, bad_sequence, "TLS is in use already"}, out);
  out.append("220 2.0.0 begin TLS\r\n");
  phase_ = Phase::handshake;
  return {Action::What::handshake, profile_.handshake_limit};
}

}  // namespace spoold::smtp
