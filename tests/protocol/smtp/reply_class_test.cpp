// The bar: of real replies none that is about us or about the message scores a member, and each that says "no such user"
// does. data/replies.txt: what each reply must mean.
#include "protocol/smtp/reply_class.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "conf/replies.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using conf::ReplyAction;

namespace {

const smtp::ReplyTable& table() {
  static const smtp::ReplyTable table(conf::built_in_replies());
  return table;
}

smtp::ReplyClass classify(const char* line) {
  return table().classify(smtp::reply_in_line(line));
}

}  // namespace

TEST_CASE("replies: each of many real ones has its class") {
  std::ifstream file(source_dir() + "/tests/protocol/smtp/data/replies.txt");
  std::size_t replies = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    const std::size_t gap = line.find("  ");
    REQUIRE(gap != line.npos);
    const std::string want = "|" + line.substr(0, gap) + "|", reply = line.substr(gap + 2);
    const smtp::ReplyClass got = table().classify(smtp::reply_in_line(reply));
    CHECK_MESSAGE(want.find("|" + std::string(conf::text(got.action)) + "|") != want.npos,
                  reply << ": " << conf::text(got.action) << " by " << got.rule);
    CHECK(got.scores() == (got.action == ReplyAction::score));
    ++replies;
  }
  CHECK(replies > 200);
}

TEST_CASE("replies: the table that is built in can be read, and its names are words") {
  CHECK(conf::built_in_replies().size() > 40);
  for (const conf::ReplyRule& rule : conf::built_in_replies())
    CHECK(rule.rule.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == std::string::npos);
}

TEST_CASE("replies: no temporary reply scores") {
  for (const char* line :
       {"450 4.1.1 <anne@example.net>: User unknown", "421 no such user", "451 4.1.1 mailbox does not exist"})
    CHECK(!classify(line).scores());
}

TEST_CASE("replies: a line is read as logs and reports quote it") {
  const auto check = [](const char* line, int code, const char* status, const char* text) {
    const smtp::Reply reply = smtp::reply_in_line(line);
    CHECK(reply.code == code);
    CHECK(reply.enhanced.text() == status);
    CHECK(reply.text == text);
  };
  check("550 5.1.1 no such user", 550, "5.1.1", "no such user");
  check("550-5.1.1 no such 550 5.1.1 user", 550, "5.1.1", "no such user");
  check("550 no such user (#5.1.1)", 550, "5.1.1", "no such user (#5.1.1)");
  check("smtp; 550 5.1.1 no such user", 550, "5.1.1", "no such user");
  check("4.7.32 not aligned", 450, "4.7.32", "not aligned");
  check("421", 421, "", "");
  check("host mx[192.0.2.250] said: 450 4.2.0 later", 450, "4.2.0", "later");
  check("nothing", 0, "", "nothing");
  check("", 0, "", "");
}

TEST_CASE("replies: a file's rows come first, and rows may be for a host") {
  const auto own = conf::parse_replies(
      "[[reply]]\nrule = \"own\"\nmx = [\"*.example.net\"]\ntext = [\"strange * words\"]\ncode = [\"55x\", "
      "\"5xx\"]\naction = \"ours\"\n"
      "wait = \"1h\"\n",
      "own.toml");
  CHECK(!own);  // "55x" is no code
  const auto right = conf::parse_replies(
      "[[reply]]\nrule = \"own\"\nmx = [\"*.example.net\"]\ntext = [\"strange * words\"]\naction = "
      "\"ours\"\nwait = \"1h\"\n",
      "own.toml");
  REQUIRE(right);
  const smtp::ReplyTable table(*right);
  const smtp::Reply reply = smtp::reply_in_line("550 5.1.1 Strange, <anne@example.net> but true: words!");
  CHECK(table.classify(reply, "MX1.example.net").action == ReplyAction::ours);
  CHECK(table.classify(reply, "MX1.example.net").wait == std::chrono::hours(1));
  CHECK(table.classify(reply, "mx1.example.org").action == ReplyAction::post_fails);
  CHECK(table.classify(reply).rule == "none");
  CHECK(table.classify(smtp::reply_in_line("550 strange and very much too far away words"), "a.example.net")
            .rule == "none");
}

TEST_CASE("replies: every fault of a file is named with its line") {
  const auto faults = [](const char* text) {
    const auto rules = conf::parse_replies(text, "own.toml");
    std::string all;
    if (!rules)
      for (const conf::Problem& problem : rules.error()) all += problem.text() + "\n";
    return all;
  };
  CHECK(faults("[[reply]]\nrule = \"a\"\naction = \"retry\"\n") == "");
  CHECK(
      faults("[[reply]]\naction = \"wait\"\ntexts = [\"x\"]\n").find("own.toml:2:10: 'wait' is no action") !=
      std::string::npos);
  CHECK(faults("[[reply]]\naction = \"wait\"\ntexts = [\"x\"]\n").find("did you mean 'text'?") !=
        std::string::npos);
  CHECK(faults("[[reply]]\nrule = \"a\"\naction = \"retry\"\nstatus = [\"5.7.9-5.7.1\"]\n")
            .find("own.toml:4:11") != std::string::npos);
  CHECK(faults("[[replies]]\nrule = \"a\"\n").find("expected tables [[reply]]") != std::string::npos);
}
