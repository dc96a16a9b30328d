#include "protocol/list/filter.hpp"

#include <doctest/doctest.h>

#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mime/file_name.hpp"
#include "tests/protocol/mime/crlf.hpp"

using namespace spoold;
using namespace spoold::list;
using mime::crlf;

namespace {

List list_with(const std::vector<std::pair<std::string, std::string>>& settings) {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  for (const auto& [key, text] : settings)
    REQUIRE_MESSAGE(set(list.settings, key, text), key << " = " << text);
  return list;
}

struct Result {
  Filtered filtered;
  std::string header, body;  // of what goes out, with header fields of the post only
};

/// Of the post alone: nothing else is cooked. The way back is looked at each time.
Result filter(const std::string& post, const List& list) {
  Result result;
  result.filtered = filtered(list, post, mime::parts_of(post));
  const auto header = mail::Header::scan(post);
  const mail::Scanned scanned = mail::scan(post);
  mail::Draft draft(*header, scanned);
  apply(result.filtered, draft);
  const mail::Outgoing out = draft.outgoing();
  std::string copy = out.head;
  for (const mail::Splice& piece : out.body) copy.append(post, piece.offset, piece.length).append(piece.own);
  CHECK(copy.size() == out.size);
  std::string restored;
  for (const mail::Restored& one : draft.way_back(post))
    restored.append(copy, one.offset, one.length).append(one.removed);
  CHECK(restored == post);
  copy.insert(0, "\r\n");  // where no field is left, the blank line comes first
  const std::size_t blank = copy.find("\r\n\r\n");
  result.header = copy.substr(2, blank);
  result.body = copy.substr(blank + 4);
  return result;
}

std::string steps(const Filtered& filtered) {
  std::string text;
  for (const Step& step : filtered.steps) text += step.setting + ": " + step.what + "\n";
  return text;
}

const std::string with_picture = crlf(
    "From: a@a.example\nContent-Type: multipart/mixed; boundary=o\nX-Last: x\n\npreamble\n--o\n"
    "Content-Type: multipart/alternative; boundary=i\n\n--i\nContent-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: quoted-printable\n\nHello\n--i\nContent-Type: text/html\n\n<p>Hello\n--i--\n"
    "--o\nContent-Type: image/png; name=a.png\n\nPNG\n--o--\nepilogue\n");

}  // namespace

TEST_CASE("filter: a part of a forbidden type goes, with its delimiter; the rest is as it came") {
  const Result r = filter(with_picture, list_with({{"filter_types", "text/html"}}));
  // One of the alternatives is left: it stands in their place.
  CHECK(r.body == crlf("preamble\n--o\nContent-Type: text/plain; charset=utf-8\n"
                       "Content-Transfer-Encoding: quoted-printable\n\nHello\n"
                       "--o\nContent-Type: image/png; name=a.png\n\nPNG\n--o--\nepilogue\n"));
  CHECK(r.header == crlf("From: a@a.example\nContent-Type: multipart/mixed; boundary=o\nX-Last: x\n"));
  CHECK(steps(r.filtered) == "filter_types: part 1.2 (text/html) removed: text/html is not accepted\n");
}

TEST_CASE("filter: of a multipart of which one part is left the post becomes that part") {
  const Result r = filter(with_picture, list_with({{"pass_types", "text/plain"}}));
  CHECK(r.header == crlf("From: a@a.example\nContent-Type: text/plain; charset=utf-8\n"
                         "Content-Transfer-Encoding: quoted-printable\nX-Last: x\n"));
  CHECK(r.body == "Hello\r\n");
  CHECK(steps(r.filtered) ==
        "pass_types: part 1.2 (text/html) removed: text/html is not accepted, only text/plain\n"
        "pass_types: part 2 (image/png) removed: image/png is not accepted, only text/plain\n");
}

TEST_CASE("filter: alternatives collapse to the first that is not blank") {
  Result r = filter(with_picture, list_with({{"collapse_alternatives", "true"}}));
  CHECK(r.body == crlf("preamble\n--o\nContent-Type: text/plain; charset=utf-8\n"
                       "Content-Transfer-Encoding: quoted-printable\n\nHello\n"
                       "--o\nContent-Type: image/png; name=a.png\n\nPNG\n--o--\nepilogue\n"));
  const std::string alternative = crlf(
      "Content-Type: multipart/alternative; boundary=i\n\n--i\n\n \n\n--i\nContent-Type: "
      "text/html\n\n<p>\n--i--\n");
  r = filter(alternative, list_with({{"collapse_alternatives", "true"}}));
  CHECK(r.header == "Content-Type: text/html\r\n");
  CHECK(r.body == "<p>\r\n");
}

TEST_CASE("filter: files by extension, in every form of a name") {
  const List list = list_with({{"filter_extensions", "*.EXE, .bat"}});
  CHECK(*print(list.settings, "filter_extensions") == "exe, bat");
  for (const char* named :
       {"Content-Disposition: attachment; filename=a.exe", "Content-Type: application/x; name=\"a.EXE\"",
        "Content-Disposition: attachment; filename=\"a.exe. \"",
        "Content-Disposition: attachment; filename*=utf-8'en'%61%2Eexe",
        "Content-Disposition: attachment; filename*0=\"a.e\"; filename*1=xe",
        "Content-Disposition: attachment; filename*1*=%78e; filename*0*=us-ascii''a.e",
        "Content-Disposition: attachment; filename=\"=?utf-8?b?YS5leGU=?=\"",
        "Content-Disposition: attachment; filename=a.txt; filename*=utf-8''a.exe",
        "Content-Disposition: attachment;\n filename=\"a b\\\".bat\"",
        "Content-Disposition: attachment; filename=a.exe\nContent-Disposition: inline; filename=a.txt"}) {
    const std::string post =
        crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n\nmore\n--b\n" +
             std::string(named) + "\n\nMZ\n--b--\n");
    const Result r = filter(post, list);
    CHECK_MESSAGE(r.body == crlf("--b\n\ntext\n--b\n\nmore\n--b--\n"), named);
  }
  const Result r = filter(crlf("Content-Disposition: attachment; filename=exe\n\nx\n"), list);
  CHECK(r.filtered.idle());
  CHECK(!r.filtered.nothing);
}

TEST_CASE("filter: nothing is left: filter_action decides, with a reason that the poster can act on") {
  List list = list_with({{"filter_types", "image"}, {"filter_extensions", "exe"}});
  CHECK(*print(list.settings, "filter_types") == "image/*");
  const std::string picture = crlf("Content-Type: image/png\n\nPNG\n");
  const Result r = filter(picture, list);
  REQUIRE(r.filtered.nothing);
  CHECK(r.filtered.idle());
  Judgement judgement;
  judge(judgement, list, r.filtered);
  CHECK(judgement.outcome == Outcome::reject);
  CHECK(std::string(judgement.rule) == "filter_types");
  CHECK(judgement.refusal->oneline() ==
        "550 5.6.1 test@lists.example can send on nothing of the message: image/png is not accepted. Help: "
        "test-owner@lists.example");
  for (const auto& [word, outcome] : {std::pair{"hold", Outcome::hold}, {"discard", Outcome::discard}}) {
    REQUIRE(set(list.settings, "filter_action", word));
    judgement = {};
    judge(judgement, list, r.filtered);
    CHECK(judgement.outcome == outcome);
    CHECK(!judgement.refusal);
  }
  // What was refused or held before stays so.
  judgement = {};
  judgement.outcome = Outcome::hold;
  judgement.rule = "nonmembers";
  judge(judgement, list, r.filtered);
  CHECK(std::string(judgement.rule) == "nonmembers");
  // All parts go, and with them what they were in.
  const std::string nested = crlf(
      "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n"
      "Content-Type: image/gif\n\nx\n--c--\n--b\nContent-Type: application/x; name=a.exe\n\nx\n--b--\n");
  CHECK(filter(nested, list).filtered.nothing);
}

TEST_CASE(
    "filter: what is signed loses the signature when something in it goes; what is encrypted goes whole") {
  const std::string is_signed = crlf(
      "Subject: x\nContent-Type: multipart/signed; boundary=s; micalg=pgp-sha256\nContent-Description: "
      "signed\n\n--s\n"
      "Content-Type: multipart/mixed; boundary=m\n\n--m\n\ntext\n--m\nContent-Type: "
      "text/x-a\n\na\n--m\nContent-Type: image/png\n\nPNG\n"
      "--m--\n--s\nContent-Type: application/pgp-signature\n\nSIG\n--s--\n");
  Result r = filter(is_signed, list_with({{"filter_types", "image/*"}}));
  CHECK(r.header == "Subject: x\r\nContent-Type: multipart/mixed; boundary=m\r\n");
  CHECK(r.body == crlf("--m\n\ntext\n--m\nContent-Type: text/x-a\n\na\n--m--\n"));
  r = filter(is_signed, list_with({{"pass_types", "text, image"}}));  // the signature itself
  CHECK(r.body ==
        crlf("--m\n\ntext\n--m\nContent-Type: text/x-a\n\na\n--m\nContent-Type: image/png\n\nPNG\n--m--\n"));
  CHECK(filter(is_signed, list_with({{"filter_types", "audio"}})).filtered.idle());
  const std::string encrypted = crlf(
      "Content-Type: multipart/encrypted; boundary=s\n\n--s\nContent-Type: "
      "application/pgp-encrypted\n\nVersion: 1\n--s\n"
      "Content-Type: application/octet-stream\n\nx\n--s--\n");
  CHECK(filter(encrypted, list_with({{"filter_types", "application/octet-stream"}})).filtered.nothing);
}

TEST_CASE("filter: messages within messages are looked into, and keep their own fields") {
  const std::string post = crlf(
      "Content-Type: multipart/mixed; boundary=o\n\n--o\n\nsee below\n--o\nContent-Type: message/rfc822\n\n"
      "From: b@b.example\nContent-Type: multipart/alternative;\n boundary=i\nSubject: "
      "inner\n\n--i\nContent-Type: text/plain\n\ninner text\n"
      "--i\nContent-Type: text/html\n\n<p>\n--i--\n--o--\n");
  Result r = filter(post, list_with({{"filter_types", "text/html"}}));
  CHECK(r.body == crlf("--o\n\nsee below\n--o\nContent-Type: message/rfc822\n\nFrom: "
                       "b@b.example\nContent-Type: text/plain\n"
                       "Subject: inner\n\ninner text\n--o--\n"));
  // Nothing of the message is left, so the part that encloses it goes.
  r = filter(post, list_with({{"filter_types", "text/html, multipart/alternative"}}));
  CHECK(r.body == "see below\r\n");
}

TEST_CASE("filter: several Content-Type fields: each may be believed, so each counts") {
  const std::string post = crlf(
      "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: "
      "text/plain\nContent-Type: text/html\n\n<p>\n--b--\n");
  CHECK(filter(post, list_with({{"filter_types", "text/html"}})).body == "text\r\n");
  CHECK(filter(post, list_with({{"pass_types", "text/plain"}})).body == "text\r\n");
}

TEST_CASE(
    "filter: odd structure: no last delimiter, nothing in front of it, a part that ends in its header") {
  const List list = list_with({{"filter_types", "image"}});
  CHECK(filter(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b\nContent-Type: "
                    "image/png\n\nPNG\n"),
               list)
            .body == crlf("--b\n\none\n--b\n\ntwo\n"));
  CHECK(filter(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: "
                    "image/png\n--b\n\none\n--b\n\ntwo\n--b--\n"),
               list)
            .body == crlf("--b\n\none\n--b\n\ntwo\n--b--\n"));
  CHECK(filter(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: "
                    "image/png\n\nx\n--b\nContent-Type: text/plain\n--b--\n"),
               list)
            .header == "Content-Type: text/plain\r\n");
  CHECK(filter(crlf("Content-Type: multipart/mixed; boundary=b\n\nno part at all\n"), list).filtered.idle());
}

TEST_CASE("filter: a post whose parts cannot be read is not let pass, unless nothing is forbidden") {
  std::string deep = "Content-Type: multipart/mixed; boundary=0\r\n\r\n";
  for (int i = 0; i < 60; ++i)
    deep += "--" + std::to_string(i) +
            "\r\nContent-Type: multipart/mixed; boundary=" + std::to_string(i + 1) + "\r\n\r\n";
  const Filtered found = filtered(list_with({{"filter_extensions", "exe"}}), deep, mime::parts_of(deep));
  REQUIRE(found.nothing);
  CHECK(found.nothing->reason == "its parts are nested too deep");
  CHECK(!filtered(list_with({{"collapse_alternatives", "true"}}), deep, mime::parts_of(deep)).nothing);
}

TEST_CASE("filter: a transparent list changes nothing: filter_action decides as soon as anything would go") {
  List list =
      list_with({{"filter_types", "image"}, {"collapse_alternatives", "true"}, {"transparent", "true"}});
  const Filtered found = filter(with_picture, list).filtered;
  REQUIRE(found.nothing);
  CHECK(std::string(found.nothing->rule) == "filter_types");
  list.settings.filter.types.clear();
  const Filtered collapsed = filter(with_picture, list).filtered;
  CHECK(!collapsed.nothing);
  CHECK(collapsed.idle());
}

TEST_CASE("filter: the footer stands in the text that is left, and the wrapped post is the filtered one") {
  List list = list_with(
      {{"pass_types", "text/plain"}, {"footer", "-- \nfooter\n"}, {"header", "top\n"}, {"dmarc", "accept"}});
  const auto cooked = [&] {
    const auto header = mail::Header::scan(with_picture);
    const mail::Scanned scanned = mail::scan(with_picture);
    mail::Draft draft(*header, scanned);
    const Filtered found = filtered(list, with_picture, mime::parts_of(with_picture));
    cook(draft, list,
         {.tail = tail_of(std::string_view(with_picture).substr(0, found.end)),
          .unique = "ID1",
          .filtered = &found});
    const mail::Outgoing out = draft.outgoing();
    std::string copy = out.head;
    for (const mail::Splice& piece : out.body)
      copy.append(with_picture, piece.offset, piece.length).append(piece.own);
    return copy;
  };
  std::string copy = cooked();
  CHECK(copy.substr(copy.find("\r\n\r\n")) == "\r\n\r\ntop\r\nHello\r\n--=20\r\nfooter\r\n");
  list.settings.filter.pass = {};
  list.settings.filter.extensions = {"png"};
  copy = cooked();
  CHECK(copy.find("PNG") == std::string::npos);
  CHECK(copy.find("<p>Hello") != std::string::npos);
}

TEST_CASE("filter: settings are read in every form and refused with what is expected") {
  Settings settings;
  CHECK(set(settings, "pass_types", "Text/Plain image/*, audio\nmultipart"));
  CHECK(*print(settings, "pass_types") == "text/plain, image/*, audio/*, multipart/*");
  CHECK(set(settings, "pass_types", "").has_value());
  CHECK(settings.filter.pass.empty());
  for (const char* wrong : {"image/", "/png", "a/b/c", "*/*", "im age/\"x\""})
    CHECK_FALSE_MESSAGE(set(settings, "filter_types", wrong), wrong);
  CHECK(set(settings, "filter_types", "x;y").error() ==
        "filter_types: 'x;y' is not a media type such as image/png, image/* or image");
  CHECK_FALSE(set(settings, "filter_extensions", "tar.gz"));
  CHECK_FALSE(set(settings, "filter_action", "accept"));
}
