#include "protocol/list/text.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include "conf/near_miss.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::list {
namespace {

constexpr std::size_t max_text = 16'384, max_line = 998;  // RFC 5322 2.1.1

struct OfList {
  std::string_view name;
  std::size_t most;  // octets
  std::string (*value)(const List&);
};
// Mailman's names stand beside ours.
constexpr std::array<OfList, 13> of_list = {
    {{"list_name", 64, [](const List& list) { return list.local; }},
     {"list_address", 320, [](const List& list) { return list.address(); }},
     {"listname", 320, [](const List& list) { return list.address(); }},
     {"fqdn_listname", 320, [](const List& list) { return list.address(); }},
     {"display_name", 64, [](const List& list) { return list.local; }},
     {"list_id", 320, [](const List& list) { return list_id_text(list); }},
     {"domain", 255, [](const List& list) { return list.domain; }},
     {"description", 200, [](const List& list) { return list.settings.description; }},
     {"unsubscribe_address", 320, [](const List& list) { return list.local + "-leave@" + list.domain; }},
     {"unsubscribe_email", 320, [](const List& list) { return list.local + "-leave@" + list.domain; }},
     {"subscribe_address", 320, [](const List& list) { return list.local + "-join@" + list.domain; }},
     {"request_address", 320, [](const List& list) { return list.local + "-request@" + list.domain; }},
     {"owner_address", 320, owner_address}}};

struct Name {
  std::string_view name;  // empty: "$$", or a '$' that begins no name
  std::size_t size = 1;   // of all that stands in the text
};

Name name_at(std::string_view text) {
  if (text.starts_with("$$")) return {{}, 2};
  const bool braced = text.starts_with("${");
  std::size_t end = braced ? 2 : 1;
  const std::size_t begin = end;
  const auto letter = [&](std::size_t i) { return mail::is_alpha(text[i]) || text[i] == '_'; };
  while (end < text.size() && (letter(end) || (end > begin && mail::is_digit(text[end])))) ++end;
  if (end == begin || (braced && (end == text.size() || text[end] != '}'))) return {};
  return {text.substr(begin, end - begin), braced ? end + 1 : end};
}

const OfList* find(std::string_view name) {
  const auto found = std::ranges::find(of_list, name, &OfList::name);
  return found == of_list.end() ? nullptr : &*found;
}

/// Of what is written for this name; 0: there is no such name.
std::size_t most_octets(std::string_view name) {
  if (const OfList* found = find(name)) return found->most;
  const auto value = value_named(name);
  return !value ? 0 : *value == Value::user_name ? 201 : 254;
}

std::string unknown(std::string_view name) {
  if (name == "unsubscribe_url")
    return "$unsubscribe_url needs the web, which is not built yet; use $unsubscribe_address";
  std::vector<std::string> names;
  names.reserve(of_list.size() + 4);
  for (const OfList& one : of_list) names.emplace_back(one.name);
  for (const Value value :
       {Value::user_address, Value::user_name, Value::user_delivered_to, Value::user_name_or_address})
    names.emplace_back(name_of(value));
  const std::string near = conf::near_miss(name, names);
  std::string out = "there is no $" + std::string(name);
  if (!near.empty()) return out + "; did you mean $" + near + "?";
  out += "; there are";
  for (const std::string& one : names) out += " $" + one;
  return out + "; a '$' is written as '$$'";
}

}  // namespace

std::optional<std::string> text_fault(std::string_view text) {
  if (text.size() > max_text) return "the text has more than " + std::to_string(max_text) + " octets";
  std::size_t line = 0, number = 1;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    char32_t point = 0;
    const std::size_t size = mail::decode_utf8(text.substr(at), point);
    if (size == 0) return "line " + std::to_string(number) + " is not UTF-8";
    if (c == '\n' || text.substr(at).starts_with("\r\n")) {
      line = 0;
      ++number;
      at += c == '\n' ? 1 : 2;
      continue;
    }
    if ((point < 0x20 && c != '\t') || (point >= 0x7f && point < 0xa0))
      return "line " + std::to_string(number) + " has a control character";
    if (c == '$') {
      const Name name = name_at(text.substr(at));
      if (!name.name.empty() && most_octets(name.name) == 0) return unknown(name.name);
      line += name.name.empty() ? 1 : most_octets(name.name);
      at += name.size;
    } else {
      line += size;
      at += size;
    }
    if (line > max_line)
      return "line " + std::to_string(number) + " can be longer than " + std::to_string(max_line) + " octets";
  }
  return std::nullopt;
}

std::vector<mail::Own> text_of(const List& list, std::string_view text, bool personal) {
  std::vector<mail::Own> out;
  if (text.empty()) return out;
  out.emplace_back();
  for (std::size_t at = 0; at < text.size();) {
    std::string& own = out.back().text;
    const char c = text[at];
    if (c == '\r' && text.substr(at).starts_with("\r\n")) {
      ++at;
    } else if (c == '\n') {
      own += "\r\n";
      ++at;
    } else if (c != '$') {
      own += c;
      ++at;
    } else {
      const Name name = name_at(text.substr(at));
      if (name.name.empty()) {
        own += '$';
      } else if (const OfList* value = find(name.name)) {
        own += value->value(list);
      } else if (const auto of_member = value_named(name.name); personal && of_member) {
        out.back().blank = blank(*of_member);
        out.emplace_back();
      } else {
        own += text.substr(at, name.size);
      }
      at += name.size;
    }
  }
  if (!out.back().text.ends_with("\r\n")) out.back().text += "\r\n";
  return out;
}

std::string filled(const List& list, std::string_view text, const ValueOf& value) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n' && !out.ends_with('\r')) out += '\r';
    if (text[at] != '$') {
      out += text[at++];
      continue;
    }
    const Name name = name_at(text.substr(at));
    if (name.name.empty()) {
      out += '$';
    } else if (const OfList* of_it = find(name.name)) {
      out += of_it->value(list);
    } else if (const auto other = value(name.name)) {
      out += *other;
    } else {
      out += text.substr(at, name.size);
    }
    at += name.size;
  }
  return out;
}

std::string unknown_name(std::string_view text, const std::function<bool(std::string_view)>& known) {
  for (std::size_t at = text.find('$'); at != text.npos; at = text.find('$', at)) {
    const Name name = name_at(text.substr(at));
    if (!name.name.empty() && find(name.name) == nullptr && !known(name.name)) return std::string(name.name);
    at += name.size;
  }
  return {};
}

}  // namespace spoold::list
