// Cooking: a post as its members get it (RFC 2369, 2919, 5064), as a change of its Draft.
//
// Guarantees: byte-preserving: a field that is neither removed nor replaced goes out exactly as it came in,
// in its place; the body is untouched. Ours go to the end. Replaced, never doubled:
// List-Id -Post -Help -Subscribe -Unsubscribe -Owner, Precedence (also `bulk` and `junk`: an answer to a list
// post must be known as such by every vacation program). Other lists' List-Archive and List-Unsubscribe-Post
// go too: with our List-Unsubscribe a one-click POST of theirs would make no sense. The loop guard is
// X-BeenThere with the list's address: another list on the way replaces List-Id but keeps this one, so two
// lists that are members of each other stop after one round. X-BeenThere of others stays for the same reason.
// See also: policy.hpp refuses a post that carries our List-Id, List-Post or X-BeenThere.
#pragma once
#include <string>
#include <string_view>

#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"

namespace spoold::list {

/// `message_id`: used when the post has none ("<id@host>"; empty: none is added).
void cook(mail::Draft& draft, const List& list, std::string_view message_id);

/// The fields that cook() adds at the end: also for messages a list sends itself.
std::string list_fields(const List& list);
/// "test.lists.example": what stands in the angle brackets of List-Id.
std::string list_id_text(const List& list);

}  // namespace spoold::list
