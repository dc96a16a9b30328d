// "name=value; name=value" (RFC 6376 3.2): DKIM signatures and keys. Names are compared with regard to case; a name that
// stands twice makes the whole list invalid. Failures: one sentence.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace spoold::auth {

class TagList {
 public:
  /// Views of `text`, which must outlive the list.
  static tl::expected<TagList, std::string> parse(std::string_view text);

  /// The value without blanks and folding around it; nothing: there is no such tag.
  std::optional<std::string_view> find(std::string_view name) const;
  /// The tag that stands first, empty when there is none.
  std::string_view first() const { return tags_.empty() ? std::string_view() : tags_.front().first; }

 private:
  std::vector<std::pair<std::string_view, std::string_view>> tags_;
};

/// The text without blanks and folding: base64 and lists may be folded anywhere (RFC 6376 2.10).
std::string without_folding(std::string_view text);
/// The parts between colons, without blanks and folding around them.
std::vector<std::string_view> colon_list(std::string_view text);

}  // namespace spoold::auth
