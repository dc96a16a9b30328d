// The list's header and footer on a post (RFC 2045, 2046): appended to a lone text in its own charset and encoding, else in
// parts of their own around the post.
//
//   text/plain alone                         in the text; where that cannot be (another charset, other octets): around
//   multipart, HTML, attachments             multipart/mixed: header, the post, footer
//   signed, encrypted, protected header,     untouched
//   reaction
//
// Guarantees: no octet of the body is changed but the last line of base64, which is encoded anew with the footer behind it, and
// which is restored from the post. See also: text.hpp (what stands in them), personal.hpp (blanks).
#pragma once
#include <algorithm>
#include <string_view>

#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"

namespace spoold::list {

/// What it did, for people.
enum class Decorated { none, in_the_text, around };

/// `tail`: tail_of the content up to the end of the draft's body. `unique`: letters and digits that no
/// other message has, for the boundary.
/// `wrapped`: not empty: the header of the post as a message of its own, with its line ends. The post becomes a part of type
/// message/rfc822, in which nothing is changed, and header and footer stand around it, whatever the post is.
constexpr std::size_t most_tail = 4096;
constexpr std::string_view tail_of(std::string_view octets) {
  return octets.substr(octets.size() - std::min(octets.size(), most_tail));
}
Decorated decorate(mail::Draft& draft, const List& list, std::string_view tail, std::string_view unique,
                   std::string_view wrapped = {});

}  // namespace spoold::list
