// Due entries: who is to be tried when, by route. One entry covers a range of numbers of one message: those
// of its open recipients that have no row, or a row with exactly the entry's time. Routes are known without
// DNS (README, Two stores behind one door). An entry of another generation than its message's is void; whoever meets it deletes
// it.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

struct DueRow {
  std::string route;
  TimePoint at{};
  Id message = 0;
  std::uint32_t first = 0, count = 0, generation = 0;
};
DueRow unpack_due(std::string_view key, std::string_view value);
Key due_key(const DueRow&);
void put_due(Write&, const DueRow&);

/// Times at which nothing of one message is covered yet. Of its claims it looks once, when it is first asked, so that
/// many may ask; claims that end meanwhile do no harm, and none may begin.
class FreeTimes {
 public:
  FreeTimes(const Read& read, Id message) : read_(read), message_(message) {}
  /// The first time from `at` on that no entry of the message on this route has, and none of its claims: so a row
  /// with this time is covered by what is written there now, and by nothing else.
  TimePoint from(std::string_view route, TimePoint at);
  bool claimed(TimePoint at);  // a claim has this time

 private:
  const Read& read_;
  const Id message_;
  std::optional<std::set<TimePoint>> claimed_;
};

/// Makes one number due, at `one.at` or the first time after it at which nothing covers the number; the time
/// it has now. Where that lengthens the entry before it, it does: so many that an operator wants to be
/// tried now are one entry, and due now.
TimePoint put_due_alone(Write&, DueRow one, FreeTimes&);

/// Joins neighbours of one route into entries: add numbers in order; a number left out, or another route,
/// ends an entry. Entries are written when they end; the last one by finish().
class DueRuns {
 public:
  DueRuns(Id message, TimePoint at, std::uint32_t generation) : run_{{}, at, message, 0, 0, generation} {}
  void add(Write&, std::uint32_t number, std::string_view route);
  void finish(Write&);
  const std::set<std::string>& routes() const { return routes_; }

 private:
  DueRow run_;
  std::set<std::string> routes_;
};

}  // namespace spoold::store::spool
