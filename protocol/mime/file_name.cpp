#include "protocol/mime/file_name.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::mime {
namespace {

constexpr std::size_t most_octets = 4096;  // of one name

int hex(char c) {
  if (mail::is_digit(c)) return c - '0';
  const char low = mail::lower(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// charset'language'text (RFC 2231 4); anything else stays.
std::string_view without_charset(std::string_view text) {
  const std::size_t first = text.find('\'');
  const std::size_t second = first == text.npos ? text.npos : text.find('\'', first + 1);
  return second == text.npos ? text : text.substr(second + 1);
}

class Names {
 public:
  /// The values of one field's parameters that are called `name`.
  void read(std::string_view value, std::string_view name) {
    std::map<std::uint32_t, std::pair<std::string, bool>> sections;  // encoded?
    for (const auto& [attribute, text] : parameters(value)) {
      if (!mail::starts_with(attribute, name)) continue;
      std::string_view rest = std::string_view(attribute).substr(name.size());
      if (rest.empty()) {
        add(text);
        add(decoded_words(text, most_octets));
      } else if (rest == "*") {
        add(percent_decoded(without_charset(text)));
      } else if (rest.front() == '*') {
        const bool encoded = rest.ends_with('*');
        rest = rest.substr(1, rest.size() - (encoded ? 2 : 1));
        std::uint32_t number = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (error == std::errc() && end == rest.data() + rest.size())
          sections.try_emplace(number, text, encoded);
      }
    }
    std::string whole;
    for (const auto& [number, section] : sections) {
      const std::string_view text =
          number == 0 && section.second ? without_charset(section.first) : std::string_view(section.first);
      whole += section.second ? percent_decoded(text) : std::string(text);
    }
    add(std::move(whole));
  }
  std::vector<std::string> take() { return std::move(names_); }

 private:
  void add(std::string name) {
    if (name.size() > most_octets) name.erase(0, name.size() - most_octets);  // its end counts
    if (!name.empty() && std::ranges::find(names_, name) == names_.end()) names_.push_back(std::move(name));
  }
  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> file_names(const Part& part) {
  Names names;
  for (const mail::Field& field : part.header.fields()) {
    if (mail::same(field.name, "Content-Disposition")) names.read(field.value, "filename");
    if (mail::same(field.name, "Content-Type")) names.read(field.value, "name");
  }
  return names.take();
}

std::string extension_of(std::string_view name) {
  const std::size_t last = name.find_last_not_of(". \t\r\n");
  if (last == name.npos) return {};
  name = name.substr(0, last + 1);
  const std::size_t dot = name.rfind('.');
  return dot == name.npos ? std::string() : mail::lower(name.substr(dot + 1));
}

}  // namespace spoold::mime
