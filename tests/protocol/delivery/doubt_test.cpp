// Who may have got a copy without a reply when a connection ends with many transactions in flight: exactly those
// are named, and only where the peer may go on are they kept back.
#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

using Numbers = std::set<std::uint32_t>;

// A fan-out in full swing: so many transactions are written to their end, and none of it is answered.
struct FanOut {
  Planner planner{usual_limits(), 1};
  ConnectionId connection = 0;
  TimePoint now = start;
  std::vector<Observation> open;
  Numbers named;
  std::map<std::uint32_t, Outcome> outcomes;

  explicit FanOut(std::size_t in_flight) {
    planner.add(numbered(1, 200, true), now);
    connection = planner.connected("mx", now);
    for (std::size_t answered = 0; answered < 40;) {
      const Next next = planner.next(connection, now);
      if (next.what == Next::Do::transaction && open.size() < in_flight) {
        open.push_back(written(next.transaction));
        continue;
      }
      answer(open.front());
      planner.report(connection, open.front(), now);
      open.erase(open.begin());
      ++answered;
      planner.take_outcomes();
    }
    while (open.size() < in_flight) open.push_back(written(planner.next(connection, now).transaction));
  }

  Observation written(const Transaction& t) {
    REQUIRE(t.recipients.size() == 1);
    REQUIRE(planner.sending(connection, t.message, t.recipients.front(), now));
    Observation seen = up_to_rcpt(t);
    seen.mail.reset();
    seen.rcpt.resize(1);
    seen.chunked = seen.content_sent = seen.dot_sent = true;
    seen.dot.resize(1);
    return seen;
  }
  static void answer(Observation& seen) {
    seen.mail = smtp::Reply{250, {}, "ok"};
    seen.rcpt.assign(1, seen.mail);
    seen.dot.assign(1, seen.mail);
  }

  void drop(Drop::How how, smtp::Reply last = {}) {
    planner.dropped(connection, {how, Stage::rcpt, std::move(last), ""}, open, now);
    for (const InDoubt& d : planner.take_in_doubt()) CHECK(named.insert(d.number).second);
    for (auto& [message, outcome] : planner.take_outcomes()) outcomes[outcome.number] = outcome;
  }
  Numbers in_flight() const {
    Numbers all;
    for (const Observation& seen : open) all.insert(seen.recipients.begin(), seen.recipients.end());
    return all;
  }
};

}  // namespace

TEST_CASE("CHUNKING: a RCPT or MAIL that is not answered in time leaves all that lies behind it in doubt") {
  for (const auto how : {Drop::How::timeout, Drop::How::garbage}) {
    for (const bool mail_answered : {true, false}) {
      FanOut f(20);
      if (mail_answered) f.open.front().mail = smtp::Reply{250, {}, "ok"};
      f.drop(how);
      CHECK(f.named == f.in_flight());
      CHECK(f.outcomes.size() == 20);
      for (const auto& [number, o] : f.outcomes) {
        CHECK((o.verdict == Verdict::deferred && !o.charged));
        CHECK(o.next_attempt - f.now >= std::chrono::minutes(9));
      }
      CHECK(f.planner.take_suspects().empty());
      CHECK(f.planner.receptive(f.now));
    }
  }
}

TEST_CASE("CHUNKING: nobody is in doubt at a RCPT twice: next time his content waits for the reply") {
  for (const bool in_hand : {true, false}) {
    FanOut f(20);
    f.open.front().mail = smtp::Reply{250, {}, "ok"};
    f.drop(in_hand ? Drop::How::closed : Drop::How::timeout);
    if (!in_hand) {
      Batch again;
      again.message = 1;
      again.one_each = true;
      for (Candidate& c : numbered(1, 200, true).recipients)
        if (f.named.contains(c.number)) again.recipients.emplace_back(std::move(c)).possible_duplicate = true;
      f.planner.add(again, f.now);
    }
    const ConnectionId c = f.planner.connected("mx", f.now);
    std::size_t others = 0;
    for (Next next = f.planner.next(c, f.now); next.what == Next::Do::transaction;
         next = f.planner.next(c, f.now)) {
      const Transaction& t = next.transaction;
      CHECK_FALSE((t.chunked && f.named.erase(t.recipients.front()) > 0));
      others += t.chunked ? 1u : 0u;
      f.named.erase(t.recipients.front());
      REQUIRE(f.planner.sending(c, t.message, t.recipients.front(), f.now));
      f.planner.report(c, all_accepted(t), f.now);
    }
    CHECK(f.named.size() <= 1);  // the suspect has a time of his own
    CHECK(others > 100);
  }
}

TEST_CASE("CHUNKING: a peer that hangs up at a RCPT is believed: those behind go on at once, but are named") {
  for (const auto how : {Drop::How::closed, Drop::How::reset}) {
    FanOut f(20);
    f.open.front().mail = smtp::Reply{250, {}, "ok"};
    const std::uint32_t suspect = f.open.front().recipients.front();
    f.drop(how);
    CHECK(f.named == f.in_flight());
    CHECK(f.outcomes.empty());
    const auto changes = f.planner.take_suspects();
    REQUIRE(changes.size() == 1);
    CHECK(changes.front().address == addresses(suspect + 1).back());
    CHECK(f.planner.in_hand() == 160);
  }
}

TEST_CASE("CHUNKING: a RCPT that was answered 421 is in no doubt, those behind it are") {
  FanOut f(20);
  f.open.front().mail = smtp::Reply{250, {}, "ok"};
  f.open.front().rcpt[0] = smtp::Reply{421, {}, "closing"};
  f.drop(Drop::How::reply_421, smtp::Reply{421, {}, "closing"});
  Numbers behind = f.in_flight();
  behind.erase(f.open.front().recipients.front());
  CHECK(f.named == behind);
  CHECK(f.outcomes.empty());
}

TEST_CASE(
    "our own cut is nobody's fault: at RCPT all come back, behind an end of content they are in doubt") {
  // By DATA: the oldest command is the RCPT of a bulk transaction.
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 10, false), start);
  const ConnectionId c = planner.connected("mx", start);
  const Next next = planner.next(c, start);
  for (const std::uint32_t n : next.transaction.recipients) REQUIRE(planner.sending(c, 1, n, start));
  Observation seen = up_to_rcpt(next.transaction);
  seen.rcpt.resize(10);
  seen.rcpt[0] = seen.mail;
  planner.dropped(c, {Drop::How::ours, Stage::rcpt}, {seen}, start);
  CHECK(planner.take_in_doubt().empty());
  CHECK(planner.take_outcomes().empty());
  CHECK(planner.take_suspects().empty());
  CHECK(planner.in_hand() == 10);
  CHECK(planner.health(start).drops == 0);
  CHECK(planner.connections_wanted(0, start) == 1);
  for (std::uint32_t n = 0; n < 10; ++n) CHECK(planner.withdraw(1, n) == Withdrawal::withdrawn);

  for (const bool oldest_is_the_end : {true, false}) {
    FanOut f(20);
    f.open.back().dot_sent = false;
    if (oldest_is_the_end) {
      FanOut::answer(f.open.front());
      f.open.front().dot.assign(1, std::nullopt);
    }
    Numbers written = f.in_flight();
    written.erase(f.open.back().recipients.front());
    f.drop(Drop::How::ours);
    CHECK(f.named == written);
    CHECK(f.outcomes.size() == written.size());
    for (const auto& [number, o] : f.outcomes) CHECK((o.verdict == Verdict::deferred && !o.charged));
    CHECK(f.planner.take_suspects().empty());
    CHECK(f.planner.health(f.now).drops == 0);
  }
}
