// Hosts that never answer, and domains that DNS says do not exist.
#include <doctest/doctest.h>

#include <string>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

Batch batch_of(MessageId message, std::uint32_t first, std::uint32_t n, TimePoint arrived) {
  Batch batch;
  batch.message = message;
  for (std::uint32_t i = first; i < first + n; ++i) {
    Candidate c;
    c.number = i;
    c.address = "r" + std::to_string(i) + "@example.net";
    c.arrived = arrived;
    batch.recipients.push_back(c);
  }
  return batch;
}

LastReply no_answer() {
  LastReply why;
  why.reply.text = "cannot connect";
  why.stage = Stage::connect;
  return why;
}

std::size_t count(const std::vector<std::pair<MessageId, Outcome>>& outcomes, Verdict verdict) {
  std::size_t n = 0;
  for (const auto& [message, outcome] : outcomes) n += outcome.verdict == verdict ? 1 : 0;
  return n;
}

const Duration lifetime = std::chrono::hours(24);

Limits mortal() {
  Limits limits = usual_limits();
  limits.lifetime = lifetime;
  return limits;
}

}  // namespace

TEST_CASE("a host that never answers: recipients expire by the first failed attempt after their lifetime") {
  Planner planner(mortal(), 1);
  planner.add(batch_of(1, 0, 10, start), start);
  planner.connect_failed(Stage::connect, no_answer(), start + lifetime - Duration(1));
  auto all = planner.take_outcomes();
  CHECK(count(all, Verdict::released) == 10);
  for (const auto& [message, outcome] : all) CHECK_FALSE(outcome.charged);
  TimePoint at = all.front().second.next_attempt;
  CHECK(at > start + lifetime);
  CHECK_FALSE(planner.receptive(at - Duration(1)));
  CHECK(planner.receptive(at));
  planner.add(batch_of(1, 0, 10, start), at);
  planner.connect_failed(Stage::connect, no_answer(), at);
  all = planner.take_outcomes();
  CHECK(count(all, Verdict::expired) == 10);
  CHECK(all.front().second.last.reply.text == "cannot connect");
  CHECK(planner.in_hand() == 0);
}

TEST_CASE("a million behind a dead host expire in one go, not a hand at a time each hour") {
  Planner planner(mortal(), 1);
  const TimePoint late = start + lifetime + std::chrono::hours(1);
  planner.add(batch_of(1, 0, 100, start), late);
  planner.connect_failed(Stage::connect, no_answer(), late);
  CHECK(count(planner.take_outcomes(), Verdict::expired) == 100);
  for (std::uint32_t i = 1; i < 50; ++i) {
    REQUIRE(planner.receptive(late));
    CHECK(planner.connections_wanted(0, late) == 0);
    planner.add(batch_of(1, i * 100, 100, start), late + std::chrono::seconds(i % 10));
    CHECK(count(planner.take_outcomes(), Verdict::expired) == 100);
  }
  // Younger ones: back to the queue until the host's clock has run, and no more is claimed.
  planner.add(batch_of(2, 0, 100, late - std::chrono::hours(1)), late);
  const auto all = planner.take_outcomes();
  CHECK(count(all, Verdict::released) == 100);
  CHECK(all.front().second.next_attempt > late);
  CHECK_FALSE(planner.receptive(late));
  CHECK(planner.in_hand() == 0);
}

TEST_CASE("what is younger than the failed attempt's lifetime never expires by it") {
  Planner planner(mortal(), 1);
  const TimePoint fault = start + lifetime;
  planner.add(batch_of(1, 0, 1, start), fault);
  planner.connect_failed(Stage::connect, no_answer(), fault);
  CHECK(count(planner.take_outcomes(), Verdict::expired) == 1);
  // Its lifetime ends between the attempt and this claim.
  planner.add(batch_of(2, 0, 5, start + Duration(500)), fault + Duration(1000));
  CHECK(count(planner.take_outcomes(), Verdict::released) == 5);
}

TEST_CASE(
    "a domain whose hosts take no mail (RFC 7504) fails; not while a connection to one of them is open") {
  LastReply no_mail;
  no_mail.stage = Stage::greeting;
  no_mail.reply = {521, {5, 7, 1}, "never"};
  Planner alone(mortal(), 1);
  alone.add(batch_of(1, 0, 5, start), start);
  alone.no_host_takes_mail(no_mail, start);
  const auto outcomes = alone.take_outcomes();
  CHECK(count(outcomes, Verdict::failed) == 5);
  CHECK(outcomes.front().second.last.reply == no_mail.reply);  // its own status stays
  CHECK(alone.receptive(start));

  Planner connected(mortal(), 1);
  connected.add(batch_of(1, 0, 5, start), start);
  const ConnectionId id = connected.connected("mx", start);
  connected.no_host_takes_mail(no_mail, start);
  CHECK(connected.take_outcomes().empty());
  CHECK(connected.next(id, start).what == Next::Do::transaction);
}

TEST_CASE("unreachable for good: everybody in hand has failed, with the words of the verdict; suspects too") {
  Planner planner(mortal(), 1);
  Batch batch = batch_of(1, 0, 5, start);
  Suspicion suspicion;
  suspicion.first = suspicion.last_drop = start;
  batch.recipients[2].suspicion = suspicion;
  planner.add(std::move(batch), start);
  planner.add(batch_of(2, 0, 5, start), start);
  LastReply why;
  why.reply.text = "DNS: example.net does not exist (NXDOMAIN)";
  why.reply.enhanced = {5, 1, 2};
  why.stage = Stage::dns;
  planner.unreachable_for_good(why, start);
  const auto all = planner.take_outcomes();
  CHECK(count(all, Verdict::failed) == 10);
  for (const auto& [message, outcome] : all) {
    CHECK(outcome.charged);
    CHECK(outcome.last.stage == Stage::dns);
    CHECK(outcome.last.reply.enhanced.text() == "5.1.2");
  }
  const auto changes = planner.take_suspects();
  REQUIRE(!changes.empty());
  for (const SuspectChange& change : changes) CHECK_FALSE_MESSAGE(change.now, change.address);
  CHECK(changes.back().address == "r2@example.net");
  CHECK(planner.in_hand() == 0);
  CHECK(planner.receptive(start));
  CHECK(planner.connections_wanted(0, start) == 0);
}

TEST_CASE("unreachable for good: who is on the wire stays there") {
  Planner planner(mortal(), 1);
  planner.add(batch_of(1, 0, 5, start), start);
  const auto connection = planner.connected("mx", start);
  const Next next = planner.next(connection, start);
  REQUIRE(next.what == Next::Do::transaction);
  planner.add(batch_of(2, 0, 5, start), start);
  planner.unreachable_for_good(no_answer(), start);
  CHECK(planner.take_outcomes().size() == 5);
  CHECK(planner.in_hand() == 5);
}
