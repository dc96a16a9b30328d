#include "protocol/smtp/reply_reader.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <vector>

using namespace spoold::smtp;
using State = ReplyReader::State;

namespace {

std::vector<Reply> all(ReplyReader& reader, std::string_view bytes) {
  std::vector<Reply> replies;
  Reply reply;
  while (reader.read(bytes, reply) == State::reply) replies.push_back(reply);
  return replies;
}

Reply one(std::string_view bytes) {
  ReplyReader reader;
  const auto replies = all(reader, bytes);
  REQUIRE(replies.size() == 1);
  return replies[0];
}

State state(std::string_view bytes) {
  ReplyReader reader;
  Reply reply;
  return reader.read(bytes, reply);
}

}  // namespace

TEST_CASE("replies of one and of several lines") {
  CHECK(one("250 OK\r\n") == Reply{250, {}, "OK"});
  CHECK(one("250-first\r\n250-second\r\n250 third\r\n") == Reply{250, {}, "first\nsecond\nthird"});
  CHECK(one("550-5.1.1 no such\r\n550 5.1.1 user here\r\n") == Reply{550, {5, 1, 1}, "no such\nuser here"});
}

TEST_CASE("sloppy servers are understood") {
  CHECK(one("250\r\n") == Reply{250, {}, ""});
  CHECK(one("250 \n") == Reply{250, {}, ""});
  CHECK(one("250\tOK\r\n") == Reply{250, {}, "OK"});
  CHECK(one("\r\n250 OK\r\n") == Reply{250, {}, "OK"});
  CHECK(one("250-a\r\n550 b\r\n").code == 550);
  CHECK(one("550 4.1.1 status of another class\r\n") == Reply{550, {}, "4.1.1 status of another class"});
  CHECK(one("250 a\x1b[2Jb\r\n").text == "a?[2Jb");
}

TEST_CASE("what is no reply") {
  for (const char* bytes : {"HTTP/1.1 200 OK\r\n", "25 x\r\n", "099 x\r\n", "650 x\r\n", "250x\r\n",
                            "2-0 x\r\n", "250-a\r\n\r\n250 b\r\n"})
    CHECK(state(bytes) == State::garbage);
  CHECK(state(std::string(ReplyReader::max_line + 1, '2')) == State::garbage);
  CHECK(state("250 " + std::string(ReplyReader::max_line - 4, 'x')) == State::more);
  std::string endless;
  while (endless.size() <= ReplyReader::max_reply) endless += "250-" + std::string(4000, 'x') + "\r\n";
  CHECK(state(endless) == State::garbage);
}

TEST_CASE("of a long reply the code counts: a 250 to the content is no doubt") {
  std::string lines;
  for (std::size_t i = 0; i < ReplyReader::max_lines; ++i) lines += "250-x\r\n";
  CHECK(state(lines) == State::more);
  CHECK(one(lines + "250 2.0.0 last\r\n").text.size() == 2 * ReplyReader::max_lines - 1);
  CHECK(one(lines + "250 2.0.0 last\r\n").enhanced == EnhancedStatus{2, 0, 0});
  CHECK(one(lines + "451 last\r\n").code == 451);
  std::string large;
  for (int i = 0; i < 200; ++i) large += "250-" + std::string(4000, 'x') + "\r\n";
  const Reply reply = one(large + "250 taken\r\n");
  CHECK(reply.code == 250);
  CHECK(reply.text.size() <= ReplyReader::max_text);
}

TEST_CASE("of a talkative server only so many octets of words are kept a reply") {
  ReplyReader reader;
  reader.keep(1000);
  std::string bytes;
  for (int i = 0; i < 15; ++i) bytes += "550-" + std::string(4000, 'x') + "\r\n";
  bytes += "550 5.1.1 the end\r\n250 ok\r\n550 5.1.1 " + std::string(999, 'y') + "\xc3\xa9\r\n";
  const auto replies = all(reader, bytes);
  REQUIRE(replies.size() == 3);
  CHECK(replies[0] == Reply{550, {5, 1, 1}, std::string(996, 'x') + " ..."});
  CHECK(replies[1] == Reply{250, {}, "ok"});
  CHECK(replies[2].text == std::string(996, 'y') + " ...");  // never half a character
}

TEST_CASE("after garbage nothing is believed") {
  ReplyReader reader;
  Reply reply;
  std::string_view bytes = "hello\r\n250 OK\r\n";
  CHECK(reader.read(bytes, reply) == State::garbage);
  CHECK(reader.read(bytes, reply) == State::garbage);
  CHECK(reader.what() == "not an SMTP reply: \"hello\"");
}

TEST_CASE("any cutting of the bytes gives the same replies") {
  CHECK(rc::check([](const std::vector<std::uint8_t>& cuts) {
    const std::string bytes = "220 a\r\n250-b\r\n250-c\r\n250 d\r\n354\r\n421 4.3.2 e\r\n";
    ReplyReader whole, pieces;
    const auto expected = all(whole, bytes);
    std::vector<Reply> got;
    std::string_view rest = bytes;
    for (const std::uint8_t cut : cuts) {
      const std::string_view piece = rest.substr(0, cut % 8);
      for (Reply& reply : all(pieces, piece)) got.push_back(reply);
      rest.remove_prefix(piece.size());
    }
    for (Reply& reply : all(pieces, rest)) got.push_back(reply);
    RC_ASSERT(got == expected);
  }));
}
