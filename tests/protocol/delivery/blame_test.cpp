// Section 2 of isolation.md, row by row.
#include "protocol/delivery/blame.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::delivery;
using Blame = Finding::Blame;

namespace {

smtp::Reply reply(int code, smtp::EnhancedStatus enhanced = {}, std::string words = {}) {
  smtp::Reply r;
  r.code = code;
  r.enhanced = enhanced;
  r.text = std::move(words);
  return r;
}

/// Three recipients, everything sent up to the dot.
Observation whole() {
  Observation o;
  o.recipients = {0, 1, 2};
  o.rcpts_sent = 3;
  o.mail_sent = o.data_sent = o.content_sent = o.dot_sent = true;
  o.mail = reply(250);
  o.rcpt = {reply(250), reply(250), reply(250)};
  o.data = reply(354);
  return o;
}

}  // namespace

TEST_CASE("the oldest unanswered command is to blame") {
  const Drop drop{Drop::How::closed, Stage::none, {}, ""};
  Observation o = whole();
  CHECK(find_blame(o, drop, false).blame == Blame::in_doubt);
  o.dot_sent = o.content_sent = false;
  CHECK(find_blame(o, drop, false).blame == Blame::message);
  o.data.reset();
  CHECK(find_blame(o, drop, false).stage == Stage::data);
  o.rcpt[1].reset();
  Finding f = find_blame(o, drop, false);
  CHECK(f.blame == Blame::suspect);
  CHECK(f.position == 1);
  CHECK(f.answered == 1);
  o.mail.reset();
  CHECK(find_blame(o, drop, false).blame == Blame::ambiguous);
  o.rcpts_sent = 0;
  CHECK(find_blame(o, drop, false).blame == Blame::sender);
  o.mail_sent = false;
  CHECK(find_blame(o, drop, false).blame == Blame::nobody);
}

TEST_CASE("a refusal that came is an answer, and is seen when it came last") {
  const Drop drop{Drop::How::closed, Stage::none, {}, ""};
  Observation o = whole();
  o.rcpt = {reply(250), reply(550), std::nullopt};
  Finding f = find_blame(o, drop, false);
  CHECK(f.blame == Blame::suspect);
  CHECK(f.position == 2);
  CHECK(f.after_reject);
  o.rcpt = {reply(550), reply(550), reply(450)};
  CHECK(find_blame(o, drop, false).complete);
}

TEST_CASE("421 in the place of a reply is none, but to the dot it is one") {
  Drop drop{Drop::How::reply_421, Stage::rcpt, reply(421), ""};
  Observation o = whole();
  o.rcpt[2] = reply(421);
  Finding f = find_blame(o, drop, false);
  CHECK(f.blame == Blame::suspect);
  CHECK(f.position == 2);
  o = whole();
  o.dot = {reply(421)};
  CHECK(find_blame(o, drop, false).complete);
  o.dot.clear();
  CHECK(find_blame(o, drop, false).complete);
  drop.how = Drop::How::reset;
  CHECK(find_blame(o, drop, false).blame == Blame::in_doubt);
}

TEST_CASE("LMTP wants a reply for each accepted recipient") {
  const Drop drop{Drop::How::closed, Stage::none, {}, ""};
  Observation o = whole();
  o.rcpt[0] = reply(550);
  o.dot = {reply(250)};
  CHECK(find_blame(o, drop, true).blame == Blame::in_doubt);
  o.dot = {reply(250), reply(452)};
  CHECK(find_blame(o, drop, true).complete);
}

TEST_CASE("whom a refusal speaks of") {
  CHECK(speaks_of_host(reply(421, {4, 3, 2})));
  CHECK(speaks_of_host(reply(421, {4, 7, 0})));
  CHECK(speaks_of_host(reply(421, {}, "Too many connections from your host")));
  CHECK_FALSE(speaks_of_host(reply(421, {4, 2, 2}, "load")));
  CHECK_FALSE(speaks_of_host(reply(421, {}, "closing transmission channel")));
  CHECK(too_many_recipients(reply(452)));
  CHECK(too_many_recipients(reply(552)));
  CHECK(too_many_recipients(reply(452, {4, 5, 3})));
  CHECK_FALSE(too_many_recipients(reply(452, {4, 2, 2})));
  CHECK_FALSE(too_many_recipients(reply(450)));
}

TEST_CASE("every failure text names the stage") {
  CHECK(waiting_text(Drop::How::closed, Stage::rcpt) ==
        "connection closed while waiting for the reply to RCPT TO");
  CHECK(waiting_text(Drop::How::timeout, Stage::dot) ==
        "timed out while waiting for the reply to end of data");
  CHECK(after_text(Drop::How::reset, Stage::rcpt) == "connection reset after RCPT TO");
  CHECK(after_text(Drop::How::timeout, Stage::rcpt) == "no reply to RCPT TO");
}
