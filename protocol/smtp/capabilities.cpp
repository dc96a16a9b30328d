#include "protocol/smtp/capabilities.hpp"

#include <charconv>
#include <string_view>

namespace spoold::smtp {
namespace {

std::string upper(std::string_view word) {
  std::string out(word);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::string_view next_word(std::string_view& line) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

void limits(std::string_view line, Capabilities& offered) {
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name = upper(word.substr(0, equals));
    const auto value = number<std::uint32_t>(word.substr(equals + 1));
    if (name == "MAILMAX") offered.mail_max = value;
    if (name == "RCPTMAX") offered.rcpt_max = value;
    if (name == "RCPTDOMAINMAX") offered.rcpt_domain_max = value;
  }
}

void mechanisms(std::string_view line, Capabilities& offered) {
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    const std::string name = upper(word);
    if (name == "PLAIN") offered.auth_plain = true;
    if (name == "LOGIN") offered.auth_login = true;
  }
}

}  // namespace

Capabilities capabilities(const Reply& ehlo) {
  Capabilities offered;
  std::string_view rest = ehlo.text;
  for (bool first = true; !rest.empty(); first = false) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (first) continue;  // the server's name and greeting
    const std::string keyword = upper(next_word(line));
    if (keyword == "PIPELINING") offered.pipelining = true;
    if (keyword == "8BITMIME") offered.eight_bit = true;
    if (keyword == "SMTPUTF8") offered.utf8 = offered.eight_bit = true;  // RFC 6531 3.1 (8)
    if (keyword == "BINARYMIME") offered.binary = true;
    if (keyword == "REQUIRETLS") offered.require_tls = true;
    if (keyword == "STARTTLS") offered.starttls = true;
    if (keyword == "CHUNKING") offered.chunking = true;
    if (keyword == "DSN") offered.dsn = true;
    if (keyword == "AUTH") mechanisms(line, offered);
    if (keyword == "LIMITS") limits(line, offered);
    if (keyword == "SIZE") {
      offered.size = true;
      offered.max_size = number<std::uint64_t>(next_word(line));
    }
  }
  return offered;
}

}  // namespace spoold::smtp
