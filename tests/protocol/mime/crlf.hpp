// Messages in tests are written with \n, and read by what is tested with CRLF.
#pragma once
#include <string>
#include <string_view>

namespace spoold::mime {

inline std::string crlf(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? std::string("\r\n") : std::string(1, c);
  return out;
}

}  // namespace spoold::mime
