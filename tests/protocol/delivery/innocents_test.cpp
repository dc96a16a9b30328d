// How long does the mail of innocent recipients wait while others, or whole messages, end the connections to
// their host? At worst one minute of the host's clock, once: 75 seconds with its jitter.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Duration at_worst = seconds(75);

/// Lets the lane run until `at`, and posts then.
TimePoint post_at(Lane& lane, TimePoint at, MessageId message, const std::vector<std::string>& to,
                  bool one_each) {
  lane.run(at);
  lane.now = std::max(lane.now, at);
  lane.post(message, to, one_each);
  return lane.now;
}

}  // namespace

TEST_CASE("two culprits of two messages, offered again and again, are no dead host") {
  for (int quiet = 1; quiet <= 24; ++quiet) {
    CAPTURE(quiet);
    Faults faults;
    faults.culprits = {"r0@example.net", "r1@example.net"};
    Lane lane(usual_limits(), faults, 1, 5);
    lane.post(1, {"r0@example.net"}, false);
    lane.post(2, {"r1@example.net"}, false);
    const TimePoint posted = post_at(lane, start + hours(quiet), 3, {"r9@example.net"}, false);
    lane.run(posted + hours(3));
    const Stored& innocent = lane.store.at({3, 0});
    CHECK(innocent.delivered == 1);
    CHECK(innocent.finished - posted <= at_worst);
    CHECK(lane.suspicions.size() == 2);  // no fault of the host deleted what is known of them
  }
}

TEST_CASE("a message whose MAIL ends connections stops no other message") {
  struct Row {
    std::size_t members;
    bool one_each, same_addresses;
  };
  for (const Row row :
       {Row{30, true, false}, Row{30, true, true}, Row{300, true, false}, Row{300, true, true},
        Row{300, false, false}, Row{300, false, true}, Row{30, false, true}}) {
    for (const std::uint32_t connections : {1u, 20u}) {
      for (std::uint64_t seed = 0; seed < 10; ++seed) {
        CAPTURE(row.members);
        CAPTURE(row.one_each);
        CAPTURE(row.same_addresses);
        CAPTURE(connections);
        CAPTURE(seed);
        std::mt19937_64 random(seed + 1);
        Faults faults;
        faults.kills_at_mail = {1};
        Lane lane(usual_limits(), faults, seed, connections);
        const auto all = addresses(row.members);
        lane.post(1, all, row.one_each);
        TimePoint at = start;
        for (MessageId m = 2; m < 12; ++m) {
          at += seconds(m == 2 ? 0 : 600 + random() % 7200);
          const auto i = random() % row.members;
          at = post_at(lane, at, m,
                       {row.same_addresses ? all[i] : "other" + std::to_string(i) + "@example.net"},
                       random() % 2 == 0);
        }
        lane.run(at + hours(5));
        for (const auto& [key, s] : lane.store) {
          if (s.message == 1) {
            CHECK(s.charged == 0);
            continue;
          }
          CHECK(s.delivered == 1);
          CHECK(s.finished - s.arrived <= at_worst);
        }
        CHECK(lane.suspicions.empty());
      }
    }
  }
}
