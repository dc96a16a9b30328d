// Nothing is smuggled in, and nothing out: what the reader took, the writer sends so that any strict reader takes the same octets and
// no others. The published false ends are in tests/dialogs/smuggling*.txt.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <optional>
#include <vector>

#include "protocol/smtp/data_reader.hpp"
#include "protocol/smtp/data_writer.hpp"

using namespace spoold;
using namespace spoold::smtp;
using namespace std::string_literals;
using Framing = DataReader::Framing;

namespace {

struct Taken {
  std::string content;
  mail::Scanned scanned;
  std::size_t octets = 0;  // of the input
};

/// Nothing: it was refused, or had no end.
std::optional<Taken> taken(std::string_view input, Framing framing, std::size_t step) {
  DataReader reader({}, framing);
  Taken out;
  while (out.octets < input.size() && !reader.ended())
    out.octets += reader.read(input.substr(out.octets, step), out.content);
  if (framing == Framing::chunks) reader.finish(out.content);
  out.scanned = reader.scanned();
  if (reader.refused() || (framing == Framing::dots && !reader.ended())) return {};
  return out;
}

std::string sent(const Taken& message, std::size_t slice) {
  DataWriter writer(message.scanned.header.leading_dots || message.scanned.body.leading_dots);
  std::string wire, scratch;
  const std::string_view content = message.content;
  for (std::size_t at = 0; at < content.size(); at += slice)
    wire += writer.write(content.substr(at, slice), scratch);
  wire += writer.finish();
  return wire;
}

const std::vector<std::string> pieces{"\r\n",     ".",     "\r\n.",  "..",    "\r",   "\n",
                                      "\0"s,      "a",     "\r\n.a", ".\r\n", "x: y", "\xe4",
                                      "\r\n\r\n", "\n.\n", "\r.\r",  "b c"};

}  // namespace

TEST_CASE("smuggling: what was taken goes out so that it is taken again, octet by octet the same") {
  std::size_t accepted = 0;
  rc::check([&] {
    // Mostly what is accepted: a false end in every message would leave nothing to send.
    const auto indices = *rc::gen::container<std::vector<std::size_t>>(rc::gen::weightedOneOf<std::size_t>(
        {{20, rc::gen::element<std::size_t>(0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 15)},
         {1, rc::gen::inRange<std::size_t>(0, 16)}}));
    std::string octets;
    for (const std::size_t i : indices) octets += pieces[i];
    const std::size_t step = *rc::gen::inRange<std::size_t>(1, 9),
                      slice = *rc::gen::inRange<std::size_t>(1, 9);
    for (const Framing framing : {Framing::dots, Framing::chunks}) {
      const auto in = taken(framing == Framing::dots ? octets + "\r\n.\r\n" : octets, framing, step);
      if (!in) continue;
      ++accepted;
      const std::string wire = sent(*in, slice);
      const auto again = taken(wire, Framing::dots, step);
      RC_ASSERT(again.has_value());
      RC_ASSERT(again->octets == wire.size());
      RC_ASSERT(again->content == in->content);
      RC_ASSERT(wire.find("\r\n.\r\n") == (wire == ".\r\n" ? wire.npos : wire.size() - 5));
    }
  });
  CHECK(accepted > 50);
}

TEST_CASE("smuggling: no bare end of line, no NUL is ever among what was taken") {
  rc::check([] {
    const auto indices = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 16));
    std::string octets;
    for (const std::size_t i : indices) octets += pieces[i];
    for (const Framing framing : {Framing::dots, Framing::chunks}) {
      const auto in = taken(framing == Framing::dots ? octets + "\r\n.\r\n" : octets, framing, 3);
      if (!in) continue;
      for (std::size_t i = 0; i < in->content.size(); ++i) {
        const char c = in->content[i];
        RC_ASSERT(c != '\0');
        if (c == '\r') RC_ASSERT(i + 1 < in->content.size() && in->content[i + 1] == '\n');
        if (c == '\n') RC_ASSERT(i > 0 && in->content[i - 1] == '\r');
      }
    }
  });
}
