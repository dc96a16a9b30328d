// What was verified on arrival, as lists ask for it (list/align.hpp): whose signatures still hold in a copy?
//
// Guarantees: nothing is verified again and nothing is asked of the DNS: a signature that verified holds in the draft when its
// own field, the fields that it covers and the body are there as they came, in its canonical form. One that covers a part of the
// body (l=) counts as broken by any change of the body. The work is linear in the header, for each signature.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/verified.hpp"
#include "protocol/list/align.hpp"

namespace spoold::auth {

class Alignment final : public list::Authenticity {
 public:
  /// `header`: of the message as it was received. Both must live longer. Absent: nothing was verified. `signed_by_us`: each copy
  /// gets a signature of the author's domain by a key of ours, so it is aligned whatever was verified.
  Alignment(const mail::Header& header, const Verified* verified, bool signed_by_us = false);

  const std::string& author_domain() const override { return author_domain_; }
  Policy policy() const override;
  bool aligned(const mail::Draft& draft) const override;
  std::vector<mail::Field> broken(const mail::Draft& draft) const override;
  bool over_signed(std::string_view name) const override;
  bool is_signed(std::string_view name) const override;

 private:
  struct Signature {
    const mail::Field* field = nullptr;
    std::vector<std::string> names;  // h=, in lower case
    bool relaxed = false;
    bool well_formed = false, verified = false, unknown = false, of_author = false;
  };
  /// For each signature: is all that it covers in the draft?
  std::vector<bool> intact(const mail::Draft& draft) const;
  std::vector<bool> intact(const mail::Header& now) const;
  friend Verified after_changes(const Verified&, const mail::Header&, const mail::Header&, bool);

  const mail::Header& header_;
  const Verified* verified_;
  const bool signed_by_us_;
  SignedFields fields_;
  std::string author_domain_;
  std::vector<Signature> signatures_;  // the topmost first
};

/// What still holds of what was verified, once filters have changed the message: one verdict for each DKIM-Signature of the header
/// as it is now. Signatures of filters were not verified, and those that cover what was changed have failed.
Verified after_changes(const Verified& verified, const mail::Header& received, const mail::Header& now,
                       bool body_changed);

}  // namespace spoold::auth
