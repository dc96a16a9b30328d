#include "protocol/mime/transfer.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/mail/base64.hpp"

using namespace spoold::mime;

TEST_CASE("transfer encodings are undone") {
  CHECK(decoded("n=C3=A4h=\r\n, =\nl=3dl = =zz =", "quoted-printable", 100) == "n\xc3\xa4h, l=l = =zz ");
  CHECK(decoded("a= \t\r\nb", "quoted-printable", 100) == "ab");
  CHECK(decoded("SGVs\r\nbG8=\r\n", "base64", 100) == "Hello");
  CHECK(decoded("SGVs*bG8", "base64", 100) == "Hello");
  CHECK(decoded("SGVsbG8=IQ==", "base64", 100) == "Hello!");
  CHECK(decoded("Hello", "7bit", 100) == "Hello");
  CHECK(decoded("Hello", "x-unknown", 3) == "Hel");
  CHECK(decoded("SGVsbG8=", "base64", 3) == "Hel");
  CHECK(rc::check("base64 comes back", [](const std::string& octets) {
    RC_ASSERT(decoded(spoold::mail::base64_encode(octets), "base64", octets.size() + 10) == octets);
  }));
}

TEST_CASE("encoded words are read (RFC 2047 6.2, 8)") {
  CHECK(decoded_words(" =?ISO-8859-1?Q?a?= b", 100) == "a b");
  CHECK(decoded_words("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", 100) == "ab");
  CHECK(decoded_words("=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?=", 100) == "ab");
  CHECK(decoded_words("=?ISO-8859-1?Q?a_?= =?ISO-8859-2?Q?_b?=", 100) == "a  b");
  CHECK(decoded_words("=?utf-8?b?RGVsaXZlcnk=?= failed", 100) == "Delivery failed");
  CHECK(decoded_words("=?utf-8?x?abc?= =?utf-8?q?abc", 100) == "=?utf-8?x?abc?= =?utf-8?q?abc");
  CHECK(decoded_words("plain", 3) == "pla");
}
