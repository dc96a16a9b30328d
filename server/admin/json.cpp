#include "server/admin/json.hpp"

#include "protocol/mail/utf8.hpp"

namespace spoold::server::admin {

std::string dump(const Json& json, int indent) {
  std::string text = json.dump(indent, ' ', false, Json::error_handler_t::replace);
  // What JSON allows in a string, but a terminal obeys: DEL, the C1 controls, and marks that turn the direction of
  // what follows. They are found by their first octets, which are rare.
  const auto suspicious = [](char c) { return c == '\x7f' || c == '\xc2' || c == '\xe2'; };
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!suspicious(text[at])) continue;
    char32_t point = 0;
    const std::size_t length = mail::decode_utf8(std::string_view(text).substr(at), point);
    if (length == 0 || !mail::obeyed_by_terminals(point)) continue;
    constexpr char hex[] = "0123456789abcdef";
    out.append(text, copied, at - copied).append("\\u");
    for (const int shift : {12, 8, 4, 0}) out += hex[point >> shift & 15];
    copied = at + length;
    at += length - 1;
  }
  if (copied == 0) return text;
  return out.append(text, copied);
}

}  // namespace spoold::server::admin
