// What a filter wants to be changed in a message: read from its frames, and done to a header.
//
// Guarantees: what is read is well-formed: no octet of it makes a second field, ends the header, or is a control character. Nothing is
// done while it is read: whoever collects edits does all of them, or none. Failures: a sentence about a frame that is not of its form.
// See also: conversation.hpp (which edits are allowed when), server/inbound/filtered.hpp (sender, recipients, body).
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/mail/header.hpp"
#include "protocol/milter/frame.hpp"

namespace spoold::milter {

struct Edit {
  enum class What : std::uint8_t {
    add_field,
    insert_field,
    change_field,
    sender,
    add_recipient,
    remove_recipient
  };
  What what = What::add_field;
  std::uint32_t index =
      0;              // of insert_field: before which field; of change_field: which of that name, from 1
  std::string name;   // of a field; of an envelope edit the path, as "<anna@a.example>"
  std::string value;  // of a field, with CRLF where it is folded; of an envelope edit the parameters
  bool operator==(const Edit&) const = default;
};

/// `leading_space`: values come with the space behind the colon (SMFIP_HDR_LEADSPC).
tl::expected<Edit, std::string> parse_edit(const Frame& frame, bool leading_space);

/// The value of a field as filters see it: lines end with LF, and the space behind the colon only where it was agreed on.
std::string value_of(const mail::Field& field, bool leading_space);

/// A header block that filters change, one after the other.
class EditedHeader {
 public:
  struct Line {
    mail::Field field;
    bool received = true;  // as it came; else a filter's
  };
  /// `received` must live longer. An mbox "From " line is none of the fields.
  explicit EditedHeader(const mail::Header& received);
  EditedHeader(const EditedHeader&) = delete;
  EditedHeader& operator=(const EditedHeader&) = delete;

  const std::vector<Line>& lines() const { return lines_; }
  /// Only edits of fields do something. True: the header is another one now.
  bool apply(const Edit& edit);
  /// The block and the blank line behind it, without those received fields for which `unwanted(field)` is true.
  template <class F>
  std::string text(F unwanted) const {
    std::string out;
    for (const Line& line : lines_) {
      if (line.received && unwanted(line.field)) continue;
      out.append(line.field.raw);
      if (!out.ends_with('\n')) out.append("\r\n");  // a message that ended within its header
    }
    return out.append("\r\n");
  }

 private:
  Line made(const Edit& edit);
  std::vector<Line> lines_;
  std::deque<std::string> own_;  // what the lines of filters point into
};

}  // namespace spoold::milter
