// Rates and greylisting, by a clock that the test moves.
#include <doctest/doctest.h>

#include "server/inbound/greylist.hpp"
#include "server/inbound/rates.hpp"

using namespace spoold;
using namespace spoold::server;
using namespace std::chrono_literals;

namespace {

const Rates::Clock::time_point start = Rates::Clock::time_point(1000h);
constexpr auto day = 24h;

auth::Verified passed(const std::string& spf, std::vector<std::string> dkim = {},
                      const std::string& author = {}) {
  auth::Verified found;
  if (!spf.empty()) {
    found.spf.emplace().result = auth::SpfResult::pass;
    found.spf->domain = spf;
  }
  for (const std::string& domain : dkim) {
    found.dkim.emplace_back().domain = domain;
    found.dkim.back().result = auth::DkimResult::pass;
  }
  if (!author.empty()) found.dmarc.emplace().domain = author;
  return found;
}

}  // namespace

TEST_CASE("recent: the entry that was touched longest ago is forgotten") {
  Recent<int> table(2);
  table.touch("a") = 1;
  table.touch("b") = 2;
  table.touch("a");
  table.touch("c") = 3;
  CHECK(table.find("b") == nullptr);
  REQUIRE(table.find("a") != nullptr);
  CHECK(*table.find("a") == 1);
  table.forget("a");
  table.forget("nobody");
  CHECK(table.find("a") == nullptr);
  CHECK(table.touch("a") == 0);
  CHECK(table.size() == 2);
}

TEST_CASE("rates: N at once, then one each T/N; what is refused is not counted") {
  using Of = Rates::Of;
  Rates rates;
  const conf::Rate rate{6, 1min};
  auto now = start;
  const auto take = [&](const char* who = "192.0.2.1", Of what = Of::messages_of_host) {
    return rates.take(what, who, rate, now);
  };
  for (int i = 0; i < 6; ++i) CHECK(!take());
  CHECK(take() == 10s);
  CHECK(take() == 10s);
  CHECK(!take("192.0.2.2"));
  CHECK(!take("192.0.2.1", Of::recipients_of_host));
  now += 9s;
  CHECK(take() == 1s);
  now += 1s;
  CHECK(!take());
  CHECK(take() == 10s);
  now += 1h;
  for (int i = 0; i < 6; ++i) CHECK(!take());
  CHECK(take());
  CHECK(!rates.take(Of::messages_of_user, "anne", {1'000'000'000, 1s}, now));
}

TEST_CASE("rates: in any time at most twice the rate of it comes through") {
  Rates rates;
  int through = 0;
  for (auto now = start; now < start + 1h; now += 700ms)
    if (!rates.take(Rates::Of::messages_of_host, "x", {100, 1h}, now)) ++through;
  CHECK(through >= 195);
  CHECK(through <= 200);
}

TEST_CASE("greylist: who it is") {
  const dns::Address v4 = *dns::parse_ip("192.0.2.77"), v6 = *dns::parse_ip("2001:db8:1:2:3:4:5:6");
  const auto who = [&](const auth::Verified& found) { return Greylist::who(&found, v4); };
  CHECK(Greylist::who(nullptr, v4) == "192.0.2.0/24");
  CHECK(Greylist::who(nullptr, v6) == "2001:db8:1:2::/64");
  CHECK(who(passed("")) == "192.0.2.0/24");
  CHECK(who(passed("Bounces.Example")) == "bounces.example");
  CHECK(who(passed("bounces.example", {"esp.example", "good.example"})) == "esp.example");
  CHECK(who(passed("bounces.example", {"esp.example", "good.example"}, "good.example")) == "good.example");
  auth::Verified failed = passed("x.example", {"y.example"});
  failed.spf->result = auth::SpfResult::softfail;
  failed.dkim.front().result = auth::DkimResult::fail;
  CHECK(who(failed) == "192.0.2.0/24");
}

TEST_CASE("greylist: whoever comes again is known; whoever only tries something else is not") {
  Greylist list;
  auto now = start;
  const auto wait = [&](const char* sender = "a@x.example", const char* to = "b@lists.example",
                        const char* who = "192.0.2.0/24") { return list.wait(who, sender, to, 5min, now); };
  CHECK(wait() == 5min);
  now += 4min;
  CHECK(wait() == 1min);
  now += 1h;
  CHECK(wait("other@x.example") == 5min);
  CHECK(wait("a@x.example", "c@lists.example") == 5min);
  CHECK(wait("a@x.example", "b@lists.example", "198.51.100.0/24") == 5min);
  CHECK(!wait("A@X.example"));
  CHECK(!wait("other@x.example", "d@lists.example"));
  now += 35 * day;
  CHECK(!wait("third@x.example"));
  now += 35 * day;
  CHECK(!wait("third@x.example"));
  now += 37 * day;
  CHECK(wait("third@x.example") == 5min);
  now += 3 * day;  // too late
  CHECK(wait("third@x.example") == 5min);
}
