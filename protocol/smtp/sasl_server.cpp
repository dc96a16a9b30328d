#include "protocol/smtp/sasl_server.hpp"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"

namespace spoold::smtp {

using namespace sasl;

namespace {

Reply unreadable(const char* what) {
  return {501, {5, 5, 2}, what};
}

// RFC 5802 section 7: a saslname has no NUL and no comma; "=2C" and "=3D" stand for ',' and '='.
std::optional<std::string> decode_saslname(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const char c = name.front();
    if (c == '\0') return std::nullopt;
    if (c != '=') {
      out += c;
      name.remove_prefix(1);
      continue;
    }
    if (!name.starts_with("=2C") && !name.starts_with("=3D")) return std::nullopt;
    out += name[2] == 'C' ? ',' : '=';
    name.remove_prefix(3);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

/// Takes "X=value" up to the next comma, or to the end, from the front.
std::optional<std::string_view> take_attribute(std::string_view& message, std::string_view name) {
  if (!message.starts_with(name)) return std::nullopt;
  const std::string_view value =
      message.substr(name.size(), std::min(message.find(','), message.size()) - name.size());
  message.remove_prefix(std::min(name.size() + value.size() + 1, message.size()));
  return value;
}

bool printable_nonce(std::string_view nonce) {
  return !nonce.empty() &&
         std::all_of(nonce.begin(), nonce.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

Reply sasl::wrong_credentials() {
  return {535, {5, 7, 8}, "wrong user name or password"};
}

Step SaslServer::begin(std::string_view argument) {
  const auto end = std::min(argument.find_first_of(" \t"), argument.size());
  const std::string_view mechanism = argument.substr(0, end), initial = mail::trim(argument.substr(end));
  if (mechanism.empty()) return Reply{501, {5, 5, 4}, "syntax: AUTH mechanism [initial response]"};
  State state = State::idle;
  if (mail::same(mechanism, "plain")) state = State::plain;
  if (mail::same(mechanism, "login")) state = State::login_user;
  if (mail::same(mechanism, "scram-sha-256")) state = State::scram_first;
  if (state == State::idle)
    return Reply{504, {5, 5, 4}, "this mechanism is not offered; there are " + std::string(mechanisms)};
  state_ = state;
  if (!initial.empty()) return initial == "=" ? octets({}) : take(initial);
  if (state == State::login_user) return Challenge{mail::base64_encode("Username:")};
  return Challenge{};
}

Step SaslServer::take(std::string_view line) {
  assert(state_ != State::idle && state_ != State::asking);
  if (line == "*") return Reply{501, {5, 7, 0}, "the authentication was cancelled"};
  const auto message = mail::base64_decode(line);
  if (!message) return unreadable("the response is not base64");
  return octets(*message);
}

Step SaslServer::octets(std::string_view message) {
  switch (state_) {
    case State::plain:
      return plain(message);
    case State::login_user:
      user_ = mail::lower(message);
      state_ = State::login_password;
      return Challenge{mail::base64_encode("Password:")};
    case State::login_password:
      return ask(Password{user_, std::string(message)});
    case State::scram_first:
      return scram_first(message);
    case State::scram_final:
      return scram_final(message);
    case State::scram_done:
      if (!message.empty()) return unreadable("the last response of SCRAM is empty");
      return Authenticated{};
    case State::idle:
    case State::asking:
      break;
  }
  assert(false);
  return wrong_credentials();
}

Step SaslServer::ask(Question question) {
  question_ = std::move(question);
  state_ = State::asking;
  return Asked{};
}

// RFC 4616 section 2: [authzid] NUL authcid NUL passwd
Step SaslServer::plain(std::string_view message) {
  const auto first = message.find('\0');
  const auto second = first == message.npos ? message.npos : message.find('\0', first + 1);
  if (second == message.npos || message.find('\0', second + 1) != message.npos)
    return unreadable("PLAIN is [identity] NUL user NUL password");
  const std::string_view authorization = message.substr(0, first);
  user_ = mail::lower(message.substr(first + 1, second - first - 1));
  // Nobody may act for somebody else.
  if (!authorization.empty() && mail::lower(authorization) != user_) return wrong_credentials();
  return ask(Password{user_, std::string(message.substr(second + 1))});
}

// RFC 5802 section 7: gs2-cbind-flag "," ["a=" saslname] "," "n=" saslname ",r=" nonce ["," extensions]
Step SaslServer::scram_first(std::string_view message) {
  const char* const unlike = "this is no first message of SCRAM";
  const auto flag_end = message.find(',');
  const auto header_end = flag_end == message.npos ? message.npos : message.find(',', flag_end + 1);
  if (header_end == message.npos) return unreadable(unlike);
  const std::string_view flag = message.substr(0, flag_end),
                         authorization = message.substr(flag_end + 1, header_end - flag_end - 1);
  if (flag.starts_with("p=")) return unreadable("channel binding is not offered here");
  if (flag != "n" && flag != "y") return unreadable(unlike);
  gs2_header_ = message.substr(0, header_end + 1);
  std::string_view rest = message.substr(header_end + 1);
  client_first_ = rest;
  const auto name =
      take_attribute(rest, "n=");  // an "m=" in its place demands an extension that nobody knows
  const auto user = name ? decode_saslname(*name) : std::nullopt;
  const auto nonce = take_attribute(rest, "r=");
  if (!user || !nonce || !printable_nonce(*nonce)) return unreadable(unlike);
  user_ = mail::lower(*user);
  nonce_ = *nonce;
  if (!authorization.empty()) {
    const auto identity =
        authorization.starts_with("a=") ? decode_saslname(authorization.substr(2)) : std::nullopt;
    if (!identity) return unreadable(unlike);
    if (mail::lower(*identity) != user_) return wrong_credentials();
  }
  return ask(ScramKeys{user_});
}

Step SaslServer::salted(const Salt& salt) {
  nonce_ += salt.nonce;
  server_first_ =
      "r=" + nonce_ + ",s=" + mail::base64_encode(salt.salt) + ",i=" + std::to_string(salt.iterations);
  state_ = State::scram_final;
  return Challenge{mail::base64_encode(server_first_)};
}

// "c=" base64(gs2 header) ",r=" nonce ["," extensions] ",p=" base64(proof); the proof is the last attribute.
Step SaslServer::scram_final(std::string_view message) {
  const char* const unlike = "this is no final message of SCRAM";
  const auto proof_at = message.rfind(",p=");
  if (proof_at == message.npos) return unreadable(unlike);
  const auto proof = mail::base64_decode(message.substr(proof_at + 3));
  const std::string_view without_proof = message.substr(0, proof_at);
  std::string_view rest = without_proof;
  const auto binding = take_attribute(rest, "c="), nonce = take_attribute(rest, "r=");
  const auto header = binding ? mail::base64_decode(*binding) : std::nullopt;
  if (!proof || !header || !nonce) return unreadable(unlike);
  if (*header != gs2_header_ || *nonce != nonce_) return wrong_credentials();
  return ask(
      ScramProof{user_, client_first_ + "," + server_first_ + "," + std::string(without_proof), *proof});
}

Step SaslServer::answered(Answer answer) {
  assert(state_ == State::asking);
  const Question question = std::exchange(question_, Question{});
  if (auto* refusal = std::get_if<Reply>(&answer)) return std::move(*refusal);
  if (std::holds_alternative<Password>(question)) {
    assert(std::holds_alternative<Right>(answer));
    return Authenticated{};
  }
  if (std::holds_alternative<ScramKeys>(question)) return salted(std::get<Salt>(answer));
  state_ = State::scram_done;
  return Challenge{mail::base64_encode("v=" + mail::base64_encode(std::get<Signature>(answer).octets))};
}

}  // namespace spoold::smtp
