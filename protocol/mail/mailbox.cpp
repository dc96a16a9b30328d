#include "protocol/mail/mailbox.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/domain.hpp"
#include "protocol/mail/idna.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold {

namespace {

using mail::is_atext;

constexpr std::size_t max_local = 64;  // RFC 5321 4.5.3.1.1
constexpr std::size_t max_mailbox =
    254;  // RFC 5321 4.5.3.1.3: a path is 256 octets, its angle brackets included

bool high(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

bool is_dot_string(std::string_view local) {
  if (local.empty() || local.front() == '.' || local.back() == '.') return false;
  if (local.find("..") != std::string_view::npos) return false;
  return std::all_of(local.begin(), local.end(), [](char c) { return c == '.' || is_atext(c) || high(c); });
}

bool escaped(char c) {
  return c == '"' || c == '\\';
}

std::size_t written_size(std::string_view local) {
  if (is_dot_string(local)) return local.size();
  return local.size() + static_cast<std::size_t>(std::count_if(local.begin(), local.end(), escaped)) + 2;
}

// As it is written in an address: in quotes where it must be.
void append_written(std::string& out, std::string_view local) {
  if (is_dot_string(local)) {
    out += local;
    return;
  }
  out += '"';
  for (char c : local) {
    if (escaped(c)) out += '\\';
    out += c;
  }
  out += '"';
}

struct Local {
  std::string value;  // unquoted
  std::size_t end;    // where the '@' must be
};

tl::expected<Local, std::string> quoted_local(std::string_view text) {
  Local local{{}, 1};
  for (; local.end < text.size() && text[local.end] != '"'; ++local.end) {
    char c = text[local.end];
    if (c == '\\') {
      if (++local.end == text.size()) break;
      c = text[local.end];
      if (high(c)) return tl::unexpected<std::string>("the local part escapes a character that is not ASCII");
    }
    if (!high(c) && (c < 0x20 || c == 0x7f))
      return tl::unexpected<std::string>("the local part has a control character");
    local.value += c;
  }
  if (local.end >= text.size()) return tl::unexpected<std::string>("the quoted local part is not closed");
  ++local.end;
  return local;
}

tl::expected<Local, std::string> dot_local(std::string_view text) {
  std::size_t end = text.find('@');
  if (end == std::string_view::npos) return tl::unexpected<std::string>("the address has no @");
  std::string_view local = text.substr(0, end);
  if (local.empty()) return tl::unexpected<std::string>("the local part is missing");
  for (char c : local)
    if (!high(c) && (c < 0x20 || c == 0x7f))
      return tl::unexpected<std::string>("the local part has a control character");
  if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string_view::npos)
    return tl::unexpected<std::string>("the local part has a dot at its begin or end, or two in a row");
  if (!is_dot_string(local))
    return tl::unexpected<std::string>("the local part has a character that must be quoted");
  return Local{std::string(local), end};
}

}  // namespace

tl::expected<Mailbox, std::string> Mailbox::parse(std::string_view text, Allow allow) {
  if (text.empty()) return tl::unexpected<std::string>("the address is empty");
  auto local = text.front() == '"' ? quoted_local(text) : dot_local(text);
  if (!local) return tl::unexpected(local.error());
  if (local->end >= text.size() || text[local->end] != '@')
    return tl::unexpected<std::string>("the address has no @");
  if (std::any_of(local->value.begin(), local->value.end(), high)) {
    if (allow == Allow::ascii) return tl::unexpected<std::string>("the local part is not ASCII");
    if (!mail::is_utf8_text(local->value))
      return tl::unexpected<std::string>("the local part is not valid UTF-8");
  }
  std::string_view domain = text.substr(local->end + 1);
  std::string converted;
  if (allow == Allow::utf8 && !mail::is_ascii(domain))  // RFC 6531 3.2: domains are compared as A-labels
    domain = converted = mail::ascii_domain(std::string(domain));
  if (auto fault = !domain.empty() && domain.front() == '[' ? mail::address_literal_fault(domain)
                                                            : mail::mail_domain_fault(domain))
    return tl::unexpected(*fault);
  const std::size_t length = written_size(local->value);
  if (length > max_local) return tl::unexpected<std::string>("the local part is longer than 64 octets");
  if (length + 1 + domain.size() > max_mailbox)
    return tl::unexpected<std::string>("the address is longer than 254 octets");
  return Mailbox(std::move(local->value), mail::lower(domain));
}

std::string Mailbox::text() const {
  std::string out;
  out.reserve(local_.size() + 1 + domain_.size());  // one allocation, unless the local part needs quotes
  append_written(out, local_);
  out += '@';
  out += domain_;
  return out;
}

std::string Mailbox::key() const {
  return mail::lower(text());
}

bool Mailbox::is_ascii() const {
  return std::none_of(local_.begin(), local_.end(), high);
}

std::string key_of(std::string_view address) {
  const auto mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
  return mailbox ? mailbox->key() : std::string();
}

}  // namespace spoold
