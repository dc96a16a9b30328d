#include "protocol/auth/dkim2_fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "protocol/auth/lookups.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"

namespace spoold::auth {
namespace {

constexpr std::array<std::string_view, 14> ignored = {"apparently-to",
                                                      "arc-authentication-results",
                                                      "arc-message-signature",
                                                      "arc-seal",
                                                      "authentication-results",
                                                      "auto-submitted",
                                                      "delivered-to",
                                                      "dkim-signature",
                                                      "dl-expansion-history",
                                                      "original-recipient",
                                                      "received",
                                                      "return-path",
                                                      "sio-label-history",
                                                      "vbr-info"};
constexpr std::array<std::string_view, 4> more_ignored = {"x400-received", "x400-trace", "message-instance",
                                                          "dkim2-signature"};

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The tags of a canonical field; names in lower case. Nothing: it is no such list, or a tag stands twice.
class Tags {
 public:
  static std::optional<Tags> parse(std::string_view text) {
    Tags tags;
    while (!text.empty()) {
      const auto end = std::min(text.find(';'), text.size());
      const std::string_view tag = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (tag.empty() && text.empty()) break;
      const auto equals = tag.find('=');
      if (equals == tag.npos || equals == 0 || !mail::is_alpha(tag.front())) return std::nullopt;
      const std::string_view value = tag.substr(equals + 1);
      if (!std::ranges::all_of(value, [](char c) { return c > ' ' && c <= '~'; })) return std::nullopt;
      if (!tags.all_.emplace(mail::lower(tag.substr(0, equals)), value).second) return std::nullopt;
    }
    return tags;
  }
  const std::string* find(const char* name) const {
    const auto found = all_.find(name);
    return found == all_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, std::string> all_;
};

std::string text_of(std::string_view canonical_field) {
  canonical_field.remove_prefix(canonical_field.find(':') + 1);
  while (canonical_field.ends_with('\n') || canonical_field.ends_with('\r')) canonical_field.remove_suffix(1);
  return std::string(canonical_field);
}

tl::unexpected<std::string> fault(const char* field, const char* letter, std::uint64_t which,
                                  const std::string& what) {
  return tl::unexpected(std::string(field) + " " + letter + "=" + (which == 0 ? "?" : std::to_string(which)) +
                        " " + what);
}

}  // namespace

std::optional<std::uint64_t> whole_number(std::string_view text) {
  if (text.empty() || text.size() > 12 || !std::ranges::all_of(text, mail::is_digit)) return std::nullopt;
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::optional<std::uint64_t> dkim2_number(std::string_view canonical, const char* tag) {
  const auto tags = Tags::parse(text_of(canonical));
  const std::string* value = tags ? tags->find(tag) : nullptr;
  return value == nullptr ? std::nullopt : whole_number(*value);
}

bool is_instance(const mail::Field& field) {
  return mail::same(mail::trim(field.name), "Message-Instance");
}

bool is_signature(const mail::Field& field) {
  return mail::same(mail::trim(field.name), "DKIM2-Signature");
}

bool has_dkim2_fields(const mail::Header& header) {
  return std::ranges::any_of(
      header.fields(), [](const mail::Field& field) { return is_instance(field) || is_signature(field); });
}

bool dkim2_ignores(std::string_view name) {
  const std::string lower = mail::lower(mail::trim(name));
  return lower.starts_with("x-") || lower.starts_with("received-") ||
         std::ranges::find(ignored, lower) != ignored.end() ||
         std::ranges::find(more_ignored, lower) != more_ignored.end();
}

std::string dkim2_canonical(const mail::Field& field, bool without_values) {
  std::string value(field.value);
  std::erase_if(value, mail::is_space);
  if (without_values) {
    std::string out;
    for (const std::string_view tag : split(value, ';')) {
      if (!out.empty() || tag.data() != value.data()) out += ';';
      if (tag.size() < 2 || mail::lower(tag.substr(0, 2)) != "s=") {
        out += tag;
        continue;
      }
      out += tag.substr(0, 2);
      bool first = true;
      for (const std::string_view set : split(tag.substr(2), ',')) {
        if (!std::exchange(first, false)) out += ',';
        out += set.substr(0, set.rfind(':') + 1);
      }
    }
    value = std::move(out);
  }
  return mail::lower(mail::trim(field.name)) + ":" + value + "\r\n";
}

tl::expected<MessageInstance, std::string> MessageInstance::parse(const mail::Field& field) {
  MessageInstance made;
  const auto wrong = [&](const std::string& what) {
    return fault("Message-Instance", "m", made.number, what);
  };
  const auto tags = Tags::parse(text_of(dkim2_canonical(field, false)));
  if (!tags) return wrong("syntax error");
  const std::string *m = tags->find("m"), *h = tags->find("h"), *r = tags->find("r");
  if (m == nullptr) return wrong("tag=m missing");
  made.number = whole_number(*m).value_or(0);
  if (made.number == 0) return wrong("syntax error");
  if (h == nullptr) return wrong("tag=h missing");
  for (const std::string_view set : split(*h, ',')) {
    const auto parts = split(set, ':');
    if (parts.size() != 3 || parts[0].empty()) return wrong("syntax error");
    const auto header = mail::base64_decode(parts[1]), body = mail::base64_decode(parts[2]);
    if (!header || !body) return wrong("syntax error");
    for (const Hashes& one : made.hashes)
      if (one.name == parts[0]) return wrong("has a duplicate hash algorithm");
    made.hashes.push_back({std::string(parts[0]), *header, *body});
  }
  if (r == nullptr) return made;
  const auto json = mail::base64_decode(*r);
  if (!json) return wrong("syntax error");
  auto recipes = Recipes::parse(*json);
  if (!recipes) return wrong(recipes.error());
  made.recipes = std::move(*recipes);
  return made;
}

bool Dkim2Signature::has_flag(std::string_view flag) const {
  return std::ranges::find(flags, flag) != flags.end();
}

tl::expected<Dkim2Signature, std::string> Dkim2Signature::parse(const mail::Field& field) {
  Dkim2Signature made;
  const auto wrong = [&](const std::string& what) {
    return fault("DKIM2-Signature", "i", made.number, what);
  };
  const auto tags = Tags::parse(text_of(dkim2_canonical(field, false)));
  if (!tags) return wrong("syntax error");
  if (tags->find("i") == nullptr) return wrong("tag=i missing");
  made.number = whole_number(*tags->find("i")).value_or(0);
  if (made.number == 0) return wrong("syntax error");
  for (const char* tag : {"m", "t", "d", "s"})
    if (tags->find(tag) == nullptr) return wrong(std::string("tag=") + tag + " missing");
  made.instance = whole_number(*tags->find("m")).value_or(0);
  const auto time = whole_number(*tags->find("t"));
  if (made.instance == 0 || !time) return wrong("syntax error");
  made.time = *time;
  made.domain = as_name(*tags->find("d"));
  if (!is_name(made.domain)) return wrong("syntax error");
  if (const auto* n = tags->find("n"); n != nullptr && n->size() > 64) return wrong("syntax error");
  if (const auto* f = tags->find("f"))
    for (const std::string_view flag : split(*f, ',')) made.flags.push_back(mail::lower(flag));

  const std::string *mf = tags->find("mf"), *rt = tags->find("rt"), *nd = tags->find("nd");
  if (nd != nullptr) {
    if (mf != nullptr || rt != nullptr)
      return wrong(std::string("tag=") + (mf ? "mf" : "rt") + " was unexpected");
    made.next_domain = as_name(*nd);
    if (!is_name(made.next_domain)) return wrong("syntax error");
  } else {
    if (mf == nullptr || rt == nullptr) return wrong(std::string("tag=") + (mf ? "rt" : "mf") + " missing");
    const auto path = [](std::string_view text) -> std::optional<std::string> {
      auto decoded = mail::base64_decode(text);
      if (!decoded || !decoded->starts_with('<') || !decoded->ends_with('>') || decoded->size() < 2)
        return std::nullopt;
      return decoded;
    };
    made.mail_from = path(*mf);
    if (!made.mail_from) return wrong("syntax error");
    for (const std::string_view one : split(*rt, ',')) {
      auto decoded = path(one);
      if (!decoded) return wrong("syntax error");
      made.rcpt_to.push_back(std::move(*decoded));
    }
  }
  std::map<std::string, int> algorithms;
  for (const std::string_view set : split(*tags->find("s"), ',')) {
    const auto parts = split(set, ':');
    if (parts.size() != 3 || !is_name(as_name(parts[0])) || parts[1].empty()) return wrong("syntax error");
    auto octets = mail::base64_decode(parts[2]);
    if (!octets || octets->empty()) return wrong("syntax error");
    const std::string selector = as_name(parts[0]);
    for (const Value& one : made.values)
      if (one.selector == selector) return wrong("has a duplicate selector");
    if (++algorithms[std::string(parts[1])] > 2) return wrong("has more selectors than allowed");
    made.values.push_back({selector, std::string(parts[1]), std::move(*octets)});
  }
  return made;
}

}  // namespace spoold::auth
