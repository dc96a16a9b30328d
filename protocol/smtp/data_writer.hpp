// The client's side of DATA (RFC 5321 4.5.2): dot-stuffing and the final dot, for a content that comes in
// slices. Guarantees: the lines of the content arrive as they are, with one CRLF at their end; nothing but
// the last dot looks like an end of data. No copy when the content is known to have no line that begins with
// a dot. The content must have canonical line ends (CRLF): the store holds nothing else.
#pragma once
#include <string>
#include <string_view>

namespace spoold::smtp {

class DataWriter {
 public:
  explicit DataWriter(bool leading_dots) : stuffing_(leading_dots) {}

  /// The next slice in its wire form: `slice` itself, or a view of `scratch` when dots had to be added.
  std::string_view write(std::string_view slice, std::string& scratch);
  /// What ends the content: ".\r\n", with a CRLF before it when the last line had none.
  std::string_view finish() const;

 private:
  bool stuffing_;
  char before_last_ = '\r', last_ = '\n';  // the beginning is the beginning of a line
};

}  // namespace spoold::smtp
