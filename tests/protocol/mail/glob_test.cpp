#include "protocol/mail/glob.hpp"

#include <doctest/doctest.h>

using spoold::mail::glob;

TEST_CASE("globs") {
  CHECK(glob("*", ""));
  CHECK(glob("*@example.com", "Anne@EXAMPLE.com"));
  CHECK(glob("a?ne@*", "anne@example.com"));
  CHECK(glob("*ab*ab", "abxabab"));
  CHECK(glob("*.google.com", "ASPMX.L.GOOGLE.com"));
  CHECK(glob("mx*.a*.test", "mx1.b.a.test"));
  CHECK_FALSE(glob("*.google.com", "google.com"));
  CHECK_FALSE(glob("*.google.com", "mx.google.com.evil.test"));
  CHECK_FALSE(glob("", "a"));
  CHECK_FALSE(glob("?", ""));
}
