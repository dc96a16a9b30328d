#include "protocol/smtp/data_reader.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <vector>

using namespace spoold;
using namespace spoold::smtp;
using namespace std::string_literals;

namespace {

struct Outcome {
  std::string content;
  Reply refusal;
  std::size_t taken = 0;
  bool ended = false;
  mail::Scanned scanned;
  int received = 0;
  bool operator==(const Outcome&) const = default;
};

// `step` octets at a time; 0: all at once.
Outcome run(std::string_view input, std::size_t step = 0, DataLimits limits = {}) {
  DataReader reader(limits);
  Outcome out;
  while (out.taken < input.size() && !reader.ended())
    out.taken += reader.read(input.substr(out.taken, step == 0 ? input.npos : step), out.content);
  out.refusal = reader.refusal();
  if (reader.refused()) out.content.clear();  // what came before the failure depends on the cut
  out.ended = reader.ended();
  out.scanned = reader.scanned();
  out.received = reader.received();
  return out;
}

// The definition, octet by octet, as slow and plain as can be.
std::string unstuffed(std::string_view wire) {
  std::string out;
  bool start = true;
  for (std::size_t i = 0; i < wire.size(); ++i) {
    if (start && wire[i] == '.') {
      start = false;
      continue;
    }
    out.push_back(wire[i]);
    start = wire[i] == '\n' && i > 0 && wire[i - 1] == '\r';
  }
  return out;
}

}  // namespace

TEST_CASE("data reader: plain content, dots, and what follows the end") {
  const Outcome out = run("Subject: x\r\n\r\n..dot\r\n...\r\nend.\r\n.\r\nQUIT\r\n");
  CHECK(out.content == "Subject: x\r\n\r\n.dot\r\n..\r\nend.\r\n");
  CHECK(out.ended);
  CHECK(out.taken == "Subject: x\r\n\r\n..dot\r\n...\r\nend.\r\n.\r\n"s.size());
  CHECK(out.scanned == mail::scan(out.content));
  CHECK(out.scanned.header_size == 14);
  CHECK(out.scanned.body.leading_dots);
  CHECK_FALSE(out.scanned.header.leading_dots);
  CHECK(out.refusal.code == 0);
}

TEST_CASE("data reader: empty content, and content without a blank line") {
  CHECK(run(".\r\n").ended);
  CHECK(run(".\r\n").content.empty());
  const Outcome out = run("a: b\r\n.\r\n");
  CHECK(out.content == "a: b\r\n");
  CHECK(out.scanned.header_size == 6);
}

TEST_CASE("data reader: only CRLF.CRLF ends the data (SMTP smuggling)") {
  const std::vector<std::string> fakes{"\n.\n"s,   "\n.\r\n"s,   "\r.\r"s,       "\r\n.\n"s,    "\r\n.\r"s,
                                       "\r.\r\n"s, "\r\r\n.\n"s, "\r\n\0.\r\n"s, "\r\n.\0\r\n"s};
  for (const std::string& fake : fakes) {
    const std::string input = "a: b\r\n\r\nx" + fake + "MAIL FROM:<evil@example.org>\r\n.\r\n";
    const Outcome out = run(input);
    CAPTURE(fake);
    CHECK(out.ended);
    CHECK(out.taken == input.size());
    CHECK(out.refusal.code == 550);
    CHECK(out.refusal.enhanced == EnhancedStatus{5, 5, 2});
  }
}

TEST_CASE("data reader: bare CR, bare LF and NUL are told apart") {
  CHECK(run("a\rb\r\n.\r\n").refusal.text.find("bare <CR>") != std::string::npos);
  CHECK(run("a\r\r\n.\r\n").refusal.text.find("bare <CR>") != std::string::npos);
  CHECK(run("\r\r\n.\r\n").refusal.text.find("bare <CR>") != std::string::npos);
  CHECK(run("a\nb\r\n.\r\n").refusal.text.find("bare <LF>") != std::string::npos);
  CHECK(run("\n\r\n.\r\n").refusal.text.find("bare <LF>") != std::string::npos);
  CHECK(run("a\0b\r\n.\r\n"s).refusal.text.find("NUL") != std::string::npos);
}

TEST_CASE("data reader: limits") {
  DataLimits limits{.size = 20, .line = 12, .header = 16, .received = 2};
  CHECK(run("\r\n0123456\r\n0123456\r\n.\r\n", 0, limits).refusal.code == 0);
  CHECK(run("\r\n0123456\r\n01234567\r\n.\r\n", 0, limits).refusal.enhanced == EnhancedStatus{5, 3, 4});
  CHECK(run("\r\n0123456789\r\n.\r\n", 0, limits).refusal.code == 0);
  CHECK(run("\r\n01234567890\r\n.\r\n", 0, limits).refusal.enhanced == EnhancedStatus{5, 6, 0});
  CHECK(run("a: 345678\r\nb: 3\r\n\r\n.\r\n", 0, limits).refusal.text.find("header") != std::string::npos);
  limits.header = limits.size = 1000;
  CHECK(run("Received: \r\nRECEIVED:\r\nreceivedx: y\r\n\r\nReceived: 1\r\n.\r\n", 0, {.received = 2})
            .refusal.code == 0);
  CHECK(run("Received:\r\nreceived:\r\nReCeived:\r\n\r\n.\r\n", 0, limits).refusal.enhanced ==
        EnhancedStatus{5, 4, 6});
}

TEST_CASE("data reader: a refused message is read to its end") {
  const std::string input = "x: " + std::string(5000, 'y') + "\r\n\r\nbody\r\n.\r\nNOOP\r\n";
  const Outcome out = run(input, 0, {.size = 100});
  CHECK(out.ended);
  CHECK(out.taken == input.size() - 6);
  CHECK(out.refusal.code == 552);
}

TEST_CASE("data reader: the answer does not depend on how the input is cut") {
  rc::check([] {
    const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::element(
        "\r\n"s, "."s, "\r"s, "\n"s, "a"s, "\0"s, "\xe4"s, "Received: "s, "\r\n.\r\n"s, "bcdefgh"s));
    std::string input;
    for (const auto& piece : pieces) input += piece;
    const DataLimits limits{.size = 30, .line = 12, .header = 20, .received = 1};
    const Outcome whole = run(input, 0, limits);
    for (const std::size_t step : {1u, 2u, 3u, 7u}) RC_ASSERT(run(input, step, limits) == whole);
  });
}

TEST_CASE("data reader: agrees with the plain definition") {
  rc::check([] {
    const auto lines = *rc::gen::container<std::vector<std::string>>(
        rc::gen::container<std::string>(rc::gen::element('.', 'a', ' ', ':', '\xff')));
    std::string wire, content;
    for (const auto& line : lines) {
      content += line + "\r\n";
      wire += (line.starts_with('.') ? "." : "") + line + "\r\n";
    }
    const Outcome out = run(wire + ".\r\n");
    RC_ASSERT(out.ended);
    RC_ASSERT(out.content == content);
    RC_ASSERT(out.content == unstuffed(wire));
    RC_ASSERT(out.scanned == mail::scan(content));
  });
}

namespace {

// BDAT of BINARYMIME, cut into pieces of `step`.
Outcome run_binary(std::string_view input, std::size_t step, DataLimits limits = {}) {
  DataReader reader(limits, DataReader::Framing::binary);
  Outcome out;
  for (; !input.empty(); input.remove_prefix(std::min(step, input.size())))
    out.taken += reader.read(input.substr(0, step), out.content);
  reader.finish(out.content);
  out.refusal = reader.refusal();
  if (reader.refused()) out.content.clear();
  out.ended = reader.ended();
  out.scanned = reader.scanned();
  return out;
}

}  // namespace

TEST_CASE(
    "data reader: a body of BINARYMIME is kept octet for octet, and is binary only if it is not made of "
    "lines") {
  const std::string header = "a: b\r\nc: d\r\n\r\n";
  struct Row {
    std::string body;
    bool binary;
  };
  for (const Row& row : std::vector<Row>{{"", false},
                                         {"line\r\n", false},
                                         {".\r\n..\r\n\xc3\xbc\r\n", false},
                                         {"no end", true},
                                         {"\n", true},
                                         {"a\nb\r\n", true},
                                         {"a\rb\r\n", true},
                                         {"a\r", true},
                                         {"a\r\r\n", true},
                                         {"a\n\rb\r\n", true},
                                         {"\0\r\n"s, true},
                                         {"\r\n.\n"s, true},
                                         {std::string(300, 'x') + "\r\n", true}}) {
    CAPTURE(row.body);
    for (const std::size_t step : {1u, 2u, 3u, 7u, 1000u}) {
      const Outcome out = run_binary(header + row.body, step, {.size = 1000, .line = 200});
      CHECK(out.refusal.code == 0);
      CHECK(out.content == header + row.body);
      CHECK(out.scanned.binary == row.binary);
      CHECK(out.scanned.size == out.content.size());
      CHECK(out.scanned.header_size == header.size());
    }
  }
}

TEST_CASE("data reader: the header of BINARYMIME is made of lines, and limits hold") {
  for (const std::size_t step : {1u, 2u, 5u, 1000u}) {
    for (const std::string& bad :
         {"a: b\nc: d\r\n\r\nx"s, "a: \rb\r\n\r\nx"s, "a: \0b\r\n\r\nx"s, "a: b\r\r\n\r\n\n\n\n"s})
      CHECK(run_binary(bad, step).refusal.enhanced == EnhancedStatus{5, 5, 2});
    CHECK(run_binary("a: b\r\n\r\n" + std::string(100, '\0'), step, {.size = 50}).refusal.code == 552);
    CHECK(run_binary("a: b", step).content == "a: b\r\n");  // a message that ends within its header
  }
}

TEST_CASE("data reader: what BINARYMIME finds does not depend on how the chunks were cut (property)") {
  rc::check([] {
    const auto body = *rc::gen::container<std::string>(rc::gen::element('\r', '\n', '\0', '.', 'x', '\xff'));
    const auto step = *rc::gen::inRange<std::size_t>(1, 9);
    const std::string input = "a: b\r\n\r\n" + body;
    const Outcome whole = run_binary(input, input.size());
    RC_ASSERT(whole.content == input && whole.refusal.code == 0);
    RC_ASSERT(run_binary(input, step) == whole);
    // Not binary is what DATA would have carried, as it is.
    DataReader lines({}, DataReader::Framing::chunks);
    std::string content;
    lines.read(input, content);
    lines.finish(content);
    RC_ASSERT(whole.scanned.binary == (lines.refused() || content != input));
  });
}
