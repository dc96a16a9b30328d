#include "protocol/smtp/opening.hpp"

#include <utility>

#include "protocol/mail/base64.hpp"

namespace spoold::smtp {

using Use = TlsPlan::Use;

Opening::Opening(bool lmtp, std::string hostname, TlsPlan tls, std::shared_ptr<const Credentials> credentials)
    : lmtp_(lmtp),
      hostname_(std::move(hostname)),
      tls_(std::move(tls)),
      credentials_(std::move(credentials)) {
  if (tls_.implicit) to(Step::handshake);
}

void Opening::to(Step step) {
  step_ = step;
  sent_ = step == Step::greeting;  // which comes unasked
}

// RFC 3207 4.2: what was heard before is forgotten.
void Opening::secured() {
  const bool greeted = !tls_.implicit || secure_;
  secure_ = true;
  offered_ = {};
  to(greeted ? Step::ehlo : Step::greeting);
}

Stage Opening::stage() const {
  switch (step_) {
    case Step::greeting:
      return Stage::greeting;
    case Step::ehlo:
    case Step::helo:
      return Stage::ehlo;
    case Step::starttls:
    case Step::handshake:
      return Stage::starttls;
    case Step::auth:
    case Step::plain:
    case Step::user:
    case Step::password:
      return Stage::auth;
    case Step::done:
      return Stage::none;
  }
  return Stage::none;
}

bool Opening::output(std::string& line) {
  if (sent_) return false;
  switch (step_) {
    case Step::ehlo:
      line += (lmtp_ ? "LHLO " : "EHLO ") + hostname_;
      break;
    case Step::helo:
      line += "HELO " + hostname_;
      break;
    case Step::starttls:
      line += "STARTTLS";
      break;
    case Step::auth:
      line += !plain_ ? "AUTH LOGIN" : plain_fits() ? "AUTH PLAIN " + plain_response() : "AUTH PLAIN";
      break;
    case Step::plain:
      line += plain_response();
      break;
    case Step::user:
      line += mail::base64_encode(credentials_->username);
      break;
    case Step::password:
      line += mail::base64_encode(credentials_->password);
      break;
    case Step::greeting:
    case Step::handshake:
    case Step::done:
      return false;
  }
  line += "\r\n";
  sent_ = true;
  return true;
}

std::optional<Opening::Fault> Opening::take(const Reply& reply) {
  const bool auth = stage() == Stage::auth;
  if (reply.code < 400 && !reply.completed() && !(auth && reply.code == 334))
    return Fault{true, "out of order: " + reply.oneline()};
  switch (step_) {
    case Step::greeting:
      if (!reply.completed()) return Fault{};
      to(Step::ehlo);
      return std::nullopt;
    case Step::ehlo:
      if (reply.permanent() && !lmtp_) {
        to(Step::helo);  // RFC 5321 3.2
        return std::nullopt;
      }
      if (!reply.completed()) return Fault{};
      offered_ = capabilities(reply);
      return after_hello();
    case Step::helo:
      if (!reply.completed()) return Fault{};
      return after_hello();
    case Step::starttls:
      if (reply.completed()) {
        to(Step::handshake);
        return std::nullopt;
      }
      if (tls_.use == Use::must) return Fault{};
      starttls_refused_ = true;  // RFC 3207 4: the session goes on as it was
      return after_hello();
    case Step::auth:
    case Step::plain:
    case Step::user:
    case Step::password:
      return take_auth(reply);
    case Step::handshake:
    case Step::done:
      break;
  }
  return Fault{true, "unexpected reply " + reply.oneline()};
}

std::optional<Opening::Fault> Opening::after_hello() {
  if (!secure_ && tls_.use != Use::never && !starttls_refused_) {
    if (offered_.starttls) {
      to(Step::starttls);
      return std::nullopt;
    }
    if (tls_.use == Use::must) {
      to(Step::starttls);
      return Fault{false, "STARTTLS is not offered, and the policy is \"" + tls_.policy + "\""};
    }
  }
  if (credentials_) return choose_auth();
  to(Step::done);
  return std::nullopt;
}

std::string Opening::plain_response() const {
  return mail::base64_encode(std::string(1, '\0') + credentials_->username + '\0' + credentials_->password);
}

// A command line has 512 octets with its end (RFC 5321 4.5.3.1.4); what is longer waits to be asked for (RFC 4954 4).
bool Opening::plain_fits() const {
  constexpr std::size_t most = 512 - sizeof "AUTH PLAIN \r\n" + 1;
  return plain_response().size() <= most;
}

std::optional<Opening::Fault> Opening::choose_auth() {
  to(Step::auth);
  if (!secure_ && !tls_.plain_auth) return Fault{false, "the password is not sent without TLS"};
  if (!credentials_->fault.empty()) return Fault{false, credentials_->fault};
  plain_ = offered_.auth_plain;
  if (!plain_ && !offered_.auth_login)
    return Fault{false, "a username is configured, but neither AUTH PLAIN nor AUTH LOGIN is offered"};
  return std::nullopt;
}

std::optional<Opening::Fault> Opening::take_auth(const Reply& reply) {
  if (reply.code == 334 && plain_ && step_ == Step::auth && !plain_fits()) {
    to(Step::plain);
    return std::nullopt;
  }
  if (reply.code == 334 && !plain_ && step_ != Step::password) {
    to(step_ == Step::auth ? Step::user : Step::password);
    return std::nullopt;
  }
  if (reply.code == 334) return Fault{true, "AUTH is asked to go on where it has said all"};
  if (!reply.completed()) return Fault{};
  to(Step::done);
  return std::nullopt;
}

}  // namespace spoold::smtp
