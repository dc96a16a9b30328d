#include "protocol/mime/parts.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/protocol/mime/crlf.hpp"

using namespace spoold;
using namespace spoold::mime;

namespace {

std::string body(const std::string& bytes, const Part& part) {
  return bytes.substr(part.body, part.end - part.body);
}

}  // namespace

TEST_CASE("parts of a multipart, nested ones and an enclosed message, by offset") {
  const std::string bytes = crlf(
      "Subject: x\nContent-Type: multipart/mixed; boundary=\"a b\"\n\npreamble\n--a b\n\nfirst\n--a b \n"
      "Content-Type: multipart/alternative; boundary=c\n\n--c\nContent-Type: text/HTML (with a comment)\n"
      "Content-Transfer-Encoding: 8BIT\n\n<p>\n\n--c--\nepilogue\n--a b\nContent-Type: message/rfc822\n\n"
      "From: x\n\ninner\n--a b--\nepilogue\n");
  const auto parts = parts_of(bytes);
  REQUIRE(parts);
  REQUIRE(parts->size() == 6);
  const auto& all = *parts;
  CHECK((all[0].multipart() && all[0].message && all[0].boundary == "a b" && all[0].end == bytes.size()));
  CHECK(body(bytes, all[1]) == "first");
  CHECK((all[1].type == "text/plain" && all[1].encoding == "7bit" && !all[1].message));
  CHECK((all[2].multipart() && all[2].type == "multipart/alternative"));
  CHECK((all[3].parent == 2 && all[3].type == "text/html" && all[3].encoding == "8bit"));
  CHECK(body(bytes, all[3]) == "<p>\r\n");
  CHECK((all[4].encloses() && all[4].parent == 0));
  CHECK((all[5].message && all[5].parent == 4));
  CHECK(body(bytes, all[5]) == "inner");
}

TEST_CASE("a boundary that begins like another one, a delimiter that is missing, a digest") {
  const std::string bytes = crlf(
      "Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/digest; boundary=abc\n\n"
      "--abc\n\nFrom: x\n\ninner --ab\n--ab\n\nlast");
  const auto parts = parts_of(bytes);
  REQUIRE(parts);
  REQUIRE(parts->size() == 5);
  CHECK((*parts)[2].type == "message/rfc822");
  CHECK(body(bytes, (*parts)[3]) == "inner --ab");
  CHECK(body(bytes, (*parts)[4]) == "last");
}

TEST_CASE("no header, no body, no parts") {
  CHECK(parts_of("")->size() == 1);
  CHECK(parts_of("\r\n")->front().body == 2);
  CHECK(parts_of("not a field\r\nat all\r\n")->front().body == 0);
  CHECK(parts_of("Content-Type: multipart/mixed\r\n\r\n--\r\n")->size() == 1);  // no boundary: not opened
  CHECK(parts_of("Content-Type: multipart/mixed; boundary=x\r\n")->size() == 1);
}

TEST_CASE("parts are bounded in number and depth") {
  std::string many = "Content-Type: multipart/mixed; boundary=x\r\n\r\n";
  for (int i = 0; i < 999; ++i) many += "--x\r\n\r\n";
  CHECK(parts_of(many)->size() == 1000);
  CHECK(parts_of(many + "--x\r\n\r\n").error() == Fault::too_many_parts);
  std::string deep;
  for (int i = 0; i < 32; ++i) {
    const std::string name = "b" + std::to_string(i) + "e";
    deep += "Content-Type: multipart/mixed; boundary=" + name + "\r\n\r\n--" + name + "\r\n";
  }
  CHECK(parts_of(deep)->size() == 33);
  CHECK(parts_of("Content-Type: message/rfc822\r\n\r\n" + deep).error() == Fault::too_deep);
}

TEST_CASE("parameters: quoted, with comments and without") {
  CHECK(parameter("multipart/mixed; charset=x; BOUNDARY = \"a\\\"b;c\" ; d=e", "boundary") == "a\"b;c");
  CHECK(parameter("text/plain; charset=utf-8 (yes)", "charset") == "utf-8");
  CHECK(parameter("text/plain; flag; charset=utf-8", "charset") == "utf-8");
  CHECK(parameter("text/plain", "charset") == "");
  CHECK(parameter("text/plain; charset", "charset") == "");
}
