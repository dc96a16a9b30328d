// The address that takes a moderator's answer, and what the answer says.
#include "protocol/list/moderation_token.hpp"

#include <doctest/doctest.h>

#include "protocol/list/moderator_reply.hpp"
#include "protocol/mail/ascii.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

/// Not HMAC, but it depends on each octet.
std::array<std::uint8_t, 32> mixed(std::string_view data) {
  std::uint64_t state = 1469598103934665603u;
  std::array<std::uint8_t, 32> digest{};
  for (std::size_t i = 0; i < 32; ++i) {
    for (const char c : data) state = (state ^ static_cast<unsigned char>(c)) * 1099511628211u + i;
    digest[i] = static_cast<std::uint8_t>(state >> 56);
  }
  return digest;
}

std::string said(const std::string& text, const std::string& subject = "Re: a post is held") {
  const auto reply = moderator_reply("Subject: " + subject + "\r\n\r\n" + text);
  if (!reply) return "nothing";
  const char* const words[] = {"accept", "reject", "discard"};
  return std::string(words[static_cast<int>(reply->what)]) + (reply->remember ? " remember" : "") +
         (reply->reason.empty() ? "" : " " + reply->reason);
}

}  // namespace

TEST_CASE("moderation token: it names one post of one list, in either case") {
  const std::string token = moderation_token(7, 0x0123456789abcdef, mixed);
  CHECK(token.size() == 28);
  CHECK(post_of_token(token) == 0x0123456789abcdefu);
  CHECK(proves(token, 7, 0x0123456789abcdef, mixed));
  std::string upper = token;
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  CHECK(proves(upper, 7, 0x0123456789abcdef, mixed));
  CHECK_FALSE(proves(token, 8, 0x0123456789abcdef, mixed));
  CHECK_FALSE(proves(token, 7, 0x0123456789abcdee, mixed));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string forged = token;
    forged[i] = forged[i] == 'a' ? 'b' : 'a';
    CHECK_FALSE(proves(forged, 7, 0x0123456789abcdef, mixed));
  }
  CHECK_FALSE(post_of_token("a"));
  CHECK_FALSE(post_of_token(std::string(28, 'a')));
}

TEST_CASE("moderation token: the address has at most 64 octets of local part") {
  List list;
  list.domain = "lists.example";
  for (const std::size_t length : {1u, 20u, 27u, 28u, 52u}) {
    list.local.assign(length, 'x');
    const std::string address = moderation_address(list, moderation_token(1, 2, mixed), '+');
    CHECK(address.find('@') <= 64);
    CHECK(address.ends_with("+" + moderation_token(1, 2, mixed) + "@lists.example"));
  }
}

TEST_CASE("a moderator's answer: one word in the first line that he wrote") {
  CHECK(said("accept\r\n\r\n> A post waits\r\n") == "accept");
  CHECK(said("Approved.\r\n-- \r\nThe moderator\r\n") == "accept");
  CHECK(said("accept remember\r\n") == "accept remember");
  CHECK(said("\r\n> accept\r\n> reject\r\n\r\ndiscard\r\n") == "discard");
  CHECK(said("On Monday, lists wrote:\r\n> A post waits\r\n\r\nyes\r\n") == "accept");
  CHECK(said("reject: too long,\r\nsay it shorter\r\n\r\nRegards, M.\r\n") ==
        "reject too long, say it shorter");
  CHECK(said("reject\r\n") == "reject");
  CHECK(said("whatever stands here", "discard") == "discard");
  CHECK(said("", "reject no advertising") == "reject no advertising");
}

TEST_CASE("a moderator's answer: what is none") {
  CHECK(said("") == "nothing");
  CHECK(said("> accept\r\n") == "nothing");
  CHECK(said("Yes, I will look at it tomorrow\r\n") == "nothing");
  CHECK(said("I am on holiday until Monday.\r\naccept\r\n") == "nothing");
  CHECK(said("acceptable\r\n") == "nothing");
  CHECK(said("", "Re: accept") == "nothing");
}

TEST_CASE("a moderator's answer: the text that he wrote, in its encoding") {
  const auto reply = moderator_reply(
      "Subject: Re: x\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: "
      "text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYWNjZXB0DQo=\r\n--b\r\nContent-Type: "
      "text/html\r\n\r\n<b>discard</b>\r\n--b--\r\n");
  REQUIRE(reply);
  CHECK(reply->what == ModeratorReply::What::accept);
}

TEST_CASE("a moderator's answer: automatic mail is none") {
  const auto automatic = [](std::string_view fields) {
    return is_automatic(*mail::Header::scan(std::string(fields) + "\r\n"));
  };
  CHECK_FALSE(automatic("Subject: accept\r\n"));
  CHECK_FALSE(automatic("Auto-Submitted: no\r\n"));
  CHECK(automatic("Auto-Submitted: auto-replied (vacation)\r\n"));
  CHECK(automatic("Precedence: bulk\r\n"));
  CHECK(automatic("X-Autoreply: yes\r\n"));
  CHECK(automatic("List-Id: <x.y.example>\r\n"));
}
