// Users: who may submit mail by AUTH, and as whom. What is read of them; they are changed by operations (changes.hpp). A
// password is never in the store: two verifiers are, made of it at the same time (server/auth/password.hpp). See also:
// README.md (table `user`).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/time.hpp"
#include "store/error.hpp"

namespace spoold::store {

class Read;
class Write;

namespace directory {

/// From these a password can be judged, and not be had.
struct Verifiers {
  std::string crypt;  // crypt(5), for PLAIN and LOGIN
  // For SCRAM-SHA-256 (RFC 5802 section 3): octets.
  std::string salt, stored_key, server_key;
  std::uint32_t iterations = 0;
  bool operator==(const Verifiers&) const = default;
};

/// A network that a user has logged in from, as clients are counted by: an IPv4 address, the /64 of an IPv6 address.
struct KnownNetwork {
  std::string network;
  std::uint32_t day = 0;  // of the last login: days since 1970, UTC
  bool operator==(const KnownNetwork&) const = default;
};

struct User {
  std::string name;                    // visible ASCII in lower case
  std::vector<std::string> addresses;  // Mailbox texts: whom he may send as
  Verifiers verifiers;
  TimePoint created{}, password_set{};
  std::vector<KnownNetwork> networks = {};  // the last one first
  bool operator==(const User&) const = default;
};

inline constexpr std::size_t longest_user_name = 254, most_known_networks = 16;
std::uint32_t day_of(TimePoint);  // as in KnownNetwork

/// `name` in lower case. Throws Broken(corrupt).
std::optional<User> find_user(const Read&, std::string_view name);
/// By name, those behind `after`.
std::vector<User> users(const Read&, std::string_view after, std::size_t limit);

/// What is wrong with a name, in one sentence; nothing: it may be one.
std::optional<std::string> user_name_fault(std::string_view name);

// The steps of which apply() is made.
Result<void> add_user(Write&, const User&);  // conflict: there is one of this name
Result<void> set_user(Write&, const User&);  // not_found
Result<void> remove_user(Write&, std::string_view name);
/// The network becomes the first one of the user; beyond most_known_networks the last ones are forgotten. not_found: there is no
/// such user (any more).
Result<void> know_network(Write&, std::string_view name, KnownNetwork);

}  // namespace directory
}  // namespace spoold::store
