// The acceptance bar of the isolation algorithm, over simulated remotes: culprits are drawn from seeds the
// planner does not see, judged by the remote's log.
#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

std::set<std::string> drawn(const std::vector<std::string>& all, std::size_t k, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::set<std::string> some;
  while (some.size() < k) some.insert(all[random() % all.size()]);
  return some;
}

std::string name(Manner m) {
  switch (m) {
    case Manner::fin:
      return "FIN";
    case Manner::rst:
      return "RST";
    case Manner::reply_421:
      return "421";
    case Manner::silence:
      return "silence";
  }
  return "";
}

/// Every innocent delivered exactly once and untouched, the culprits alone deferred. Where a silent host had the
/// end of a copy before it answered, nobody can know: that copy was named in doubt, its recipient waited,
/// uncharged, and has at most this one copy more.
void judge(const Lane& lane, const Faults& faults, bool may_be_in_doubt) {
  for (const auto& [key, s] : lane.store) {
    const std::string& who = s.address;
    CAPTURE(who);
    const auto seen = lane.accepted.find({s.message, s.address});
    const int times = seen == lane.accepted.end() ? 0 : seen->second;
    CHECK((s.named <= 1 && (may_be_in_doubt || s.named == 0 || faults.manner != Manner::silence)));
    if (faults.culprits.contains(s.address)) {
      CHECK(times <= (may_be_in_doubt ? static_cast<int>(s.named) : 0));
      CHECK_FALSE(s.final);
      if (may_be_in_doubt) continue;  // some have just come back, and have still to be found
      CHECK(s.verdict == Verdict::deferred);
      CHECK(s.last.stage == Stage::rcpt);
      CHECK(lane.suspicions.contains(s.address));
    } else if (const auto refused = faults.refused.find(s.address); refused != faults.refused.end()) {
      CHECK(times == 0);
      CHECK(s.last.reply.code == refused->second);
      CHECK(s.verdict == (refused->second >= 500 ? Verdict::failed : Verdict::deferred));
    } else {
      const auto waited = may_be_in_doubt ? s.named : 0;
      CHECK((times >= 1 && times <= 1 + static_cast<int>(waited)));
      CHECK(s.verdict == Verdict::delivered);
      if (!may_be_in_doubt) CHECK(s.outcomes == 1);
      CHECK(s.deferred == waited);
      CHECK(s.charged == 1);
      CHECK_FALSE(lane.suspicions.contains(s.address));
    }
  }
}

}  // namespace

TEST_CASE("acceptance bar: k culprits among 100 cost at most k + 2 connections") {
  const auto all = addresses(100);
  for (const bool one_each : {false, true}) {
    for (const char* const mode : {"one by one", "PIPELINING", "CHUNKING"}) {
      for (const Manner manner : {Manner::fin, Manner::rst, Manner::reply_421, Manner::silence}) {
        for (const std::size_t k : {0u, 1u, 2u, 3u, 10u}) {
          for (std::uint64_t seed = 0; seed < 100; ++seed) {
            CAPTURE(one_each);
            CAPTURE(mode);
            CAPTURE(name(manner));
            CAPTURE(k);
            CAPTURE(seed);
            Faults faults;
            faults.culprits = drawn(all, k, seed);
            faults.manner = manner;
            faults.pipelining = mode != std::string("one by one");
            faults.chunking = mode == std::string("CHUNKING");
            // BDAT goes out behind a RCPT that is not answered: to one recipient only.
            const bool may_be_in_doubt = faults.chunking && one_each && manner == Manner::silence;
            Lane lane(usual_limits(), faults, seed * 7 + 1, 1);
            lane.patience = std::chrono::seconds(10);
            lane.post(1, all, one_each);
            // Those whom a silent host leaves in doubt come back after ten minutes.
            lane.run(start + std::chrono::minutes(may_be_in_doubt ? 16 : 14));
            judge(lane, faults, may_be_in_doubt);
            CHECK(lane.connects <= (may_be_in_doubt ? 3 * k + 3 : k + 2));
          }
        }
      }
    }
  }
}
