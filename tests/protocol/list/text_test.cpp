#include "protocol/list/text.hpp"

#include <doctest/doctest.h>

#include "protocol/list/personal.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

List test_list() {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  list.settings.description = "All about tests";
  return list;
}

std::string plain(std::string_view text) {
  std::string out;
  for (const mail::Own& own : text_of(test_list(), text, false)) out += own.text;
  return out;
}

}  // namespace

TEST_CASE("text: names of the list are filled in, line ends become CRLF, the last line is ended") {
  CHECK(plain("") == "");
  CHECK(plain("-- \n$list_name on ${domain}: $description") ==
        "-- \r\ntest on lists.example: All about tests\r\n");
  CHECK(plain("one\r\ntwo\n") == "one\r\ntwo\r\n");
  CHECK(plain("$unsubscribe_address.") == "test-leave@lists.example.\r\n");
  CHECK(plain("5 $ or $$5, $") == "5 $ or $5, $\r\n");
  CHECK(plain("${list_name") == "${list_name\r\n");
}

TEST_CASE("text: what concerns the member is a blank where it is personal, else it stays as it is written") {
  CHECK(plain("to $user_address") == "to $user_address\r\n");
  const auto text = text_of(test_list(), "$user_name <$user_email>\nbye", true);
  REQUIRE(text.size() == 3);
  CHECK(text[0].text == "");
  CHECK(text[0].blank == blank(Value::user_name));
  CHECK(text[1].text == " <");
  CHECK(text[1].blank == blank(Value::user_address));
  CHECK(text[2].text == ">\r\nbye\r\n");
  CHECK(text[2].blank == 0);
}

TEST_CASE("text: what cannot be a text has a reason that helps") {
  CHECK_FALSE(text_fault("$list_name\n\t\xc3\xa4 $user_name 5$ $$x\r\n"));
  CHECK(*text_fault("$usr_name") == "there is no $usr_name; did you mean $user_name?");
  CHECK(text_fault("$qqqqqqqqqqq")->find("'$' is written as '$$'") != std::string::npos);
  CHECK(text_fault("$unsubscribe_url")->find("not built yet") != std::string::npos);
  CHECK(*text_fault("a\nb\x01") == "line 2 has a control character");
  CHECK(*text_fault("\xff") == "line 1 is not UTF-8");
  CHECK(*text_fault("a\rb") == "line 1 has a control character");
  CHECK(text_fault(std::string(999, 'x')));
  CHECK_FALSE(text_fault(std::string(998, 'x') + "\n" + std::string(998, 'x')));
  CHECK(text_fault("$user_name$user_name$user_name$user_name$user_name"));  // each may be long
  CHECK(text_fault(std::string(20'000, '\n')));
}

TEST_CASE("personal: a member's values, plain and quoted-printable") {
  const Reader anna{
      .address = "anna@a.example", .name = "Anna M\xc3\xbcller", .delivered_to = "Anna@a.example"};
  CHECK(written(blank(Value::user_address), anna) == "anna@a.example");
  CHECK(written(blank(Value::user_delivered_to), anna) == "Anna@a.example");
  CHECK(written(blank(Value::user_name, true), anna) == "=\r\nAnna M=C3=BCller=\r\n");
  CHECK(written(blank(Value::user_name_or_address), {.address = "b@c", .name = {}, .delivered_to = "b@c"}) ==
        "b@c");
  CHECK(written(blank(Value::user_name, true), {}) == "");
  CHECK(written(99, anna) == "");
  CHECK(written(blank(Value::user_name), {.address = {}, .name = "a\r\nBcc: x", .delivered_to = {}}) == "");
  for (const std::string& line : {std::string(190, 'x'), std::string("\xc3\xa4"), std::string(".")}) {
    std::string name;
    while (name.size() < 190) name += line;
    const std::string out =
        written(blank(Value::user_name, true), {.address = {}, .name = name, .delivered_to = {}});
    for (std::size_t at = 0, end; at < out.size(); at = end + 2) {
      end = out.find("\r\n", at);
      CHECK(end - at <= 78);
      CHECK(out[at] != '.');
    }
  }
}
