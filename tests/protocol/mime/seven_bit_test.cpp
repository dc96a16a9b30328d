// Whatever is converted is ASCII, and is read as what it was.
#include "protocol/mime/seven_bit.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mime/ascii_field.hpp"
#include "protocol/mime/parts.hpp"
#include "tests/protocol/mime/crlf.hpp"

using namespace spoold;
using namespace spoold::mime;

namespace {

std::string unquoted(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out += text[i];
    } else if (text.substr(i + 1, 2) == "\r\n") {
      i += 2;
    } else {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
  }
  return out;
}

/// What a reader sees of a part.
std::string decoded(const std::string& bytes, const Part& part) {
  const std::string body = bytes.substr(part.body, part.end - part.body);
  if (part.encoding == "quoted-printable") return unquoted(body);
  if (part.encoding != "base64") return body;
  std::string letters;
  for (const char c : body)
    if (!mail::is_space(c)) letters += c;
  return mail::base64_decode(letters).value_or("(broken)");
}

std::string field(std::string_view name, std::string_view value) {
  const std::string raw = std::string(name) + ":" + std::string(value) + "\r\n";
  const auto header = mail::Header::scan(raw);
  REQUIRE(header->fields().size() == 1);
  return ascii_field(header->fields().front()).value_or("(cannot)");
}

std::size_t longest_line(std::string_view text) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find("\r\n", at), text.size());
    longest = std::max(longest, end - at);
    at = end + 2;
  }
  return longest;
}

}  // namespace

TEST_CASE("a text of 8 bits becomes quoted-printable, and says so") {
  const std::string bytes = crlf(
      "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: "
      "8bit\n\n"
      "caf\xc3\xa9 = 1 \n.dot\ttab\t\nend");
  const auto seven = to_seven_bit(bytes);
  REQUIRE(seven);
  CHECK(*seven == crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                       "Content-Transfer-Encoding: quoted-printable\n\n"
                       "caf=C3=A9 =3D 1=20\n.dot\ttab=09\nend"));
}

TEST_CASE("mail without MIME is labelled; a text that is mostly not ASCII becomes base64") {
  CHECK(*to_seven_bit("Subject: x\r\n\r\nna\xefve text, and a good deal of it\r\n") ==
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve text, and a good deal of it\r\n");
  const auto seven = to_seven_bit("Subject: x\r\n\r\n\xd0\xb4\xd0\xb0\r\n");
  CHECK(*seven ==
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n0LTQsA0K\r\n");
  CHECK(mail::is_ascii(*to_seven_bit("no header, \xe9\r\n")));
}

TEST_CASE("part by part: what is ASCII stays byte for byte, also in an enclosed message") {
  const std::string kept =
      crlf("--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nAAAA\n--b");
  const std::string bytes =
      crlf(
          "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\npr\xc3\xa9"
          "amble\n") +
      kept +
      crlf(
          "\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: "
          "caf\xc3\xa9\n\n\xc3\xa9t\xc3\xa9 was long this year\n--b--\n");
  const auto seven = to_seven_bit(bytes);
  REQUIRE(seven);
  CHECK(mail::is_ascii(*seven));
  CHECK(seven->find(kept) != std::string::npos);
  const auto parts = parts_of(*seven);
  REQUIRE(parts->size() == 4);
  CHECK((*parts)[0].encoding == "7bit");
  CHECK((*parts)[2].encoding == "7bit");
  CHECK((*parts)[3].encoding == "quoted-printable");
  CHECK(decoded(*seven, (*parts)[3]) == "\xc3\xa9t\xc3\xa9 was long this year");
  CHECK(mail::subject((*parts)[3].header) == "=?utf-8?q?caf=C3=A9?=");
}

TEST_CASE("quoted-printable with octets that it must not have is mended, other encodings are not") {
  const std::string line = "=C3=A9" + std::string(60, 'x') + "\xc3\xa9\xc3\xa9 soft=\r\nend\r\n";
  const auto seven = to_seven_bit("Content-Transfer-Encoding: Quoted-Printable\r\n\r\n" + line);
  REQUIRE(seven);
  const auto parts = parts_of(*seven);
  CHECK(decoded(*seven, parts->front()) == unquoted(line));
  CHECK(longest_line(*seven) <= 76);
  CHECK_FALSE(to_seven_bit("Content-Transfer-Encoding: base64\r\n\r\nAAAA\xe9\r\n"));
  CHECK_FALSE(to_seven_bit("Content-Transfer-Encoding: x-uuencode\r\n\r\n\xe9\r\n"));
}

TEST_CASE("what is signed, too large or of a form of its own is not converted") {
  const std::string text = "\r\n\xc3\xa9\r\n";
  CHECK(to_seven_bit("DKIM-Signature: v=1\r\n" + text).error().find("signed") != std::string::npos);
  for (const char* type :
       {"multipart/signed; boundary=b", "application/pkcs7-mime", "application/x-pkcs7-mime"})
    CHECK(to_seven_bit(std::string("Content-Type: ") + type + "\r\n" + text).error().find("signed") !=
          std::string::npos);
  CHECK_FALSE(to_seven_bit("Content-Type: message/partial\r\n" + text));
  CHECK_FALSE(to_seven_bit("Content-Type: multipart/mixed\r\n" + text));
  CHECK_FALSE(to_seven_bit(text + std::string(most_converted, 'x')));
}

TEST_CASE("header fields: encoded words where they may be, else not at all") {
  CHECK(field("Subject", " Ein Caf\xc3\xa9 in K\xc3\xb6ln, heute") ==
        "Subject: Ein =?utf-8?q?Caf=C3=A9_in_K=C3=B6ln=2C?= heute\r\n");
  CHECK(field("X-Anything", " \xe9") == "X-Anything: =?unknown-8bit?q?=E9?=\r\n");
  CHECK(field("From", " J\xc3\xb6rg M\xc3\xbcller <j@x>, \"B\xc3\xb6 \\\"x\\\"\" <b@x> (\xc3\xbc)") ==
        "From: =?utf-8?q?J=C3=B6rg_M=C3=BCller?= <j@x>, =?utf-8?q?B=C3=B6_=22x=22?= <b@x> "
        "(=?utf-8?q?=C3=BC?=)\r\n");
  for (const char* value : {" <j\xc3\xb6@x>", " j\xc3\xb6@x", " \"j\xc3\xb6\"@x", " \"j\xc3\xb6"})
    CHECK(field("To", value) == "(cannot)");
  CHECK(field("Message-ID", " <\xc3\xb6@x>") == "(cannot)");
  CHECK(field("Content-Disposition",
              " attachment; filename=\"\xc3\xbc"
              "ber uns.pdf\"; size=3") ==
        "Content-Disposition: attachment; filename*=utf-8''%C3%BCber%20uns.pdf; size=3\r\n");
  CHECK(field("Content-Type", " text/\xc3\xbc") == "(cannot)");
  CHECK(longest_line(field(
            "Subject", " " + std::string(30, 'x') + std::string("\xc3\xa9") + std::string(300, 'y'))) <= 110);
}

TEST_CASE("whatever the octets of a part, a reader of the conversion gets them back") {
  CHECK(rc::check([] {
    const auto octets = *rc::gen::container<std::string>(
        rc::gen::element('a', ' ', '\t', '=', '.', '-', '\r', '\n', '\x01', '\x7f', '\xc3', '\xa9', '\xff'));
    const bool inside = *rc::gen::arbitrary<bool>();
    const std::string text = octets + "\xc3\xa9";
    const std::string bytes =
        inside ? "Content-Type: multipart/mixed; boundary=bound\r\n\r\n--bound\r\nContent-Transfer-Encoding: "
                 "8bit\r\n\r\n" +
                     text + "\r\n--bound--\r\n"
               : "Subject: x\r\n\r\n" + text;
    const auto seven = to_seven_bit(bytes);
    RC_ASSERT(seven.has_value());
    RC_ASSERT(mail::is_ascii(*seven));
    RC_ASSERT(longest_line(*seven) <= 76u);
    const auto parts = parts_of(*seven);
    RC_ASSERT(parts->size() == (inside ? 2u : 1u));
    RC_ASSERT(decoded(*seven, parts->back()) == text);
  }));
}
