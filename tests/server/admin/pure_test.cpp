// Filters and JSON: what needs no store.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "server/admin/filter.hpp"

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
