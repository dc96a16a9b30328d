#include "protocol/list/wish.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "conf/templates.hpp"
#include "protocol/list/letter.hpp"
#include "protocol/mail/ascii.hpp"

using namespace spoold;
using namespace spoold::list;
using std::chrono::hours;

namespace {

constexpr TimePoint noon{Duration(1'790'000'000'000)};

std::vector<Wish> asked(const std::string& mail, Role role = Role::request, std::string_view detail = {}) {
  const auto header = mail::Header::scan(mail);
  REQUIRE(header);
  return wishes(role, detail, *header, mail);
}

std::string words_of(const std::string& mail) {
  std::string out;
  for (const Wish& wish : asked(mail)) out += std::string(out.empty() ? "" : " ") + text(wish.what);
  return out;
}

}  // namespace

TEST_CASE("wishes: the address says it, or commands in Subject and text") {
  CHECK(asked("Subject: anything\r\n\r\nleave\r\n", Role::join) == std::vector<Wish>{{What::join, {}, {}}});
  CHECK(asked("\r\n", Role::leave) == std::vector<Wish>{{What::leave, {}, {}}});
  CHECK(asked("\r\n", Role::confirm, "ABC") == std::vector<Wish>{{What::confirm, {}, "abc"}});
  CHECK(words_of("Subject: help\r\n\r\n") == "help");
  CHECK(words_of("Subject: Re: Subscribe\r\n\r\n") == "join");
  CHECK(words_of("Subject: =?utf-8?q?unsubscribe?=\r\n\r\n") == "leave");
  CHECK(words_of("Subject: \r\n\r\nwho\r\nset delivery off\r\n-- \r\nleave\r\n") == "who set");
  CHECK(words_of("Subject: x\r\n\r\nhelp\r\nBest wishes, Anna\r\nleave\r\n") == "help");
  CHECK(words_of("Subject: x\r\n\r\nPlease take me off this list\r\nleave\r\n") == "unknown");
  CHECK(words_of("Subject: x\r\n\r\n") == "help");
  CHECK(words_of("Subject: x\r\n\r\nhelp\r\nhelp\r\nhelp\r\n") == "help");
  CHECK(words_of("Subject: confirm that you come\r\n\r\n") == "help");
  CHECK(words_of("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVscA0K\r\n") ==
        "help");
  CHECK(words_of(
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nleave\r\n--b\r\nContent-Type: "
            "text/html\r\n\r\n<p>join</p>\r\n--b--\r\n") == "leave");
  CHECK(words_of("Content-Type: text/html\r\n\r\n<p>join</p>\r\n") == "help");
  CHECK(asked("Subject: join digest\r\n\r\n").front().delivery == Delivery::digest);
  CHECK(asked("Subject: set delivery on\r\n\r\n").front().delivery == Delivery::regular);
  CHECK(words_of("Subject: set the table\r\n\r\n") == "help");
}

TEST_CASE("wishes: all lines with set are one wish") {
  const auto all = asked(
      "Subject: set own off\r\n\r\nset duplicates off\r\nset vacation 2026-12-24 2027-01-06\r\nset language "
      "de\r\nset "
      "digest\r\n");
  REQUIRE(all.size() == 1);
  CHECK(all.front().delivery == Delivery::digest);
  CHECK(all.front().preferences == PreferenceTexts{{"own_posts", "false"},
                                                   {"avoid_duplicates", "true"},
                                                   {"vacation", "2026-12-24..2027-01-06"},
                                                   {"language", "de"}});
  CHECK(asked("Subject: set nomail until 2027-01-06\r\n\r\n").front().preferences ==
        PreferenceTexts{{"vacation", "2027-01-06"}});
  CHECK(asked("Subject: set vacation off\r\n\r\n").front().preferences ==
        PreferenceTexts{{"vacation", "off"}});
  for (const char* wrong :
       {"set vacation 2027-01-06 2026-12-24", "set vacation soon", "set language $list_address",
        "set own maybe", "set vacation 2026-12-24 2027-01-06 please"})
    CHECK(words_of(std::string("Subject: ") + wrong + "\r\n\r\n") == "help");
}

TEST_CASE("wishes: a letter quotes nothing that could be an address or a link") {
  const auto wish =
      asked("Subject: echo <b>http://spam.example/?q=1</b> a@b.example " + std::string(200, 'x') + "\r\n\r\n")
          .front();
  CHECK(wish.what == What::echo);
  CHECK(wish.words.size() <= 60);
  CHECK(wish.words.find_first_of(":/@.<>?=") == std::string::npos);
}

TEST_CASE("wishes: at most ten, whatever comes in") {
  rc::check("no crash", [](const std::string& octets) {
    const auto header = mail::Header::scan(octets);
    if (header) RC_ASSERT(wishes(Role::request, {}, *header, octets).size() <= most_wishes);
  });
  std::string many = "Subject: x\r\n\r\n";
  for (int i = 0; i < 100; ++i) many += "echo " + std::to_string(i) + "\r\n";
  CHECK(asked(many).size() == most_wishes);
}

TEST_CASE("answers: what a stranger asks changes nothing before a token came back") {
  Settings settings;
  const auto join = answer_to(settings, {What::join}, {}, noon);
  CHECK(join.answer == Answer::confirm);
  CHECK(join.until == noon + token_life);
  CHECK(answer_to(settings, {What::leave, true}, {}, noon).answer == Answer::confirm);
  CHECK(answer_to(settings, {What::set, true}, {}, noon).answer == Answer::confirm);
  CHECK(answer_to(settings, {What::leave}, {}, noon).answer == Answer::not_member);
  CHECK(answer_to(settings, {What::join, true}, {}, noon).answer == Answer::already_member);
  CHECK(answer_to(settings, {What::who, true}, {}, noon).answer == Answer::help);
  CHECK(answer_to(settings, {What::who, false, true}, {}, noon).answer == Answer::who);
  settings.subscribe = JoinBy::open;
  settings.unsubscribe = LeaveBy::open;
  CHECK(answer_to(settings, {What::join}, {}, noon).answer == Answer::joined);
  CHECK(answer_to(settings, {What::leave, true}, {}, noon).answer == Answer::left);
  settings.subscribe = JoinBy::moderate;
  CHECK(answer_to(settings, {What::join}, {}, noon).answer == Answer::moderate);
}

TEST_CASE("answers: the same letter is written once while it is of use") {
  Settings settings;
  Asked before{.what = What::join,
               .answer = Answer::confirm,
               .address = {},
               .name = {},
               .delivery = {},
               .words = {},
               .token = "t",
               .since = noon,
               .until = noon + token_life};
  CHECK(answer_to(settings, {What::join}, before, noon + hours(71)).answer == Answer::silence);
  CHECK(answer_to(settings, {What::join}, before, noon + hours(72)).answer == Answer::confirm);
  CHECK(answer_to(settings, {What::join, true}, before, noon).answer == Answer::already_member);
  before.answer = Answer::already_member;  // and left meanwhile
  CHECK(answer_to(settings, {What::join}, before, noon).answer == Answer::confirm);
}

TEST_CASE("answers: another change than the last one has a letter of its own, but not for ever") {
  const Settings settings;
  Asked before;
  before.what = What::set;
  before.answer = Answer::confirm;
  before.token = "t";
  before.since = noon;
  before.until = noon + token_life;
  CHECK(answer_to(settings, {What::set, true}, before, noon).answer == Answer::silence);
  CHECK(answer_to(settings, {What::set, true, false, true}, before, noon).answer == Answer::confirm);
  before.letters = most_changes;
  CHECK(answer_to(settings, {What::set, true, false, true}, before, noon).answer == Answer::silence);
  CHECK(answer_to(settings, {What::set, true, false, true}, before, before.until).answer == Answer::confirm);
}

TEST_CASE("tokens: redeemed once, in time, by whom they were sent to") {
  Settings settings;
  Asked asked{.what = What::join,
              .answer = Answer::confirm,
              .address = {},
              .name = {},
              .delivery = {},
              .words = {},
              .token = "t",
              .since = noon,
              .until = noon + token_life};
  CHECK(answer_to_token(settings, asked, false, noon).answer == Answer::joined);
  CHECK(answer_to_token(settings, asked, true, noon).answer == Answer::already_member);
  CHECK(answer_to_token(settings, asked, false, asked.until).answer == Answer::silence);
  settings.subscribe = JoinBy::confirm_and_moderate;
  CHECK(answer_to_token(settings, asked, false, noon).answer == Answer::moderate);
  asked.answer = Answer::moderate;
  CHECK(answer_to_token(settings, asked, false, noon).answer == Answer::joined);
  asked.answer = Answer::already_member;
  CHECK(answer_to_token(settings, asked, false, noon).answer == Answer::silence);
  asked = {.what = What::leave,
           .answer = Answer::confirm,
           .address = {},
           .name = {},
           .delivery = {},
           .words = {},
           .token = "t",
           .since = noon,
           .until = noon + token_life};
  CHECK(answer_to_token(settings, asked, true, noon).answer == Answer::left);
  CHECK(answer_to_token(settings, asked, false, noon).answer == Answer::not_member);
}

TEST_CASE("letters: every text that is built in can be used, in each language the same letters") {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  std::size_t english = 0, german = 0;
  for (const auto& [name, text] : conf::built_in_templates()) {
    CAPTURE(name);
    CHECK(template_fault(text) == std::nullopt);
    const auto made =
        letter(list, text, {{"user_address", "anna@x.example"}, {"reason", "why"}, {"members", "a\r\nb"}});
    REQUIRE(made);
    CHECK(made->subject.find('$') == std::string::npos);
    CHECK(made->text.find('$') == std::string::npos);
    CHECK(made->text.find("\n\n") == std::string::npos);
    english += name.starts_with("en/") ? 1u : 0u;
    german += name.starts_with("de/") ? 1u : 0u;
    CHECK(!conf::template_text({}, list.address(), name.substr(0, 2), name.substr(3)).empty());
  }
  CHECK(english == german);
  CHECK(conf::languages() == std::vector<std::string>{"de", "en"});
}

TEST_CASE("letters: values make no further line, the subject is one field, a template's faults are named") {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  const auto made =
      letter(list, "Subject: Für $user_address\n\nHello $user_address, $$5, ${list_name}x, $unknown.\n",
             {{"user_address", "a@b.example\r\nBcc: victim@x.example"}});
  REQUIRE(made);
  CHECK(made->subject.find("Bcc:") == std::string::npos);
  CHECK(made->subject.starts_with("=?utf-8?"));
  CHECK(made->text == "Hello a@b.example  Bcc: victim@x.example, $5, testx, $unknown.\r\n");
  const auto text = [&](std::string_view body, const LetterValues& values) {
    return letter(list, "Subject: s\n\n" + std::string(body), values)->text;
  };
  CHECK(text("$posts", {{"posts", "a\r\nb\r\n"}}) == "a\r\nb\r\n");  // made by us
  CHECK(text("$words\n", {{"words", "$list_address"}}) == "$list_address\r\n");
  // A line whose names all have no value is left out.
  CHECK(text("a\nReason: $reason\nb\n", {}) == "a\r\nb\r\n");
  CHECK(text("a\nReason: $reason\nb\n", {{"reason", "r"}}) == "a\r\nReason: r\r\nb\r\n");
  CHECK(text("$user_address: $reason\n", {{"user_address", "a@b"}}) == "a@b: \r\n");
  CHECK(text("of $list_address\n\nlast", {}) == "of test@lists.example\r\n\r\nlast\r\n");
  CHECK(letter(list, " \n", {}) == std::nullopt);
  CHECK(template_fault("") == std::nullopt);
  CHECK(template_fault("Hello\n\nx\n")->starts_with("expected a first line"));
  CHECK(template_fault("Subject: x\n\n$nothing\n") == "there is no $nothing");
  CHECK(template_fault("Subject: x\n\n\xff\n") == "the text is not UTF-8");
}

TEST_CASE("letters: the text of a list stands before that of its domain, of the site, and the built-in one") {
  conf::Templates own{{"en/welcome", "site"},
                      {"lists.example/en/welcome", "domain"},
                      {"test@lists.example/de/welcome", "list"}};
  const auto text = [&](std::string_view list, std::string_view language) {
    return conf::template_text(own, list, language, "welcome");
  };
  CHECK(text("test@lists.example", "de") == "list");
  CHECK(text("test@lists.example", "en") == "domain");
  CHECK(text("other@elsewhere.example", "en") == "site");
  CHECK(text("other@elsewhere.example", "de").starts_with("Subject: Willkommen"));
  CHECK(text("test@lists.example", "fr") == "domain");
}
