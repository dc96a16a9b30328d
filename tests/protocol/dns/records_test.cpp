#include "protocol/dns/records.hpp"

#include <doctest/doctest.h>

using namespace spoold::dns;

TEST_CASE("names from the wire and from text") {
  const std::string longest(63, 'a');
  const auto label = [](const std::string& l) { return std::string(1, static_cast<char>(l.size())) + l; };
  const std::string preference(2, '\0'), end(1, '\0');
  const auto host = [&](const std::string& name) { return parse_mx(preference + name); };
  CHECK(host(label("MX1") + label("x-Y") + end)->host == "mx1.x-y");
  CHECK(host(label("_dc-mx") + label("test") + end)->host == "_dc-mx.test");
  CHECK(host(end)->host.empty());
  CHECK(host(label(longest) + label(longest) + label(longest) + end));
  CHECK_FALSE(host(label(longest) + label(longest) + label(longest) + label(longest) + end));  // 255 in text
  CHECK_FALSE(host(label("a.b") + end));
  CHECK_FALSE(host(label("a b") + end));
  CHECK_FALSE(host(label("a")));                       // no end
  CHECK_FALSE(host(label("a") + end + "x"));           // more behind it
  CHECK_FALSE(host(std::string("\xc0\x0c", 2)));       // compressed
  CHECK_FALSE(host(std::string("\x3f") + "a" + end));  // label longer than what is there
  CHECK_FALSE(parse_mx(""));
  CHECK_FALSE(parse_mx("\x01"));

  CHECK(parse_name("MX1.Example.NET.") == "mx1.example.net");
  CHECK(parse_name("a") == "a");
  CHECK(parse_name(".") == "");
  CHECK_FALSE(parse_name("a..b"));
  CHECK_FALSE(parse_name(".a"));
  CHECK_FALSE(parse_name("a.."));
  CHECK_FALSE(parse_name("a\\032b."));
}

TEST_CASE("addresses and TLSA have their size") {
  CHECK(parse_address(Type::a, std::string("\x7f\0\0\x01", 4))->octets[0] == 127);
  CHECK_FALSE(parse_address(Type::a, "abc"));
  CHECK_FALSE(parse_address(Type::a, std::string(16, 'a')));
  CHECK(parse_address(Type::aaaa, std::string(16, 'a'))->v6);
  CHECK_FALSE(parse_address(Type::aaaa, "abcd"));
  CHECK(parse_tlsa(std::string("\x03\x01\x01h"))->matching == 1);
  CHECK_FALSE(parse_tlsa(std::string("\x03\x01\x01")));
  CHECK_FALSE(parse_tlsa(std::string(5000, 'a')));
}
