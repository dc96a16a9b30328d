#include "store/spool/due.hpp"

#include <algorithm>

#include "store/spool/spool.hpp"

namespace spoold::store::spool {

DueRow unpack_due(std::string_view key, std::string_view value) {
  DueRow d;
  KeyReader k(key);
  d.route = k.str();
  d.at = k.time();
  d.message = k.u64();
  d.first = k.u32();
  Unpacker u(value, "due", key);
  d.count = u.num32();
  d.generation = u.num32();
  if (d.count == 0 || d.first > ~d.count) u.bad("covers an impossible range");
  return d;
}

Key due_key(const DueRow& d) {
  return Key().str(d.route).time(d.at).u64(d.message).u32(d.first);
}

void put_due(Write& write, const DueRow& d) {
  write.put(Table::due, due_key(d), Packer().num(d.count).num(d.generation).bytes());
}

bool FreeTimes::claimed(TimePoint at) {
  if (!claimed_) {
    claimed_.emplace();
    each_claim_time(read_, message_, [this](TimePoint due) { claimed_->insert(due); });
  }
  return claimed_->contains(at);
}

TimePoint FreeTimes::from(std::string_view route, TimePoint at) {
  Cursor c = read_.cursor(Table::due);
  for (;; at += Duration(1)) {
    const Key prefix = Key().str(route).time(at).u64(message_);
    if (!claimed(at) && !(c.seek(prefix) && c.at(prefix))) return at;
  }
}

TimePoint put_due_alone(Write& write, DueRow one, FreeTimes& times) {
  Cursor c = write.cursor(Table::due);
  for (;; one.at += Duration(1)) {
    if (times.claimed(one.at)) continue;
    const Key prefix = Key().str(one.route).time(one.at).u64(one.message);
    const bool any = c.seek_before(Key(prefix).u32(one.first).u8(0)) && c.at(prefix);
    if (!any) break;
    // Those of one time and generation do not overlap: the last one that begins before the number tells.
    DueRow before = unpack_due(c.key(), c.value());
    const std::uint32_t end = before.first + before.count;
    if (end > one.first || before.generation != one.generation) continue;
    if (end < one.first) break;
    ++before.count;
    put_due(write, before);
    return one.at;
  }
  put_due(write, one);
  return one.at;
}

void DueRuns::add(Write& write, std::uint32_t number, std::string_view route) {
  if (run_.count > 0 && route == run_.route && number == run_.first + run_.count) {
    ++run_.count;
    return;
  }
  finish(write);
  if (route != run_.route) {
    run_.route = route;
    routes_.emplace(route);
  }
  run_.first = number;
  run_.count = 1;
}

void DueRuns::finish(Write& write) {
  if (run_.count > 0) put_due(write, run_);
  run_.count = 0;
}

std::vector<DueRoute> due_routes(const Read& read) {
  std::vector<DueRoute> out;
  Cursor c = read.cursor(Table::due);
  for (bool more = c.first(); more;) {
    DueRow d = unpack_due(c.key(), c.value());
    const std::string behind = d.route + '\x01';
    out.push_back({std::move(d.route), d.at});
    more = c.seek(behind);
  }
  return out;
}

std::optional<TimePoint> earliest_due(const Read& read, std::string_view route) {
  Cursor c = read.cursor(Table::due);
  const Key prefix = Key().str(route);
  if (!c.seek(prefix) || !c.at(prefix)) return std::nullopt;
  return unpack_due(c.key(), c.value()).at;
}

}  // namespace spoold::store::spool
