// A message as the recognisers of bounces look at it: who seems to have sent it, and the lines that it says itself.
//
// Guarantees: the lines are those of the message's own text, not of a message that it encloses or returns behind a
// separator; HTML is reduced to its words; at most 64 KiB and 2,000 lines. Linear in the message. Pure.
// See also: scan.hpp, formats.hpp, delivery_status.hpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mime/parts.hpp"

namespace spoold::bounce {

struct Line {
  std::string text;    // as decoded, blanks at its end removed
  std::string words;   // in lower case, one space between words, none at the ends
  std::string joined;  // `words` of the line before and of this one: a phrase may be broken between them
  std::size_t indent = 0;
};

/// Who the message says it is from.
enum class Origin : std::uint8_t {
  person,  // nothing speaks for a mail system
  hint,    // the subject of a report, a null return path, Auto-Submitted with a failure
  daemon,  // From names a mail system, or the subject is a report's and the return path is null
};

struct Notice {
  Origin origin = Origin::person;
  bool of_list = false;          // it came by a mailing list
  bool answer = false;           // a vacation program or another responder wrote it
  bool passed_on = false;        // its subject is that of an answer or of a forwarded message
  bool disposition = false;      // message/disposition-notification (RFC 8098)
  std::string from, mailer;      // From and X-Mailer as `words`
  std::string subject;           // decoded, as `words`
  std::vector<std::string> own;  // addresses of From, To, Cc and the like, in lower case
  std::vector<Line> lines;
};

/// `parts`: of `bytes`, mime::parts_of.
Notice notice_of(std::string_view bytes, const std::vector<mime::Part>& parts);

/// Is the part inside a message that the message encloses?
bool inside_message(const std::vector<mime::Part>& parts, std::size_t index);
/// In lower case, one space between words.
std::string words_of(std::string_view text);
/// Does `words` hold one of the phrases? `phrases`: with '|' between them.
bool holds(std::string_view words, std::string_view phrases);
/// The decoded body of a part, at most `most` octets.
std::string body_of(std::string_view bytes, const mime::Part&, std::size_t most);
/// Lines without their ends, CRLF or LF.
std::vector<std::string_view> lines_of(std::string_view text, std::size_t most);

}  // namespace spoold::bounce
