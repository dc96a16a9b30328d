// What the words of a refusal are about.
#include "protocol/delivery/words.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace spoold;
using namespace spoold::delivery;

namespace {

smtp::Reply reply(int code, smtp::EnhancedStatus status, std::string text) {
  return {code, status, std::move(text)};
}

Subject of_421(smtp::EnhancedStatus status, std::string text) {
  return subject_of(reply(421, status, std::move(text)), "anne@example.net");
}

}  // namespace

TEST_CASE("the 421 of Postfix for one recipient is about him, whatever its enhanced status") {
  CHECK(of_421({4, 7, 0}, "<anne@example.net>: Recipient address rejected: go away") == Subject::recipient);
  CHECK(of_421({4, 7, 1}, "<ANNE@Example.NET>: rate limit exceeded") == Subject::recipient);
  CHECK(of_421({4, 3, 0}, "anne@example.net.") == Subject::recipient);
  CHECK(of_421({4, 7, 0}, "Recipient address\nrejected: try later") == Subject::recipient);
  CHECK(of_421({4, 7, 1}, "<joanne@example.net>: greylisted") == Subject::host);
  CHECK(of_421({4, 7, 1}, "<anne@example.net.invalid>: greylisted") == Subject::host);
  CHECK(of_421({4, 7, 1}, "<list@example.org>: Sender address rejected: go away") == Subject::sender);
  CHECK(of_421({4, 7, 1}, "<unknown[192.0.2.1]>: Client host rejected: go away") == Subject::host);
  CHECK(subject_of(reply(421, {}, "going away"), "") == Subject::unknown);
}

TEST_CASE("too many errors is the budget of the connection") {
  CHECK(of_421({4, 7, 0}, "mx.example.net Error: too many errors") == Subject::errors);
  CHECK(of_421({}, "Too many errors on this connection---closing") == Subject::errors);
}

TEST_CASE("words about the host are whole words") {
  CHECK(of_421({4, 3, 2}, "") == Subject::host);
  CHECK(of_421({4, 7, 0}, "") == Subject::host);
  CHECK(of_421({}, "Too many connections from your host") == Subject::host);
  CHECK(of_421({}, "Server overloaded, try later") == Subject::host);
  CHECK(of_421({}, "load average too high") == Subject::host);
  CHECK(of_421({}, "rate-limited") == Subject::host);
  CHECK(of_421({}, "insufficient resources") == Subject::host);
  CHECK(of_421({}, "cannot download the policy") == Subject::unknown);
  CHECK(of_421({}, "payload not accepted") == Subject::unknown);
  CHECK(of_421({}, "closing transmission channel") == Subject::unknown);
  CHECK(of_421({4, 2, 2}, "load") == Subject::unknown);
}

TEST_CASE("too many recipients: of a transaction at RCPT, in words at DATA and at the content") {
  CHECK(too_many_recipients(reply(452, {}, "")));
  CHECK(too_many_recipients(reply(552, {}, "")));
  CHECK(too_many_recipients(reply(452, {4, 5, 3}, "")));
  CHECK(too_many_recipients(reply(550, {5, 5, 3}, "")));
  CHECK(too_many_recipients(reply(451, {4, 7, 1}, "Too many recipients, try fewer")));
  CHECK_FALSE(too_many_recipients(reply(452, {4, 2, 2}, "")));
  CHECK_FALSE(too_many_recipients(reply(450, {}, "")));
  CHECK(too_many_recipients_for_content(reply(550, {5, 5, 3}, "")));
  CHECK(too_many_recipients_for_content(reply(554, {}, "too many recipients")));
  CHECK_FALSE(too_many_recipients_for_content(reply(552, {}, "message size exceeds the limit")));
  CHECK_FALSE(too_many_recipients_for_content(reply(452, {}, "insufficient system storage")));
}
