#include <doctest/doctest.h>

#include <algorithm>

#include "conf/load.hpp"
#include "conf/routes.hpp"
#include "tests/source_dir.hpp"

using namespace spoold::conf;
using namespace std::chrono_literals;

namespace {
Settings good(const std::string& text) {
  auto settings = parse("[relay]\nsmarthost = \"smtp://mail.example.org\"\n" + text, "good.toml");
  if (!settings)
    for (const Problem& problem : settings.error()) FAIL(problem.text());
  return *settings;
}
}  // namespace

TEST_CASE("the words of the contract") {
  const auto s = good(R"(
[[listen]]
address = "0.0.0.0:25"
[[listen]]
address = "unix:/run/spoold/lmtp"
protocol = "lmtp"
tls = "none"
[aliases]
"Postmaster@Lists.example.org" = ["admin@example.org"]
postmaster = ["admin@example.org"]
[[domain]]
name = "Example.NET"
deliver_to = "lmtp://[::1]:24"
[delivery]
timeouts = { connect = "3s", dot = "4s" }
retry = ["1s", "2s"]
[[destination]]
match = "mail.example.org"
pipelining = "transaction"
)");
  REQUIRE(s.listen.size() == 2);
  CHECK(s.listen[0].protocol == Listen::Protocol::smtp);
  CHECK(s.listen[1].protocol == Listen::Protocol::lmtp);
  CHECK(s.listen[1].path == "/run/spoold/lmtp");
  CHECK(s.aliases.contains("postmaster@lists.example.org"));
  CHECK(s.aliases.contains("postmaster"));
  CHECK(s.domains.at(0).name == "example.net");
  CHECK(s.delivery.timeouts.connect == 3s);
  CHECK(s.delivery.timeouts.dot == 4s);
  CHECK(s.delivery.timeouts.rcpt == 5min);
  CHECK(s.delivery.retry == std::vector<Duration>{1s, 2s});
  CHECK(s.destinations.at(0).pipelining == Destination::Pipelining::transaction);
  CHECK(!s.destinations.at(0).connections);
}

TEST_CASE("protocol written before address is kept") {
  CHECK(good("[[listen]]\nprotocol = \"lmtp\"\naddress = \"[::1]:24\"\n").listen.at(0).protocol ==
        Listen::Protocol::lmtp);
}

TEST_CASE("a part by default shrinks to fit a whole that was written") {
  const auto s =
      good("[delivery]\nmax_connections = 4\n[smtp]\nmax_connections = 3\n[spool]\nmax_size = \"2MiB\"\n");
  CHECK(s.delivery.connections_per_destination == 4);
  CHECK(s.smtp.max_connections_per_host == 3);
  CHECK(s.smtp.max_message_size == 2u << 20);
}

TEST_CASE("relative paths are relative to the folder of the file") {
  const std::string text =
      "[relay]\nsmarthost = \"smtp://h\"\n[spool]\npath = \"spool\"\n[control]\nsocket = \"run/sock\"\n";
  CHECK(parse(text, "/etc/spoold/spoold.toml")->spool.path == "/etc/spoold/spool");
  CHECK(parse(text, "/etc/spoold/spoold.toml")->control.socket == "/etc/spoold/run/sock");
  CHECK(parse(text, "spoold.toml")->spool.path == "spool");
}

TEST_CASE("the review names what may relay and warns of an open relay") {
  const auto s = good(
      "[smtp]\ntrusted_networks = [\"0.0.0.0/0\", \"127.0.0.1\", \"unix\"]\n[[destination]]\nmatch = "
      "\"x.example\"\n");
  const auto lines = review(s);
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] == "warning: [smtp] trusted_networks: 0.0.0.0/0 makes this server an open relay");
  CHECK(lines[1] == "note: [smtp] trusted_networks: 127.0.0.1 may relay anywhere");
  CHECK(lines[2] ==
        "note: [smtp] trusted_networks: every process that can open a unix listener may relay anywhere");
  CHECK(lines[3] == "warning: there is no [[listen]]: mail comes in only by spoolctl post");
  CHECK(lines[4] == "warning: [[destination]] match = \"x.example\" matches no next hop and no [[domain]]");
}

TEST_CASE("the review names listeners where users log in, and one on the port of other mail servers") {
  const auto lines =
      review(good("[[listen]]\naddress = \"0.0.0.0:25\"\nprotocol = \"submission\"\ntls = \"starttls\"\n"
                  "[[tls]]\ncertificate = \"/dev/null\"\nkey = \"/dev/null\"\n"));
  REQUIRE(lines.size() >= 2);
  CHECK(lines[0] == "note: [[listen]] 0.0.0.0:25: users who log in (spoolctl user list) may relay anywhere");
  CHECK(lines[1] ==
        "warning: [[listen]] 0.0.0.0:25 protocol = \"submission\": other mail servers come to port 25, and "
        "none of "
        "them logs in");
}

TEST_CASE("the review says when one [[destination]] makes all domains one group") {
  const auto groups = [](const std::string& match) {
    const auto lines = review(good("[[destination]]\nmatch = \"" + match + "\"\n"));
    return std::count(lines.begin(), lines.end(),
                      "note: [[destination]] match = \"" + match +
                          "\" makes one group of all domains that are delivered by MX: they share its "
                          "connections and its rate");
  };
  for (const char* match : {"mx:*", "mx:*.*", "0.0.0.0/0", "::/0"}) CHECK(groups(match) == 1);
  for (const char* match : {"mx:*.example.net", "10.0.0.0/8", "x.example"}) CHECK(groups(match) == 0);
}

TEST_CASE("the review names twenty [[domain]]s and counts the rest") {
  Settings s;
  for (int i = 0; i < 5000; ++i) s.domains.emplace_back().name = "d" + std::to_string(i) + ".example";
  const auto lines = review(s);
  CHECK(lines.size() < 30);
  CHECK(std::count(lines.begin(), lines.end(), "note: and to those of 4980 further [[domain]]s") == 1);
}

TEST_CASE("routes") {
  const auto s = good(
      "[[domain]]\nname = \"a.example\"\ndeliver_to = \"lmtp://[::1]\"\n[[domain]]\nname = \"b.example\"\n");
  for (const char* domain : {"a.example", "b.example", "c.example", "A.Example", ""})
    CHECK(Routes(s).of(domain) == route_of(s, domain));
  CHECK(Routes(s).relays("B.example"));
  CHECK_FALSE(Routes(s).relays("c.example"));
  CHECK(route_of(s, "a.example") == "lmtp://[::1]:24");
  CHECK(route_of(s, "b.example") == "relay");
  CHECK(route_of(s, "c.example") == "relay");
  CHECK(route_of(s, "A.Example") == "lmtp://[::1]:24");
  REQUIRE(next_hops_of(s, "relay").size() == 1);
  CHECK(next_hops_of(s, "relay")[0].text == "smtp://mail.example.org:25");
  CHECK(next_hops_of(s, "lmtp://[::1]:24").at(0).port == 24);
  CHECK(next_hops_of(s, "smtp://gone.example:25").empty());
  CHECK(is_route(s, "relay"));
  CHECK(is_route(s, "lmtp://[::1]:24"));
  CHECK_FALSE(is_route(s, "c.example"));
  CHECK_FALSE(is_route(s, "smtp://gone.example:25"));
}

TEST_CASE("routes without a smarthost are domains and address literals") {
  const auto s =
      parse("[[domain]]\nname = \"a.example\"\ndeliver_to = [\"smtp://one\", \"smtp://two:26\"]\n", "t");
  REQUIRE(s);
  for (const char* domain : {"a.example", "C.Example", "[IPv6:2001:DB8::1]"})
    CHECK(Routes(*s).of(domain) == route_of(*s, domain));
  CHECK(route_of(*s, "a.example") == "smtp://one:25,smtp://two:26");
  CHECK(next_hops_of(*s, "smtp://one:25,smtp://two:26").size() == 2);
  CHECK(next_hops_of(*s, "smtp://one:25,smtp://two:26")[1].port == 26);
  CHECK(route_of(*s, "C.Example") == "c.example");
  CHECK(route_of(*s, "[IPv6:2001:DB8::1]") == "[ipv6:2001:db8::1]");
  CHECK(is_route(*s, "c.example"));
  CHECK(is_route(*s, "[192.0.2.1]"));
  CHECK(is_route(*s, "smtp://one:25,smtp://two:26"));
  CHECK_FALSE(is_route(*s, "a.example"));  // has next hops now
  CHECK(is_route(*s, "relay"));            // a domain of one label like any other
  CHECK_FALSE(is_route(*s, "smtp://one:25"));
  CHECK(route_text(*s, "c.example") == "c.example");
  CHECK(next_hops_of(*s, "c.example").empty());
}

TEST_CASE("several smarthosts, name servers, sources and destinations") {
  const auto s = parse(
      "[relay]\nsmarthost = [\"smtp://B:587\", \"smtp://[2001:DB8::1]\"]\n[resolver]\nforward = "
      "[\"192.0.2.1\", \"[2001:db8::53]:5353\"]\ntrust_anchor = \"none\"\n[delivery]\nsource = "
      "[\"192.0.2.25\"]\n[[destination]]\nmatch = \"MX:*.Google.com\"\nport = 2525\n",
      "/etc/spoold/t");
  REQUIRE(s);
  REQUIRE(s->relay.smarthost.size() == 2);
  CHECK(s->relay.smarthost[1].text == "smtp://[2001:db8::1]:25");
  CHECK(route_text(*s, "relay") == "smtp://b:587,smtp://[2001:db8::1]:25");
  REQUIRE(s->resolver.forward.size() == 2);
  CHECK(s->resolver.forward[0].text == "192.0.2.1:53");
  CHECK(s->resolver.forward[1].port == 5353);
  CHECK(s->resolver.trust_anchor == "none");
  CHECK(s->delivery.source.at(0) == "192.0.2.25");
  CHECK(s->destinations.at(0).match == "mx:*.google.com");
  CHECK(s->destinations.at(0).port == 2525);
}

TEST_CASE(
    "files of passwords and certificates are relative to the configuration's folder, as all paths are") {
  const auto s = parse(R"(
[relay]
smarthost = "smtp://mail.example.org"
username = "u"
password_file = "good.toml"
[delivery]
ca_file = "good.toml"
[verp]
secret_file = "good.toml"
)",
                       source_dir() + "/tests/conf/bad/none.toml");
  // They are looked for there, wherever spoold was started from; that folder has no such file.
  REQUIRE_FALSE(s.has_value());
  CHECK(s.error().size() == 3);
  for (const Problem& problem : s.error())
    CHECK(problem.what.find("'" + source_dir() + "/tests/conf/bad/good.toml' cannot be read") == 0);
}

TEST_CASE(
    "the review warns where a local listener trusts its own machine: a forwarder makes an open relay of it") {
  const auto warned = [](const std::string& listen, const std::string& networks) {
    const auto lines = review(
        good("[[listen]]\naddress = \"" + listen + "\"\n[smtp]\ntrusted_networks = [" + networks + "]\n"));
    return std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("whoever forwards connections to it") != std::string::npos;
    });
  };
  CHECK(warned("127.0.0.1:25", R"("127.0.0.0/8")"));
  CHECK(warned("127.0.0.1:25", R"("127.0.0.1")"));
  CHECK(warned("[::1]:25", R"("192.0.2.1", "::1")"));
  CHECK_FALSE(warned("127.0.0.1:25", ""));
  CHECK_FALSE(warned("127.0.0.1:25", R"("192.0.2.0/24", "unix", "::1")"));
  CHECK_FALSE(warned("192.0.2.7:25", R"("127.0.0.0/8")"));
}

TEST_CASE("the review compares connections with descriptors, and knows root and the user") {
  const auto found = [](const Start& start, const std::string& text, const std::string& words) {
    const auto lines = review(good(text), start);
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& line) { return line.find(words) != std::string::npos; });
  };
  Start start;
  start.descriptors = 1024;
  CHECK(found(start, "", "= 1500 connections need 1950 file descriptors, the limit of this process is 1024"));
  CHECK_FALSE(
      found(start, "[smtp]\nmax_connections = 100\n[delivery]\nmax_connections = 100\n", "descriptors"));
  start.root = true;
  CHECK(found(start, "", "started as root without [server] user"));
  CHECK_FALSE(found(start, "[server]\nuser = \"spoold\"\n", "started as root"));
  start.user_exists = false;
  CHECK(found(start, "[server]\nuser = \"spoold\"\n", "this machine has no such user"));
}

TEST_CASE("what a running process keeps is named, the rest is as the file says now") {
  Settings running = *parse(
      "[[listen]]\naddress = \"127.0.0.1:25\"\n[[listen]]\naddress = \"127.0.0.1:26\"\n[relay]\nsmarthost = "
      "\"smtp://a.example\"\n",
      "x.toml");
  Settings next = *parse(
      "[server]\nthreads = 2\n[[listen]]\naddress = \"127.0.0.1:26\"\nprotocol = \"lmtp\"\n[[listen]]\n"
      "address = \"127.0.0.1:27\"\n[relay]\nsmarthost = \"smtp://b.example\"\n[delivery]\nretry = "
      "[\"1m\"]\nmax_connections = 9\nconnections_per_destination = 3\n",
      "x.toml");
  const auto named = keep_fixed(next, running);
  CHECK(named == std::vector<std::string>{"[server]", "[[listen]] 127.0.0.1:25 (no longer there)",
                                          "[[listen]] 127.0.0.1:27 (new)", "[delivery] max_connections"});
  CHECK(next.server.threads == 0);
  REQUIRE(next.listen.size() == 2);
  CHECK(next.listen[0].text == "127.0.0.1:25");
  CHECK(next.listen[1].protocol == Listen::Protocol::lmtp);
  CHECK(next.delivery.max_connections == 500);
  CHECK(next.delivery.retry == std::vector<Duration>{std::chrono::minutes(1)});
  CHECK(next.relay.smarthost.at(0).host == "b.example");
  CHECK(keep_fixed(next, Settings(next)).empty());
}
