#include "protocol/auth/alignment.hpp"

#include <algorithm>

#include "protocol/auth/results.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {

Alignment::Alignment(const mail::Header& header, const Verified* verified, bool signed_by_us)
    : header_(header),
      verified_(verified),
      signed_by_us_(signed_by_us),
      fields_(header.fields()),
      author_domain_(as_name(auth::author_domain(header))) {
  const bool known = verified != nullptr && verified->dmarc;
  for (const mail::Field& field : header.fields()) {
    if (!mail::same(mail::trim(field.name), "DKIM-Signature")) continue;
    // At that time no signature had expired: what verified on arrival is known, and only what it covers is read here.
    const DkimSignature read = DkimSignature::parse(field.value, TimePoint{});
    Signature& one = signatures_.emplace_back();
    one.field = &field;
    one.names = read.fields;
    one.relaxed = read.relaxed_header;
    one.well_formed = !read.fault;
    one.unknown = !known;
    const std::size_t at = signatures_.size() - 1;
    if (!known || at >= verified->dkim.size() || verified->dkim[at].result != DkimResult::pass) continue;
    one.verified = true;
    const std::string domain = as_name(verified->dkim[at].domain);
    // RFC 9989 4.4: as the record of the author's domain says. Without a record the domain itself counts.
    one.of_author =
        domain == author_domain_ ||
        std::ranges::any_of(verified->dmarc->alignments, [&](const DmarcVerdict::Alignment& alignment) {
          return alignment.aligned && alignment.identifier.by == Identifier::By::dkim &&
                 as_name(alignment.identifier.domain) == domain;
        });
  }
}

list::Authenticity::Policy Alignment::policy() const {
  if (verified_ == nullptr || !verified_->dmarc) return Policy::reject;
  const DmarcVerdict& dmarc = *verified_->dmarc;
  if (!dmarc.policy) return dmarc.result == DmarcResult::temperror ? Policy::reject : Policy::none;
  const bool testing = dmarc.record && dmarc.record->testing;  // one step less (4.7)
  switch (*dmarc.policy) {
    case DmarcPolicy::none:
      break;
    case DmarcPolicy::quarantine:
      return testing ? Policy::none : Policy::quarantine;
    case DmarcPolicy::reject:
      return testing ? Policy::quarantine : Policy::reject;
  }
  return Policy::none;
}

std::vector<bool> Alignment::intact(const mail::Draft& draft) const {
  std::vector<bool> all(signatures_.size(), false);
  if (signatures_.empty() || draft.body_edited()) return all;
  const std::string octets = draft.header();
  const auto cooked = mail::Header::scan(octets);
  return cooked ? intact(*cooked) : all;
}

std::vector<bool> Alignment::intact(const mail::Header& now) const {
  std::vector<bool> all(signatures_.size(), false);
  const SignedFields fields(now.fields());
  for (std::size_t i = 0; i < signatures_.size(); ++i) {
    const Signature& one = signatures_[i];
    const auto own =
        std::ranges::find_if(now.fields(), [&](const mail::Field& f) { return f.raw == one.field->raw; });
    all[i] = one.well_formed && own != now.fields().end() &&
             fields.of(one.names, one.relaxed, &*own) == fields_.of(one.names, one.relaxed, one.field);
  }
  return all;
}

Verified after_changes(const Verified& verified, const mail::Header& received, const mail::Header& now,
                       bool body_changed) {
  Verified left = verified;
  left.dkim.clear();
  if (left.dkim2 && (body_changed || hashed_fields(received.fields()) != hashed_fields(now.fields())))
    left.dkim2->result = Dkim2Result::fail;
  const Alignment before(received, &verified);
  const std::vector<bool> holds = before.intact(now);
  for (const mail::Field& field : now.fields()) {
    if (!mail::same(mail::trim(field.name), "DKIM-Signature")) continue;
    DkimVerdict& verdict = left.dkim.emplace_back();
    for (std::size_t i = 0; i < before.signatures_.size() && i < verified.dkim.size(); ++i) {
      if (before.signatures_[i].field->raw != field.raw) continue;
      verdict = verified.dkim[i];
      if (verdict.result == DkimResult::pass && (body_changed || !holds[i]))
        verdict.result = DkimResult::fail;
      break;
    }
  }
  return left;
}

bool Alignment::aligned(const mail::Draft& draft) const {
  if (signed_by_us_) return true;
  const auto of_author = [](const Signature& one) { return one.verified && one.of_author; };
  if (std::ranges::none_of(signatures_, of_author)) return false;
  const std::vector<bool> holds = intact(draft);
  for (std::size_t i = 0; i < signatures_.size(); ++i)
    if (of_author(signatures_[i]) && holds[i]) return true;
  return false;
}

// Where nothing was verified, a signature whose fields and body are as they came may hold.
std::vector<mail::Field> Alignment::broken(const mail::Draft& draft) const {
  const std::vector<bool> holds = intact(draft);
  std::vector<mail::Field> all;
  for (std::size_t i = 0; i < signatures_.size(); ++i)
    if (!holds[i] || (!signatures_[i].verified && !signatures_[i].unknown))
      all.push_back(*signatures_[i].field);
  return all;
}

bool Alignment::over_signed(std::string_view name) const {
  const auto there = static_cast<std::ptrdiff_t>(header_.count(name));
  return std::ranges::any_of(signatures_, [&](const Signature& one) {
    return std::ranges::count_if(one.names, [&](const std::string& n) { return mail::same(n, name); }) >
           there;
  });
}

bool Alignment::is_signed(std::string_view name) const {
  return std::ranges::any_of(signatures_, [&](const Signature& one) {
    return std::ranges::any_of(one.names, [&](const std::string& n) { return mail::same(n, name); });
  });
}

}  // namespace spoold::auth
