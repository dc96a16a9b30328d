// Tables of answers and what mail does with them (RFC 5321 5.1, 7505, 7672 2).
#include "protocol/dns/resolution.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

using namespace spoold;
using namespace spoold::dns;
using Status = Answer::Status;

namespace {

std::string wire(std::string name) {
  std::string out;
  while (!name.empty()) {
    const auto dot = name.find('.');
    const std::string label = name.substr(0, dot);
    out += static_cast<char>(label.size()) + label;
    name = dot == std::string::npos ? "" : name.substr(dot + 1);
  }
  return out + '\0';
}

std::string mx(int preference, const std::string& host) {
  return std::string{static_cast<char>(preference >> 8), static_cast<char>(preference & 255)} + wire(host);
}

const std::string four{'\xc0', '\0', '\x02', '\x01'};  // 192.0.2.1
std::string v4(int last) {
  return std::string{'\xc0', '\0', '\x02', static_cast<char>(last)};
}
std::string v6(int last) {
  return std::string("\x20\x01\x0d\xb8") + std::string(11, '\0') + static_cast<char>(last);
}

/// A world of names; what is not in it does not exist.
struct World {
  std::map<Question, Answer> answers;
  Status missing = Status::nxdomain;
  bool signed_ = false;  // all of it

  void set(const std::string& name, Type type, std::vector<std::string> records, bool secure = false) {
    Answer a;
    a.status = records.empty() ? Status::nodata : Status::ok;
    a.records = std::move(records);
    a.secure = secure;
    a.ttl = std::chrono::minutes(30);
    answers[{name, type}] = a;
  }
  void fail(const std::string& name, Type type, Status status) {
    Answer a;
    a.status = status;
    answers[{name, type}] = a;
  }
  Answer of(const Question& q) const {
    if (const auto found = answers.find(q); found != answers.end()) return found->second;
    Answer a;
    a.status = missing;
    a.secure = signed_;
    a.ttl = std::chrono::minutes(30);
    for (const auto& [known, answer] : answers)
      if (known.name == q.name) a.status = Status::nodata, a.secure = answer.secure;
    return a;
  }
  std::set<Question> asked;
  Found resolve(Resolution::Options options) {
    if (!options.seed) options.seed = 7;
    Resolution resolution(std::move(options));
    for (int round = 0; !resolution.done(); ++round) {
      REQUIRE(round < 6);
      const auto questions = resolution.ask();
      REQUIRE(!questions.empty());
      for (const Question& q : questions) {
        CHECK(asked.insert(q).second);
        resolution.answered(q, of(q));
      }
    }
    return resolution.take();
  }
  Found resolve(const std::string& name, const std::string& own_name = "") {
    Resolution::Options options;
    options.name = name;
    options.own_name = own_name;
    return resolve(std::move(options));
  }
  Found next_hop(const std::string& name, std::uint16_t port = 25) {
    Resolution::Options options;
    options.name = options.own_name = name;
    options.by_mx = false;
    options.port = [port](const std::string&) { return port; };
    return resolve(std::move(options));
  }
};

std::vector<std::string> names(const Found& found) {
  std::vector<std::string> out;
  for (const Host& h : found.hosts) out.push_back(h.name);
  return out;
}

void final(const Found& found, smtp::EnhancedStatus status) {
  REQUIRE(found.hosts.empty());
  REQUIRE(found.verdict);
  CHECK(found.verdict->final);
  CHECK(found.verdict->status == status);
  CHECK(found.verdict->text.starts_with("DNS: "));
}
void temporary(const Found& found, smtp::EnhancedStatus status) {
  REQUIRE(found.hosts.empty());
  REQUIRE(found.verdict);
  CHECK_FALSE(found.verdict->final);
  CHECK(found.verdict->status == status);
  CHECK(found.verdict->text.starts_with("DNS: "));
}

}  // namespace

TEST_CASE("MX hosts come in the order of their preference") {
  World w;
  w.set("x.test", Type::mx, {mx(20, "b.test"), mx(10, "A.test"), mx(300, "c.test")});
  for (const char* host : {"a.test", "b.test", "c.test"}) w.set(host, Type::a, {four});
  const Found found = w.resolve("x.test");
  CHECK(names(found) == std::vector<std::string>{"a.test", "b.test", "c.test"});
  CHECK(found.hosts[2].preference == 300);
  CHECK(found.hosts[0].port == 25);
  CHECK_FALSE(found.hosts[0].secure);
  CHECK(found.whole);
  CHECK(found.ttl == std::chrono::minutes(30));
}

TEST_CASE("equal hosts are shuffled, and only they") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test"), mx(10, "b.test"), mx(5, "first.test")});
  for (const char* host : {"a.test", "b.test", "first.test"}) w.set(host, Type::a, {four});
  const Found found = w.resolve("x.test");
  std::set<std::string> second;
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    const auto places = in_order(found, seed * 7919);
    REQUIRE(places.size() == 3);
    CHECK(places[0].host->name == "first.test");
    second.insert(places[1].host->name);
  }
  CHECK(second.size() == 2);
}

TEST_CASE("IPv6 and IPv4 in turn, a few of each host") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test"), mx(20, "b.test")});
  w.set("a.test", Type::a, {v4(1), v4(2), v4(3), v4(4), v4(5)});
  w.set("a.test", Type::aaaa, {v6(1), v6(2), v6(3)});
  w.set("b.test", Type::a, {v4(9)});
  const Found found = w.resolve("x.test");
  const auto places = in_order(found, 3);
  REQUIRE(places.size() == 5);
  CHECK(places[0].address.v6);
  CHECK_FALSE(places[1].address.v6);
  CHECK(places[2].address.v6);
  CHECK_FALSE(places[3].address.v6);
  CHECK(places[4].host->name == "b.test");
}

TEST_CASE("no MX: the domain itself, when it has an address") {
  World w;
  w.set("x.test", Type::a, {four});
  CHECK(names(w.resolve("x.test")) == std::vector<std::string>{"x.test"});
  World nothing;
  nothing.set("x.test", Type::cname, {});
  final(nothing.resolve("x.test"), {5, 1, 2});
}

TEST_CASE("final: NXDOMAIN, null MX, MX hosts without an address") {
  World w;
  final(w.resolve("gone.test"), {5, 1, 2});
  w.set("null.test", Type::mx, {mx(0, "")});
  w.set("null.test", Type::a, {four});
  final(w.resolve("null.test"), {5, 1, 10});
  w.set("x.test", Type::mx, {mx(10, "nowhere.test")});
  w.set("x.test", Type::a, {four});
  final(w.resolve("x.test"), {5, 4, 4});
}

TEST_CASE("a null MX beside other records means nothing") {
  World w;
  w.set("x.test", Type::mx, {mx(0, ""), mx(10, "a.test")});
  w.set("a.test", Type::a, {four});
  CHECK(names(w.resolve("x.test")) == std::vector<std::string>{"a.test"});
}

TEST_CASE("temporary: SERVFAIL, bogus and time-outs, of the domain and of all its hosts") {
  for (const auto& [status, code] : std::map<Status, smtp::EnhancedStatus>{
           {Status::failed, {4, 4, 3}}, {Status::timeout, {4, 4, 3}}, {Status::bogus, {4, 7, 0}}}) {
    World w;
    w.fail("x.test", Type::mx, status);
    temporary(w.resolve("x.test"), code);
    w.set("y.test", Type::mx, {mx(10, "a.test"), mx(20, "gone.test")});
    w.fail("a.test", Type::a, status);
    temporary(w.resolve("y.test"), code);
    w.set("implicit.test", Type::mx, {});
    w.fail("implicit.test", Type::a, status);
    w.fail("implicit.test", Type::aaaa, status);
    temporary(w.resolve("implicit.test"), code);
  }
}

TEST_CASE("a host that cannot be looked up does not hide the others, for a short time") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test"), mx(20, "b.test")});
  w.fail("a.test", Type::a, Status::timeout);
  w.fail("a.test", Type::aaaa, Status::timeout);
  w.set("b.test", Type::a, {four});
  const Found found = w.resolve("x.test");
  CHECK(names(found) == std::vector<std::string>{"b.test"});
  CHECK_FALSE(found.whole);
  CHECK(found.ttl == std::chrono::minutes(5));
}

TEST_CASE("what the peer's DNS says is quoted without control characters") {
  World w;
  w.fail("x.test", Type::mx, Status::bogus);
  w.answers[{"x.test", Type::mx}].why = "signature\r\nexpired\x1b[2J";
  const Found found = w.resolve("x.test");
  CHECK(found.verdict->text ==
        "DNS: the signature of MX of x.test is not valid (DNSSEC): signature??expired?[2J");
}

TEST_CASE("records that are none: the others count, and none at all is temporary") {
  World w;
  w.set("x.test", Type::mx, {"", "\x01", mx(10, "a.test") + "x", mx(20, "b.test"), mx(5, "sp ace.test")});
  w.set("b.test", Type::a, {"abc", four});
  const Found found = w.resolve("x.test");
  CHECK(names(found) == std::vector<std::string>{"b.test"});
  CHECK(found.hosts[0].addresses.size() == 1);
  w.set("y.test", Type::mx, {"\x01"});
  temporary(w.resolve("y.test"), {4, 4, 3});
}

TEST_CASE("we ourselves among the hosts: only better ones are left (RFC 5321 5.1)") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test"), mx(20, "me.test"), mx(20, "b.test"), mx(30, "c.test")});
  for (const char* host : {"a.test", "b.test", "c.test", "me.test"}) w.set(host, Type::a, {four});
  w.set("y.test", Type::mx, {mx(10, "me.test"), mx(20, "b.test")});
  CHECK(names(w.resolve("x.test", "me.test")) == std::vector<std::string>{"a.test"});
  w.asked.clear();
  final(w.resolve("y.test", "me.test"), {5, 4, 6});
  w.asked.clear();
  final(w.resolve("me.test", "me.test"), {5, 4, 6});
}

TEST_CASE("our own address among theirs: the same") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test"), mx(20, "b.test"), mx(20, "c.test")});
  w.set("a.test", Type::a, {v4(1)});
  w.set("b.test", Type::a, {v4(2)});
  w.set("c.test", Type::a, {v4(3)});
  Resolution::Options options;
  options.name = "x.test";
  options.own_address = [](const Address& a, std::uint16_t port) { return a.octets[3] == 3 && port == 25; };
  CHECK(names(w.resolve(options)) == std::vector<std::string>{"a.test"});
  w.asked.clear();
  options.own_address = [](const Address& a, std::uint16_t) { return a.octets[3] == 1; };
  final(w.resolve(options), {5, 4, 6});
  w.asked.clear();
  options.port = [](const std::string&) { return std::uint16_t{2525}; };
  options.own_address = [](const Address&, std::uint16_t port) { return port == 25; };
  CHECK(w.resolve(options).hosts.size() == 3);
}

TEST_CASE("addresses that nobody's mail is sent to") {
  World w;
  w.set("x.test", Type::a,
        {std::string(4, '\0'), std::string{'\xe0', '\0', '\0', '\x01'}, std::string(4, '\xff')});
  w.set("x.test", Type::aaaa, {std::string(16, '\0'), std::string(10, '\0') + "\xff\xff" + four});
  final(w.resolve("x.test"), {5, 1, 2});
}

TEST_CASE("not more than ten hosts are looked at: the best ones") {
  World w;
  std::vector<std::string> records;
  for (int i = 0; i < 60; ++i) records.push_back(mx(60 - i, "h" + std::to_string(i) + ".test"));
  w.set("x.test", Type::mx, records);
  for (int i = 0; i < 60; ++i) w.set("h" + std::to_string(i) + ".test", Type::a, {four});
  const Found found = w.resolve("x.test");
  CHECK(found.hosts.size() == Resolution::most_hosts);
  CHECK_FALSE(found.whole);
  CHECK(found.hosts[0].name == "h59.test");
  CHECK(w.asked.size() == 1 + 2 * Resolution::most_hosts);
}

TEST_CASE("a next hop's name is an operator's: nothing about it is final") {
  World w;
  temporary(w.next_hop("typo.test"), {4, 4, 4});
  w.set("hop.test", Type::a, {four});
  w.set("hop.test", Type::mx, {mx(0, "")});
  w.asked.clear();
  const Found found = w.next_hop("hop.test");
  CHECK(names(found) == std::vector<std::string>{"hop.test"});
  CHECK(!w.asked.contains({"hop.test", Type::mx}));
}

TEST_CASE("TLSA is asked for where DNSSEC vouches for the way there") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test")}, true);
  w.set("a.test", Type::a, {four}, true);
  w.set("a.test", Type::aaaa, {}, true);
  w.set("_25._tcp.a.test", Type::tlsa, {std::string("\x03\x01\x01hash"), "bad"}, true);
  Found found = w.resolve("x.test");
  REQUIRE(found.hosts.size() == 1);
  CHECK(found.hosts[0].secure);
  CHECK(found.hosts[0].tlsa == std::vector<Tlsa>{{3, 1, 1, "hash"}});
  CHECK(found.hosts[0].tlsa_base == "a.test");
  w.asked.clear();
  w.set("x.test", Type::mx, {mx(10, "a.test")}, false);  // an insecure MX: RFC 7672 2.2.1
  found = w.resolve("x.test");
  CHECK_FALSE(found.hosts[0].secure);
  CHECK(found.hosts[0].tlsa.empty());
  CHECK(!w.asked.contains({"_25._tcp.a.test", Type::tlsa}));
  w.asked.clear();
  found = w.next_hop("a.test", 587);
  CHECK(w.asked.contains({"_587._tcp.a.test", Type::tlsa}));
  CHECK(found.hosts[0].secure);
}

TEST_CASE("a TLSA that cannot be looked up: as if the host could not be reached (RFC 7672 2.1.2)") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "a.test"), mx(20, "b.test")}, true);
  for (const char* host : {"a.test", "b.test"}) {
    w.set(host, Type::a, {four}, true);
    w.set(host, Type::aaaa, {}, true);
  }
  w.fail("_25._tcp.a.test", Type::tlsa, Status::bogus);
  CHECK(names(w.resolve("x.test")) == std::vector<std::string>{"b.test"});
  w.asked.clear();
  w.fail("_25._tcp.b.test", Type::tlsa, Status::failed);
  temporary(w.resolve("x.test"), {4, 7, 0});
}

TEST_CASE("TLSA through CNAMEs (RFC 7672 2.2.2)") {
  World w;
  w.set("x.test", Type::mx, {mx(10, "alias.test")}, true);
  for (const Type type : {Type::a, Type::aaaa}) {
    w.set("alias.test", type, {type == Type::a ? four : v6(1)}, true);
    w.answers[{"alias.test", type}].canonical = "real.test";
  }
  w.set("_25._tcp.real.test", Type::tlsa, {std::string("\x03\x01\x01real")}, true);
  w.set("_25._tcp.alias.test", Type::tlsa, {std::string("\x03\x01\x01name")}, true);
  CHECK(w.resolve("x.test").hosts.at(0).tlsa_base == "real.test");
  w.asked.clear();
  w.answers.erase({"_25._tcp.real.test", Type::tlsa});
  CHECK(w.resolve("x.test").hosts.at(0).tlsa.at(0).data == "name");
  // What the alias stands for is not signed, the alias is.
  w.asked.clear();
  for (const Type type : {Type::a, Type::aaaa}) w.answers[{"alias.test", type}].secure = false;
  w.set("alias.test", Type::cname, {wire("real.test")}, true);
  w.set("_25._tcp.real.test", Type::tlsa, {std::string("\x03\x01\x01real")}, true);
  CHECK(w.resolve("x.test").hosts.at(0).tlsa.at(0).data == "name");
  CHECK(!w.asked.contains({"_25._tcp.real.test", Type::tlsa}));
}

TEST_CASE("whatever is answered, it ends, with hosts or a verdict") {
  rc::check([] {
    const auto random_name = [] {
      return *rc::gen::element<std::string>("a.test", "b.test", "me.test", "x.test", "");
    };
    Resolution::Options options;
    options.name = "x.test";
    options.by_mx = *rc::gen::arbitrary<bool>();
    options.own_name = "me.test";
    options.own_address = [](const Address& a, std::uint16_t) { return a.octets[3] == 3; };
    Resolution resolution(options);
    int rounds = 0;
    while (!resolution.done()) {
      RC_ASSERT(++rounds <= 6);
      const auto questions = resolution.ask();
      RC_ASSERT(!questions.empty());
      RC_ASSERT(questions.size() <= 2 * Resolution::most_hosts);
      for (const Question& q : questions) {
        Answer a;
        a.status = static_cast<Status>(*rc::gen::inRange(0, 6));
        a.secure = *rc::gen::arbitrary<bool>();
        a.ttl = Duration(*rc::gen::inRange(-5, 10'000'000));
        a.canonical = random_name();
        for (int i = *rc::gen::inRange(0, 14); i > 0; --i)
          a.records.push_back(
              *rc::gen::oneOf(rc::gen::map(rc::gen::inRange(0, 5), [](int n) { return v4(n); }),
                              rc::gen::map(rc::gen::inRange(0, 5), [](int n) { return v6(n); }),
                              rc::gen::map(rc::gen::inRange(0, 5),
                                           [](int n) { return mx(n, "h" + std::to_string(n) + ".test"); }),
                              rc::gen::just(mx(2, "me.test")), rc::gen::arbitrary<std::string>()));
        resolution.answered(q, a);
      }
    }
    const Found found = resolution.take();
    RC_ASSERT(found.hosts.empty() == found.verdict.has_value());
    RC_ASSERT(found.ttl >= std::chrono::minutes(1) && found.ttl <= std::chrono::hours(1));
    for (const Host& host : found.hosts) RC_ASSERT(!host.addresses.empty());
    RC_ASSERT(in_order(found, 1).size() <= 16);
    if (!options.by_mx && found.verdict) RC_ASSERT(!found.verdict->final);
  });
}
