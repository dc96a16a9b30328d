#include "protocol/bounce/html.hpp"

#include <array>
#include <charconv>

#include "protocol/mail/ascii.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t entity_at_most = 10, tag_name_at_most = 12;
constexpr std::array<std::string_view, 12> breaking = {"br", "p",  "div", "tr", "li",  "table",
                                                       "h1", "h2", "h3",  "hr", "pre", "blockquote"};

struct Entity {
  std::string text;
  std::size_t size;
};

/// The entity whose '&' is first; size 0: it is none.
Entity entity(std::string_view html) {
  const std::string_view near = html.substr(1, entity_at_most);
  const std::size_t end = near.find(';');
  if (end == near.npos) return {{}, 0};
  const std::string name = mail::lower(near.substr(0, end));
  const std::size_t size = end + 2;
  if (name == "lt") return {"<", size};
  if (name == "gt") return {">", size};
  if (name == "amp") return {"&", size};
  if (name == "quot") return {"\"", size};
  if (name == "nbsp") return {" ", size};
  if (name.size() < 2 || name.front() != '#') return {{}, 0};
  const bool sixteen = name[1] == 'x';
  const char* begin = name.data() + (sixteen ? 2 : 1);
  unsigned point = 0;
  const auto [stop, error] = std::from_chars(begin, name.data() + name.size(), point, sixteen ? 16 : 10);
  if (error != std::errc{} || stop != name.data() + name.size()) return {{}, 0};
  if (point == 0xa0) return {" ", size};
  return {std::string(1, point >= 0x20 && point < 0x7f ? static_cast<char>(point) : '?'), size};
}

std::string tag_name(std::string_view tag) {
  std::string name;
  for (const char c : tag.substr(0, tag_name_at_most)) {
    if (c == '/' && name.empty()) continue;
    if (!mail::is_alpha(c) && !mail::is_digit(c)) break;
    name += mail::lower(c);
  }
  return name;
}

}  // namespace

std::string text_of_html(std::string_view html, std::size_t most) {
  std::string out;
  std::string hidden;  // the element whose content is not shown
  while (!html.empty() && out.size() < most) {
    const char c = html.front();
    if (c == '<') {
      const std::size_t end = html.find('>');
      if (end == html.npos) break;
      const std::string_view tag = html.substr(1, end - 1);
      if (tag.find('@') != tag.npos &&
          tag.find_first_of(" \t\r\n=\"") == tag.npos) {  // an address, not escaped
        out.append(html.substr(0, end + 1));
        html.remove_prefix(end + 1);
        continue;
      }
      const std::string name = tag_name(tag);
      const bool closing = html.size() > 1 && html[1] == '/';
      html.remove_prefix(end + 1);
      if (!hidden.empty()) {
        if (closing && name == hidden) hidden.clear();
        continue;
      }
      if (!closing && (name == "style" || name == "script" || name == "title")) hidden = name;
      for (const std::string_view known : breaking)
        if (name == known) out += '\n';
      if (name == "td" || name == "th") out += ' ';
      continue;
    }
    if (!hidden.empty()) {
      html.remove_prefix(1);
      continue;
    }
    if (c == '&') {
      if (const Entity found = entity(html); found.size > 0) {
        out += found.text;
        html.remove_prefix(found.size);
        continue;
      }
    }
    // The page's own line ends are blanks, but a text that has no tags for lines is read line by line.
    out += c;
    html.remove_prefix(1);
  }
  return out;
}

}  // namespace spoold::bounce
