#include "protocol/mime/charset.hpp"

#include <iconv.h>

#include <algorithm>
#include <cstdint>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::mime {
namespace {

std::optional<std::string> converted(std::string_view text, const std::string& charset,
                                     const char* from_charset = "UTF-8") {
  const iconv_t way = iconv_open(charset.c_str(), from_charset);
  if (reinterpret_cast<std::intptr_t>(way) == -1) return std::nullopt;
  std::string in(text), out(text.size() * 4 + 64, '\0');
  char* from = in.data();
  char* to = out.data();
  std::size_t rest = in.size(), room = out.size();
  // The second call ends what a set with shifts has begun (ISO-2022-JP).
  const bool whole =
      iconv(way, &from, &rest, &to, &room) == 0 && iconv(way, nullptr, nullptr, &to, &room) == 0;
  iconv_close(way);
  if (!whole) return std::nullopt;
  out.resize(out.size() - room);
  return out;
}

}  // namespace

namespace {

bool is_name(std::string_view charset) {
  return !charset.empty() && charset.size() <= 40 && std::ranges::all_of(charset, [](char c) {
    return mail::is_alpha(c) || mail::is_digit(c) ||
           std::string_view("-_.:").find(c) != std::string_view::npos;
  });
}

}  // namespace

std::optional<std::string> utf8_of(std::string_view text, std::string_view charset) {
  if (!is_name(charset)) return std::nullopt;
  return converted(text, "UTF-8", std::string(charset).c_str());
}

std::optional<std::string> in_charset(std::string_view utf8, std::string_view charset) {
  if (!is_name(charset) || !mail::is_utf8(utf8)) return std::nullopt;
  if (mail::same(charset, "utf-8")) return std::string(utf8);
  if (mail::same(charset, "us-ascii"))
    return mail::is_ascii(utf8) ? std::optional<std::string>(utf8) : std::nullopt;
  constexpr std::string_view ascii = "AZaz09 =+~\\\r\n";
  if (mail::starts_with(charset, "utf-7") || converted(ascii, std::string(charset)) != ascii)
    return std::nullopt;
  return converted(utf8, std::string(charset));
}

}  // namespace spoold::mime
