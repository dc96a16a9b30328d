#include "protocol/mail/base64.hpp"

#include <doctest/doctest.h>

#include <rapidcheck.h>

using namespace spoold::mail;

TEST_CASE("base64: RFC 4648 section 10, there and back") {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe\xfd", "//79"}};
  for (const auto& [octets, letters] : cases) {
    CHECK(base64_encode(octets) == letters);
    CHECK(base64_decode(letters) == octets);
  }
  CHECK(rc::check("round trip", [](const std::string& octets) {
    RC_ASSERT(base64_decode(base64_encode(octets)) == octets);
  }));
}

TEST_CASE("base64: what is none is refused") {
  for (const char* bad :
       {"A", "Zg=", "Zg===", "Z===", "====", "Zm 9", "Zm9\n", "Zg==Zg==", "Zm9-", "Zh==", "Zm9="})
    CHECK_MESSAGE(!base64_decode(bad), bad);
}
