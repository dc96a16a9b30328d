#include "protocol/list/cook.hpp"

#include <algorithm>
#include <array>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/phrase.hpp"

namespace spoold::list {

namespace {

using mail::same;

/// Ours, or meaningless beside ours.
constexpr std::array<std::string_view, 9> replaced = {
    "List-Id",    "List-Post",    "List-Help",  "List-Subscribe", "List-Unsubscribe", "List-Unsubscribe-Post",
    "List-Owner", "List-Archive", "Precedence",
};

/// Receipts (thousands of answers to one post), moderators' passwords, and what belongs to one delivery only.
constexpr std::array<std::string_view, 12> removed = {
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
    "X-PMRQC",
    "Approved",
    "Approve",
    "X-Approved",
    "X-Approve",
    "Urgent",
    "Return-Path",
    "Bcc",
    "Resent-Bcc",
};

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view other) { return same(other, name); });
}

/// RFC 6068: everything in the local part that could mean something else in a URL is written as %XX.
std::string mailto(std::string_view local, std::string_view domain) {
  constexpr char hex[] = "0123456789ABCDEF";
  std::string out = "<mailto:";
  for (char c : local) {
    if (mail::is_alpha(c) || mail::is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      auto octet = static_cast<unsigned char>(c);
      out += '%';
      out += hex[octet >> 4];
      out += hex[octet & 15];
    }
  }
  out += '@';
  return out += domain;
}

}  // namespace

std::string list_id_text(const List& list) {
  return list.local + "." + list.domain;
}

std::string list_fields(const List& list) {
  auto url = [&](std::string_view suffix) { return mailto(list.local + std::string(suffix), list.domain); };
  std::string out = "List-Id: ";
  std::string phrase = mail::phrase(list.settings.description);
  if (!phrase.empty()) {
    out += phrase;
    out += "\r\n ";
  }
  out += "<" + list_id_text(list) + ">\r\n";
  out += "List-Post: " + url("") + ">\r\n";
  out += "List-Help: " + url("-request") + "?subject=help>\r\n";
  out += "List-Subscribe: " + url("-join") + ">\r\n";
  out += "List-Unsubscribe: " + url("-leave") + ">\r\n";
  out += "List-Owner: " + url("-owner") + ">\r\n";
  out += "Precedence: list\r\n";
  return out;
}

void cook(mail::Draft& draft, const List& list, std::string_view message_id) {
  bool has_id = false;
  draft.remove([&](const mail::Field& field) {
    has_id |= same(field.name, "Message-ID");
    return among(replaced, field.name) || among(removed, field.name);
  });
  if (!message_id.empty() && !has_id) draft.append("Message-ID: " + std::string(message_id) + "\r\n");
  draft.append(list_fields(list));
  draft.append("X-BeenThere: " + list.address() + "\r\n");
}

}  // namespace spoold::list
