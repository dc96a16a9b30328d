// AUTH (RFC 4954) on a port of submission: the exchange with the client is a SaslServer's (sasl_server.hpp).
#include <algorithm>
#include <utility>

#include "protocol/smtp/server_dialog.hpp"

namespace spoold::smtp {
namespace {

constexpr EnhancedStatus bad_sequence{5, 5, 1};

}  // namespace

ServerDialog::Action ServerDialog::auth(const Command& command, std::string& out) {
  if (tls_.empty()) return error({538, {5, 7, 11}, "a password needs encryption: say STARTTLS first"}, out);
  if (!extended_) return error({503, bad_sequence, "say EHLO first"}, out);
  if (!user_.empty()) return error({503, bad_sequence, "you are logged in already"}, out);
  sasl_ = std::make_unique<SaslServer>();
  mechanism_ = command.argument.substr(0, command.argument.find(' '));
  std::ranges::transform(mechanism_, mechanism_.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return auth_step(sasl_->begin(command.argument), out);
}

ServerDialog::Action ServerDialog::response(std::string_view line, std::string& out) {
  return auth_step(sasl_->take(line), out);
}

// Whoever guesses passwords waits before the next one. Who sends what is no exchange at all makes errors, as everywhere.
ServerDialog::Action ServerDialog::auth_step(sasl::Step step, std::string& out) {
  if (const auto* challenge = std::get_if<sasl::Challenge>(&step)) {
    phase_ = Phase::authenticating;
    return say("334 " + challenge->base64 + "\r\n", out);
  }
  if (std::holds_alternative<sasl::Asked>(step)) {
    question_ = sasl_->asked();
    phase_ = Phase::asking;
    return {Action::What::ask, {}};
  }
  phase_ = Phase::ready;
  const std::unique_ptr<SaslServer> ended = std::move(sasl_);
  if (const auto* refusal = std::get_if<Reply>(&step)) {
    const Action action = error(*refusal, out);
    const bool guessed = refusal->code == 535 || refusal->code == 454;
    if (action.what != Action::What::more || !guessed) return action;
    return {Action::What::pause, profile_.brake.pause};
  }
  user_ = ended->user();
  brake_.release();
  return say("235 2.7.0 you are logged in\r\n", out);
}

// Of a response 12,288 octets of base64 (RFC 4954 section 4), with its CR.
std::size_t ServerDialog::longest_line() const {
  return phase_ == Phase::authenticating ? sasl::max_line + 2 : profile_.max_line;
}

// A line that is none ends the exchange: after an error reply the client sends a command.
ServerDialog::Action ServerDialog::bad_line(const char* why, std::string& out) {
  if (phase_ == Phase::authenticating) phase_ = Phase::ready;
  sasl_.reset();
  return error({500, {5, 5, 2}, why}, out);
}

ServerDialog::Action ServerDialog::too_long(std::string& out) {
  if (phase_ != Phase::authenticating) return bad_line("the line is too long", out);
  phase_ = Phase::ready;
  sasl_.reset();
  return error({500, {5, 5, 6}, "the response is too long"}, out);
}

}  // namespace spoold::smtp
