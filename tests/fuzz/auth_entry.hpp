// What the fuzzers of protocol/auth run: any octets as records and answers. However they lie, a check ends within its bounds,
// and what it says about them is printable.
#pragma once
#include <algorithm>
#include <string_view>

#include "protocol/auth/results.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

inline void must_be_printable(const std::string& text) {
  must(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

/// One octet of status and number, then each record behind its size: for TXT and without a choice the text of the record.
inline dns::Answer made_up_answer(Input& in, const dns::Question& question) {
  dns::Answer answer;
  const unsigned how = in.octet();
  answer.status = static_cast<dns::Answer::Status>(how % 8 < 4 ? 0 : (how % 8) - 3);
  if (answer.temporary()) answer.why = in.take(in.octet() % 8);
  if (answer.status != dns::Answer::Status::ok) return answer;
  for (unsigned n = how / 16 + 1; n > 0; --n) {
    std::string octets = in.take(in.octet());
    if (question.type == dns::Type::txt && octets.size() < 256)
      octets.insert(0, 1, static_cast<char>(octets.size()));
    if (question.type == dns::Type::a) octets.resize(4, '\1');
    answer.records.push_back(std::move(octets));
  }
  return answer;
}

template <class Check>
void answer_all(Check& check, Input& in, std::size_t most) {
  std::size_t asked = 0;
  while (!check.done()) {
    const auto questions = check.ask();
    must(!questions.empty());
    asked += questions.size();
    must(asked <= most);
    for (const dns::Question& question : questions) {
      must(question.name.size() <= 253 || question.type == dns::Type::ptr);
      check.answered(question, made_up_answer(in, question));
    }
  }
}

/// The client's family and address in 17 octets, HELO and MAIL FROM behind their sizes, then the answers.
inline void fuzz_spf(std::string_view data) {
  Input in{data};
  auth::SpfQuery query;
  query.client.v6 = (in.octet() & 1) != 0;
  for (auto& octet : query.client.octets) octet = static_cast<std::uint8_t>(in.octet());
  query.helo = in.take(in.octet());
  query.mail_from = in.take(in.octet());
  query.now = TimePoint(std::chrono::seconds(1'700'000'000));
  auth::SpfCheck check(std::move(query));
  answer_all(check, in, 300);
  const auth::SpfVerdict& verdict = check.verdict();
  must(verdict.lookups <= auth::SpfCheck::most_lookups + 1);
  must_be_printable(verdict.explanation);
  must_be_printable(verdict.problem);
  must_be_printable(verdict.mechanism);
}

/// The author's domain and up to three identifiers behind their sizes, then the answers.
inline void fuzz_dmarc(std::string_view data) {
  Input in{data};
  auth::DmarcQuery query;
  query.author_domain = in.take(in.octet());
  for (unsigned n = in.octet() % 4; n > 0; --n)
    query.identifiers.push_back(
        {n % 2 == 0 ? auth::Identifier::By::spf : auth::Identifier::By::dkim, in.take(in.octet())});
  auth::DmarcCheck check(std::move(query));
  answer_all(check, in, 8 * 4 + 1);
  const auth::DmarcVerdict& verdict = check.verdict();
  must(verdict.walk.size() <= 8);
  must(verdict.result == auth::DmarcResult::fail || verdict.disposition == auth::DmarcPolicy::none);
  must_be_printable(verdict.problem);
}

/// Counts octets instead of hashing them.
class Counted : public auth::Digest {
 public:
  void update(std::string_view octets) override { size_ += octets.size(); }
  std::string finish() override { return std::to_string(size_ % 2); }
  std::unique_ptr<auth::Digest> copy() const override { return std::make_unique<Counted>(*this); }

 private:
  std::size_t size_ = 0;
};

/// The size of the answers in two octets, the answers, and then the mail.
inline void fuzz_dkim(std::string_view data) {
  Input in{data};
  const std::size_t size = in.octet() * 256 + in.octet();
  const std::string answers = in.take(size);
  Input from_dns{answers};
  const auto header = mail::Header::scan(in.data);
  if (!header) return;
  auth::DkimCheck check(*header, TimePoint(std::chrono::seconds(1'700'000'000)),
                        [] { return std::make_unique<Counted>(); });
  const std::string_view body = in.data.substr(header->end());
  check.body(body.substr(0, body.size() / 2));
  check.body(body.substr(body.size() / 2));
  check.body_end();
  for (const auto& question : check.ask()) check.answered(question, made_up_answer(from_dns, question));
  std::size_t proofs = 0;
  while (const auto proof = check.next_proof()) {
    must(++proofs <= auth::DkimCheck::most_signatures * auth::DkimCheck::most_keys);
    must(!proof->key.empty() && !proof->signature.empty());
    check.proved(static_cast<auth::Proved>((proofs + proof->octets.size()) % 5));
  }
  must(check.done());
  const auto verdicts = check.verdicts();
  for (const auto& one : verdicts) must_be_printable(one.reason + one.domain + one.selector + one.algorithm);
  auth::Verified found;
  found.dkim = verdicts;
  found.spf.emplace();
  found.dmarc.emplace();
  const std::string field = auth::authentication_results("mx.example.org", found);
  must(std::count(field.begin(), field.end(), '\n') ==
       static_cast<std::ptrdiff_t>(std::max<std::size_t>(verdicts.size(), 1) + 3));
}

}  // namespace spoold::tests
