// What the fuzzer of DKIM2 runs: any octets as a message with a chain of its own. Whatever it says, a check ends, restores nothing
// that is larger than it may be, and what it says is printable.
#pragma once
#include "protocol/auth/dkim2.hpp"
#include "tests/fuzz/auth_entry.hpp"

namespace spoold::tests {

/// Not a hash: only its length counts here.
class Mixed : public auth::Digest {
 public:
  void update(std::string_view octets) override { size_ += octets.size(); }
  std::string finish() override { return std::string(32, static_cast<char>(size_ % 251)); }
  std::unique_ptr<auth::Digest> copy() const override { return std::make_unique<Mixed>(*this); }

 private:
  std::size_t size_ = 0;
};

/// The answers in up to 255 octets behind their size, then the message, whose lines may end with LF.
inline void fuzz_dkim2(std::string_view data) {
  Input in{data};
  const std::string answers = in.take(in.octet());
  std::string mail;
  for (const char c : in.take(data.size())) {
    if (c == '\n' && !mail.ends_with('\r')) mail += '\r';
    mail += c;
  }
  const auto header = mail::Header::scan(mail);
  if (!header) return;
  const std::string_view body = std::string_view(mail).substr(header->end());
  const auto digest = [] { return std::make_unique<Mixed>(); };
  auth::Dkim2Check check(*header,
                         {TimePoint(std::chrono::seconds(1'700'000'000)), "a@b.example", {"c@d.example"}},
                         digest, digest);
  check.body(body.substr(0, body.size() / 2));
  check.body(body.substr(body.size() / 2));
  check.body_end();
  Input from{answers};
  for (auto questions = check.ask(); !questions.empty(); questions = check.ask())
    for (const dns::Question& question : questions) {
      must(question.name.size() <= 253);
      check.answered(question, made_up_answer(from, question));
    }
  std::size_t proofs = 0;
  while (check.next_proof()) {
    check.proved(++proofs % 2 == 0 ? auth::Proved::yes : auth::Proved::no);
    must(proofs <= 10'000);
  }
  must(check.done());
  const auth::Dkim2Verdict verdict = check.verdict();
  must_be_printable(verdict.reason);
  must((verdict.result == auth::Dkim2Result::pass || verdict.result == auth::Dkim2Result::none) ==
       verdict.reason.empty());
  for (const auto& one : verdict.signatures)
    must_be_printable(one.reason + one.domain + one.selector + one.algorithm);
  for (std::uint64_t number = 0; number < 3; ++number)
    if (const auto instance = auth::instance_of(*header, body, number); !instance)
      must_be_printable(instance.error());
}

}  // namespace spoold::tests
