#include "protocol/auth/dkim.hpp"

#include <algorithm>

#include "protocol/auth/tag_list.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

bool is_signature(const mail::Field& field) {
  return mail::same(mail::trim(field.name), "DKIM-Signature");
}

}  // namespace

bool has_signatures(const mail::Header& header) {
  return std::ranges::any_of(header.fields(), is_signature);
}

DkimCheck::DkimCheck(const mail::Header& header, TimePoint now, const NewDigest& digest)
    : fields_(header.fields()) {
  for (const mail::Field& field : header.fields()) {
    if (!is_signature(field)) continue;
    One one;
    one.field = &field;
    one.signature = DkimSignature::parse(field.value, now);
    one.verdict = one.signature.fault;
    if (!one.verdict && all_.size() >= most_signatures)
      one.verdict = DkimFault{DkimResult::policy, "the message has more signatures than are looked at"};
    if (!one.verdict) {
      one.body = body_hash(one.signature, digest);
      lookups_.find(as_name(one.signature.key_name()), dns::Type::txt);
    }
    all_.push_back(std::move(one));
  }
}

/// Signatures with the same canonical form of the body share its hash.
BodyHash* DkimCheck::body_hash(const DkimSignature& signature, const NewDigest& digest) {
  for (BodyHash& body : bodies_)
    if (body.relaxed() == signature.relaxed_body && body.limit() == signature.body_length) return &body;
  return &bodies_.emplace_back(signature.relaxed_body, signature.body_length, digest);
}

void DkimCheck::body(std::string_view octets) {
  for (BodyHash& body : bodies_) body.update(octets);
}

void DkimCheck::body_end() {
  ended_ = true;
  for (BodyHash& body : bodies_) {
    const auto hash = body.finish();
    for (One& one : all_) {
      if (one.body != &body || one.verdict) continue;
      if (!hash)
        one.verdict = DkimFault{DkimResult::fail, "the body is shorter than l= says"};
      else if (*hash != one.signature.body_hash)
        one.verdict = DkimFault{DkimResult::fail, "the body hash does not match"};
    }
  }
}

void DkimCheck::answered(const dns::Question& question, dns::Answer answer) {
  for (One& one : all_)
    if (!one.signature.fault && as_name(one.signature.key_name()) == question.name) take_keys(one, answer);
  lookups_.answered(question, std::move(answer));
}

void DkimCheck::take_keys(One& one, const dns::Answer& answer) {
  if (one.has_keys) return;
  one.has_keys = true;
  DkimFault fault{DkimResult::permerror, "there is no key " + printable(one.signature.key_name())};
  if (answer.temporary())
    fault = {DkimResult::temperror,
             "DNS: TXT of " + printable(one.signature.key_name()) + ": " + printable(answer.why)};
  for (std::size_t i = 0; i < std::min(answer.records.size(), most_keys); ++i) {
    const auto txt = dns::parse_txt(answer.records[i]);
    auto key = txt ? DkimKey::parse(*txt, one.signature)
                   : tl::expected<DkimKey, std::string>(tl::unexpect, "the key record is none");
    if (key)
      one.keys.push_back(std::move(*key));
    else
      fault.reason = key.error();
  }
  if (one.keys.empty() && !one.verdict) one.verdict = std::move(fault);
}

std::optional<Proof> DkimCheck::next_proof() {
  if (!ended_ || lookups_.owed()) return std::nullopt;
  for (const One& one : all_)
    if (!one.verdict)
      return Proof{one.keys.front().type, one.keys.front().octets, one.signature.signature,
                   fields_.of(one.signature.fields, one.signature.relaxed_header, one.field)};
  return std::nullopt;
}

void DkimCheck::proved(Proved proved) {
  const auto one = std::find_if(all_.begin(), all_.end(), [](const One& o) { return !o.verdict; });
  if (one == all_.end() || one->keys.empty()) return;
  one->testing = one->keys.front().testing;
  one->keys.pop_front();
  if (proved != Proved::yes && !one->keys.empty()) return;  // another record may be the one (6.1.2)
  switch (proved) {
    case Proved::yes:
      one->verdict = DkimFault{DkimResult::pass, ""};
      break;
    case Proved::no:
      one->verdict = DkimFault{DkimResult::fail, "the signature does not match"};
      break;
    case Proved::weak_key:
      one->verdict = DkimFault{DkimResult::policy, "RSA keys under 1024 bits are not accepted (RFC 8301)"};
      break;
    case Proved::no_key:
      one->verdict = DkimFault{DkimResult::permerror, "key syntax: p= is not a key of its type"};
      break;
    case Proved::unavailable:
      one->verdict = DkimFault{DkimResult::temperror, "too many signatures are verified at a time"};
      break;
  }
}

bool DkimCheck::done() const {
  return ended_ && !lookups_.owed() &&
         std::all_of(all_.begin(), all_.end(), [](const One& one) { return one.verdict.has_value(); });
}

std::vector<DkimVerdict> DkimCheck::verdicts() const {
  std::vector<DkimVerdict> verdicts;
  for (const One& one : all_) {
    DkimVerdict verdict;
    verdict.domain = printable(one.signature.domain);
    verdict.selector = printable(one.signature.selector);
    verdict.algorithm = printable(one.signature.algorithm);
    if (const auto tags = TagList::parse(one.field->value))
      verdict.signature = without_folding(tags->find("b").value_or("")).substr(0, 8);
    if (one.verdict) verdict.result = one.verdict->result, verdict.reason = one.verdict->reason;
    verdict.testing = one.testing;
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

}  // namespace spoold::auth
