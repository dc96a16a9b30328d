#include "store/spool/suspect.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::store::spool {
namespace {

using mail::lower;

/// Route and address may together be longer than a key: then the address is cut, and a number made of all of
/// it follows (FNV-1a); the row holds both in full.
Key suspect_key(std::string_view route, std::string_view address_key) {
  Key key = Key().str(route);
  if (route.size() + 1 + address_key.size() <= Key::max_size) return key.raw(address_key);
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : address_key) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return key.raw(address_key.substr(0, Key::max_size - 9 - route.size())).u64(hash);
}

}  // namespace

Suspect unpack_suspect(std::string_view key, std::string_view value) {
  Unpacker u(value, "suspect", key);
  Suspect s;
  s.route = u.text();
  s.address = u.text();
  s.strikes = u.num32();
  s.parked = u.flag();
  s.first = u.time();
  s.last_drop = u.time();
  s.next = u.time();
  s.last_position = u.num32();
  s.stage = u.word(Stage::dns);
  s.how = u.text();
  s.commits_between = u.num();
  return s;
}

void put_suspect(Write& write, const Suspect& s) {
  Packer p;
  p.str(s.route).str(s.address).num(s.strikes).flag(s.parked).time(s.first).time(s.last_drop).time(s.next);
  p.num(s.last_position).word(s.stage).str(s.how).num(s.commits_between);
  write.put(Table::suspect, suspect_key(s.route, lower(s.address)), p.bytes());
}

void del_suspect(Write& write, std::string_view route, std::string_view address) {
  write.del(Table::suspect, suspect_key(route, lower(address)));
}

std::vector<Suspect> suspects(const Read& read, std::string_view route) {
  std::vector<Suspect> out;
  const Key prefix = Key().str(route);
  read.each(Table::suspect, prefix, [&](auto key, auto value) {
    out.push_back(unpack_suspect(key, value));
    return true;
  });
  return out;
}

std::optional<Suspect> suspect(const Read& read, std::string_view route, std::string_view address_key) {
  const Key key = suspect_key(route, lower(address_key));
  const auto value = read.get(Table::suspect, key);
  if (!value) return std::nullopt;
  return unpack_suspect(key, *value);
}

bool sweep_suspects(Write& write, TimePoint cutoff, std::string& after, const Enough& enough) {
  for (unsigned looked = 1;; ++looked) {
    {
      Cursor c = write.cursor(Table::suspect);
      if (!c.seek(after + '\0')) return true;
      after = c.key();
      const Suspect s = unpack_suspect(c.key(), c.value());
      if (std::max(s.last_drop, s.next) < cutoff) c.del(write);
    }
    if (looked % 64 == 0 && enough()) return false;
  }
}

}  // namespace spoold::store::spool
