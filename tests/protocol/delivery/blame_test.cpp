// Section 2 of protocol/delivery/isolation.md, row by row.
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

namespace {

/// One recipient, all of it written by BDAT, nothing answered.
Observation chunk(MessageId message) {
  Observation o;
  o.message = message;
  o.recipients = {0};
  o.rcpts_sent = 1;
  o.rcpt.resize(1);
  o.mail_sent = o.content_sent = o.dot_sent = o.chunked = true;
  o.dot.resize(1);
  return o;
}

Observation accepted(Observation o) {
  o.mail = reply(250);
  o.rcpt[0] = reply(250);
  return o;
}

Observation refused(Observation o) {
  o.mail = reply(250);
  o.rcpt[0] = reply(550);
  return o;
}

}  // namespace

TEST_CASE("with BDAT there is no DATA to wait for") {
  const Drop drop{Drop::How::closed, Stage::none, {}, ""};
  CHECK(find_blame(chunk(1), drop, false).blame == Blame::ambiguous);
  Observation o = accepted(chunk(1));
  CHECK(find_blame(o, drop, false).blame == Blame::in_doubt);
  o.dot_sent = false;
  CHECK(find_blame(o, drop, false).stage == Stage::content);
  o.content_sent = false;
  CHECK(find_blame(o, drop, false).blame == Blame::nobody);
  o.rcpt[0].reset();
  CHECK(find_blame(o, drop, false).blame == Blame::suspect);
}

TEST_CASE("a BDAT for nobody is no evidence, answered or not") {
  const Drop drop{Drop::How::closed, Stage::none, {}, ""};
  Observation o = refused(chunk(1));
  Finding f = find_blame(o, drop, false);
  CHECK(f.complete);
  CHECK(f.stopped);
  o.dot[0] = reply(503);
  f = find_blame(o, drop, false);
  CHECK(f.complete);
  CHECK_FALSE(f.stopped);
}

TEST_CASE("who ended a connection decides whether the peer takes what lies behind the oldest command") {
  for (const auto how : {Drop::How::timeout, Drop::How::garbage, Drop::How::ours}) CHECK(works_on(how));
  for (const auto how : {Drop::How::closed, Drop::How::reset, Drop::How::reply_421})
    CHECK_FALSE(works_on(how));
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

TEST_CASE("every failure text names the stage") {
  CHECK(waiting_text(Drop::How::closed, Stage::rcpt) ==
        "connection closed while waiting for the reply to RCPT TO");
  CHECK(waiting_text(Drop::How::timeout, Stage::dot) ==
        "timed out while waiting for the reply to end of data");
  CHECK(after_text(Drop::How::reset, Stage::rcpt) == "connection reset after RCPT TO");
  CHECK(after_text(Drop::How::timeout, Stage::rcpt) == "no reply to RCPT TO");
}
