// The beginning of an outbound connection, up to where mail can be sent: greeting, EHLO (LHLO, HELO),
// STARTTLS (RFC 3207), EHLO anew, AUTH PLAIN or LOGIN (RFC 4954). The part of ClientDialog before
// transactions; one command at a time.
//
// Guarantees: after the handshake nothing that was heard before it counts; credentials are put out only under
// TLS, or where the plan says that nobody can listen; where the plan demands TLS there is no way to done()
// without it. Failures: a Fault with its stage; nothing is put out after it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "protocol/smtp/capabilities.hpp"
#include "protocol/smtp/stage.hpp"
#include "protocol/smtp/tls_plan.hpp"

namespace spoold::smtp {

struct Credentials {
  std::string username, password;
  std::string fault;  // why there is no password; empty: there is
};

class Opening {
 public:
  struct Fault {
    bool garbage = false;  // the peer broke the protocol; else it refused, or lacks what is asked for
    std::string text;      // empty: its reply says it all
  };

  Opening(bool lmtp, std::string hostname, TlsPlan tls, std::shared_ptr<const Credentials> credentials);

  bool done() const { return step_ == Step::done; }
  /// 220 was heard (or smtps has just connected): nothing is read or written before secured().
  bool wants_handshake() const { return step_ == Step::handshake; }
  void secured();
  bool secure() const { return secure_; }
  /// A reply is awaited.
  bool owed() const { return sent_; }
  /// What is waited for, or was when it failed.
  Stage stage() const;
  /// False: nothing to write now.
  bool output(std::string& line);
  std::optional<Fault> take(const Reply& reply);
  const Capabilities& offered() const { return offered_; }

 private:
  enum class Step : std::uint8_t {
    greeting,
    ehlo,
    helo,
    starttls,
    handshake,
    auth,
    plain,
    user,
    password,
    done
  };
  void to(Step step);
  std::optional<Fault> after_hello();
  std::string plain_response() const;
  bool plain_fits() const;  // in one line behind AUTH PLAIN
  std::optional<Fault> choose_auth();
  std::optional<Fault> take_auth(const Reply& reply);

  bool lmtp_, secure_ = false, sent_ = true, starttls_refused_ = false, plain_ = false;
  Step step_ = Step::greeting;
  std::string hostname_;
  TlsPlan tls_;
  std::shared_ptr<const Credentials> credentials_;
  Capabilities offered_;
};

}  // namespace spoold::smtp
