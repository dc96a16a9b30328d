// Filters, tables, texts, the editor's difference: what needs no store.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "server/admin/editor.hpp"
#include "server/admin/filter.hpp"
#include "server/admin/print.hpp"
#include "server/admin/table.hpp"

using namespace spoold;
using namespace spoold::server::admin;
using namespace std::chrono_literals;

TEST_CASE("JSON that a terminal shows: what it would obey is escaped, and reads back as it was") {
  const std::string text =
      "C1 \xc2\x9b"
      "31m, DEL \x7f, override \xe2\x80\xae, isolate \xe2\x81\xa9, gr\xc3\xbc\xc3\x9f, \xe2\x82\xac, "
      "\xc2\xa0";
  const Json json{{"text", text}, {"more", {text, 1}}};
  const std::string out = dump(json);
  for (const char* raw : {"\xc2\x9b", "\x7f", "\xe2\x80\xae", "\xe2\x81\xa9"})
    CHECK(out.find(raw) == std::string::npos);
  CHECK(out.find("\\u009b31m, DEL \\u007f, override \\u202e, isolate \\u2069, gr\xc3\xbc\xc3\x9f") !=
        std::string::npos);
  CHECK(Json::parse(out) == json);
  CHECK(dump(Json("\x7f")) == "\"\\u007f\"");
  CHECK(dump(Json("cut \xe2\x80")).find("cut ") == 1);
}

TEST_CASE("a filter chooses messages and recipients") {
  conf::Settings settings;
  conf::RelayDomain relayed;
  relayed.name = "example.net";
  conf::NextHop hop;
  hop.host = "mail.example.net";
  hop.text = "lmtp://mail.example.net:24";
  relayed.deliver_to = {hop};
  settings.domains.push_back(relayed);
  const TimePoint now{1'000'000'000ms};

  store::Message message;
  message.id = 7;
  message.list_address = "test@lists.example";
  message.from = "Anne <anne@example.com>";
  message.arrived = now - 3h;
  Filter filter;
  CHECK(filter.empty());
  CHECK(filter.matches(message, now));
  filter.older = 2h;
  CHECK(filter.matches(message, now));
  filter.older = 4h;
  CHECK(!filter.matches(message, now));
  filter = {};
  filter.list = "TEST@lists.example";
  CHECK(filter.matches(message, now));
  CHECK(!filter.narrows_recipients());
  filter.ids = {8};
  CHECK(!filter.matches(message, now));
  filter = {};
  filter.sender = "*anne@example.com*";
  CHECK(filter.matches(message, now));

  store::Recipient recipient;
  recipient.address = "bart@example.net";
  filter = {};
  filter.destination = "mail.example.net";
  CHECK(filter.narrows_recipients());
  CHECK(filter.matches(recipient, settings));
  filter.destination = "example.net";
  CHECK(filter.matches(recipient, settings));
  filter.destination = "relay";
  CHECK(!filter.matches(recipient, settings));
  filter = {};
  filter.states = {"active"};
  CHECK(!filter.matches(recipient, settings));
  recipient.active = true;
  CHECK(filter.matches(recipient, settings));
  filter.states = {"queued"};
  CHECK(!filter.matches(recipient, settings));
  recipient.state =
      store::RecipientState::held;  // a claim may cover what was held meanwhile: held is what counts
  filter.states = {"held"};
  CHECK(filter.matches(recipient, settings));

  // A number of any size in a request is an age, not an overflow.
  Filter old;
  old.all = true;
  old.older = Duration::max();
  CHECK(!old.matches(message, now));
  old.older = Duration::min();
  CHECK(old.matches(message, now));
}

TEST_CASE("a filter goes through JSON unchanged, and a bad one is refused") {
  Filter filter;
  filter.ids = {1, 99};
  filter.recipient = "a*";
  filter.sender = "b";
  filter.list = "c@d";
  filter.destination = "e";
  filter.states = {"held", "active"};
  filter.older = 90s;
  filter.all = true;
  CHECK(dump(to_json(filter_from_json(to_json(filter)))) == dump(to_json(filter)));
  CHECK(filter_from_json(Json::object()).empty());
  CHECK_THROWS(filter_from_json(Json{{"ids", {"not an id"}}}));
  CHECK_THROWS(filter_from_json(Json{{"states", {"sleeping"}}}));
  CHECK_THROWS(filter_from_json(Json{{"older_ms", "x"}}));
  CHECK_THROWS(filter_from_json(Json{{"ids", 5}}));
}

TEST_CASE("tables are aligned by what is seen, not by octets") {
  Table table({"NAME", ">N", "LAST"});
  CHECK(table.text().empty());
  table.row({"gr\xc3\xbc\xc3\x9f", "1", "x"});
  table.row({"a", "1000", ""});
  CHECK(table.text() ==
        "NAME     N  LAST\n"
        "gr\xc3\xbc\xc3\x9f     1  x\n"
        "a     1000\n");
}

TEST_CASE("what a peer said cannot drive the terminal") {
  CHECK(printable("a\x1b[2Jb\r\n") == "a\\x1b[2Jb\\x0d\\x0a");
  CHECK(printable("\xff\xc3") == "\\xff\\xc3");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");
  CHECK(printable("a\xe2\x80\xae"
                  "b\xe2\x81\xa6") == "a\\u202eb\\u2066");
  CHECK(printable_lines("a\x1b[2J\r\nb\tc\rd\n\ne") == "a\\x1b[2J\nb\tc\\x0dd\n\ne");
  CHECK(printable("gr\xc3\xbc\xc3\x9f Gott", 6) == "gr\xc3\xbc...");
  CHECK(rc::check("any octets", [](const std::vector<std::uint8_t>& octets) {
    for (const char c : printable(std::string(octets.begin(), octets.end())))
      RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }));
}

TEST_CASE("durations, sizes and times for the eye") {
  CHECK(short_duration(0) == "0s");
  CHECK(short_duration(119) == "119s");
  CHECK(short_duration(120) == "2m");
  CHECK(short_duration(7200) == "2h");
  CHECK(short_duration(200'000) == "2d");
  CHECK(short_size(9'999) == "9999B");
  CHECK(short_size(10'240) == "10K");
  const TimePoint now{std::chrono::sys_days(std::chrono::year(2026) / 11 / 22)};
  CHECK(relative(Json(rfc3339(now + 5min)), now) == "in 5m");
  CHECK(relative(Json(rfc3339(now - 5min)), now) == "5m ago");
  CHECK(relative(Json(rfc3339(now)), now) == "now");
  CHECK(relative(Json(nullptr), now).empty());
}

TEST_CASE("the editor's text becomes a difference") {
  const std::vector<std::string> before{"a@x.example", "b@x.example"};
  CHECK(compare_recipients(before, "# help\na@x.example\nb@x.example\n").empty());
  const auto change =
      compare_recipients(before, "  c@x.example \r\n\na@x.example\nc@x.example\n#b@x.example");
  CHECK(change.removed == std::vector<std::string>{"b@x.example"});
  CHECK(change.added == std::vector<std::string>{"c@x.example"});
  CHECK(compare_recipients(before, "").removed == before);
}
