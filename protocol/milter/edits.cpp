#include "protocol/milter/edits.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::milter {
namespace {

using Expected = tl::expected<Edit, std::string>;

tl::unexpected<std::string> bad(const char* what) {
  return tl::unexpected(std::string(what));
}

/// The text before the next NUL. False: there is none.
bool take(std::string_view& data, std::string_view& text) {
  const auto end = data.find('\0');
  if (end == std::string_view::npos) return false;
  text = data.substr(0, end);
  data.remove_prefix(end + 1);
  return true;
}

bool field_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 &&
         std::ranges::all_of(name, [](char c) { return c > 32 && c < 127 && c != ':'; });
}

// Lines of a folded value begin with a blank, and no line is empty: else it would end the field, or the header.
std::string folded(std::string_view value) {
  std::string out;
  bool first = true;
  while (!value.empty()) {
    const auto end = value.find_first_of("\r\n");
    const std::string_view line = value.substr(0, end);
    if (first || line.find_first_not_of(" \t") != std::string_view::npos) {
      if (!first) out.append(line.front() == ' ' || line.front() == '\t' ? "\r\n" : "\r\n\t");
      out.append(line);
    }
    first = false;
    if (end == std::string_view::npos) break;
    value.remove_prefix(end + 1);
  }
  return out;
}

bool clean(std::string_view value) {
  return std::ranges::none_of(value, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return (octet < 32 && c != '\t' && c != '\r' && c != '\n') || octet == 127;
  });
}

Expected field(Edit::What what, std::string_view data, bool indexed, bool leading_space) {
  Edit edit;
  edit.what = what;
  if (indexed) {
    if (data.size() < 4) return bad("an edit of a field is cut off");
    edit.index = number(data);
    data.remove_prefix(4);
  }
  std::string_view name, value;
  if (!take(data, name) || !take(data, value) || !data.empty())
    return bad("an edit of a field is not of its form");
  if (!field_name(name)) return bad("an edit names a field that cannot be one");
  if (!clean(value)) return bad("the value of a field has control characters in it");
  edit.name = name;
  edit.value = folded(value);
  if (!leading_space) edit.value.insert(0, 1, ' ');
  return edit;
}

Expected envelope(Edit::What what, std::string_view data, bool parameters) {
  Edit edit;
  edit.what = what;
  std::string_view path, words;
  if (!take(data, path)) return bad("an edit of the envelope is not of its form");
  if (parameters && !data.empty() && !take(data, words))
    return bad("an edit of the envelope is not of its form");
  if (!data.empty()) return bad("an edit of the envelope is not of its form");
  const auto plain = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= 32 && c < 127; });
  };
  if (!plain(path) || !plain(words)) return bad("an edit of the envelope is not in printable ASCII");
  edit.name = mail::trim(path);
  if (!edit.name.starts_with('<')) edit.name = "<" + edit.name + ">";
  edit.value = mail::trim(words);
  return edit;
}

}  // namespace

Expected parse_edit(const Frame& frame, bool leading_space) {
  using What = Edit::What;
  switch (frame.command) {
    case 'h':
      return field(What::add_field, frame.data, false, leading_space);
    case 'i':
      return field(What::insert_field, frame.data, true, leading_space);
    case 'm':
      return field(What::change_field, frame.data, true, leading_space);
    case 'e':
      return envelope(What::sender, frame.data, true);
    case '+':
      return envelope(What::add_recipient, frame.data, false);
    case '2':
      return envelope(What::add_recipient, frame.data, true);
    case '-':
      return envelope(What::remove_recipient, frame.data, false);
    default:
      return bad("no edit");
  }
}

std::string value_of(const mail::Field& field, bool leading_space) {
  std::string_view value = field.raw.substr(field.raw.find(':') + 1);
  while (value.ends_with('\n') || value.ends_with('\r')) value.remove_suffix(1);
  if (!leading_space && value.starts_with(' ')) value.remove_prefix(1);
  std::string out;
  out.reserve(value.size());
  for (const char c : value)
    if (c != '\r') out.push_back(c);
  return out;
}

EditedHeader::EditedHeader(const mail::Header& received) {
  lines_.reserve(received.fields().size());
  for (const mail::Field& field : received.fields())
    if (!field.name.empty()) lines_.push_back({field});
}

EditedHeader::Line EditedHeader::made(const Edit& edit) {
  const std::string& raw = own_.emplace_back(edit.name + ":" + edit.value + "\r\n");
  const std::string_view all = raw;
  mail::Field field;
  field.raw = all;
  field.name = all.substr(0, edit.name.size());
  field.value = all.substr(edit.name.size() + 1, edit.value.size());
  return {field, false};
}

// As Postfix does it: fields are counted from 1, without a Received of ours, so what is inserted at 0 or 1 comes first. A change of a
// field that is not there adds one (smfi_chgheader), and an empty value takes the field away.
bool EditedHeader::apply(const Edit& edit) {
  using What = Edit::What;
  if (edit.what == What::add_field) {
    lines_.push_back(made(edit));
    return true;
  }
  if (edit.what == What::insert_field) {
    const std::size_t at = std::min<std::size_t>(edit.index == 0 ? 0 : edit.index - 1, lines_.size());
    lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(at), made(edit));
    return true;
  }
  if (edit.what != What::change_field) return false;
  std::uint32_t left = std::max<std::uint32_t>(edit.index, 1);
  const auto found = std::ranges::find_if(
      lines_, [&](const Line& line) { return mail::same(line.field.name, edit.name) && --left == 0; });
  const bool removes = mail::trim(edit.value).empty();
  if (found == lines_.end()) {
    if (removes) return false;
    lines_.push_back(made(edit));
  } else if (removes) {
    lines_.erase(found);
  } else {
    *found = made(edit);
  }
  return true;
}

}  // namespace spoold::milter
