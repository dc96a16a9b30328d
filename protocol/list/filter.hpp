// The content filter: which parts of a post (RFC 2046) members do not get, by media type and by the extension of a file name.
//
//   filter_types            a part of such a type is removed, with all that is in it
//   pass_types              a part of any other type is removed; a multipart is what is in it, and needs not be named
//   filter_extensions       a part that names such a file is removed
//   collapse_alternatives   of the alternatives that are left the first one that is not blank goes out alone
//
// What then follows: a multipart or an enclosed message in which nothing is left is removed. A multipart of which one part is left
// becomes that part. Of a signed part in which something was removed the content is left, without the signature, which would
// fail. Of an encrypted part all or nothing is left. Nothing is converted. When nothing is left of the post, or its parts cannot
// be read (mime::Fault), filter_action decides what becomes of it; in a transparent list, which changes nothing, as soon as
// anything would be removed.
//
// Guarantees: pure; each octet that stays is as it came, so a Draft knows the way back. Linear in the number of parts and in the
// length of lines around them. See also: mime/parts.hpp, mime/file_name.hpp, cook.hpp (applies it).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/list/policy.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/mime/parts.hpp"

namespace spoold::list {

/// One change of a post, for `spoolctl cook --explain`.
struct Step {
  std::string setting, what;
};

using Parts = tl::expected<std::vector<mime::Part>, mime::Fault>;

/// What the filter does to one post.
struct Filtered {
  struct Edit {
    std::uint64_t from = 0, to = 0;  // octets of the content that are removed
    std::string own;                 // in their place
  };
  std::vector<Edit> edits;  // in the order of their places
  /// The post becomes one of its parts: the fields of that part that say what it is, for the Content fields of the post.
  std::optional<std::string> fields;
  std::uint64_t begin = 0, end = 0;  // of the body that is left, in the content
  std::vector<Step> steps;
  struct Nothing {
    const char* rule = "";  // the setting
    std::string reason;
  };
  std::optional<Nothing> nothing;  // is left; then nothing is done to the post

  /// The post stays as it is.
  bool idle() const { return edits.empty() && !fields; }
};

/// `content`: the whole post; `parts`: mime::parts_of(content).
Filtered filtered(const List& list, std::string_view content, const Parts& parts);

/// Into a draft of the same content in which the body is untouched.
void apply(const Filtered& filtered, mail::Draft& draft);

/// A post that was to be accepted, where nothing is left of it: filter_action.
void judge(Judgement& judgement, const List& list, const Filtered& filtered);

}  // namespace spoold::list
