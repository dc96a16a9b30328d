#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <nlohmann/json.hpp>

#include "server/log.hpp"

using namespace spoold;
using namespace spoold::server::log;

namespace {

const TimePoint then{Duration(1795343467123)};

std::string text_of(std::initializer_list<Field> fields) {
  std::string line;
  append_text(line, then, Level::info, "deferred", {fields.begin(), fields.size()});
  return line;
}

std::string json_of(std::initializer_list<Field> fields) {
  std::string line;
  append_json(line, then, Level::info, "deferred", {fields.begin(), fields.size()});
  return line;
}

std::string value(std::string_view v) {
  const auto line = text_of({{"k", v}});
  return line.substr(line.find(" k=") + 3);
}

}  // namespace

TEST_CASE("an event as text") {
  CHECK(text_of({{"qid", "0A1"},
                 {"relay", "mx1.example.net[192.0.2.1]:25"},
                 {"reply", "450 4.2.1 later"},
                 {"attempts", 1}}) ==
        "2026-11-22T10:31:07.123Z info event=deferred qid=0A1 relay=mx1.example.net[192.0.2.1]:25 "
        "reply=\"450 4.2.1 later\" "
        "attempts=1");
}

TEST_CASE("values are quoted when needed, and what a peer says cannot forge a line") {
  CHECK(value("") == "\"\"");
  CHECK(value("a=b") == "\"a=b\"");
  CHECK(value("say \"no\"") == "\"say \\\"no\\\"\"");
  CHECK(value("a\\b") == "\"a\\\\b\"");
  CHECK(value("550 no\r\n2026-11-22T10:31:07.123Z info event=delivered") ==
        "\"550 no\\r\\n2026-11-22T10:31:07.123Z info event=delivered\"");
  CHECK(value("\x1b[31mred\x7f") == "\"\\x1b[31mred\\x7f\"");
  CHECK(value("gr\xc3\xbc\xc3\x9f") == "\"gr\xc3\xbc\xc3\x9f\"");
  CHECK(value("\xff\xc3") == "\"\\xff\\xc3\"");
  CHECK(value("\xc2\x9b") == "\"\\u009b\"");              // C1 control: CSI
  CHECK(value("\xed\xa0\x80") == "\"\\xed\\xa0\\x80\"");  // a surrogate is not UTF-8
  CHECK(value("\xc0\xaf") == "\"\\xc0\\xaf\"");           // overlong
  CHECK(value(std::string(3000, 'a')) == "\"" + std::string(2000, 'a') + "...\"");
}

TEST_CASE("an event as JSON") {
  const auto parsed =
      nlohmann::json::parse(json_of({{"reply", "450 \"x\"\r\n\x01\xff\xc2\x9b"}, {"attempts", 2}}));
  CHECK(parsed["time"] == "2026-11-22T10:31:07.123Z");
  CHECK(parsed["level"] == "info");
  CHECK(parsed["event"] == "deferred");
  CHECK(parsed["attempts"] == 2);
  CHECK(parsed["reply"] == "450 \"x\"\r\n\x01\xef\xbf\xbd\xc2\x9b");
}

TEST_CASE("any octets give one printable line, and JSON that parses") {
  CHECK(rc::check("text", [](const std::vector<std::uint8_t>& octets) {
    const auto line = text_of({{"k", std::string(octets.begin(), octets.end())}});
    for (const char c : line) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }));
  CHECK(rc::check("json", [](const std::vector<std::uint8_t>& octets) {
    const auto line = json_of({{"k", std::string(octets.begin(), octets.end())}});
    RC_ASSERT(nlohmann::json::accept(line));
    RC_ASSERT(line.find('\n') == std::string::npos);
  }));
}

TEST_CASE("levels") {
  configure({conf::Log::Format::text, "warning"});
  CHECK(!enabled(Level::info));
  CHECK(enabled(Level::warning));
  configure({conf::Log::Format::text, "debug"});
  CHECK(enabled(Level::debug));
  configure({});
  CHECK(!enabled(Level::debug));
  CHECK(enabled(Level::info));
}
