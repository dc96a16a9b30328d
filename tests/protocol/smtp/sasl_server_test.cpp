#include "protocol/smtp/sasl_server.hpp"

#include <doctest/doctest.h>

#include "protocol/mail/base64.hpp"

using namespace spoold;
using namespace spoold::smtp;
using namespace std::string_literals;
using mail::base64_decode;
using mail::base64_encode;

namespace {

std::string challenge(const sasl::Step& step) {
  REQUIRE(std::holds_alternative<sasl::Challenge>(step));
  return base64_decode(std::get<sasl::Challenge>(step).base64).value();
}
int code(const sasl::Step& step) {
  REQUIRE(std::holds_alternative<Reply>(step));
  return std::get<Reply>(step).code;
}
const sasl::Password& password(const SaslServer& server, const sasl::Step& step) {
  REQUIRE(std::holds_alternative<sasl::Asked>(step));
  return std::get<sasl::Password>(server.asked());
}

// The example of RFC 7677 section 3.
const std::string client_nonce = "rOprNGfwEbeRWgbNEkqO", server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                  client_first = "n,,n=user,r=" + client_nonce,
                  server_first = "r=" + client_nonce + server_nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                  client_final_without_proof = "c=biws,r=" + client_nonce + server_nonce,
                  proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                  signature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
const sasl::Salt salt{base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value(), 4096, server_nonce};

sasl::Step scram(SaslServer& server, const std::string& first, const std::string& final) {
  server.begin("SCRAM-SHA-256 " + base64_encode(first));
  server.answered(salt);
  return server.take(base64_encode(final));
}

}  // namespace

TEST_CASE("sasl server: PLAIN, in one step and in two") {
  SaslServer server;
  const auto& asked =
      password(server, server.begin("plain " + base64_encode("\0Anne@Example.org\0se cret"s)));
  CHECK(asked.user == "anne@example.org");
  CHECK(asked.password == "se cret");
  CHECK(std::holds_alternative<sasl::Authenticated>(server.answered(sasl::Right{})));
  CHECK(server.user() == "anne@example.org");

  SaslServer slow;
  CHECK(challenge(slow.begin("PLAIN")) == "");
  CHECK(password(slow, slow.take(base64_encode("anne\0Anne\0x"s))).user == "anne");
  CHECK(code(slow.answered(sasl::wrong_credentials())) == 535);
}

TEST_CASE("sasl server: PLAIN for somebody else, and what is no PLAIN") {
  const auto begun = [](const std::string& message) {
    return code(SaslServer().begin("PLAIN " + base64_encode(message)));
  };
  CHECK(begun("bart\0anne\0x"s) == 535);
  for (const std::string& bad : {"anne"s, "anne\0x"s, "\0anne\0x\0"s, "\0\0\0\0"s}) CHECK(begun(bad) == 501);
  CHECK(code(SaslServer().begin("PLAIN =")) == 501);  // empty, and no credentials in it
}

TEST_CASE("sasl server: LOGIN, with the name in the command or asked for") {
  SaslServer server;
  CHECK(challenge(server.begin("LOGIN")) == "Username:");
  CHECK(challenge(server.take(base64_encode("Anne"))) == "Password:");
  CHECK(password(server, server.take(base64_encode("Secret"))).password == "Secret");
  SaslServer quick;
  CHECK(challenge(quick.begin("LOGIN " + base64_encode("anne"))) == "Password:");
  CHECK(password(quick, quick.take("")).password == "");
}

TEST_CASE("sasl server: cancelled, not base64, not offered") {
  for (const char* mechanism : {"PLAIN", "LOGIN", "SCRAM-SHA-256"}) {
    SaslServer server;
    server.begin(mechanism);
    CHECK(code(server.take("*")) == 501);
    SaslServer other;
    other.begin(mechanism);
    const auto step = other.take("AGF1");
    CHECK(std::holds_alternative<Reply>(step) == (mechanism[0] != 'L'));
  }
  for (const char* bad : {"a", "====", "AGF1=", "AG F", "AGFubmUAeA=\r"}) {
    SaslServer server;
    server.begin("PLAIN");
    CHECK(code(server.take(bad)) == 501);
  }
  CHECK(code(SaslServer().begin("SCRAM-SHA-256-PLUS")) == 504);
  CHECK(code(SaslServer().begin("CRAM-MD5")) == 504);
  CHECK(code(SaslServer().begin("")) == 501);
}

TEST_CASE("sasl server: SCRAM-SHA-256, the example of RFC 7677") {
  SaslServer server;
  REQUIRE(std::holds_alternative<sasl::Asked>(server.begin("SCRAM-SHA-256 " + base64_encode(client_first))));
  CHECK(std::get<sasl::ScramKeys>(server.asked()).user == "user");
  CHECK(challenge(server.answered(salt)) == server_first);
  REQUIRE(std::holds_alternative<sasl::Asked>(
      server.take(base64_encode(client_final_without_proof + ",p=" + proof))));
  const auto& asked = std::get<sasl::ScramProof>(server.asked());
  CHECK(asked.user == "user");
  CHECK(asked.proof == base64_decode(proof));
  CHECK(asked.auth_message == client_first.substr(3) + "," + server_first + "," + client_final_without_proof);
  CHECK(challenge(server.answered(sasl::Signature{base64_decode(signature).value()})) == "v=" + signature);
  CHECK(std::holds_alternative<sasl::Authenticated>(server.take("")));
  CHECK(server.user() == "user");
}

TEST_CASE("sasl server: SCRAM, the client's first message") {
  const auto begun = [](const std::string& message) {
    SaslServer server;
    return server.begin("SCRAM-SHA-256 " + base64_encode(message));
  };
  for (const std::string& good : {"y,,n=user,r=x"s, "n,a=User,n=uSER,r=x"s, "n,,n=a=2Cb=3D,r=x,ext=1"s})
    CHECK(std::holds_alternative<sasl::Asked>(begun(good)));
  CHECK(code(begun("n,a=bart,n=user,r=x")) == 535);
  for (const std::string& bad :
       {"p=tls-unique,,n=user,r=x"s, "x,,n=user,r=x"s, ",,n=user,r=x"s, "n,n=user,r=x"s, "n,,n=,r=x"s,
        "n,,n=us=er,r=x"s, "n,,n=user,r="s, "n,,n=user"s, "n,,m=1,n=user,r=x"s, "n,,r=x,n=user"s, "n"s,
        "n,,n=us\0er,r=x"s, "n,,n=user,r=a b"s, "n,b=user,n=user,r=x"s})
    CHECK(code(begun(bad)) == 501);
  SaslServer decoded;
  decoded.begin("SCRAM-SHA-256 " + base64_encode("n,,n=a=2Cb=3DC,r=x"));
  CHECK(std::get<sasl::ScramKeys>(decoded.asked()).user == "a,b=c");
}

TEST_CASE("sasl server: SCRAM, a final message that is not of this exchange") {
  const std::string nonce = client_nonce + server_nonce;
  const auto ended = [](const std::string& first, const std::string& final) {
    SaslServer server;
    return scram(server, first, final);
  };
  CHECK(code(ended(client_first, "c=biws,r=" + client_nonce + ",p=" + proof)) == 535);
  CHECK(code(ended(client_first, "c=eSws,r=" + nonce + ",p=" + proof)) ==
        535);  // "y,,": not what was begun with
  CHECK(std::holds_alternative<sasl::Asked>(
      ended("y,,n=user,r=" + client_nonce, "c=eSws,r=" + nonce + ",p=" + proof)));
  for (const std::string& bad :
       {"c=biws,r=" + nonce, "r=" + nonce + ",c=biws,p=" + proof, "c=biws,p=" + proof,
        "c=b,r=" + nonce + ",p=" + proof, "c=biws,r=" + nonce + ",p=" + proof + ",x=y"})
    CHECK(code(ended(client_first, bad)) == 501);
  // A wrong proof is refused by the answer; a right one ends with an empty response and nothing else.
  SaslServer server;
  scram(server, client_first, client_final_without_proof + ",p=" + proof);
  server.answered(sasl::Signature{"x"});
  CHECK(code(server.take("eA==")) == 501);
}
