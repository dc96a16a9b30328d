// What the fuzzer and the replay of its corpus run: any lines as the client's side of an AUTH exchange. However they lie, an
// exchange ends, nobody is authenticated whose question was not answered with yes, and each challenge is one line of base64.
#pragma once
#include <string>

#include "protocol/mail/base64.hpp"
#include "protocol/smtp/sasl_server.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// The first octet says what the answers are; then lines. Octets behind "64:" go in base64.
inline void fuzz_sasl(std::string_view data) {
  using namespace smtp;
  Input in{data};
  const unsigned how = in.octet();
  const auto line = [&in] {
    std::string text = in.take(std::min(in.data.find('\n'), in.data.size()));
    in.take(1);
    return text.starts_with("64:") ? mail::base64_encode(text.substr(3)) : text;
  };
  SaslServer server;
  std::string user;
  unsigned proved = 0;
  static constexpr const char* mechanisms[] = {"PLAIN ", "LOGIN ", "SCRAM-SHA-256 ", ""};
  sasl::Step step = server.begin(mechanisms[how % 4] + line());
  for (int turns = 0;; ++turns) {
    must(turns < 8);
    if (std::holds_alternative<sasl::Authenticated>(step)) {
      must(proved == 1 && user == server.user() && user.find('A') == std::string::npos);
      return;
    }
    if (const auto* refusal = std::get_if<Reply>(&step)) {
      must(refusal->code >= 501 && refusal->code <= 535);
      return;
    }
    if (const auto* challenge = std::get_if<sasl::Challenge>(&step)) {
      must(mail::base64_decode(challenge->base64).has_value());
      step = server.take(line());
      continue;
    }
    if (const auto* password = std::get_if<sasl::Password>(&server.asked())) {
      user = password->user;
      if ((how & 4) != 0) {
        step = server.answered(sasl::wrong_credentials());
        continue;
      }
      ++proved;
      step = server.answered(sasl::Right{});
    } else if (const auto* keys = std::get_if<sasl::ScramKeys>(&server.asked())) {
      user = keys->user;
      step = server.answered(sasl::Salt{"salt", 4096, "S"});
    } else {
      const auto& proof = std::get<sasl::ScramProof>(server.asked());
      must(proof.user == user);
      must(proof.auth_message.find("S,s=c2FsdA==,i=4096,c=") != std::string::npos);
      if ((how & 4) != 0) {
        step = server.answered(sasl::wrong_credentials());
        continue;
      }
      ++proved;
      step = server.answered(sasl::Signature{"signature"});
    }
  }
}

}  // namespace spoold::tests
