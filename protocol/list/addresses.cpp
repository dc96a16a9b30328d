#include "protocol/list/addresses.hpp"

#include <algorithm>
#include <array>

#include "protocol/mail/ascii.hpp"

namespace spoold::list {

namespace {

struct Suffix {
  std::string_view text;
  Role role;
  enum class Detail { no, may, must } detail;
};
constexpr std::array<Suffix, 9> suffixes = {{
    {"-bounces", Role::bounces, Suffix::Detail::may},
    {"-owner", Role::owner, Suffix::Detail::no},
    {"-request", Role::request, Suffix::Detail::no},
    {"-join", Role::join, Suffix::Detail::no},
    {"-subscribe", Role::join, Suffix::Detail::no},
    {"-leave", Role::leave, Suffix::Detail::no},
    {"-unsubscribe", Role::leave, Suffix::Detail::no},
    {"-confirm", Role::confirm, Suffix::Detail::must},
    {"-admin", Role::admin, Suffix::Detail::no},
}};
constexpr std::array<std::string_view, 4> reserved = {"postmaster", "abuse", "bounces", "confirm"};

}  // namespace

const char* text(Role role) {
  switch (role) {
    case Role::post:
      return "post";
    case Role::join:
      return "join";
    case Role::leave:
      return "leave";
    case Role::confirm:
      return "confirm";
    case Role::request:
      return "request";
    case Role::owner:
      return "owner";
    case Role::admin:
      return "admin";
    case Role::bounces:
      return "bounces";
    case Role::postmaster:
      return "postmaster";
    case Role::abuse:
      return "abuse";
  }
  return "?";
}

std::optional<SubAddress> sub_address(std::string_view local, char delimiter) {
  std::string name = mail::lower(local);
  if (name == "postmaster") return SubAddress{Role::postmaster, {}, {}};
  if (name == "abuse") return SubAddress{Role::abuse, {}, {}};
  for (std::string_view base : {"bounces", "confirm"})
    if (name.size() > base.size() + 1 && name.starts_with(base) && name[base.size()] == delimiter)
      return SubAddress{
          base == "bounces" ? Role::bounces : Role::confirm, {}, std::string(local.substr(base.size() + 1))};

  for (const Suffix& suffix : suffixes) {
    if (suffix.detail == Suffix::Detail::no) continue;
    // The first one: a list's name holds no delimiter, a member's address in the detail may hold anything.
    std::size_t at = name.find(std::string(suffix.text) + delimiter);
    if (at == std::string::npos || at == 0 || name.find(delimiter) < at) continue;
    std::string_view detail = local.substr(at + suffix.text.size() + 1);
    if (!detail.empty()) return SubAddress{suffix.role, name.substr(0, at), std::string(detail)};
  }
  SubAddress found{Role::post, name, {}};
  for (const Suffix& suffix : suffixes) {
    if (suffix.detail == Suffix::Detail::must || !name.ends_with(suffix.text)) continue;
    found = {suffix.role, name.substr(0, name.size() - suffix.text.size()), {}};
    break;
  }
  if (found.list.empty() || found.list.find(delimiter) != std::string::npos) return {};
  return found;
}

std::string token_address(Role role, std::string_view list_address, std::string_view token, char delimiter) {
  constexpr std::size_t max_local = 64;  // RFC 5321 4.5.3.1.1
  const std::size_t at = list_address.rfind('@');
  std::string tail = text(role);
  tail.append(1, delimiter).append(token);
  std::string local = std::string(list_address.substr(0, at)) + "-" + tail;
  if (local.size() > max_local) local = std::move(tail);
  local += list_address.substr(at);
  return local;
}

std::optional<std::string> name_fault(std::string_view local, char delimiter) {
  if (local.empty()) return "the name of the list is missing";
  if (local.size() > max_name) return "the name of a list must not be longer than 52 octets";
  if (local.find(delimiter) != std::string_view::npos)
    return std::string("the name of a list must not contain the delimiter '") + delimiter + "'";
  if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string_view::npos ||
      !std::all_of(local.begin(), local.end(), [](char c) { return c == '.' || mail::is_atext(c); }))
    return "the name of a list must not need quotes: letters, digits, dots between them, hyphens";
  std::string name = mail::lower(local);
  for (std::string_view word : reserved)
    if (name == word) return "'" + name + "' is reserved at each list domain";
  for (const Suffix& suffix : suffixes)
    if (name.ends_with(suffix.text))
      return "the name of a list must not end in " + std::string(suffix.text) +
             ": that address belongs to the list in front of it";
  return {};
}

}  // namespace spoold::list
