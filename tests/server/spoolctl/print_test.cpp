// Tables and texts for the eye, the editor's difference.
#include "server/spoolctl/print.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "server/spoolctl/editor.hpp"
#include "server/spoolctl/table.hpp"

using namespace spoold;
using namespace spoold::server::admin;
using namespace std::chrono_literals;

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
