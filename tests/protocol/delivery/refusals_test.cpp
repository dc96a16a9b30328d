// What refusals of a whole transaction and "too many recipients" mean.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

const smtp::Reply too_many_at_content{550, {5, 5, 3}, "too many recipients"};

/// A transaction whose RCPTs are accepted, and whose content is answered so.
Observation content_answered(const Transaction& t, smtp::Reply reply) {
  Observation seen = all_accepted(t);
  seen.dot = {std::move(reply)};
  return seen;
}

struct Count {
  std::size_t delivered = 0, failed = 0, deferred = 0, released = 0, charged = 0;
};

Count count(Planner& planner) {
  Count all;
  for (const auto& [message, o] : planner.take_outcomes()) {
    all.delivered += o.verdict == Verdict::delivered;
    all.failed += o.verdict == Verdict::failed;
    all.deferred += o.verdict == Verdict::deferred;
    all.released += o.verdict == Verdict::released;
    all.charged += o.charged;
  }
  return all;
}

/// Asks for transactions until there is none, and answers each; how many there were.
template <typename Answer>
std::size_t run(Planner& planner, TimePoint now, Answer&& answer) {
  const ConnectionId id = planner.connected("mx", now);
  std::size_t transactions = 0;
  for (Next n = planner.next(id, now); n.what == Next::Do::transaction; n = planner.next(id, now)) {
    REQUIRE(++transactions <= 10'000);
    planner.report(id, answer(n.transaction), now);
  }
  planner.closed(id, now);
  return transactions;
}

}  // namespace

TEST_CASE("too many recipients, in any words and behind any number: all are delivered at once, uncharged") {
  for (const std::uint32_t after : {1u, 4u, 10u, 30u})
    for (const smtp::Reply& words :
         {smtp::Reply{452, {4, 5, 3}, "too many recipients"}, smtp::Reply{452, {}, "no more"},
          smtp::Reply{552, {}, "no more"}, smtp::Reply{552, {5, 5, 3}, "no more"},
          smtp::Reply{550, {5, 5, 3}, "no more"}}) {
      const std::string text = words.oneline();
      CAPTURE(after);
      CAPTURE(text);
      Faults faults;
      faults.too_many_after = after;
      faults.too_many = words;
      Lane lane(usual_limits(), faults, 1, 5);
      lane.post(1, addresses(100), false);
      lane.run(start + minutes(1));
      for (const auto& [key, s] : lane.store) {
        CHECK(s.verdict == Verdict::delivered);
        CHECK(s.attempts == 1);
      }
      CHECK(lane.planner.health(lane.now).learned_rcpts == after);
    }
}

TEST_CASE("too many recipients as the answer to the first RCPT of a transaction is his verdict") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 3, false), start);
  run(planner, start, [](const Transaction& t) {
    Observation seen = up_to_rcpt(t);
    seen.rcpt.assign(t.recipients.size(), smtp::Reply{552, {5, 5, 3}, "too many recipients"});
    return seen;
  });
  const Count all = count(planner);
  CHECK(all.failed == 3);
}

TEST_CASE("too many recipients in reply to DATA or to the content: fewer in each transaction, nobody fails") {
  for (const bool at_data : {false, true}) {
    Planner planner(usual_limits(), 1);
    planner.add(numbered(1, 100, false), start);
    run(planner, start, [at_data](const Transaction& t) {
      if (t.recipients.size() <= 10) return all_accepted(t);
      Observation seen = content_answered(t, too_many_at_content);
      if (!at_data) return seen;
      seen.data = too_many_at_content;
      seen.content_sent = seen.dot_sent = false;
      seen.dot.clear();
      return seen;
    });
    const Count all = count(planner);
    CHECK(all.delivered == 100);
    CHECK(planner.in_hand() == 0);
  }
}

TEST_CASE("one dead recipient named at the end of data fails alone, not the whole transaction") {
  for (const smtp::Reply& words : {smtp::Reply{550, {5, 1, 10}, "RESOLVER.ADR.RecipientNotFound"},
                                   smtp::Reply{452, {4, 2, 2}, "mailbox full"}}) {
    Planner planner(usual_limits(), 1);
    planner.add(numbered(1, 100, false), start);
    const std::size_t transactions = run(planner, start, [&](const Transaction& t) {
      const bool dead = std::ranges::find(t.recipients, 37u) != t.recipients.end();
      return dead ? content_answered(t, words) : all_accepted(t);
    });
    const Count all = count(planner);
    CHECK(all.delivered == 99);
    CHECK(all.failed + all.deferred == 1);
    CHECK(all.charged == 100);
    CHECK(transactions <= 16);
  }
}

TEST_CASE(
    "4xx to MAIL, DATA or the content of one message: asked a few times, the rest is released uncharged") {
  for (const Stage stage : {Stage::mail, Stage::data, Stage::dot}) {
    Planner planner(usual_limits(), 1);
    planner.add(numbered(1, 5000, true), start);
    const smtp::Reply words{451, {4, 7, 1}, "try again later"};
    const auto refuse = [&](const Transaction& t) {
      Observation seen = content_answered(t, words);
      if (stage == Stage::dot) return seen;
      seen.content_sent = seen.dot_sent = false;
      seen.dot.clear();
      (stage == Stage::mail ? seen.mail : seen.data) = words;
      return seen;
    };
    std::size_t asked = 0;  // on two connections: nine refusals are what one is used for
    while (planner.in_hand() > 0) asked += run(planner, start, refuse);
    CHECK(asked == 16);
    const Count all = count(planner);
    CHECK(all.deferred == 16);
    CHECK(all.released == 5000 - 16);
    CHECK(all.charged == 16);
    CHECK(planner.health(start).state == "up");
  }
}

TEST_CASE("two messages refused alike, or one with words about the host: the host rests for a minute") {
  for (const bool of_host : {false, true}) {
    Planner planner(usual_limits(), 1);
    for (MessageId m = 1; m <= 3; ++m) planner.add(numbered(m, 10, true), start);
    const smtp::Reply words{451, {4, static_cast<std::uint16_t>(of_host ? 3 : 7), 1}, "try again later"};
    const std::size_t asked =
        run(planner, start, [&](const Transaction& t) { return content_answered(t, words); });
    CHECK(asked <= 2);
    CHECK(planner.health(start).state == "waiting");
    CHECK(planner.health(start).until - start <= seconds(75));
    CHECK(planner.in_hand() == 0);
    CHECK(count(planner).released == 30 - asked);
  }
}

TEST_CASE("a message that is always refused with words about the host stops the host once") {
  Planner planner(usual_limits(), 1);
  const smtp::Reply words{451, {4, 3, 0}, "queue file write error"};
  TimePoint now = start;
  int rests = 0;
  for (MessageId m = 2; m < 20; ++m, now += minutes(10)) {
    planner.add(numbered(1, 1, false), now);
    planner.add(numbered(m, 1, false), now);
    run(planner, now,
        [&](const Transaction& t) { return t.message == 1 ? content_answered(t, words) : all_accepted(t); });
    if (planner.health(now).state == "waiting") {
      ++rests;
      planner.take_outcomes();
      planner.add(numbered(m, 1, false), now + minutes(2));
      run(planner, now + minutes(2), [](const Transaction& t) { return all_accepted(t); });
    }
    planner.take_outcomes();
  }
  CHECK(rests == 1);
}

TEST_CASE(
    "4.3.x to RCPT is charged: the recipient is asked by the schedule, not every five minutes for days") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 1, false), start);
  run(planner, start, [](const Transaction& t) {
    Observation seen = up_to_rcpt(t);
    seen.rcpt = {smtp::Reply{451, {4, 3, 0}, "lookup failure"}};
    return seen;
  });
  const Count all = count(planner);
  CHECK(all.deferred == 1);
  CHECK(all.charged == 1);
}

TEST_CASE(
    "LMTP: 421 as the first of the replies after the dot is that recipient's, the others are in doubt") {
  Limits limits = usual_limits();
  limits.lmtp = true;
  Planner planner(limits, 1);
  planner.add(numbered(1, 4, false), start);
  const ConnectionId id = planner.connected("lmtp", start);
  const Next n = planner.next(id, start);
  REQUIRE(n.what == Next::Do::transaction);
  Observation seen = all_accepted(n.transaction);
  const smtp::Reply words{421, {4, 2, 1}, "closing"};
  seen.dot = {words, std::nullopt, std::nullopt, std::nullopt};
  planner.dropped(id, {Drop::How::reply_421, Stage::dot, words, ""}, {seen}, start);
  std::size_t answered = 0, charged = 0;
  for (const auto& [message, o] : planner.take_outcomes()) {
    answered += o.verdict == Verdict::deferred;
    charged += o.charged;
  }
  CHECK(answered == 4);
  CHECK(charged == 1);
}

TEST_CASE("recipients refused on our side use up nothing of the peer's patience") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 30, true), start);
  const std::size_t transactions = run(planner, start, [](const Transaction& t) {
    Observation seen = up_to_rcpt(t);
    seen.rcpt = {
        smtp::Reply{553, {5, 6, 7}, "the address needs SMTPUTF8, which the next hop does not offer"}};
    seen.skipped = t.recipients;
    return seen;
  });
  CHECK(transactions == 30);
  CHECK(count(planner).failed == 30);
}

TEST_CASE("a message refused on our side fails behind another one too, and the connection overlaps on") {
  Limits limits = usual_limits();
  limits.configured_next_hop = true;
  Planner planner(limits, 1);
  planner.add(numbered(1, 1, false), start);
  planner.add(numbered(2, 1, false), start);
  const ConnectionId id = planner.connected("mx", start);
  const Next first = planner.next(id, start), second = planner.next(id, start);
  REQUIRE(second.what == Next::Do::transaction);
  REQUIRE(second.transaction.overlap);
  Observation refused;
  refused.message = second.transaction.message;
  refused.recipients = second.transaction.recipients;
  refused.mail = smtp::Reply{554, {5, 6, 3}, "cannot be converted"};
  planner.report(id, all_accepted(first.transaction), start);
  planner.report(id, refused, start);
  const Count all = count(planner);
  CHECK(all.delivered == 1);
  CHECK(all.failed == 1);
  CHECK(planner.memory().overlap_off_until <= start);
}
