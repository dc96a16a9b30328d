#include "protocol/list/approved.hpp"

#include <algorithm>
#include <array>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/secret.hpp"

namespace spoold::list {
namespace {

constexpr std::string_view mark = "hmac:";
constexpr std::array<std::string_view, 4> fields = {"Approved", "Approve", "X-Approved", "X-Approve"};

}  // namespace

std::string sealed_password(std::string_view list_address, std::string_view password, const Hmac& hmac) {
  constexpr const char* digits = "0123456789abcdef";
  const std::array<std::string_view, 3> parts = {"moderator password", list_address, password};
  std::string data;
  for (const std::string_view part : parts) data.append(part).append(1, '\0');
  std::string out(mark);
  for (const std::uint8_t octet : hmac(data)) {
    out += digits[octet >> 4];
    out += digits[octet & 15];
  }
  return out;
}

bool is_sealed(std::string_view text) {
  const auto digit = [](char c) { return mail::is_digit(c) || (c >= 'a' && c <= 'f'); };
  return text.size() == mark.size() + 64 && text.starts_with(mark) &&
         std::ranges::all_of(text.substr(mark.size()), digit);
}

bool is_approved(const List& list, const mail::Header& header, const Hmac& hmac) {
  const std::string& kept = list.settings.moderation.password;
  if (kept.empty()) return false;
  bool approved = false;
  for (const mail::Field& field : header.fields()) {
    const auto fits = [&](std::string_view name) { return mail::same(field.name, name); };
    if (std::ranges::none_of(fields, fits) || field.value.size() > 1000) continue;
    const std::string given = sealed_password(list.address(), mail::trim(field.value), hmac);
    approved = mail::same_secret<char>(given, kept) || approved;
  }
  return approved;
}

}  // namespace spoold::list
