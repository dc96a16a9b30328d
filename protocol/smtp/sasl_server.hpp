// The server's side of one authentication exchange of AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN and SCRAM-SHA-256 (RFC
// 5802, RFC 7677), as a machine. A line of the client in; a challenge, a question or the result out.
//
//   SaslServer sasl;
//   step = sasl.begin("PLAIN AGFubmUAc2VjcmV0");  // the argument of AUTH
//   step = sasl.take("...");                      // the client's line behind a challenge
//   step = sasl.answered(...);                    // to sasl.asked()
//
// Pure: no secret of the server is in it, and no cryptography. Names, passwords and proofs go out as questions; what is
// known of the user comes in as answers, the server's nonce too.
//
// Guarantees: user names are in lower case, in questions and in the result. An authorization identity other than the
// user himself is refused. No security layer is negotiated. SCRAM: channel binding is not offered (no -PLUS), so "n" and
// "y" are accepted and "p=" is refused; the binding, the nonce and the message that the proof is over are those of this
// exchange. Failures: 501 what cannot be read, and a cancelled exchange ("*"); 504 an unknown mechanism; 535 5.7.8 wrong
// credentials; or the Reply of an answer. See also: server_dialog.hpp, server/auth/password.hpp (the cryptography).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

namespace sasl {

/// As EHLO names them.
inline constexpr std::string_view mechanisms = "PLAIN LOGIN SCRAM-SHA-256";
/// Of a line of the client, without CRLF (RFC 4954 section 4).
inline constexpr std::size_t max_line = 12288;

// Questions.
struct Password {  // is it this user's? Answer: Right, or a Reply
  std::string user, password;
};
struct
    ScramKeys {  // what was this user's password salted with? Answer: Salt, also for a user who does not exist
  std::string user;
};
struct ScramProof {  // is the proof right? Answer: Signature, or a Reply
  std::string user, auth_message, proof;
};
using Question = std::variant<Password, ScramKeys, ScramProof>;

// Answers.
struct Right {};
struct Salt {
  std::string salt;  // octets
  std::uint32_t iterations = 0;
  std::string nonce;  // the server's part: printable, without a comma, new for each exchange
};
struct Signature {
  std::string octets;  // the server's, over the same message
};
using Answer = std::variant<Right, Salt, Signature, Reply>;

// What is next.
struct Challenge {
  std::string base64;  // behind "334 "
};
struct Asked {};
struct Authenticated {};
using Step = std::variant<Challenge, Asked, Authenticated, Reply>;

Reply wrong_credentials();  // 535 5.7.8

}  // namespace sasl

class SaslServer {
 public:
  sasl::Step begin(std::string_view argument);
  sasl::Step take(std::string_view line);
  const sasl::Question& asked() const { return question_; }
  sasl::Step answered(sasl::Answer answer);

  /// Who it is, once Authenticated; in lower case.
  const std::string& user() const { return user_; }

 private:
  enum class State : std::uint8_t {
    idle,
    plain,
    login_user,
    login_password,
    scram_first,
    scram_final,
    scram_done,
    asking
  };
  sasl::Step octets(std::string_view message);
  sasl::Step ask(sasl::Question question);
  sasl::Step plain(std::string_view message);
  sasl::Step scram_first(std::string_view message);
  sasl::Step scram_final(std::string_view message);
  sasl::Step salted(const sasl::Salt& salt);

  State state_ = State::idle;
  sasl::Question question_;
  std::string user_;
  // SCRAM (RFC 5802 section 5): the header of channel binding, what the client said behind it, the whole nonce, what we said.
  std::string gs2_header_, client_first_, nonce_, server_first_;
};

}  // namespace spoold::smtp
