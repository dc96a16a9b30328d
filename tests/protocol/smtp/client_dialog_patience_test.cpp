// How long the dialog waits for the reply to RCPT while others wait for it too.
#include <doctest/doctest.h>

#include "client_talk.hpp"

using namespace spoold;
using namespace spoold::smtp;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

/// The time limit once MAIL and the RCPTs of one transaction are written.
std::optional<Duration> limit_at_rcpt(const char* offered, bool chunked) {
  ClientDialog::Options options{false, "me", ClientDialog::Pipelining::connection, {}};
  options.timeouts.rcpt = minutes(5);
  Talk talk(options);
  talk.quit_at_end = false;
  talk.mails = {mail(1, {"a@x"})};
  talk.mails[0].size = 5;
  talk.mails[0].plan.patience = seconds(10);
  talk.mails[0].plan.chunked = chunked;
  talk.dialog.received("220 mx\r\n");
  talk.pull();
  talk.dialog.received(crlf(std::string("250-mx\n") + offered));
  talk.pull();
  talk.dialog.received("250 sender ok\r\n");
  return talk.dialog.limit();
}

}  // namespace

TEST_CASE("a silent RCPT that others wait for has the planner's patience, unless its content is written") {
  CHECK(limit_at_rcpt("250 PIPELINING", false) == Duration(seconds(10)));
  CHECK(limit_at_rcpt("250-PIPELINING\n250 CHUNKING", true) == Duration(minutes(5)));
}
