// The log of changes: tables `change` and `applied` (apply.hpp).
#include "store/directory/apply.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store::directory {
namespace {

constexpr std::uint64_t kept = 100'000;
constexpr std::size_t octets_at_once = 1u << 20;
constexpr const char* low_water_key = "change_low";

}  // namespace

std::uint64_t last_change(const Read& read) {
  Cursor cursor = read.cursor(Table::change);
  return cursor.last() ? KeyReader(cursor.key()).u64() : 0;
}

std::uint64_t low_water(const Read& read) {
  if (const auto low = read.get(Table::meta, low_water_key)) return KeyReader(*low).u64();
  return last_change(read) + 1;  // rows without values, of versions before, are of no use to a follower
}

void log_change(Write& write, LoggedChange logged, const Applied& answer) {
  if (logged.sequence == 0) {
    logged.sequence = last_change(write) + 1;
    logged.node = own_node(write);
  }
  if (!write.has(Table::meta, low_water_key))
    write.put(Table::meta, low_water_key, Key().u64(logged.sequence));
  write.append(Table::change, Key().u64(logged.sequence), pack(logged));
  if (!logged.operation.empty()) write.put(Table::applied, logged.operation, pack(answer));
}

Result<std::vector<LoggedChange>> changes(const Read& read, std::uint64_t after, std::size_t limit) {
  const auto gone = [after] {
    return fail(Error::Kind::conflict,
                "changes of the directory behind number " + std::to_string(after) +
                    " are not kept any more: begin again with a copy of the store (spoolctl backup)");
  };
  if (after + 1 < low_water(read)) return gone();
  std::vector<LoggedChange> found;
  std::size_t octets = 0;
  Cursor cursor = read.cursor(Table::change);
  for (bool more = cursor.seek(Key().u64(after + 1)); more && found.size() < limit && octets < octets_at_once;
       more = cursor.next()) {
    octets += cursor.value().size();
    auto one = unpack_change(KeyReader(cursor.key()).u64(), cursor.value());
    // An earlier version of spoold ran on this store in between, and logged no values.
    if (!one && found.empty()) return gone();
    if (!one) break;
    found.push_back(std::move(*one));
  }
  return found;
}

bool trim_changes(Write& write, TimePoint cutoff, const Enough& enough) {
  const std::uint64_t last = last_change(write), low = low_water(write);
  std::uint64_t first = low;
  bool all = true;
  for (unsigned looked = 1; all; ++looked) {
    std::string operation;
    {
      Cursor cursor = write.cursor(Table::change);
      if (!cursor.first()) break;
      const std::uint64_t sequence = KeyReader(cursor.key()).u64();
      if (sequence == last) break;
      const auto logged = unpack_change(sequence, cursor.value());
      if (last - sequence < kept && logged && logged->at >= cutoff) break;
      if (logged) operation = logged->operation;
      cursor.del(write);
      first = sequence + 1;
    }
    if (!operation.empty()) write.del(Table::applied, operation);
    all = looked % 64 != 0 || !enough();
  }
  if (first > low) write.put(Table::meta, low_water_key, Key().u64(first));
  return all;
}

}  // namespace spoold::store::directory
