#include "server/auth/password.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "protocol/mail/base64.hpp"

using namespace spoold;
using namespace spoold::server;
using mail::base64_decode;
using mail::base64_encode;
using store::directory::User;

TEST_CASE("password: what is kept of one judges it, and no other") {
  const PasswordJudge judge("secret");
  User anne;
  anne.name = "anne";
  anne.verifiers = make_verifiers("correct horse");
  CHECK(anne.verifiers.crypt.starts_with("$y$"));
  CHECK(anne.verifiers.crypt.find("horse") == std::string::npos);
  CHECK(judge.right(anne, "correct horse"));
  for (const std::string& wrong : {std::string("correct hors"), std::string("Correct horse"), std::string(),
                                   std::string("correct horse\0x", 15), std::string(600, 'x')})
    CHECK_FALSE(judge.right(anne, wrong));
  CHECK_FALSE(judge.right(std::nullopt, "correct horse"));
  CHECK(make_verifiers("correct horse") != anne.verifiers);  // salts
  anne.verifiers.crypt = "$9$what";
  CHECK_FALSE(judge.right(anne, "correct horse"));
}

// RFC 4013 section 3: the octets that a client sends depend on its keyboard, those that are judged do not.
TEST_CASE("password: SASLprep, however it was typed") {
  const PasswordJudge judge("secret");
  User anne;
  anne.name = "anne";
  anne.verifiers = make_verifiers("Gr\xc3\xbc\xc3\x9f e \xe2\x85\xa8");
  CHECK(judge.right(anne, "Gr\xc3\xbc\xc3\x9f e \xe2\x85\xa8"));
  CHECK(judge.right(anne,
                    "Gru\xcc\x88\xc3\x9f\xc2\xa0"
                    "e IX"));                         // u and dots apart, a space that does not break
  CHECK_FALSE(judge.right(anne, "Gr\xfc\xdf e IX"));  // Latin-1
  CHECK_FALSE(judge.right(anne, "Gruess e IX"));
  anne.verifiers = make_verifiers("I\xc2\xadX");  // an invisible hyphen is nothing
  CHECK(judge.right(anne, "IX"));
}

TEST_CASE("password: SCRAM-SHA-256, the example of RFC 7677") {
  const PasswordJudge judge("secret");
  User user;
  user.name = "user";
  // Of the password "pencil", the salt of the example, 4096 iterations; computed with Python's hashlib.
  user.verifiers.salt = base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value();
  user.verifiers.iterations = 4096;
  user.verifiers.stored_key = base64_decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=").value();
  user.verifiers.server_key = base64_decode("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=").value();
  smtp::sasl::ScramProof proof;
  proof.auth_message =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
      "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  proof.proof = base64_decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").value();
  const auto signature = judge.signature(user, proof);
  REQUIRE(signature);
  CHECK(base64_encode(signature->octets) == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  CHECK_FALSE(judge.signature(std::nullopt, proof));
  for (const std::size_t at : {0u, 31u}) {
    auto wrong = proof;
    wrong.proof[at] ^= 1;
    CHECK_FALSE(judge.signature(user, wrong));
  }
  for (const char* text : {"", "x"}) {
    auto wrong = proof;
    wrong.proof = text;
    CHECK_FALSE(judge.signature(user, wrong));
  }
  proof.auth_message += "x";
  CHECK_FALSE(judge.signature(user, proof));
  CHECK(judge.salt("user", user).salt == user.verifiers.salt);
  CHECK(judge.salt("user", user).nonce != judge.salt("user", user).nonce);
  CHECK(judge.salt("user", user).nonce.find(',') == std::string::npos);
}

TEST_CASE("password: a user who does not exist looks like one who does") {
  const PasswordJudge judge("secret"), restarted("secret"), other("other");
  const auto salt = judge.salt("nobody", std::nullopt);
  CHECK(salt.salt == restarted.salt("nobody", std::nullopt).salt);
  CHECK(salt.salt != judge.salt("nobody2", std::nullopt).salt);
  CHECK(salt.salt != other.salt("nobody", std::nullopt).salt);
  const auto real = make_verifiers("x");
  CHECK(salt.iterations == real.iterations);
  CHECK(salt.salt.size() == real.salt.size());
  // The same work: crypt() runs for both. The least of some runs, as the machine is busy.
  User anne;
  anne.verifiers = make_verifiers("x");
  const auto least = [&](const std::optional<User>& user) {
    auto shortest = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 5; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      CHECK_FALSE(judge.right(user, "wrong"));
      shortest = std::min(shortest, std::chrono::steady_clock::now() - begun);
    }
    return shortest;
  };
  const auto wrong = least(anne), nobody = least(std::nullopt);
  CHECK(nobody * 2 > wrong);
  CHECK(wrong * 2 > nobody);
}

TEST_CASE("password: what must not be one") {
  CHECK_FALSE(password_fault("~ Pass w0rd"));
  for (const std::string& bad :
       {std::string(), std::string(501, 'x'), std::string("p\xe4ss"), std::string("a\tb"),
        std::string("a\0b", 3), std::string("a\xc2\x80"), std::string("\xc2\xad"),
        std::string("a\xd8\xa7"
                    "1"),
        std::string("\xf0\x9f\x98\x80")})
    CHECK(password_fault(bad));
}
