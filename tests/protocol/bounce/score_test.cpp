#include "protocol/bounce/score.hpp"

#include <map>

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::bounce;
using std::chrono::days;
using std::chrono::hours;

namespace {

const TimePoint begin = std::chrono::sys_days(std::chrono::year{2026} / 1 / 1) + hours(9);

TimePoint day(int n, int hour = 0) {
  return begin + days(n) + hours(hour);
}

struct Member {
  list::BounceRules rules;
  Score score;
  Recorded fails(int on, bool soft = false, int hour = 0) {
    return record(score, rules, {day(on, hour), soft, soft ? "mailbox-full" : "no-such-user"});
  }
};

}  // namespace

TEST_CASE("score: one point a day, a probe at the threshold, and the score begins again") {
  Member m;
  for (int d = 0; d < 4; ++d) {
    CHECK(m.fails(d).counts);
    const Recorded again = m.fails(d, false, 5);
    CHECK(!again.counts);
    CHECK(again.act == Act::nothing);
    CHECK(m.score.half_points() == static_cast<std::uint32_t>(2 * (d + 1)));
  }
  CHECK(m.fails(4).act == Act::probe);
  CHECK(m.score.half_points() == 0);
  CHECK(m.score.led.size() == 5);
  // The day is used up, also by what led to the probe.
  CHECK(!m.fails(4, false, 3).counts);
  CHECK(m.score.half_points() == 0);
  CHECK(m.fails(5).counts);
}

TEST_CASE("score: a soft failure is half a point; a hard one of the same day makes it a whole one") {
  Member m;
  CHECK(m.fails(0, true).counts);
  CHECK(m.score.half_points() == 1);
  CHECK(!m.fails(0, true, 1).counts);
  CHECK(m.fails(0, false, 2).counts);
  CHECK(m.score.half_points() == 2);
  CHECK(!m.fails(0, true, 3).counts);
  CHECK(m.score.half_points() == 2);
  for (int d = 1; d < 8; ++d) CHECK(m.fails(d, true).act == Act::nothing);
  CHECK(m.score.half_points() == 9);
  CHECK(m.fails(8, true).act == Act::probe);
}

TEST_CASE("score: failures are forgotten when the last one is more than bounce_stale old") {
  Member m;
  m.fails(0);
  m.fails(7);  // seven days old: not stale yet
  CHECK(m.score.half_points() == 4);
  m.fails(15);
  CHECK(m.score.half_points() == 2);
  CHECK(next_tick(m.score, m.rules) == std::chrono::floor<days>(day(15)) + days(8));
  CHECK(tick(m.score, m.rules, day(22)) == Act::nothing);
  CHECK(m.score.half_points() == 2);
  CHECK(tick(m.score, m.rules, day(23)) == Act::nothing);
  CHECK(m.score.empty());
}

TEST_CASE("score: a probe that bounces disables; warnings on the days of Mailman, then removal") {
  Member m;
  for (int d = 0; d < 5; ++d) m.fails(d);
  probe_sent(m.score, "0123", day(4));
  CHECK(probe_bounced(m.score, m.rules, day(5)) == Act::disable);
  CHECK(m.score.warnings == 1);  // on the day itself
  CHECK(probe_bounced(m.score, m.rules, day(5)) == Act::nothing);
  CHECK(!m.fails(6).counts);  // residual
  std::map<int, Act> done;
  for (int d = 5; d < 40; ++d)
    if (const Act act = tick(m.score, m.rules, day(d)); act != Act::nothing) {
      done[d - 5] = act;
      if (act == Act::remove) break;
    }
  CHECK(done == std::map<int, Act>{{7, Act::warn}, {14, Act::warn}, {21, Act::remove}});
}

TEST_CASE("score: a probe that does not bounce within ten days means that nothing more happens") {
  Member m;
  for (int d = 0; d < 5; ++d) m.fails(d);
  probe_sent(m.score, "0123", day(4));
  CHECK(next_tick(m.score, m.rules) == day(14));
  Score late = m.score;
  CHECK(probe_bounced(late, m.rules, day(14)) == Act::nothing);
  CHECK(late.disabled == TimePoint{});
  for (int d = 5; d < 30; ++d) CHECK(tick(m.score, m.rules, day(d)) == Act::nothing);
  CHECK(m.score.empty());
}

TEST_CASE("score: without probes the threshold disables at once; without warnings it removes") {
  Member m;
  m.rules.probe = false;
  m.rules.threshold = 3;
  CHECK(m.fails(0).act == Act::nothing);
  CHECK(m.fails(1).act == Act::disable);
  CHECK(m.score.disabled == day(1));
  Member n;
  n.rules.probe = false;
  n.rules.threshold = 1;
  n.rules.warnings = 0;
  CHECK(n.fails(0, true).act == Act::remove);
}

TEST_CASE("score: a threshold that was lowered acts at the next failure, also on a day that has counted") {
  Member m;
  for (int d = 0; d < 4; ++d) m.fails(d);
  m.rules.threshold = 6;
  const Recorded done = m.fails(3, false, 1);
  CHECK(!done.counts);
  CHECK(done.act == Act::probe);
}

TEST_CASE("score: bounce_processing = false counts nothing, and stops warnings and removal") {
  Member m;
  m.rules.processing = false;
  for (int d = 0; d < 20; ++d) CHECK(m.fails(d).act == Act::nothing);
  CHECK(m.score.empty());
  m.score.disabled = m.score.warned = day(0);
  CHECK(tick(m.score, m.rules, day(300)) == Act::nothing);
  CHECK(next_tick(m.score, m.rules) == TimePoint::max());
}

TEST_CASE("score: a clock that goes back a year and forward again counts nothing twice") {
  Member m;
  m.fails(400);
  CHECK(!m.fails(35).counts);
  CHECK(m.score.half_points() == 2);
  CHECK(m.fails(401).counts);
  CHECK(m.score.half_points() == 4);
}

TEST_CASE("score: failures of one cause since a time are taken back, and what they did") {
  Member m;
  m.rules.probe = false;
  for (int d = 0; d < 3; ++d) m.fails(d, true);
  for (int d = 3; d < 7; ++d) m.fails(d);
  CHECK(m.score.disabled != TimePoint{});
  Score other = m.score;
  CHECK(undo(other, m.rules, "no-such-user", day(8)) == Act::nothing);
  CHECK(other.disabled != TimePoint{});
  CHECK(undo(m.score, m.rules, "no-such-user", day(5)) == Act::enable);
  CHECK(m.score.disabled == TimePoint{});
  CHECK(m.score.half_points() == 7);
  CHECK(undo(m.score, m.rules, "mailbox-full", day(0)) == Act::nothing);
  CHECK(m.score.half_points() == 4);
}

TEST_CASE("score: a year of a list with 1,000 members of whom every tenth is gone") {
  std::vector<Member> members(1000);
  std::map<Act, int> acts;
  std::vector<bool> gone(members.size());
  for (int d = 0; d < 365; ++d)
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (gone[i]) continue;
      Member& m = members[i];
      const bool dead = i % 10 == 0 && d >= 30, full = i % 10 == 1 && d % 30 < 4;
      if (m.score.disabled == TimePoint{} && (dead || full)) {
        const Act act = m.fails(d, full).act;
        ++acts[act];
        if (act == Act::probe) {
          probe_sent(m.score, "t", day(d));
          if (dead) ++acts[probe_bounced(m.score, m.rules, day(d, 1))];
        }
      }
      const Act act = tick(m.score, m.rules, day(d, 2));
      ++acts[act];
      gone[i] = act == Act::remove;
    }
  CHECK(acts[Act::probe] == 100);
  CHECK(acts[Act::disable] == 100);
  CHECK(acts[Act::warn] == 200);
  CHECK(acts[Act::remove] == 100);
}
