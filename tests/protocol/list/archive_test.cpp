#include "protocol/list/archive.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/list/sha1.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

std::string formed(bool mbox, std::string_view octets, std::size_t step = 1000) {
  ArchiveForm form(mbox);
  std::string out;
  for (; !octets.empty(); octets.remove_prefix(std::min(step, octets.size())))
    form.add(octets.substr(0, step), out);
  form.finish(out);
  return out;
}

std::string hex(std::string_view octets) {
  std::string out;
  for (const std::uint8_t octet : sha1(octets)) {
    out += "0123456789abcdef"[octet >> 4];
    out += "0123456789abcdef"[octet & 15];
  }
  return out;
}

/// What a reader of mboxrd makes of an entry without its first line.
std::string restored(std::string_view entry) {
  std::string out;
  entry.remove_suffix(1);  // the blank line behind it
  while (!entry.empty()) {
    const std::size_t end = entry.find('\n') + 1;
    std::string_view line = entry.substr(0, end);
    entry.remove_prefix(end);
    const std::size_t quotes = line.find_first_not_of('>');
    if (quotes != line.npos && quotes > 0 && line.substr(quotes).starts_with("From ")) line.remove_prefix(1);
    out += line;
  }
  return out;
}

}  // namespace

TEST_CASE("archive: SHA-1 of FIPS 180-4, also at the ends of blocks") {
  CHECK(hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(hex(std::string(1'000'000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("archive: Message-ID-Hash as Mailman and The Mail Archive make it") {
  // The example of Mailman's documentation.
  CHECK(message_id_hash("<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>") == "JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP");
  CHECK(message_id_hash("  <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\r\n (added)") ==
        "JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP");
  List list;
  list.local = "test";
  list.domain = "lists.example";
  CHECK(archived_at(list, "<a@b>").empty());
  list.settings.archive.archived_at = "https://a.example/list/$list_address/message/$hash/";
  CHECK(archived_at(list, "<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>") ==
        "https://a.example/list/test@lists.example/message/JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP/");
  CHECK(archived_at(list, "").empty());
}

TEST_CASE("archive: places and URLs") {
  CHECK(archive_place("maildir:/var/mail/test/")->path == "/var/mail/test");
  CHECK_FALSE(archive_place("maildir:/var/mail/test")->mbox);
  CHECK(archive_place("mbox:/var/mail/test.mbox")->mbox);
  for (const char* wrong : {"", "on", "mbox:", "mbox:/", "maildir:x", "mbox:/a\nb", "Maildir:/x"})
    CHECK_MESSAGE(!archive_place(wrong), wrong);
  CHECK_FALSE(archive_url_fault("https://a.example/$hash", true));
  CHECK_FALSE(archive_url_fault("https://a.example/$list_address", false));
  for (const char* wrong :
       {"a.example/$hash", "https://a.example/", "https://a.example/$hash/$nothing",
        "https://a.example/ $hash", "https://a.example/>$hash", "https://a.example/\xc3\xbc$hash"})
    CHECK_MESSAGE(archive_url_fault(wrong, true), wrong);
  CHECK(archive_url_fault("https://a.example/$hash", false));
}

TEST_CASE("archive: an mbox entry") {
  CHECK(ArchiveForm::from_line("test-bounces@lists.example", TimePoint(Duration(1'790'000'000'000))) ==
        "From test-bounces@lists.example Mon Sep 21 14:13:20 2026\n");
  CHECK(ArchiveForm::from_line("", TimePoint{}) == "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
  CHECK(ArchiveForm::from_line("\"a b\"@x.example", TimePoint{}).starts_with("From MAILER-DAEMON "));
  CHECK(formed(true, "A: b\r\n\r\nFrom me\r\n>From you\r\nFromage\r\n>>\r\nFrom ") ==
        "A: b\n\n>From me\n>>From you\nFromage\n>>\n>From \n\n");
  CHECK(formed(false, "A: b\r\n\r\nFrom me\r\nx") == "A: b\n\nFrom me\nx\n");
  CHECK(formed(true, "") == "\n");
}

TEST_CASE("archive: each mbox entry can be restored, however its octets come") {
  rc::check([] {
    std::string octets;
    const auto parts = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9));
    constexpr const char* words[] = {"From ", ">", "\r\n", "Fro", "x", "\r", "\n", ">From ", " "};
    for (const int part : parts) octets += words[part];
    std::string plain = formed(false, octets);
    const std::size_t step = *rc::gen::inRange<std::size_t>(1, 10);
    RC_ASSERT(formed(false, octets, step) == plain);
    const std::string entry = formed(true, octets, step);
    RC_ASSERT(restored(entry) == plain);
    RC_ASSERT(entry.find("\nFrom ") == entry.npos);
    RC_ASSERT(!entry.starts_with("From "));
  });
}
