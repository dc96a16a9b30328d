// Gather: commands and contents go out in order whatever the kernel takes at a time, and how far it came is
// told exactly.
#include "server/delivery/gather.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::server;

namespace {

Gather::Rope wire(std::string text) {
  return {std::make_shared<const WireForm>(WireForm{std::move(text)})};
}

struct Filled {
  Filled() {
    gather.output.commands = "BDAT 5 LAST\r\nBDAT 3 LAST\r\nQUIT\r\n";
    gather.output.contents = {{13, 1, true, 5}, {26, 2, true, 3}};
    gather.begin();
    gather.add(wire("one\r\n.\r\n"));  // the form of DATA serves BDAT too
    gather.add(wire("2\r\n"));
  }
  std::string next() {
    std::string all;
    for (const auto& buffer : gather.next())
      all.append(static_cast<const char*>(buffer.data()), buffer.size());
    return all;
  }
  Gather gather;
};

const std::string whole = "BDAT 5 LAST\r\none\r\nBDAT 3 LAST\r\n2\r\nQUIT\r\n";

}  // namespace

TEST_CASE("a gather write in one piece, and cut at every octet") {
  Filled all;
  CHECK(all.next() == whole);
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    CAPTURE(cut);
    Filled one;
    one.gather.took(cut);
    CHECK(one.next() == whole.substr(cut));
    const std::size_t contents = cut >= 34 ? 2 : cut >= 18 ? 1 : 0;
    const std::size_t commands = cut <= 13   ? cut
                                 : cut < 18  ? 13
                                 : cut <= 31 ? cut - 5
                                 : cut < 34  ? 26
                                             : cut - 8;
    CHECK(one.gather.contents_taken() == contents);
    CHECK(one.gather.commands_taken() == commands);
    one.gather.took(whole.size() - cut);
    CHECK(one.gather.next().empty());
    CHECK(one.gather.contents_taken() == 2);
    CHECK(one.gather.commands_taken() == one.gather.output.commands.size());
  }
}

TEST_CASE("nothing but commands, nothing but a content, and more pieces than one call takes") {
  Gather gather;
  gather.output.commands = "QUIT\r\n";
  gather.begin();
  CHECK(gather.next().size() == 1);
  gather.took(6);
  CHECK(gather.next().empty());
  CHECK(gather.commands_taken() == 6);

  gather.output.commands.clear();
  gather.output.contents = {{0, 1, false, 0}};
  gather.begin();
  gather.add(wire("x\r\n.\r\n"));
  gather.took(3);
  CHECK(gather.contents_taken() == 0);
  gather.took(3);
  CHECK(gather.next().empty());
  CHECK(gather.contents_taken() == 1);

  gather.output.contents.clear();
  for (std::size_t i = 0; i < 100; ++i) {
    gather.output.commands += "BDAT 1 LAST\r\n";
    gather.output.contents.push_back({gather.output.commands.size(), i, true, 1});
  }
  gather.begin();
  for (int i = 0; i < 100; ++i) gather.add(wire("x"));
  std::size_t taken = 0;
  for (auto buffers = gather.next(); !buffers.empty(); buffers = gather.next()) {
    CHECK(buffers.size() <= 64);
    std::size_t n = 0;
    for (const auto& buffer : buffers) n += buffer.size();
    taken += n;
    gather.took(n);
  }
  CHECK(taken == 1400);
  CHECK(gather.contents_taken() == 100);
}

TEST_CASE("a stored content shorter than announced is a bug, never padded") {
  Gather gather;
  gather.output.contents = {{0, 1, true, 6}};
  gather.begin();
  CHECK_THROWS(gather.add(wire("short")));
}
