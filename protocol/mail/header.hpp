// A message's header (RFC 5322 2.2) found in the bytes as received, without changing or copying any of them.
// Guarantees: the fields cover [0, end) without the blank line, in order, each with its folding and its line
// end, so that writing all `raw` and the blank line again gives the same bytes. Complexity: one pass. A first
// line that is no field (a body without header, or a line without a colon) ends the header there, as in other
// MTAs: what follows is body. A first "From " line of an mbox becomes a field with an empty name.
// Failures: HeaderFault when a limit is passed. See also: address_list.hpp for From, To, Cc.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace spoold::mail {

struct Field {
  std::string_view name;   // as written, without blanks before the colon
  std::string_view raw;    // the whole field, folding and last line end included
  std::string_view value;  // behind the colon up to the last line end; folding still in it
};

struct HeaderLimits {
  std::size_t octets = 256 << 10;
  std::size_t fields = 4096;
};

enum class HeaderFault { too_long, too_many_fields };
const char* text(HeaderFault);

class Header {
 public:
  /// `bytes`: the message or its begin, with CRLF line ends. The views point into it.
  static tl::expected<Header, HeaderFault> scan(std::string_view bytes, HeaderLimits limits = {});

  const std::vector<Field>& fields() const { return fields_; }
  /// Offset of the first octet of the body.
  std::size_t end() const { return end_; }
  /// False: the bytes ended before the header did (more of the message is needed, or it has no body).
  bool complete() const { return complete_; }

  const Field* find(std::string_view name) const;  // the first of that name, or nullptr
  std::size_t count(std::string_view name) const;

 private:
  std::vector<Field> fields_;
  std::size_t end_ = 0;
  bool complete_ = false;
};

/// Folding undone (RFC 5322 2.2.3), blanks at both ends gone.
std::string unfolded(std::string_view value);
/// The first Message-ID with its angle brackets, as heard; empty when there is none.
std::string message_id(const Header&);
/// The first Subject, unfolded, encoded words as they are; empty when there is none.
std::string subject(const Header&);
/// The first word of a field such as `Auto-Submitted: no; owner=x (comment)`, in lower case.
std::string first_token(std::string_view value);

}  // namespace spoold::mail
