#include "protocol/list/decorate.hpp"

#include <doctest/doctest.h>

#include "protocol/list/personal.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/transfer.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

struct Result {
  std::string text;
  Decorated how = Decorated::none;
  mail::Outgoing out;
};

Result decorated(std::string_view post, std::string_view footer, std::string_view header = {},
                 const Reader* reader = nullptr) {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  list.settings.footer = footer;
  list.settings.header = header;
  if (reader != nullptr) list.settings.personalize = Personalize::full;
  const auto fields = mail::Header::scan(post);
  const mail::Scanned scanned = mail::scan(post);
  mail::Draft draft(*fields, scanned);
  Result result;
  const auto tail = post.substr(post.size() - std::min(post.size(), most_tail));
  result.how = decorate(draft, list, tail, "ID1");
  result.out = draft.outgoing();
  result.text = result.out.head;
  std::uint64_t size = result.out.head.size();
  for (const mail::Splice& piece : result.out.body) {
    result.text.append(post.substr(piece.offset, piece.length)).append(piece.own);
    size += piece.length + piece.own.size();
    if (reader != nullptr) result.text += written(piece.blank, *reader);
  }
  CHECK(size == result.out.size);
  return result;
}

std::string body_of(std::string_view message) {
  return std::string(message.substr(message.find("\r\n\r\n") + 4));
}

}  // namespace

TEST_CASE("decorate: a lone text in ASCII gets header and footer in place") {
  const Result r = decorated("Subject: x\r\n\r\nHello\r\n", "-- \nfooter\n", "top\n");
  CHECK(r.how == Decorated::in_the_text);
  CHECK(r.text == "Subject: x\r\n\r\ntop\r\nHello\r\n-- \r\nfooter\r\n");
  CHECK_FALSE(r.out.octets.eight_bit);
  CHECK(decorated("Subject: x\r\n\r\nHello", "f").text ==
        "Subject: x\r\n\r\nHello\r\nf\r\n");  // BDAT may end so
  CHECK(decorated("Subject: x\r\n\r\n", "f").text == "Subject: x\r\n\r\nf\r\n");
  CHECK(decorated("Subject: x\r\n\r\nHello\r\n", "").how == Decorated::none);
}

TEST_CASE("decorate: a footer that is not ASCII makes an ASCII text UTF-8, and keeps the other parameters") {
  Result r =
      decorated("Content-Type: text/plain; format=flowed; charset=\"US-ASCII\"; delsp=yes\r\n\r\nHello\r\n",
                "\xc3\xa4");
  CHECK(r.text ==
        "Content-Type: text/plain; format=flowed; charset=utf-8; delsp=yes\r\n"
        "Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n\r\nHello\r\n\xc3\xa4\r\n");
  CHECK(r.out.octets.eight_bit);
  r = decorated("MIME-Version: 1.0\r\n\r\nHello\r\n", "\xc3\xa4");
  CHECK(r.text ==
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
        "8bit\r\n\r\n"
        "Hello\r\n\xc3\xa4\r\n");
}

TEST_CASE("decorate: in the charset of the text, or around it where that cannot hold the footer") {
  const std::string latin =
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
      "8bit\r\n\r\n\xfc\r\n";
  CHECK(body_of(decorated(latin, "\xc3\xa4").text) == "\xfc\r\n\xe4\r\n");
  CHECK(decorated(latin, "\xe2\x82\xac").how == Decorated::around);
  const std::string japan =
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$3\x1b(B\r\n";
  CHECK(decorated(japan, "footer").text.ends_with("\x1b(B\r\nfooter\r\n"));
  CHECK(decorated("Content-Type: text/plain; charset=utf-16\r\n\r\nx\r\n", "f").how == Decorated::around);
  CHECK(decorated("Content-Type: text/plain; charset=x-nobody\r\n\r\nx\r\n", "f").how == Decorated::around);
  CHECK(decorated("Subject: x\r\n\r\n\xfc\r\n", "f").how ==
        Decorated::in_the_text);  // 8-bit of nobody knows what
  CHECK(decorated("Subject: x\r\n\r\n\xfc\r\n", "\xc3\xa4").how == Decorated::around);
}

TEST_CASE("decorate: quoted-printable and base64 stay what they are") {
  const std::string quoted =
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\n";
  CHECK(body_of(decorated(quoted + "=C3=BC\r\n", "\xc3\xa4=\n").text) == "=C3=BC\r\n=C3=A4=3D\r\n");
  CHECK(body_of(decorated(quoted + "cut=\r\n", "f").text) == "cut=\r\n\r\nf\r\n");
  const std::string base =
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "base64\r\n\r\n";
  for (const std::size_t size : {1u, 2u, 3u, 56u, 57u, 58u, 200u, 10'000u}) {
    std::string text(size, 'x'), post = base;
    text += "\r\n";
    mime::append_base64(post, text);
    const Result r = decorated(post, "-- \n\xc3\xa4", "top!");
    CHECK(r.how == Decorated::in_the_text);
    const std::string shown = mime::decoded(body_of(r.text), "base64", 1 << 20);
    CHECK(shown.starts_with("top!"));
    CHECK(shown.ends_with("\r\n" + text + "-- \r\n\xc3\xa4\r\n"));
    CHECK(body_of(r.text).find("=\r\n") >= body_of(r.text).size() - 4);  // padding at the end only
  }
  CHECK(decorated(base + "%%%\r\n", "f").how == Decorated::around);
  CHECK(decorated(base + "eA==\r\neA==\r\n", "f").how == Decorated::around);
}

TEST_CASE("decorate: around all else, the post as it came inside") {
  const std::string html =
      "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-ID: <1>\r\n\r\n<p>Hello</p>\r\n";
  const Result r = decorated(html, "\xc3\xa4 footer", "top");
  CHECK(r.how == Decorated::around);
  CHECK_FALSE(r.out.octets.eight_bit);
  const auto parts = mime::parts_of(r.text);
  REQUIRE(parts);
  REQUIRE(parts->size() == 4);
  CHECK((*parts)[0].type == "multipart/mixed");
  CHECK((*parts)[1].type == "text/plain");
  CHECK(r.text.substr((*parts)[2].begin, (*parts)[2].end - (*parts)[2].begin) ==
        "Content-Type: text/html\r\nContent-ID: <1>\r\n\r\n<p>Hello</p>\r\n");
  const auto& last = (*parts)[3];
  CHECK(mime::decoded(std::string_view(r.text).substr(last.body, last.end - last.body), last.encoding, 100) ==
        "\xc3\xa4 footer\r\n");
  CHECK(r.text.find("Content-Type: text/html") > r.text.find("\r\n\r\n"));  // moved, not doubled
}

TEST_CASE("decorate: never to what is signed, encrypted, protected or a reaction") {
  for (const char* type :
       {"multipart/signed; boundary=x", "multipart/encrypted; boundary=x", "application/pkcs7-mime",
        "text/plain; hp=\"clear\"", "multipart/mixed; hp=cipher; boundary=x"}) {
    const std::string post = "MIME-Version: 1.0\r\nContent-Type: " + std::string(type) + "\r\n\r\nx\r\n";
    CHECK(decorated(post, "footer").text == post);
  }
  const std::string reaction = "Content-Disposition: reaction\r\n\r\n+\r\n";
  CHECK(decorated(reaction, "footer").text == reaction);
  const std::string attached =
      "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n";
  CHECK(decorated(attached, "footer").how == Decorated::around);
}

TEST_CASE("decorate: a member's values are blanks, in each place's encoding") {
  const Reader anna{
      .address = "anna@a.example", .name = "Anna M\xc3\xbcller", .delivered_to = "anna@a.example"};
  CHECK(body_of(decorated("Subject: x\r\n\r\nHello\r\n", "to $user_address.", {}, &anna).text) ==
        "Hello\r\nto anna@a.example.\r\n");
  CHECK(body_of(decorated("Subject: x\r\n\r\nHello\r\n", "to $user_name", {}, &anna).text) ==
        "Hello\r\nto Anna M\xc3\xbcller\r\n");
  const std::string base =
      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n";
  CHECK(decorated(base, "to $user_address", {}, &anna).how == Decorated::around);
  const Result html = decorated("Content-Type: text/html\r\n\r\nx\r\n", "to $user_name", {}, &anna);
  const auto parts = mime::parts_of(html.text);
  REQUIRE(parts->size() == 3);
  const auto& last = parts->back();
  CHECK(mime::decoded(std::string_view(html.text).substr(last.body, last.end - last.body), last.encoding,
                      100) == "to Anna M\xc3\xbcller\r\n");
}
