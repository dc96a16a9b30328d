// DKIM2 fields of our own (draft-ietf-dkim-dkim2-spec-06 5 to 9): the recipes that lead from a copy back to the post, the
// Message-Instance that carries them, and the DKIM2-Signature. Pure: hashes and signatures come from outside.
//
//   const MadeRecipes recipes = recipes_of(draft, content);                 // when the post is accepted
//   field = instance_field(1, recipes.json) + VALUE + ";\r\n";              // VALUE: hash_value(), when a copy goes out
//   const Dkim2ToSign made = dkim2_to_sign(dkim2_chain(fields).with(VALUE), {...});
//   field = dkim2_signed_field(made, key.sign(made.octets));
//
// Guarantees: the recipes follow from what the draft changed, without a comparison of the two bodies: their size is that of the
// changes, and of the body only the ends of lines are counted. undone() of them is the message as it was received, as the draft
// compares it: of fields that are hashed (4), their values; of the body, its simple form. What a recipe cannot say is left out
// and said in the result. The same arguments give the same octets.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/dkim2_fields.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/time.hpp"

namespace spoold::auth {

struct MadeRecipes {
  std::string json;        // empty: neither a field that is hashed nor the body was changed
  bool complete = true;    // false: some field before cannot be had
  bool body_lost = false;  // the recipes say that the body before cannot be had (5.2)
};

/// JSON of more octets would pass what receivers take for one field. A body whose recipe is larger is lost, as one is that a
/// recipe cannot say (it is no UTF-8).
constexpr std::size_t most_recipes = 32 << 10;
/// `content`: all of it, as received. `body_secret`: what was removed from the body is nobody's to have back. Nor are Bcc and
/// passwords of moderators: they are left out.
MadeRecipes recipes_of(const mail::Draft& draft, std::string_view content, bool body_secret = false);

/// No field that is hashed was removed or replaced, and the body is as it was: what `donotmodify` allows (8.10).
bool only_adds(const mail::Draft& draft);

/// What the DKIM2 fields of a message as it came say of its way here.
struct Dkim2Came {
  bool any = false;                             // there are some
  bool whole = false;                           // no number is missing or there twice, and all can be read
  std::uint64_t instances = 0, signatures = 0;  // the highest m= and i=
  std::vector<Dkim2Signature> chain = {};       // i= 1, 2, ...
  /// A next signature of `domain` with this domain in its envelope sender continues the chain (9.2), and until `until` no
  /// signature is too old (11.3).
  bool leads_to(std::string_view domain, TimePoint until) const;
};
Dkim2Came dkim2_came(const mail::Header& header);

/// What earlier hops ask of those behind them (8.10), whether their signatures verify or not.
struct Dkim2Requests {
  bool do_not_modify = false, do_not_explode = false;
};
Dkim2Requests dkim2_requests(const std::vector<mail::Field>& fields);

/// Of a copy that comes back: its last signature, and what that signs.
struct Dkim2Returned {
  std::string domain, selector;
  std::string mail_from, rcpt_to;  // without angle brackets
  std::string octets, signature;
};
/// Of the fields of the copy. Nothing: no signature of one recipient's copy can be read in them.
std::optional<Dkim2Returned> dkim2_returned(const std::vector<mail::Field>& fields);

/// "Message-Instance: m=2; r=...; h=", folded: the value of h= and ";\r\n" follow. `json`: of the recipes; empty: none.
std::string instance_field(std::uint64_t number, std::string_view json);
/// The value of h=, folded. SHA-256, octets.
std::string hash_value(std::string_view header_hash, std::string_view body_hash);

/// What a signature covers besides itself.
struct Dkim2Chain {
  std::uint64_t instances = 0, signatures = 0;  // the highest m= and i=
  std::string before, after;  // canonical; the value of h= in the last Message-Instance is between them
  std::string with(std::string_view hash_value) const;
};
/// Of the fields of a copy, in which the last Message-Instance has no value of h= yet.
Dkim2Chain dkim2_chain(const std::vector<mail::Field>& fields);

struct Dkim2SignAs {
  std::string_view domain, selector;
  KeyType type = KeyType::ed25519;
  std::string_view mail_from, rcpt_to;  // as in the transaction, without angle brackets
  TimePoint at{};
};
struct Dkim2ToSign {
  std::string field;   // up to the value in s=
  std::string octets;  // as ToSign::octets
};
/// The next signature of one of the copies that go to many: f=exploded. With the null sender it is a report, of which there is one.
Dkim2ToSign dkim2_to_sign(const Dkim2Chain& chain, std::string_view hash_value, const Dkim2SignAs& as);
std::string dkim2_signed_field(const Dkim2ToSign& made, std::string_view signature);

}  // namespace spoold::auth
