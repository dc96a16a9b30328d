#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "conf/addresses.hpp"
#include "conf/load.hpp"
#include "conf/near_miss.hpp"

using namespace spoold::conf;
using namespace std::chrono_literals;

TEST_CASE("durations") {
  CHECK(*parse_duration("5m") == 5min);
  CHECK(*parse_duration("250ms") == 250ms);
  CHECK(*parse_duration("2w") == std::chrono::weeks(2));
  CHECK(*parse_duration("0s") == 0s);
  for (const char* bad :
       {"", "m", "5", "-5m", "5 m", "5M", "1.5h", "5m30s", "99999999999999999999s", "5000w", " 5m"})
    CHECK_MESSAGE(!parse_duration(bad), bad);
  CHECK(duration_text(90min) == "90m");
  CHECK(duration_text(24h) == "1d");
  CHECK(duration_text(0s) == "0s");
  CHECK(rc::check("the text of a duration parses back", [] {
    const Duration duration(*rc::gen::inRange<Duration::rep>(0, 10'000'000'000));
    RC_ASSERT(parse_duration(duration_text(duration)).value() == duration);
  }));
}

TEST_CASE("sizes") {
  CHECK(*parse_size("25MiB") == 25u << 20);
  CHECK(*parse_size("1B") == 1);
  CHECK(*parse_size("32GiB") == 32ull << 30);
  for (const char* bad : {"", "25", "25MB", "25 MiB", "-1B", "9999999TiB", "25mib"})
    CHECK_MESSAGE(!parse_size(bad), bad);
  CHECK(size_text(1536) == "1536B");
  CHECK(size_text(2048) == "2KiB");
  CHECK(rc::check("the text of a size parses back", [] {
    const auto size = *rc::gen::inRange<std::uint64_t>(0, 1ull << 50);
    RC_ASSERT(parse_size(size_text(size)).value() == size);
  }));
}

TEST_CASE("next hops have one canonical text") {
  CHECK(parse_next_hop("smtp://Mail.Example.ORG")->text == "smtp://mail.example.org:25");
  CHECK(parse_next_hop("lmtp://[0:0::1]")->text == "lmtp://[::1]:24");
  CHECK(parse_next_hop("smtp://192.0.2.1:587")->text == "smtp://192.0.2.1:587");
  CHECK(parse_next_hop("SMTP://localhost:2525")->host == "localhost");
  const auto unix_hop = parse_next_hop("lmtp+unix:/run/dovecot/lmtp");
  REQUIRE(unix_hop);
  CHECK(unix_hop->protocol == NextHop::Protocol::lmtp);
  CHECK(unix_hop->path == "/run/dovecot/lmtp");
  CHECK(unix_hop->text == "lmtp+unix:/run/dovecot/lmtp");
  for (const char* good :
       {"smtp://mail.example.org:587", "lmtp://[::1]:24", "smtp+unix:/a", "smtp://192.0.2.1:1"})
    CHECK(parse_next_hop(parse_next_hop(good)->text).value() == parse_next_hop(good).value());
  for (const char* bad :
       {"", "mail.example.org", "smtp:mail", "smtp://", "smtp://a b", "smtp://host:", "smtp://host:0",
        "smtp://host:65536", "smtp://::1", "smtp://[::1", "smtp://[::1]x", "smtp://[192.0.2.1]",
        "smtp://192.0.2.300", "lmtps://host", "http://host", "lmtp+unix:rel", "smtp+unix:"})
    CHECK_MESSAGE(!parse_next_hop(bad), bad);
}

TEST_CASE("rates") {
  CHECK(*parse_rate("600/min") == Rate{600, std::chrono::minutes(1)});
  for (const char* good : {"1/s", "600/min", "90000/h"}) CHECK(rate_text(*parse_rate(good)) == good);
  for (const char* bad :
       {"", "600", "0/s", "/s", "6/", "6/d", "6 /s", "-6/s", "6x/s", "99999999999999999999/s"})
    CHECK_MESSAGE(!parse_rate(bad), bad);
}

TEST_CASE("addresses to listen on") {
  CHECK(parse_listen("0.0.0.0:25")->port == 25);
  CHECK(parse_listen("[::]:0")->host == "::");
  CHECK(parse_listen("unix:/run/x")->path == "/run/x");
  for (const char* bad : {"", ":25", "25", "localhost:25", "[127.0.0.1]:25", "::1:25", "1.2.3.4:x", "unix:x"})
    CHECK_MESSAGE(!parse_listen(bad), bad);
}

TEST_CASE("networks") {
  const auto four = parse_network("192.0.2.0/24");
  REQUIRE(four);
  CHECK((four->bits == 24 && !four->v6 && four->bytes[0] == 192));
  CHECK(parse_network("::1")->bits == 128);
  CHECK(parse_network("0.0.0.0/0")->bits == 0);
  CHECK(parse_network("unix")->unix_socket);
  for (const char* bad :
       {"", "192.0.2.1/24", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/2x", "2001:db8::1/32", "host"})
    CHECK_MESSAGE(!parse_network(bad), bad);
}

TEST_CASE("domains and mail addresses") {
  for (const char* good : {"a", "example.org", "xn--nxasmq6b.example", "1.example", "a-b.c"})
    CHECK_MESSAGE(is_domain(good), good);
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a_b", "192.0.2.1", "a b"})
    CHECK_MESSAGE(!is_domain(bad), bad);
  CHECK(is_domain(std::string(63, 'a')));
  CHECK(!is_domain(std::string(64, 'a')));
  for (const char* good : {"a@b.example", "\"a b\"@c.example", "a+b=c@d.example"})
    CHECK_MESSAGE(address_fault(good).empty(), good);
  for (const char* bad : {"a", "@b", "a@", "a b@c", "a@b@c", "a\r@b", "<a@b>"})
    CHECK_MESSAGE(!address_fault(bad).empty(), bad);
}

TEST_CASE("near misses") {
  const std::vector<std::string> words{"retry", "lifetime", "max_connections", "max_connections_per_host"};
  CHECK(near_miss("retyr", words) == "retry");
  CHECK(near_miss("lifetme", words) == "lifetime");
  CHECK(near_miss("max_conections", words) == "max_connections");
  CHECK(near_miss("colour", words).empty());
  CHECK(near_miss("", words).empty());
}
