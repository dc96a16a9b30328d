#include "store/directory/users.hpp"

#include <algorithm>

#include "protocol/mail/mailbox.hpp"
#include "store/record.hpp"
#include "store/txn.hpp"

namespace spoold::store::directory {
namespace {

std::string pack(const User& user) {
  Packer out;
  out.num(user.addresses.size());
  for (const std::string& address : user.addresses) out.str(address);
  const Verifiers& v = user.verifiers;
  out.str(v.crypt).str(v.salt).num(v.iterations).str(v.stored_key).str(v.server_key);
  out.time(user.created).time(user.password_set);
  out.num(user.networks.size());
  for (const KnownNetwork& known : user.networks) out.str(known.network).num(known.day);
  return out.take();
}

User unpack_user(std::string_view name, std::string_view record) {
  Unpacker in(record, "user", name);
  User user;
  user.name = name;
  for (std::uint64_t left = in.num(); left > 0; --left) user.addresses.push_back(in.text());
  Verifiers& v = user.verifiers;
  v.crypt = in.text();
  v.salt = in.text();
  v.iterations = in.num32();
  v.stored_key = in.text();
  v.server_key = in.text();
  user.created = in.time();
  user.password_set = in.time();
  if (in.at_end()) return user;  // of a version that kept no networks
  for (std::uint64_t left = in.num(); left > 0; --left) {
    std::string network = in.text();
    user.networks.push_back({std::move(network), in.num32()});
  }
  return user;
}

tl::unexpected<Error> no_user(std::string_view name) {
  return fail(Error::Kind::not_found, "there is no user " + std::string(name));
}

// A verifier that nothing can match, or that crypt() reads in another way, locks the user out without a word.
std::optional<std::string> fault(const User& user) {
  if (auto name = user_name_fault(user.name)) return name;
  for (const std::string& address : user.addresses)
    if (const auto mailbox = Mailbox::parse(address); !mailbox)
      return "the address '" + address + "': " + mailbox.error();
  const Verifiers& v = user.verifiers;
  if (!v.crypt.starts_with('$') || v.crypt.find('\0') != std::string::npos || v.salt.empty() ||
      v.iterations < 4096 || v.stored_key.size() != 32 || v.server_key.size() != 32)
    return "the password's verifiers are not whole";
  return {};
}

}  // namespace

std::optional<std::string> user_name_fault(std::string_view name) {
  if (name.empty()) return "the name of a user is empty";
  if (name.size() > longest_user_name)
    return "the name of a user has at most " + std::to_string(longest_user_name) + " characters";
  const bool good = std::all_of(name.begin(), name.end(),
                                [](char c) { return c > ' ' && c <= '~' && (c < 'A' || c > 'Z'); });
  if (!good)
    return "the name of a user is of visible ASCII characters without capitals: '" + std::string(name) + "'";
  return {};
}

std::uint32_t day_of(TimePoint at) {
  const auto days = std::chrono::floor<std::chrono::days>(at).time_since_epoch().count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(days, 0));
}

std::optional<User> find_user(const Read& read, std::string_view name) {
  if (user_name_fault(name)) return std::nullopt;  // also: no key is made of a peer's long text
  const auto record = read.get(Table::user, name);
  if (!record) return std::nullopt;
  return unpack_user(name, *record);
}

std::vector<User> users(const Read& read, std::string_view after, std::size_t limit) {
  std::vector<User> found;
  Cursor cursor = read.cursor(Table::user);
  const std::string from = std::string(after) + '\0';
  for (bool more = cursor.seek(from); more && found.size() < limit; more = cursor.next())
    found.push_back(unpack_user(cursor.key(), cursor.value()));
  return found;
}

Result<void> add_user(Write& write, const User& user) {
  if (auto wrong = fault(user)) return fail(Error::Kind::invalid, *std::move(wrong));
  if (write.has(Table::user, user.name))
    return fail(Error::Kind::conflict, "there is a user " + user.name + " already");
  write.put(Table::user, user.name, pack(user));
  return {};
}

Result<void> set_user(Write& write, const User& user) {
  if (auto wrong = fault(user)) return fail(Error::Kind::invalid, *std::move(wrong));
  if (!write.has(Table::user, user.name)) return no_user(user.name);
  write.put(Table::user, user.name, pack(user));
  return {};
}

Result<void> know_network(Write& write, std::string_view name, KnownNetwork known) {
  auto user = find_user(write, name);
  if (!user) return no_user(name);
  std::erase_if(user->networks, [&](const KnownNetwork& one) { return one.network == known.network; });
  user->networks.insert(user->networks.begin(), std::move(known));
  if (user->networks.size() > most_known_networks) user->networks.resize(most_known_networks);
  write.put(Table::user, user->name, pack(*user));
  return {};
}

Result<void> remove_user(Write& write, std::string_view name) {
  if (!find_user(write, name)) return no_user(name);
  write.del(Table::user, name);
  return {};
}

}  // namespace spoold::store::directory
