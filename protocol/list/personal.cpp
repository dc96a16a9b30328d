#include "protocol/list/personal.hpp"

#include <array>

#include "protocol/mail/utf8.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

struct Named {
  std::string_view name;
  Value value;
};
// The first name of a value is the one that is shown; the others are Mailman's.
constexpr std::array<Named, 6> names = {{{"user_address", Value::user_address},
                                         {"user_email", Value::user_address},
                                         {"user_name", Value::user_name},
                                         {"user_delivered_to", Value::user_delivered_to},
                                         {"user_name_or_address", Value::user_name_or_address},
                                         {"user_name_or_email", Value::user_name_or_address}}};

std::string_view plain(Value value, const Reader& reader) {
  switch (value) {
    case Value::user_address:
      return reader.address;
    case Value::user_name:
      return reader.name;
    case Value::user_delivered_to:
      return reader.delivered_to;
    case Value::user_name_or_address:
      return reader.name.empty() ? reader.address : reader.name;
    case Value::leave_url:
      return reader.leave_url;
    case Value::none:
    case Value::signatures:
    case Value::signatures_and_author:
    case Value::dkim2:
    case Value::dkim2_and_author:
    case Value::instance_hashes:
      break;
  }
  return {};
}

}  // namespace

std::optional<Value> value_named(std::string_view name) {
  for (const Named& one : names)
    if (one.name == name) return one.value;
  return std::nullopt;
}

std::string_view name_of(Value value) {
  for (const Named& one : names)
    if (one.value == value) return one.name;
  return {};
}

std::string written(mail::Blank blank, const Reader& reader) {
  const bool quoted = (blank & quoted_printable) != 0;
  const std::string_view value = plain(static_cast<Value>(blank & ~quoted_printable), reader);
  if (!mail::is_utf8_text(value)) return {};
  if (!quoted || value.empty()) return (value.starts_with('.') ? " " : "") + std::string(value);
  // How long the line is by now depends on the text around it: soft line breaks on both sides.
  std::string out = "=\r\n";
  mime::append_quoted(out, value);
  for (std::size_t at = out.find("\n."); at != out.npos; at = out.find("\n.", at))
    out.replace(at + 1, 1, "=2E");
  out += "=\r\n";
  return out;
}

}  // namespace spoold::list
