// Cooking: a post as its members get it (RFC 2369, 2919, 5064), as a change of its Draft.
//
// Guarantees: byte-preserving: a field that is neither removed nor replaced goes out exactly as it came in,
// in its place; of the body as decorate.hpp says. Ours go to the end. Replaced, never doubled:
// List-Id -Post -Help -Subscribe -Unsubscribe -Owner, Precedence (also `bulk` and `junk`: an answer to a list
// post must be known as such by every vacation program). Other lists' List-Archive and List-Unsubscribe-Post
// go too: with our List-Unsubscribe a one-click POST of theirs would make no sense. The loop guard is
// X-BeenThere with the list's address: another list on the way replaces List-Id but keeps this one, so two
// lists that are members of each other stop after one round. X-BeenThere of others stays for the same reason.
// `reply_to` stands in front of whom the poster's own Reply-To names. An anonymous list
// removes all that may name him: From, Reply-To, Sender, the way that the message came, signatures, X- fields, Message-ID.
// Parts that members do not get: filter.hpp. From and authors' signatures: align.hpp. `transparent`: nothing is changed, fields are only added, at the top; one that a
// signature of the post forbids is left out, and of Return-Path, Bcc and TLS-Required what no signature covers is removed.
// See also: policy.hpp refuses a post that carries our List-Id, List-Post or X-BeenThere.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/align.hpp"
#include "protocol/list/filter.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::list {

/// What a post is cooked with, besides its list.
struct Cooking {
  std::string_view message_id = {};  // used when the post has none ("<id@host>"; empty: none is added)
  std::string_view date = {};        // likewise (RFC 5322 3.3)
  std::uint32_t post = 0;            // its number
  std::string_view tail = {};        // decorate.hpp
  std::string_view unique = {};      // likewise
  const Authenticity* authenticity = nullptr;  // align.hpp; absent: nothing is done about From and signatures
  std::string_view poster_name = {};           // of the member, for a From without a name
  const Filtered* filtered = nullptr;          // filter.hpp; absent: no part is removed
};
struct Cooked {
  std::vector<Step> steps;
  std::optional<smtp::Reply> refusal;  // dmarc = reject; the draft is of no use then
};
Cooked cook(mail::Draft& draft, const List& list, const Cooking& cooking);

/// The fields that cook() adds at the end: also for messages a list sends itself. With a blank where one_click is set.
std::vector<mail::Own> list_fields(const List& list);
/// The loop guard of a list, as a field.
std::string been_there(const List& list);
/// "test.lists.example": what stands in the angle brackets of List-Id.
std::string list_id_text(const List& list);

}  // namespace spoold::list
