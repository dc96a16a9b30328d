// What a list does so that receivers do not refuse its copies for DMARC (RFC 9989): the domain in From needs a signature or an
// envelope of its own, and a copy has the list's envelope.
//
//   accept   nothing
//   munge    From becomes "Anna via Test" <test@lists.example>; the author stands in Reply-To
//   wrap     the post goes out whole, signatures and all, as a part of a message of the list
//   reject   the post is refused in the transaction
//
// `dmarc_when` says when: unaligned (no signature of the author's domain that verified on arrival verifies in the copy),
// reject and quarantine (and the author's domain publishes such a policy), always. What is not known counts as the stricter case.
// An anonymous list has From for itself, and a transparent one changes nothing: there only reject acts.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/settings.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/draft.hpp"

namespace spoold::list {

/// What is known of a post's author: protocol/auth/alignment answers it from what was verified on arrival.
class Authenticity {
 public:
  enum class Policy : std::uint8_t { none, quarantine, reject };

  virtual ~Authenticity() = default;
  /// Lower case; empty: From has no address, or addresses of several domains.
  virtual const std::string& author_domain() const = 0;
  /// That the author's domain publishes; reject where it is not known.
  virtual Policy policy() const = 0;
  /// Some signature of the author's domain that verified on arrival verifies in the draft.
  virtual bool aligned(const mail::Draft& draft) const = 0;
  /// The DKIM-Signature fields that do not verify in the draft.
  virtual std::vector<mail::Field> broken(const mail::Draft& draft) const = 0;
  /// Some signature covers more fields of that name than there are: one more would break it (RFC 6376 8.15).
  virtual bool over_signed(std::string_view name) const = 0;
  /// Some signature covers the fields of that name.
  virtual bool is_signed(std::string_view name) const = 0;
};

/// What cooking asks about the author of a post to this list: nothing; whether signatures verify; also the policy of the
/// author's domain, which counts where nothing is signed, too.
enum class AsksOfAuthor : std::uint8_t { nothing, signatures, policy };
AsksOfAuthor asks_of_author(const Settings&);

/// Must something be done about From? Of a draft that is cooked otherwise.
bool is_unaligned(const Settings&, const Authenticity&, const mail::Draft&);

/// munge. `poster_name`: of the member, for a From without a name.
void munge(mail::Draft&, const List&, std::string_view poster_name);

/// A display name as it is written again: encoded words that are well-formed stay, anything else is a phrase of its text.
std::string phrase_of(std::string_view display_name);
/// An address with its display name, for a field.
std::string written(const mail::NameAddr&);

}  // namespace spoold::list
