#include "protocol/bounce/event.hpp"

#include <doctest/doctest.h>

#include "conf/replies.hpp"

using namespace spoold;
using namespace spoold::bounce;

namespace {

const smtp::ReplyTable& table() {
  static const smtp::ReplyTable built_in(conf::built_in_replies());
  return built_in;
}

/// "score no-such-user", "soft mailbox-full", "" for nothing.
std::string text_of(const std::optional<Event>& event) {
  if (!event) return {};
  return std::string(event->soft ? "soft " : "score ") + event->cause;
}

std::string own(std::string_view line, Stage stage = Stage::rcpt, bool alone = false, bool expired = false) {
  LastReply last;
  last.reply = smtp::reply_in_line(line);
  last.stage = stage;
  last.remote = "mx1.example.net[192.0.2.1]:25";
  return text_of(event_of(last, expired, alone, table()));
}

std::string report(std::string diagnostic, smtp::EnhancedStatus status = {}, bool permanent = true) {
  return text_of(
      event_of(Failure{"anne@x.example", permanent, status, std::move(diagnostic), {}}, table(), {}));
}

}  // namespace

TEST_CASE("bounce event: a final reply to RCPT counts by its class") {
  CHECK(own("550 5.1.1 no such user") == "score no-such-user");
  CHECK(own("552 5.2.2 mailbox full") == "soft mailbox-full");
  for (const char* line :
       {"550 5.7.1 message considered spam", "550 5.7.26 unauthenticated mail is prohibited",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example",
        "450 4.2.1 try again later", "421 4.7.0 too many connections", "550 4.4.7 no such user",
        "553 5.6.7 no SMTPUTF8 here"})
    CHECK_MESSAGE(own(line).empty(), line);
}

TEST_CASE("bounce event: a reply to the whole transaction counts when it had one recipient") {
  for (const Stage stage : {Stage::data, Stage::dot}) {
    CHECK(own("550 5.1.1 no such user", stage, true) == "score no-such-user");
    CHECK(own("550 5.1.1 no such user", stage, false).empty());
  }
  for (const Stage stage : {Stage::connect, Stage::greeting, Stage::ehlo, Stage::mail})
    CHECK(own("550 5.1.1 no such user", stage, true).empty());
}

TEST_CASE("bounce event: what DNS says about the domain counts, other faults of DNS do not") {
  const auto dns = [](smtp::EnhancedStatus status, bool expired = false) {
    LastReply last;
    last.stage = Stage::dns;
    last.reply.enhanced = status;
    return text_of(event_of(last, expired, false, table()));
  };
  CHECK(dns({5, 1, 2}) == "score dns");
  CHECK(dns({5, 1, 10}) == "score dns");
  CHECK(dns({5, 4, 6}).empty());
  CHECK(dns({4, 4, 3}, true).empty());
}

TEST_CASE("bounce event: an expiry counts half where the host refused this recipient to the end") {
  CHECK(own("452 4.2.2 mailbox full", Stage::rcpt, false, true) == "soft mailbox-full");
  CHECK(own("450 4.1.0 not now", Stage::rcpt, false, true).starts_with("soft "));
  CHECK(own("450 4.2.1 receiving mail too quickly", Stage::rcpt, false, true).empty());
  CHECK(own("450 4.7.1 temporarily deferred due to reputation", Stage::rcpt, false, true).empty());
  LastReply silent;  // the host was down, or closed the connection after RCPT
  silent.stage = Stage::rcpt;
  silent.reply.text = "connection closed after RCPT TO";
  CHECK(!event_of(silent, true, true, table()));
  CHECK(!event_of(silent, false, true, table()));
}

TEST_CASE("bounce event: a report counts by the reply that it quotes, a report without a reason half") {
  CHECK(report("smtp; 550 5.1.1 no such user", {5, 1, 1}) == "score no-such-user");
  CHECK(report("", {5, 1, 1}) == "score bad-address");
  CHECK(report("smtp; 552 5.2.2 mailbox full") == "soft mailbox-full");
  CHECK(report("smtp; 550 5.7.1 message considered spam").empty());
  CHECK(report("", {}) == "soft unexplained");
  CHECK(report("", {5, 0, 0}) == "soft unexplained");
  CHECK(report("smtp; 450 4.2.0 try again", {4, 2, 0}, false).empty());
  CHECK(report("smtp; 450 4.4.1 no answer", {4, 4, 7}).empty());
}
