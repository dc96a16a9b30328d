#include "store/directory/asked.hpp"

#include "store/directory/rows.hpp"

namespace spoold::store::directory {
namespace {

constexpr std::size_t token_size = 32;

/// Place first: how often an address is written to is asked for all lists together.
Key asked_key(ListId list, std::string_view place, list::What what) {
  return membership_key(place, list).u8(static_cast<std::uint8_t>(what));
}

std::string pack(const list::Asked& asked) {
  Packer out;
  out.word(asked.what).word(asked.answer).str(asked.address).str(asked.name);
  out.flag(asked.delivery.has_value()).word(asked.delivery.value_or(list::Delivery::regular));
  out.str(asked.words).str(asked.token).time(asked.since).time(asked.until);
  if (asked.preferences.empty() && asked.about.empty() && asked.letters == 1) return out.take();
  out.num(asked.preferences.size());
  for (const auto& [name, text] : asked.preferences) out.str(name).str(text);
  out.str(asked.about);
  if (asked.letters > 1) out.num(asked.letters);
  return out.take();
}

list::Asked unpack_asked(std::string_view record) {
  Unpacker in(record, "asked");
  list::Asked asked;
  asked.what = in.word(list::What::unknown);
  asked.answer = in.word(list::Answer::refused);
  asked.address = in.text();
  asked.name = in.text();
  const bool has_delivery = in.flag();
  const auto delivery = in.word(list::last_delivery);
  if (has_delivery) asked.delivery = delivery;
  asked.words = in.text();
  asked.token = in.text();
  asked.since = in.time();
  asked.until = in.time();
  if (in.at_end()) return asked;
  for (std::uint64_t left = in.num(); left > 0; --left) {
    std::string name = in.text();
    asked.preferences.emplace_back(std::move(name), in.text());
  }
  asked.about = in.text();
  if (!in.at_end()) asked.letters = in.num32();
  return asked;
}

AskedRow row_of(std::string_view key, std::string_view record) {
  // The place holds a NUL of its own, and ends with another.
  const std::size_t domain = key.find('\0');
  const std::size_t end = domain == key.npos ? domain : key.find('\0', domain + 1);
  AskedRow row;
  row.asked = unpack_asked(record);
  if (end == key.npos || key.size() < end + 5) return row;
  row.address = address_key_of(key.substr(0, end));
  KeyReader reader(key.substr(end + 1));
  row.list = reader.u32();
  return row;
}

}  // namespace

std::optional<list::Asked> asked_of(const Read& read, ListId list, std::string_view address_key,
                                    list::What what) {
  const std::string place = place_of(address_key);
  if (place.empty() || address_key.size() > 320) return std::nullopt;
  const auto record = read.get(Table::asked, asked_key(list, place, what));
  if (!record) return std::nullopt;
  return unpack_asked(*record);
}

std::optional<AskedRow> asked_by_token(const Read& read, std::string_view token) {
  if (token.size() != token_size) return std::nullopt;
  const auto key = read.get(Table::asked_token, token);
  if (!key) return std::nullopt;
  const auto record = read.get(Table::asked, *key);
  if (!record) return std::nullopt;
  AskedRow row = row_of(*key, *record);
  if (row.asked.token != token) return std::nullopt;
  return row;
}

std::size_t asked_count(const Read& read, std::string_view address_key, std::size_t most) {
  const std::string place = place_of(address_key);
  if (place.empty()) return 0;
  const std::string prefix = place + '\0';
  std::size_t count = 0;
  Cursor cursor = read.cursor(Table::asked);
  for (bool more = cursor.seek(prefix); more && cursor.at(prefix) && count < most; more = cursor.next())
    ++count;
  return count;
}

bool visit_asked(const Read& read, std::string& after, std::size_t most,
                 const std::function<bool(const AskedRow&)>& visit) {
  Cursor cursor = read.cursor(Table::asked);
  bool more = after.empty() ? cursor.first() : cursor.seek(after);
  if (more && !after.empty() && cursor.key() == after) more = cursor.next();
  for (std::size_t looked = 0; more; more = cursor.next()) {
    if (looked++ == most) return true;
    after = cursor.key();
    if (!visit(row_of(cursor.key(), cursor.value()))) return true;
  }
  return false;
}

void put_asked(Write& write, ListId list, std::string_view address_key, const list::Asked& asked) {
  const std::string place = place_of(address_key);
  del_asked(write, list, address_key, asked.what);
  const Key key = asked_key(list, place, asked.what);
  write.put(Table::asked, key, pack(asked));
  if (!asked.token.empty()) write.put(Table::asked_token, asked.token, key);
}

void del_asked(Write& write, ListId list, std::string_view address_key, list::What what) {
  const Key key = asked_key(list, place_of(address_key), what);
  if (const auto before = write.get(Table::asked, key)) {
    const std::string token = unpack_asked(*before).token;
    if (!token.empty()) write.del(Table::asked_token, token);
    write.del(Table::asked, key);
  }
}

}  // namespace spoold::store::directory
