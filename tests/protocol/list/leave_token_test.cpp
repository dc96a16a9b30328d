// The address that ends one membership.
#include "protocol/list/leave_token.hpp"

#include <doctest/doctest.h>

#include "protocol/list/addresses.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailto.hpp"
#include "tests/protocol/list/mixer.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

constexpr MemberId member = 0x0123456789;

SubAddress sub_of(const std::string& address) {
  const auto at = address.find('@');
  REQUIRE(address.substr(at) == "@lists.example");
  const auto sub = sub_address(address.substr(0, at), '+');
  REQUIRE(sub);
  return *sub;
}

}  // namespace

TEST_CASE(
    "leave token: names the membership, in any case, at the list or at its domain; never over 64 octets") {
  for (std::size_t length = 1; length <= max_name; ++length) {
    const List list = test_list(std::string(length, 'a'));
    const std::string address = leave_address(list, member, '+', mixer(1));
    CHECK(address.find('@') <= 64);
    for (const std::string& written : {address, mail::lower(address)}) {
      const SubAddress sub = sub_of(written);
      CHECK(sub.role == Role::leave);
      CHECK(sub.list == (length <= 29 ? list.local : ""));
      const auto leaving = decode_leave(sub.detail, mixer(1));
      REQUIRE(leaving);
      CHECK(leaving->list == list.id);
      CHECK(leaving->member == member);
    }
  }
}

TEST_CASE("leave token: any change, another secret or another kind of token names nobody") {
  const std::string detail = sub_of(leave_address(test_list(), member, '+', mixer(1))).detail;
  REQUIRE(detail.size() == 28);
  CHECK(!decode_leave(detail, mixer(2)));
  for (std::size_t i = 0; i < detail.size(); ++i)
    for (const char c : {'a', 'b', 'y', '2', '7'}) {
      std::string changed = detail;
      if (mail::lower(changed[i]) == c) continue;
      changed[i] = c;
      CHECK(!decode_leave(changed, mixer(1)));
    }
  for (const char* none : {"", "x", "anne=a.example", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
    CHECK(!decode_leave(none, mixer(1)));
  // An envelope sender of the same member is no wish to leave.
  std::string verp;
  VerpEncoder(test_list(), VerpFormat::opaque, '+', 700, mixer(1)).append(verp, "a@b.example", member);
  CHECK(!decode_leave(verp.substr(verp.find("b=") + 2, 28), mixer(1)));
}

TEST_CASE("leave token: as a URL, and for a recipient who is no member") {
  const std::string url = leave_url(test_list(), member, '+', mixer(1));
  CHECK(url.starts_with("mailto:test-leave%2B"));
  CHECK(url.ends_with("@lists.example"));
  CHECK(leave_url(test_list(), 0, '+', mixer(1)) == "mailto:test-leave@lists.example");
  CHECK(mail::mailto("a%b&c+d@x.example") == "mailto:a%25b%26c%2Bd@x.example");
}
