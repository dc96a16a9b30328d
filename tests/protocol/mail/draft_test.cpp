#include "protocol/mail/draft.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::mail;

namespace {

/// A content with its draft, and what goes out of it.
struct Drafted {
  explicit Drafted(std::string text)
      : content(std::move(text)),
        header(*Header::scan(content)),
        scanned(scan(content)),
        draft(header, scanned) {}

  std::string text() const {
    const Outgoing out = draft.outgoing();
    std::string all = out.head;
    for (const Splice& piece : out.body) all += content.substr(piece.offset, piece.length) + piece.own;
    CHECK(all.size() == out.size);
    return all;
  }
  Octets octets() const { return draft.outgoing().octets; }
  void remove(std::string_view name) {
    draft.remove([&](const Field& field) { return field.name == name; });
  }

  const std::string content;
  const Header header;
  const Scanned scanned;
  Draft draft;
};

}  // namespace

TEST_CASE("draft: nothing changed is the message as it came, which is not copied") {
  for (const char* content : {"A: 1\r\nB: 2\r\n\r\nbody\r\n", "just text\r\n", "\r\nbody\r\n", ""}) {
    const Drafted d(content);
    CHECK(d.text() == content);
    CHECK(d.draft.outgoing().head.empty());
  }
}

TEST_CASE("draft: a field in front does not copy the header, and is never part of the body") {
  const auto behind = [](const char* content) {
    Drafted d(content);
    d.draft.prepend("R: x\r\n");
    CHECK(d.draft.outgoing().head.size() <= 8);
    return d.text();
  };
  CHECK(behind("A: 1\r\n\r\nbody\r\n") == "R: x\r\nA: 1\r\n\r\nbody\r\n");
  CHECK(behind("just text\r\n") == "R: x\r\n\r\njust text\r\n");
  CHECK(behind("\r\nbody\r\n") == "R: x\r\n\r\nbody\r\n");
  CHECK(behind("") == "R: x\r\n\r\n");
  CHECK(behind("From a@b Sun\r\nA: 1\r\n\r\n") == "R: x\r\nA: 1\r\n\r\n");
  CHECK(behind("From a@b Sun\r\nno field\r\n") == "R: x\r\n\r\nno field\r\n");
}

TEST_CASE("draft: fields that stay are the octets that came, in their places") {
  Drafted d("From a@b Sun\r\nA: 1\r\n  folded\r\nB : 2\r\nA: 3\r\n\r\nbody");
  d.remove("C");
  CHECK(d.draft.outgoing().head.empty());  // nothing of that name: nothing has changed
  d.remove("B");
  d.draft.append("Z: 9\r\n");
  d.draft.prepend("R: x\r\n");
  d.draft.prepend("S: y\r\n");
  CHECK(d.text() == "S: y\r\nR: x\r\nA: 1\r\n  folded\r\nA: 3\r\nZ: 9\r\n\r\nbody");
  Drafted cut("A: 1");
  cut.draft.append("Z: 9\r\n");
  CHECK(cut.text() == "A: 1\r\nZ: 9\r\n\r\n");
}

TEST_CASE("draft: what delivery must know is computed from what goes out, not copied from what came") {
  Drafted header("A: \xc3\xa9\r\n.B: 1\r\nC: 2\r\n\r\nbody\r\n");
  CHECK(header.octets() == Octets{true, true});
  header.remove("A");
  CHECK(header.octets() == Octets{false, true});
  header.remove(".B");
  CHECK(header.octets() == Octets{});
  header.draft.append("Z: \xc3\xa9\r\n");
  CHECK(header.octets() == Octets{true, false});
  Drafted body("A: 1\r\n\r\n.\xc3\xa9\r\n");
  body.remove("A");
  CHECK(body.octets() == Octets{true, true});
  Drafted none("A: \xc3\xa9\r\n\r\n");
  none.remove("A");
  CHECK(none.octets() == Octets{});
}

TEST_CASE("draft: whether the header that goes out is ASCII, whatever the body is") {
  const auto high = [](Drafted& drafted) { return drafted.draft.outgoing().header_eight_bit; };
  Drafted header("A: \xc3\xa9\r\nB: 1\r\n\r\nbody\r\n"), body("A: 1\r\n\r\n\xc3\xa9\r\n");
  CHECK(high(header));
  CHECK_FALSE(high(body));
  for (Drafted* one : {&header, &body}) one->draft.prepend("R: x\r\n");
  CHECK(high(header));
  CHECK_FALSE(high(body));
  header.remove("A");
  CHECK_FALSE(high(header));
  header.draft.append("Z: \xc3\xa9\r\n");
  CHECK(high(header));
  body.draft.insert(body.draft.body_begin(), {{"\xc3\xa9\r\n", 0}});
  CHECK_FALSE(high(body));
  body.draft.prepend("S: \xc3\xa9\r\n");
  CHECK(high(body));
}
