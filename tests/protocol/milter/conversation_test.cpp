// The milter protocol from our side: what is sent at which step, which answers are allowed there, what is a fault.
#include "protocol/milter/conversation.hpp"

#include <doctest/doctest.h>

#include "tests/fuzz/milter_entry.hpp"

using namespace spoold;
using namespace spoold::milter;
using namespace std::string_literals;
using Got = Conversation::Got;

namespace {

std::string frame(char command, std::string_view data = {}) {
  std::string out;
  append_frame(out, command, data);
  return out;
}

std::string agreed(std::uint32_t actions, std::uint32_t steps = 0, const std::string& macros = {}) {
  std::string data;
  append_number(data, 6);
  append_number(data, actions);
  append_number(data, steps);
  return frame('O', data + macros);
}

/// What was sent, as "O C(c.example) ..." without macros; NUL as '|'.
std::string shown(std::string_view sent, bool macros = false) {
  FrameReader reader;
  reader.feed(sent);
  std::string text;
  for (Frame one; reader.next(one) == FrameReader::State::frame;) {
    if (one.command == 'O' || (one.command == 'D' && !macros)) continue;
    std::string data(one.data);
    for (char& c : data)
      if (c == '\0') c = '|';
    text += (text.empty() ? "" : " ") + std::string(1, one.command) + (data.empty() ? "" : "(" + data + ")");
  }
  CHECK(reader.empty());
  return text;
}

struct Talk {
  Conversation filter;
  Macros macros;
  std::string out;
  const mail::Header header = *mail::Header::scan("Subject: one\r\n two\r\nTo:x@y\r\n\r\n");

  explicit Talk(std::uint32_t actions = 0x1ff, std::uint32_t steps = 0, const std::string& lists = {}) {
    macros.set("j", "mx.example");
    macros.set("i", "6H05");
    CHECK(filter.negotiate(out));
    CHECK(hear(agreed(actions, steps, lists)) == Got::answered);
    out.clear();
  }
  Got hear(const std::string& octets) {
    filter.feed(octets);
    return filter.next();
  }
  /// Everything up to the end of the data, each answered with "continue".
  void to_the_end() {
    const auto step = [&](bool answer) {
      if (answer) CHECK(hear(frame('c')) == Got::answered);
    };
    step(filter.connect({"c.example", '4', 25, "192.0.2.1"}, macros, out));
    step(filter.helo("h.example", macros, out));
    message();
  }
  void message() {
    const auto step = [&](bool answer) {
      if (answer) CHECK(hear(frame('c')) == Got::answered);
    };
    step(filter.mail("<a@b>", "SIZE=9 BODY=8BITMIME", macros, out));
    step(filter.rcpt("<c@d>", {}, macros, out));
    step(filter.data(macros, out));
    for (const mail::Field& field : header.fields()) step(filter.field(field, out));
    step(filter.end_of_header(macros, out));
    step(filter.body("Hello\r\n", out));
    CHECK(filter.end(macros, out));
  }
};

}  // namespace

TEST_CASE("milter: the steps of a session, as libmilter reads them") {
  Talk talk;
  talk.to_the_end();
  CHECK(shown(talk.out) ==
        "C(c.example|4|\x19"
        "192.0.2.1|) H(h.example|) M(<a@b>|SIZE=9|BODY=8BITMIME|) "
        "R(<c@d>|) T L(Subject|one\n two|) L(To|x@y|) N B(Hello\r\n) E");
  CHECK(talk.hear(frame('c')) == Got::answered);
  CHECK(talk.filter.edits().empty());
}

TEST_CASE(
    "milter: steps that a filter leaves out are not sent, those it does not answer are not waited for") {
  Talk out_of(0, no_connect | no_helo | no_rcpt | no_body | no_header | no_end_of_header | no_data);
  out_of.to_the_end();
  CHECK(shown(out_of.out) == "M(<a@b>|SIZE=9|BODY=8BITMIME|) E");
  Talk mute(0, mute_connect | mute_helo | mute_mail | mute_rcpt | mute_data | mute_header |
                   mute_end_of_header | mute_body);
  CHECK_FALSE(mute.filter.connect({"c", 'U', 0, ""}, mute.macros, mute.out));
  CHECK(shown(mute.out) == "C(c|U)");
  CHECK_FALSE(mute.filter.mail("<>", {}, mute.macros, mute.out));
  CHECK_FALSE(mute.filter.field(mute.header.fields()[0], mute.out));
  CHECK_FALSE(mute.filter.body("x", mute.out));
  CHECK(mute.filter.end(mute.macros, mute.out));
}

TEST_CASE("milter: the space behind the colon, where a filter wants it") {
  Talk talk(may_add_fields, leading_space);
  talk.to_the_end();
  CHECK(shown(talk.out).find("L(Subject| one\n two|) L(To|x@y|)") != std::string::npos);
  CHECK(talk.hear(frame('h', "X-A\0  b\0"s) + frame('h', "X-B\0c\0"s) + frame('c')) == Got::answered);
  EditedHeader edited(talk.header);
  for (const Edit& edit : talk.filter.edits()) CHECK(edited.apply(edit));
  CHECK(edited.text([](const mail::Field&) { return false; }) ==
        "Subject: one\r\n two\r\nTo:x@y\r\nX-A:  b\r\nX-B:c\r\n\r\n");
}

TEST_CASE("milter: macros, the usual ones or those that a filter has chosen") {
  Talk usual;
  usual.to_the_end();
  CHECK(shown(usual.out, true).find("D(Cj|mx.example|) C(") == 0);
  CHECK(shown(usual.out, true).find("D(Ei|6H05|) E") != std::string::npos);
  std::string lists;
  append_number(lists, 2);
  lists += "{x}, j  {auth_type}"s + '\0';
  append_number(lists, 5);
  lists += '\0';
  Talk chosen(0, 0, lists);
  chosen.macros.set("x", "1");
  chosen.to_the_end();
  const std::string all = shown(chosen.out, true);
  CHECK(all.find("D(M{x}|1|j|mx.example|) M(") != std::string::npos);
  CHECK(all.find("D(E") == std::string::npos);
}

TEST_CASE("milter: an answer to the negotiation that cannot be") {
  const auto fault = [](const std::string& octets) {
    Conversation filter;
    std::string out;
    filter.negotiate(out);
    filter.feed(octets);
    return filter.next() == Got::failed ? filter.fault() : std::string("accepted");
  };
  std::string seven;
  for (const std::uint32_t n : {7u, 0u, 0u}) append_number(seven, n);
  CHECK(fault(frame('O', seven)).find("version 7") == 0);
  CHECK(fault(agreed(0x200)) == "it asks for actions that are not offered: 0x200");
  CHECK(fault(agreed(0, 0x800)) == "it asks for protocol steps that are not offered: 0x800");
  CHECK(fault(frame('O', "short")).find("cut off") != std::string::npos);
  CHECK(fault(agreed(0, 0, "\0\0\0\1j"s)).find("cut off") != std::string::npos);
  CHECK(fault(agreed(0, 0, "\0\0\0\7j\0"s)).find("not known") != std::string::npos);
  CHECK(fault(frame('c')).find("'c'") != std::string::npos);
  CHECK(fault("\0\0\0\0"s).find("length") != std::string::npos);
  CHECK(fault("HTTP/1.1 400 Bad Request").find("length") != std::string::npos);
}

TEST_CASE("milter: verdicts at each step") {
  Talk talk;
  talk.filter.mail("<a@b>", {}, talk.macros, talk.out);
  CHECK(talk.hear(frame('c')) == Got::answered);
  talk.filter.rcpt("<c@d>", {}, talk.macros, talk.out);
  CHECK(talk.hear(frame('y', "550-5.1.1 no\r\n550 5.1.1 such 100%% user\0"s)) == Got::answered);
  CHECK(talk.filter.refusal()->wire() == "550-5.1.1 no\r\n550 5.1.1 such 100% user\r\n");
  talk.filter.rcpt("<e@f>", {}, talk.macros, talk.out);
  CHECK(talk.hear(frame('c')) == Got::answered);
  CHECK_FALSE(talk.filter.refusal());
  talk.filter.data(talk.macros, talk.out);
  CHECK(talk.hear(frame('t')) == Got::answered);
  CHECK(talk.filter.refusal()->code == 451);
  CHECK_FALSE(talk.filter.wants_end());
  talk.out.clear();
  talk.filter.abort(talk.out);
  CHECK(shown(talk.out) == "A");
  talk.filter.mail("<g@h>", {}, talk.macros, talk.out);
  CHECK(talk.hear(frame('a')) == Got::answered);
  CHECK_FALSE(talk.filter.wants_end());
  CHECK_FALSE(talk.filter.rcpt("<c@d>", {}, talk.macros, talk.out));
  talk.filter.abort(talk.out);
  talk.filter.mail("<g@h>", {}, talk.macros, talk.out);
  CHECK(talk.hear(frame('d')) == Got::answered);
  CHECK(talk.filter.discards());
  talk.out.clear();
  talk.filter.mail("<g@h>", {}, talk.macros, talk.out);
  CHECK_FALSE(talk.filter.discards());
}

TEST_CASE("milter: a session that is accepted is not asked again") {
  Talk talk;
  talk.filter.connect({"c", 'U', 0, ""}, talk.macros, talk.out);
  CHECK(talk.hear(frame('a')) == Got::answered);
  talk.out.clear();
  CHECK_FALSE(talk.filter.helo("h", talk.macros, talk.out));
  CHECK_FALSE(talk.filter.mail("<>", {}, talk.macros, talk.out));
  CHECK_FALSE(talk.filter.end(talk.macros, talk.out));
  CHECK(talk.out.empty());
}

TEST_CASE("milter: skip ends the body, and only there") {
  Talk talk(0, may_skip);
  talk.filter.mail("<>", {}, talk.macros, talk.out);
  CHECK(talk.hear(frame('c')) == Got::answered);
  talk.filter.body("x", talk.out);
  CHECK(talk.hear(frame('s')) == Got::answered);
  CHECK_FALSE(talk.filter.wants_body());
  CHECK(talk.filter.wants_end());
  Talk other(0, may_skip);
  other.filter.mail("<>", {}, other.macros, other.out);
  CHECK(other.hear(frame('s')) == Got::failed);
}

TEST_CASE("milter: a filter's own reply is one, or a fault") {
  for (const char* good :
       {"550 no", "450 4.7.1 later", "554", "550 5.7.1 two words", "550-a\r\n550-b\n550 c"})
    CHECK_MESSAGE(parse_reply(good), good);
  for (const char* bad : {"250 ok", "55", "5x0 no", "560 no", "550no", "550 5.7.1\x01",
                          "550 4.7.1 of another class", "550-open", "550-a\r\n551 b", "550 a\r\n550 b",
                          "550 \xc3\xa4", "", "\r\n550 x", "550-5.7.1 a\r\n550 5.7.2 b"})
    CHECK_MESSAGE(!parse_reply(bad), bad);
  CHECK_FALSE(parse_reply("550 " + std::string(2000, 'x')));
  std::string many;
  for (int i = 0; i < 40; ++i) many += "550-x\r\n";
  CHECK_FALSE(parse_reply(many + "550 x"));
}

TEST_CASE("milter: changes are told once the message is accepted, and forgotten where it is not") {
  Talk talk;
  talk.to_the_end();
  const std::string changes =
      frame('h', "X-Spam\0yes\0"s) + frame('i', "\0\0\0\0X-Top\0a\n b\0"s) +
      frame('m', "\0\0\0\1subject\0new\0"s) + frame('m', "\0\0\0\1To\0\0"s) + frame('e', "<s@t>\0SIZE=1\0"s) +
      frame('+', "u@v\0"s) + frame('2', "<w@x>\0NOTIFY=NEVER\0"s) + frame('-', "<c@d>\0"s) +
      frame('b', "one\ntwo\r") + frame('p') + frame('b', "\nthree\rfour") + frame('q', "looks bad\0"s);
  CHECK(talk.hear(changes + frame('a')) == Got::progress);
  CHECK(talk.filter.next() == Got::answered);
  CHECK(talk.filter.edits().size() == 8);
  CHECK(talk.filter.take_body() == "one\r\ntwo\r\nthree\r\nfour");
  CHECK(talk.filter.new_body());
  CHECK(talk.filter.quarantine() == "looks bad");
  EditedHeader edited(talk.header);
  for (const Edit& edit : talk.filter.edits()) edited.apply(edit);
  CHECK(edited.text([](const mail::Field&) { return false; }) ==
        "X-Top: a\r\n b\r\nsubject: new\r\nX-Spam: yes\r\n\r\n");
  CHECK(talk.filter.edits()[4] == Edit{Edit::What::sender, 0, "<s@t>", "SIZE=1"});
  CHECK(talk.filter.edits()[5] == Edit{Edit::What::add_recipient, 0, "<u@v>", ""});
  talk.message();
  CHECK(talk.hear(frame('h', "X-Spam\0yes\0"s) + frame('b', "x") + frame('q', "y\0"s) + frame('r')) ==
        Got::answered);
  CHECK((talk.filter.edits().empty() && !talk.filter.new_body() && !talk.filter.quarantine()));
}

TEST_CASE("milter: changes that were not agreed on, or are none, are faults") {
  const auto fault = [](const std::string& octets, std::uint32_t actions = 0x1ff) {
    Talk talk(actions);
    talk.to_the_end();
    return talk.hear(octets + frame('c')) == Got::failed ? talk.filter.fault() : std::string("accepted");
  };
  const std::vector<std::pair<std::string, Actions>> rows{
      {frame('h', "X\0y\0"s), may_add_fields},
      {frame('m', "\0\0\0\1X\0y\0"s), may_change_fields},
      {frame('e', "<a@b>\0"s), may_change_sender},
      {frame('+', "<a@b>\0"s), may_add_recipients},
      {frame('2', "<a@b>\0x\0"s), may_add_recipients_with_parameters},
      {frame('-', "<a@b>\0"s), may_remove_recipients},
      {frame('b', "x"), may_change_body},
      {frame('q', "x\0"s), may_quarantine}};
  for (const auto& [octets, needed] : rows) {
    CHECK(fault(octets) == "accepted");
    CHECK(fault(octets, 0x1ff & ~static_cast<std::uint32_t>(needed)).find("was not agreed on") !=
          std::string::npos);
  }
  for (const std::string& bad :
       {frame('h', "X\0y"s), frame('h', "X y\0z\0"s), frame('h', "\0z\0"s), frame('h', "X:\0z\0"s),
        frame('h', "X\0y\0z"s), frame('h', "X\0y\x01\0"s), frame('m', "\0\0"s), frame('+', "a@b"),
        frame('+', "a\r\nDATA\0"s), frame('e', "<a@b>\0x"s), frame('2', "a\xc3\xa4@b\0"s), frame('x'),
        frame('O')})
    CHECK(fault(bad) != "accepted");
  Talk early;
  early.filter.mail("<>", {}, early.macros, early.out);
  CHECK(early.hear(frame('h', "X\0y\0"s)) == Got::failed);
  std::string flood;
  for (int i = 0; i < 5000; ++i) flood += frame('h', "X\0y\0"s);
  CHECK(fault(flood) == "too many changes");
}

TEST_CASE("milter: lines of a value that would begin a field, or end the header, are folded or go") {
  Talk talk;
  talk.to_the_end();
  CHECK(talk.hear(frame('h', "X\0a\r\nBcc: b@c\r\n\r\nbody\n \n\tc\0"s) + frame('c')) == Got::answered);
  EditedHeader edited(talk.header);
  edited.apply(talk.filter.edits()[0]);
  CHECK(edited.text([](const mail::Field& field) { return field.name == "To"; }) ==
        "Subject: one\r\n two\r\nX: a\r\n\tBcc: b@c\r\n\tbody\r\n\tc\r\n\r\n");
}

TEST_CASE("milter: insertions and changes by their index") {
  const auto header = mail::Header::scan("From x\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n");
  const auto after = [&](Edit::What what, std::uint32_t index, const char* name, const char* value) {
    EditedHeader edited(*header);
    edited.apply({what, index, name, value});
    return edited.text([](const mail::Field&) { return false; });
  };
  using What = Edit::What;
  CHECK(after(What::insert_field, 0, "X", " y") == "X: y\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n");
  CHECK(after(What::insert_field, 1, "X", " y") == "X: y\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n");
  CHECK(after(What::insert_field, 2, "X", " y") == "A: 1\r\nX: y\r\nB: 2\r\na: 3\r\n\r\n");
  CHECK(after(What::insert_field, 99, "X", " y") == "A: 1\r\nB: 2\r\na: 3\r\nX: y\r\n\r\n");
  CHECK(after(What::change_field, 2, "A", " 4") == "A: 1\r\nB: 2\r\nA: 4\r\n\r\n");
  CHECK(after(What::change_field, 1, "A", "") == "B: 2\r\na: 3\r\n\r\n");
  CHECK(after(What::change_field, 3, "A", " 4") == "A: 1\r\nB: 2\r\na: 3\r\nA: 4\r\n\r\n");
  CHECK(after(What::change_field, 3, "A", "") == "A: 1\r\nB: 2\r\na: 3\r\n\r\n");
}

TEST_CASE("milter: what is said when nobody waits is found") {
  Talk talk;
  talk.to_the_end();
  CHECK(talk.hear(frame('c') + frame('c')) == Got::answered);
  CHECK(talk.filter.stray());
  CHECK(talk.filter.next() == Got::failed);
}

TEST_CASE("milter: a filter that stops at any octet is only waited for; pieces of any size give the same") {
  std::string all = agreed(0x1ff);
  for (int step = 0; step < 10; ++step) all += frame('c');
  all += frame('h', "X\0y\0"s) + frame('b', "new\n") + frame('c');
  const std::string whole = spoold::tests::milter_session(all, all.size());
  CHECK(whole.ends_with("X: y\r\n\r\nend"));
  for (std::size_t cut = 0; cut < all.size(); ++cut) {
    const std::string part = spoold::tests::milter_session(all.substr(0, cut), 7);
    CHECK(part.ends_with("end"));
    CHECK(spoold::tests::milter_session(all, cut + 1) == whole);
  }
}
