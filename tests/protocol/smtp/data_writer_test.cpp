#include "protocol/smtp/data_writer.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <vector>

using spoold::smtp::DataWriter;

namespace {

std::string wire(const std::vector<std::string>& slices, bool leading_dots) {
  DataWriter writer(leading_dots);
  std::string out, scratch;
  for (const std::string& slice : slices) out += writer.write(slice, scratch);
  out += writer.finish();
  return out;
}

// RFC 5321 4.5.2 from the other side, written for the test only.
std::string read_back(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const std::string_view line = bytes.substr(0, bytes.find("\r\n") + 2);
    bytes.remove_prefix(line.size());
    if (line == ".\r\n") {
      CHECK(bytes.empty());
      return out;
    }
    out += line.front() == '.' ? line.substr(1) : line;
  }
  FAIL("no end of data");
  return out;
}

}  // namespace

TEST_CASE("dots at the beginning of a line are doubled, wherever the slices are cut") {
  CHECK(wire({"a\r\n.\r\nb\r\n"}, true) == "a\r\n..\r\nb\r\n.\r\n");
  CHECK(wire({".a\r\n", ".", "\r\n", ".b\r", "\n", ".\r\n"}, true) == "..a\r\n..\r\n..b\r\n..\r\n.\r\n");
  CHECK(wire({"a.b\r\n", "c", ".d\r\n"}, true) == "a.b\r\nc.d\r\n.\r\n");
}

TEST_CASE("the end of data stands on a line of its own") {
  CHECK(wire({"no line end"}, false) == "no line end\r\n.\r\n");
  CHECK(wire({"a\r"}, false) == "a\r\r\n.\r\n");
  CHECK(wire({}, false) == ".\r\n");
  CHECK(wire({"a\r", "\n"}, false) == "a\r\n.\r\n");
}

TEST_CASE("a content without leading dots is not copied") {
  DataWriter writer(false);
  std::string scratch;
  const std::string slice = "line\r\n";
  CHECK(writer.write(slice, scratch).data() == slice.data());
  DataWriter stuffing(true);
  CHECK(stuffing.write(slice, scratch).data() == slice.data());
}

TEST_CASE("any content arrives as it was") {
  CHECK(rc::check([](const std::vector<std::vector<std::uint8_t>>& seeds) {
    static constexpr const char* pieces[] = {"\r\n", ".", "a", "..", ".\r\n", "bc", "\r\n."};
    std::vector<std::string> slices;
    std::string all;
    for (const auto& seed : seeds) {
      std::string slice;
      for (const std::uint8_t s : seed) slice += pieces[s % 7];
      all += slice;
      slices.push_back(slice);
    }
    if (!all.ends_with("\r\n")) {
      slices.emplace_back("\r\n");
      all += "\r\n";
    }
    RC_ASSERT(read_back(wire(slices, true)) == all);
  }));
}
