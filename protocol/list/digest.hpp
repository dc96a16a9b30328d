// Digests: several posts in one message, for members who want fewer of them. Which posts, and when: store/spool/digest.hpp,
// server/office/digests.hpp. Here is what a digest looks like, in both forms:
//
//   mime   multipart/mixed of a table of contents (text/plain), the posts (multipart/digest, RFC 2046 5.1.5) and the list's footer.
//          Each post is a message/rfc822 with the header fields that a reader needs, its body octet for octet.
//   plain  one text (RFC 1153): the table of contents, then each post's main fields and its text in UTF-8. What is no text is named
//          and left out.
//
// Posts come in as members get them one by one, but without prefix, header and footer of the list. Bounds: as many octets as the
// posts have, and a bounded number for each post.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/time.hpp"

namespace spoold::list {

struct DigestPost {
  std::uint32_t number = 0;
  std::string message;  // header, blank line, body; CRLF
};

struct DigestIssue {
  std::uint32_t volume = 1, issue = 1;
  TimePoint at{};
  std::string unique;      // of this digest: names its Message-ID and the boundaries
  std::string message_id;  // with brackets
};

struct Digest {
  std::string head;             // with the blank line; where there is `more`: up to the first blank of it
  std::vector<mail::Own> more;  // of the head: a blank and what is behind it (one_click)
  std::string body;
};

/// "Test Digest, Vol 3, Issue 12"
std::string digest_title(const List&, const DigestIssue&);
/// Where the list has one_click, List-Unsubscribe is an address of each member's own: `more`.
Digest digest(const List&, const DigestIssue&, const std::vector<DigestPost>&, DigestForm);

/// The list as it cooks posts for digests and for archives: without what stands around a post, and without values of members.
List for_digest(const List&);

/// What a post counts towards DigestRules::size, and whether a digest is due.
bool digest_due(const DigestRules&, std::uint64_t octets, TimePoint first, TimePoint now);
/// Volumes are months (UTC): the first issue of a month begins a new one.
std::uint32_t month_of(TimePoint);

}  // namespace spoold::list
