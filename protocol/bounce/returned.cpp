#include "protocol/bounce/returned.hpp"

#include "protocol/bounce/notice.hpp"
#include "protocol/mime/parts.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t header_at_most = 256 << 10;

std::string text_of(const mail::Header& header) {
  std::string text;
  for (const mail::Field& field : header.fields()) text += field.raw;
  return text;
}

}  // namespace

std::string returned_header(std::string_view mail) {
  const auto parts = mime::parts_of(mail);
  if (!parts) return {};
  for (std::size_t i = 1; i < parts->size(); ++i) {
    const mime::Part& part = (*parts)[i];
    if (part.message && !inside_message(*parts, part.parent)) return text_of(part.header);
    if (inside_message(*parts, i)) continue;
    if (part.type != "text/rfc822-headers" && part.type != "message/rfc822-headers") continue;
    const std::string text = body_of(mail, part, header_at_most);
    const auto header = mail::Header::scan(text);
    return header ? text_of(*header) : std::string();
  }
  return {};
}

}  // namespace spoold::bounce
