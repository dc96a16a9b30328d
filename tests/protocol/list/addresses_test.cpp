#include "protocol/list/addresses.hpp"

#include <doctest/doctest.h>

using namespace spoold::list;

namespace {

std::string meaning(std::string_view local, char delimiter = '+') {
  auto found = sub_address(local, delimiter);
  if (!found) return "nothing";
  return std::string(text(found->role)) + " list=" + found->list + " detail=" + found->detail;
}

}  // namespace

TEST_CASE("sub_address: the addresses of a list, without regard to case") {
  CHECK(meaning("test") == "post list=test detail=");
  CHECK(meaning("TEST") == "post list=test detail=");
  CHECK(meaning("test-join") == "join list=test detail=");
  CHECK(meaning("Test-Subscribe") == "join list=test detail=");
  CHECK(meaning("test-leave") == "leave list=test detail=");
  CHECK(meaning("test-UNsubscribe") == "leave list=test detail=");
  CHECK(meaning("test-Leave+AbC") == "leave list=test detail=AbC");
  CHECK(meaning("LEAVE+x") == "leave list= detail=x");
  CHECK(meaning("leave") == "post list=leave detail=");
  CHECK(meaning("test-confirm+AbC") == "confirm list=test detail=AbC");
  CHECK(meaning("test-request") == "request list=test detail=");
  CHECK(meaning("test-owner") == "owner list=test detail=");
  CHECK(meaning("test-admin") == "admin list=test detail=");
  CHECK(meaning("test-bounces") == "bounces list=test detail=");
  CHECK(meaning("test-Bounces+Anna=a.example") == "bounces list=test detail=Anna=a.example");
  CHECK(meaning("bounces+b=xyz") == "bounces list= detail=b=xyz");
  CHECK(meaning("CONFIRM+xyz") == "confirm list= detail=xyz");
  CHECK(meaning("PostMaster") == "postmaster list= detail=");
  CHECK(meaning("abuse") == "abuse list= detail=");
  CHECK(meaning("a-b.c") == "post list=a-b.c detail=");
  CHECK(meaning("a-b-owner") == "owner list=a-b detail=");
}

TEST_CASE("sub_address: what is none") {
  for (const char* local : {"", "test+x", "test-owner+x", "test-join+x", "test-bounces+", "-owner",
                            "-bounces+x=y", "bounces+", "+x", "a+b-bounces+c=d", "a+b-owner"}) {
    CAPTURE(local);
    CHECK(meaning(local) == "nothing");
  }
  CHECK(meaning("test-confirm") == "post list=test-confirm detail=");  // no list can have that name
  CHECK(name_fault("test-confirm", '+'));
}

TEST_CASE("sub_address: a detail that looks like a list address itself") {
  CHECK(meaning("test-bounces+x-bounces+y=z") == "bounces list=test detail=x-bounces+y=z");
  CHECK(meaning("test-bounces+x-owner=z-owner") == "bounces list=test detail=x-owner=z-owner");
}

TEST_CASE("sub_address: other delimiters") {
  CHECK(meaning("test-bounces=a=b.example", '=') == "bounces list=test detail=a=b.example");
  CHECK(meaning("test-bounces-a=b.example", '-') == "bounces list=test detail=a=b.example");
  CHECK(meaning("test-owner", '-') == "owner list=test detail=");
  CHECK(meaning("a-b-owner", '-') == "nothing");
}

TEST_CASE("name_fault: one sentence each") {
  CHECK(!name_fault("test", '+'));
  CHECK(!name_fault("Test.a-b_c", '+'));
  CHECK(!name_fault(std::string(52, 'x'), '+'));
  CHECK(*name_fault("", '+') == "the name of the list is missing");
  CHECK(*name_fault(std::string(53, 'x'), '+') == "the name of a list must not be longer than 52 octets");
  CHECK(*name_fault("a+b", '+') == "the name of a list must not contain the delimiter '+'");
  CHECK(!name_fault("a+b", '='));
  CHECK(*name_fault("two words", '+') ==
        "the name of a list must not need quotes: letters, digits, dots between them, hyphens");
  CHECK(name_fault(".x", '+'));
  CHECK(name_fault("m\xc3\xbcller", '+'));
  CHECK(*name_fault("Postmaster", '+') == "'postmaster' is reserved at each list domain");
  for (const char* name : {"abuse", "bounces", "confirm", "a-bounces", "a-owner", "a-request", "a-join",
                           "a-leave", "a-confirm", "a-subscribe", "a-unsubscribe", "A-Admin", "-owner"}) {
    CAPTURE(name);
    CHECK(name_fault(name, '+'));
  }
  CHECK(*name_fault("a-Owner", '+') ==
        "the name of a list must not end in -owner: that address belongs to the list in front of it");
}
