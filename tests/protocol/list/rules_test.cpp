// Who may post: the rules of a list, each alone and in their order; expressions in linear time.
#include "protocol/list/rules.hpp"

#include <chrono>

#include <doctest/doctest.h>

#include "protocol/list/policy.hpp"
#include "protocol/list/settings_table.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

struct Case {
  List list;
  std::optional<Action> of_member = std::nullopt;
  std::uint64_t size = 100;

  Case() {
    list.local = "test";
    list.domain = "lists.example";
    list.settings.moderation.nonmembers = Action::hold;
  }
  Case& with(std::string_view key, std::string_view text) {
    const auto done = set(list.settings, key, text);
    REQUIRE_MESSAGE(done, (done ? "" : done.error()));
    return *this;
  }
  Judgement judged(std::string_view head, std::string_view sender) const {
    const auto header = mail::Header::scan(head);
    return judge(list, Rules(list.settings.moderation.rules), Post(*header, sender, size),
                 [this](const std::string& key) -> std::optional<Membership> {
                   if (key != "anna@a.example") return std::nullopt;
                   return Membership{of_member};
                 });
  }
  std::string by(std::string_view from, std::string_view more = {}) const {
    const std::string head =
        "From: " + std::string(from) + "\r\nTo: test@lists.example\r\n" + std::string(more) + "\r\n";
    const Judgement made = judged(head, from);
    return std::string(made.rule) + " " + text(made.outcome);
  }
};

}  // namespace

TEST_CASE("rules: what is said of a member's posts, of him before the list") {
  Case c;
  CHECK(c.by("anna@a.example") == "member accept");
  c.with("member_moderation", "hold");
  CHECK(c.by("anna@a.example") == "member_moderation hold");
  c.of_member = Action::defer;
  CHECK(c.by("anna@a.example") == "member accept");
  c.of_member = Action::reject;
  CHECK(c.by("anna@a.example") == "member_moderation reject");
  c.of_member = Action::discard;
  CHECK(c.by("anna@a.example") == "member_moderation discard");
}

TEST_CASE("rules: a sender who is no member, by address, domain and expression") {
  Case c;
  c.with("accept_these", "bert@b.example").with("hold_these", "@c.example d.example");
  c.with("reject_these", "^eve@.*\\.example$").with("discard_these", "*@spam.example, ^(?:a+)+$");
  CHECK(c.by("BERT@b.example") == "accept_these accept");
  CHECK(c.by("carl@C.example") == "hold_these hold");
  CHECK(c.by("dirk@d.example") == "hold_these hold");
  CHECK(c.by("dirk@x.d.example") == "nonmembers hold");
  CHECK(c.by("eve@y.example") == "reject_these reject");
  CHECK(c.by("steve@y.example") == "nonmembers hold");
  CHECK(c.by("x@spam.example") == "discard_these discard");
  CHECK(c.by("anna@a.example") == "member accept");
  for (const char* action : {"reject", "hold", "accept", "discard"})
    CHECK(c.with("nonmembers", action).by("new@n.example") == "nonmembers " + std::string(action));
}

TEST_CASE("rules: the envelope's sender counts as the author does, for a ban too") {
  Case c;
  c.with("bans", "^bad\neve@x.example").with("accept_these", "bert@b.example");
  CHECK(c.judged("From: anna@a.example\r\n\r\n", "bad@x.example").rule == std::string("banned"));
  CHECK(c.judged("From: new@n.example\r\n\r\n", "prvs=1234abcdef=bert@b.example").outcome == Outcome::accept);
  c.list.settings.moderation.rules.bans.clear();
  c.with("bans", "eve@x.example");
  CHECK(c.by("eve@x.example") == "banned reject");
  CHECK(c.judged("From: eve@x.example\r\n\r\n", "eve@x.example").refusal->text ==
        "this sender must not post to test@lists.example. Help: test-owner@lists.example");
}

TEST_CASE("rules: first match decides") {
  Case c;
  c.with("emergency", "true").with("max_size", "99B").with("bans", "anna@a.example");
  CHECK(c.by("anna@a.example", "List-Id: <test.lists.example>\r\n") == "loop reject");
  CHECK(c.by("anna@a.example") == "banned reject");
  c.with("bans", "");
  CHECK(c.by("anna@a.example") == "max_size reject");
  c.size = 99;
  CHECK(c.by("anna@a.example") == "emergency hold");
  c.with("emergency", "false").with("header_rules", "discard Subject: x").with("max_recipients", "1");
  c.of_member = Action::accept;
  CHECK(c.by("anna@a.example", "Subject: x\r\n") == "member_moderation accept");
  c.of_member.reset();
  CHECK(c.by("anna@a.example", "Cc: b@b.example\r\nSubject: x\r\n") == "max_recipients hold");
  CHECK(c.by("anna@a.example", "Subject: x\r\n") == "header_rules discard");
  CHECK(c.with("nonmembers", "accept").by("new@n.example", "Subject: x\r\n") == "nonmembers accept");
  CHECK(c.with("nonmembers", "defer").by("new@n.example", "Subject: x\r\n") == "header_rules discard");
  CHECK(c.by("new@n.example") == "nonmembers accept");
}

TEST_CASE("rules: a list that is not named, unless by one of its aliases") {
  Case c;
  const auto to = [&](const char* fields) {
    const Judgement made =
        c.judged("From: anna@a.example\r\n" + std::string(fields) + "\r\n", "anna@a.example");
    return std::string(made.rule) + " " + text(made.outcome);
  };
  CHECK(to("") == "member accept");
  c.with("implicit_destination", "hold");
  CHECK(to("To: TEST@lists.example\r\n") == "member accept");
  CHECK(to("Cc: \"A group\" <test@Lists.Example>\r\n") == "member accept");
  CHECK(to("To: undisclosed-recipients:;\r\n") == "implicit_destination hold");
  CHECK(to("To: old@lists.example\r\n") == "implicit_destination hold");
  c.with("acceptable_aliases", "^(old|older)@lists\\.example$");
  CHECK(to("To: old@lists.example\r\n") == "member accept");
  CHECK(to("To: oldest@lists.example\r\n") == "implicit_destination hold");
}

TEST_CASE("rules: header rules, in their order, on what a reader sees") {
  Case c;
  c.with("header_rules",
         "accept X-Trusted: yes\nhold[spam] X-Spam-Flag: ^yes\nreject Subject: ^\\[?(win|lotto)\n"
         "discard subject: größe");
  CHECK(c.by("anna@a.example", "X-Spam-Flag: YES\r\n") == "header_rules hold");
  CHECK(c.by("anna@a.example", "X-Spam-Flag: no\r\n") == "member accept");
  CHECK(c.by("anna@a.example", "X-Spam-Flag: yes\r\nX-Trusted: yes\r\n") == "header_rules accept");
  CHECK(c.by("anna@a.example", "Subject: [WIN a house\r\n") == "header_rules reject");
  CHECK(c.by("anna@a.example", "Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\n") == "header_rules discard");
  CHECK(c.by("anna@a.example", "Subject: \xff\xfe gr\xf6\xdf\r\n") == "member accept");
  CHECK(print(c.list.settings, "header_rules")->find("hold[spam] X-Spam-Flag: ^yes") != std::string::npos);
}

TEST_CASE(
    "rules: what is written wrong is refused with the reason, and printing and reading again is the same") {
  Case c;
  const auto fault = [&](std::string_view key, std::string_view text) {
    const auto done = set(c.list.settings, key, text);
    return done ? std::string() : done.error();
  };
  CHECK(fault("bans", "^(") == "bans: '^(' is no regular expression: missing ): ^(");
  CHECK(fault("bans", "^(a{1000}){1000}") != "");
  CHECK(fault("bans", "a@b@c") != "");
  CHECK(fault("header_rules", "hold Subject") != "");
  CHECK(fault("header_rules", "defer Subject: x") != "");
  CHECK(fault("header_rules", "hold Subject: (") != "");
  CHECK(fault("held_lifetime", "1m") != "");
  CHECK(fault("held_expiry", "hold") != "");
  for (const char* text : {"a@b.example, @c.example", "a@b.example\n@c.example\n^x, y$"}) {
    c.with("hold_these", text);
    CHECK(*print(c.list.settings, "hold_these") == text);
  }
  c.with("moderators", "m@x.example n@x.example").with("held_lifetime", "3d").with("held_expiry", "reject");
  CHECK(*print(c.list.settings, "moderators") == "m@x.example, n@x.example");
}

TEST_CASE("rules: an expression made to explode, and 10,000 rules, cost no time") {
  std::string bans, rules;
  for (int i = 0; i < 10'000; ++i) {
    bans += "^user" + std::to_string(i) + ".*@spam" + std::to_string(i % 97) + "\\.example$\n";
    rules += "hold X-Mark: pattern " + std::to_string(i) + " [a-z]+ end\n";
  }
  RuleTexts texts;
  texts.bans = bans + "^(a|aa|a?)+b$\n";
  texts.header_rules = rules + "discard X-Mark: (x+x+)+y\n";
  const Rules made(texts);
  CHECK(made.bans.match("user9999.x@spam8.example").value() == "^user9999.*@spam8\\.example$");
  CHECK_FALSE(made.bans.match("user9999.x@spam50.example"));
  const std::string evil = std::string(300, 'a') + "@a.example";
  std::string head = "X-Mark: " + std::string(5000, 'x') + "\r\nX-Mark: pattern 9876 abc end\r\n\r\n";
  const auto header = mail::Header::scan(head);
  REQUIRE(made.first(*header) != nullptr);
  CHECK(made.first(*header)->pattern == "pattern 9876 [a-z]+ end");
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(made.bans.match(evil));
    CHECK(made.first(*header) != nullptr);
  }
  // Backtracking would take longer than the universe has lasted; ten thousand searches each, minutes.
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(60));
}
