// Scripts, replayed with the connection closed before every step, and in the middle of writes.
#include "client_talk.hpp"

using namespace spoold;
using namespace spoold::smtp;

TEST_CASE("one message, pipelined") {
  replay({mail(7, {"a@y", "b@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>\nDATA"),
          S("250 ok"), S("250 ok"), S("550 5.1.1 no"), S("354 go"), C("<7>\n."), S("250 queued"), C("QUIT"),
          S("221 bye")});
}

TEST_CASE("without PIPELINING one command at a time") {
  replay({mail(7, {"a@y", "b@y"})},
         {S("220 hi"), C("EHLO me"), S("250 hello"), C("MAIL FROM:<s@x>"), S("250 ok"), C("RCPT TO:<a@y>"),
          S("250 ok"), C("RCPT TO:<b@y>"), S("450 later"), C("DATA"), S("354 go"), C("<7>\n."),
          S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("window 1 is lock-step also where PIPELINING is offered") {
  replay({mail(7, {"a@y", "b@y"}, 1)},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>"), S("250 ok"), C("RCPT TO:<a@y>"),
          S("250 ok"), C("RCPT TO:<b@y>"), S("250 ok"), C("DATA"), S("354 go"), C("<7>\n."), S("250 queued"),
          C("QUIT"), S("221 bye")});
}

TEST_CASE("a window of 2 for 4 recipients") {
  replay({mail(7, {"a@y", "b@y", "c@y", "d@y"}, 2)},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>"),
          S("250 ok"), S("250 ok"), C("RCPT TO:<c@y>"), S("250 ok\n250 ok"), C("RCPT TO:<d@y>\nDATA"),
          S("250 ok\n354 go"), C("<7>\n."), S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("the dot of one message goes out with MAIL, RCPT and DATA of the next") {
  replay({mail(1, {"a@y"}), mail(2, {"b@y"}), mail(3, {"c@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"),
          S("250 ok\n250 ok\n354 go"), C("<1>\n.\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"), S("250 queued"),
          S("250 ok"), S("250 ok"), S("354 go"), C("<2>\n.\nMAIL FROM:<s@x>\nRCPT TO:<c@y>\nDATA"),
          S("250 queued\n250 ok\n250 ok\n354 go"), C("<3>\n."), S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("overlap only where it is wanted") {
  const Script apart{S("220 hi"),
                     C("EHLO me"),
                     S(offers),
                     C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"),
                     S("250 ok\n250 ok\n354 go"),
                     C("<1>\n."),
                     S("250 queued"),
                     C("MAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"),
                     S("250 ok\n250 ok\n354 go"),
                     C("<2>\n."),
                     S("250 queued"),
                     C("QUIT"),
                     S("221 bye")};
  auto second = mail(2, {"b@y"});
  second.plan.overlap = false;
  replay({mail(1, {"a@y"}), second}, apart);
  replay({mail(1, {"a@y"}), mail(2, {"b@y"})}, apart,
         {false, "me", ClientDialog::Pipelining::transaction, {}});
}

TEST_CASE("every RCPT refused and DATA still answered 354: a lone dot") {
  replay({mail(1, {"a@y"}), mail(2, {"b@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"),
          S("250 ok\n550 no\n354 go"), C(".\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"),
          S("554 no valid recipients\n250 ok\n250 ok\n354 go"), C("<2>\n."), S("250 queued"), C("QUIT"),
          S("221 bye")});
}

TEST_CASE("every RCPT refused, known before DATA: no DATA, and RSET before the next MAIL") {
  replay({mail(1, {"a@y"}, 1), mail(2, {"b@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>"), S("250 ok"), C("RCPT TO:<a@y>"),
          S("550 no"), C("RSET\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"),
          S("250 reset\n250 ok\n250 ok\n354 go"), C("<2>\n."), S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("MAIL refused, in lock-step and with everything else in flight") {
  replay({mail(1, {"a@y"}, 1)},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>"), S("550 no"), C("QUIT"), S("221 bye")});
  replay({mail(1, {"a@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"), S("550 no"),
          S("503 mail first"), S("503 rcpt first"), C("QUIT"), S("221 bye")});
  // a server that takes DATA nevertheless gets nothing of the message
  replay({mail(1, {"a@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"), S("550 no"),
          S("250 ok"), S("354 go"), C("."), S("250 ok"), C("QUIT"), S("221 bye")});
}

TEST_CASE("DATA refused: RSET before the next MAIL") {
  replay({mail(1, {"a@y"}), mail(2, {"b@y"})},
         {S("220 hi"), C("EHLO me"), S(offers), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"),
          S("250 ok\n250 ok\n451 not now"), C("RSET\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"),
          S("250 ok\n250 ok\n250 ok\n354 go"), C("<2>\n."), S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("EHLO refused: HELO, and nothing is assumed of the server") {
  auto m = mail(1, {"a@y"});
  m.size = 10;
  m.eight_bit = true;
  replay({m}, {S("220 hi"), C("EHLO me"), S("502 what"), C("HELO me"), S("250 hi"), C("MAIL FROM:<s@x>"),
               S("250 ok"), C("RCPT TO:<a@y>"), S("250 ok"), C("DATA"), S("354 go"), C("<1>\n."),
               S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("SIZE, BODY and SMTPUTF8 only where offered") {
  auto m = mail(1, {"j\xc3\xb6rg@y"});
  m.size = 10;
  m.eight_bit = true;
  replay({m}, {S("220 hi"), C("EHLO me"), S("250-hello\n250-SIZE\n250-8BITMIME\n250 SMTPUTF8"),
               C("MAIL FROM:<s@x> SIZE=10 BODY=8BITMIME SMTPUTF8"), S("250 ok"), C("RCPT TO:<j\xc3\xb6rg@y>"),
               S("250 ok"), C("DATA"), S("354 go"), C("<1>\n."), S("250 queued"), C("QUIT"), S("221 bye")});
}

TEST_CASE("DSN: what was asked goes on to a host that offers it, and to no other") {
  ClientDialog::Mail m = mail(7, {"a@y", "b@y"});
  m.dsn = {Ret::full, "id+2B1"};
  m.requests = {{notify_success | notify_failure, "rfc822;A@y"}, {}};
  const auto rest = [](Script script) {
    for (const Step& step :
         {S("250 ok\n250 ok\n250 ok\n354 go"), C("<7>\n."), S("250 done"), C("QUIT"), S("221 bye")})
      script.push_back(step);
    return script;
  };
  replay({m}, rest({S("220 hi"), C("EHLO me"), S("250-hello\n250-PIPELINING\n250 DSN"),
                    C("MAIL FROM:<s@x> RET=FULL ENVID=id+2B1\n"
                      "RCPT TO:<a@y> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@y\nRCPT TO:<b@y>\nDATA")}));
  replay({m}, rest({S("220 hi"), C("EHLO me"), S("250-hello\n250 PIPELINING"),
                    C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>\nDATA")}));
  m.dsn = {Ret::headers, "QID"};
  m.requests.clear();
  m.list_copies = true;
  replay({m}, rest({S("220 hi"), C("EHLO me"), S("250-hello\n250-PIPELINING\n250 DSN"),
                    C("MAIL FROM:<s@x> RET=HDRS ENVID=QID\nRCPT TO:<a@y> NOTIFY=FAILURE ORCPT=rfc822;a@y\n"
                      "RCPT TO:<b@y> NOTIFY=FAILURE ORCPT=rfc822;b@y\nDATA")}));
}

TEST_CASE("an address that needs SMTPUTF8 is refused without asking, the others are sent") {
  Talk talk;
  talk.mails = {mail(1, {"j\xc3\xb6rg@y", "b@y"}), mail(2, {"j\xc3\xb6rg@y"})};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  CHECK(talk.pull() == crlf("MAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"));
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  CHECK(talk.pull() == crlf("<1>\n."));  // of message 2 nobody is left, so there is no MAIL
  talk.dialog.received("250 queued\r\n");
  const auto finished = talk.dialog.take_finished();
  REQUIRE(finished.size() == 2);
  CHECK(finished[0].rcpt[0]->enhanced == EnhancedStatus{5, 6, 7});
  CHECK(finished[0].rcpt[1]->code == 250);
  CHECK(finished[1].rcpt[0]->enhanced == EnhancedStatus{5, 6, 7});
  CHECK(!finished[1].mail_sent);
  CHECK(talk.pull() == "QUIT\r\n");
}

TEST_CASE(
    "a message whose header needs SMTPUTF8 goes with it, or is refused without asking; the next one is "
    "sent") {
  const auto script = [](const char* offers, const char* mails) {
    auto one = mail(1, {"a@y"}), two = mail(2, {"b@y"});
    one.utf8 = true;
    Talk talk;
    talk.mails = {one, two};
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(offers));
    CHECK(talk.pull() == crlf(mails));
    return talk.dialog.take_finished();
  };
  const auto refused = script("250-hello\n250 PIPELINING", "MAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA");
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].message == 1);
  CHECK(refused[0].mail->enhanced == EnhancedStatus{5, 6, 7});
  CHECK(!refused[0].mail_sent);
  CHECK(script("250-hello\n250-PIPELINING\n250 SMTPUTF8", "MAIL FROM:<s@x> SMTPUTF8\nRCPT TO:<a@y>\nDATA")
            .empty());
}

TEST_CASE("a message that its owner refused for this host is not sent; those around it are") {
  Talk talk;
  talk.mails = {mail(1, {"a@y"}), mail(2, {"a@y", "b@y"}), mail(3, {"c@y"})};
  talk.mails[1].refused = Reply{554, {5, 6, 3}, "cannot be converted"};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  CHECK(talk.pull() == crlf("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"));
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  std::string out = talk.pull();
  talk.dialog.received("250 queued\r\n");
  out += talk.pull();
  CHECK(out == crlf("<1>\n.\nMAIL FROM:<s@x>\nRCPT TO:<c@y>\nDATA"));
  const auto finished = talk.dialog.take_finished();
  REQUIRE(finished.size() == 2);
  CHECK(finished[1].message == 2);
  CHECK(finished[1].recipients.size() == 2);
  CHECK(finished[1].mail->enhanced == EnhancedStatus{5, 6, 3});
  CHECK(!finished[1].mail_sent);
}

TEST_CASE("a message over the host's SIZE is refused without asking") {
  Talk talk;
  talk.mails = {mail(1, {"a@y"})};
  talk.mails[0].size = 1001;
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  CHECK(talk.pull() == "QUIT\r\n");
  const auto finished = talk.dialog.take_finished();
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].mail->enhanced == EnhancedStatus{5, 3, 4});
}

TEST_CASE("LMTP answers the end of data once for each accepted recipient") {
  const ClientDialog::Options lmtp{true, "me", ClientDialog::Pipelining::connection, {}};
  const std::vector<ClientDialog::Mail> mails{mail(1, {"a@y", "b@y", "c@y"}), mail(2, {"a@y"})};
  replay(mails,
         {S("220 hi"), C("LHLO me"), S(offers),
          C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>\nRCPT TO:<c@y>\nDATA"),
          S("250 ok\n250 ok\n550 no\n250 ok\n354 go"), C("<1>\n.\nMAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"),
          S("250 stored"), S("452 full"), S("250 ok\n250 ok\n354 go"), C("<2>\n."), S("250 stored"),
          C("QUIT"), S("221 bye")},
         lmtp);
  Talk talk(lmtp);
  talk.mails = mails;
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  talk.pull();
  talk.dialog.received("250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n");
  talk.pull();
  talk.dialog.received("250 stored\r\n");
  talk.dialog.end(Drop::How::closed);
  CHECK(talk.dialog.drop().oldest == Stage::dot);
  const auto open = talk.dialog.take_open();
  REQUIRE(open.size() == 2);
  REQUIRE(open[0].dot.size() == 2);
  CHECK(open[0].dot[0]->code == 250);
  CHECK(!open[0].dot[1].has_value());
}

TEST_CASE("a withdrawn recipient is not sent; with nobody left there is no MAIL, or RSET follows") {
  Talk talk;
  talk.mails = {mail(1, {"a@y", "b@y"}), mail(2, {"a@y"})};
  talk.withdrawn = {0};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  CHECK(talk.pull() == crlf("MAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"));
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  CHECK(talk.pull() == crlf("<1>\n."));
  talk.dialog.received("250 queued\r\n");
  const auto finished = talk.dialog.take_finished();
  REQUIRE(finished.size() == 2);
  CHECK(finished[0].skipped == std::vector<std::uint32_t>{0});
  CHECK(finished[1].skipped == std::vector<std::uint32_t>{0});
  CHECK(!finished[1].mail_sent);

  Talk step;
  step.mails = {mail(1, {"a@y"}, 1), mail(2, {"x@y"}, 1)};
  step.dialog.received("220 hi\r\n");
  step.pull();
  step.dialog.received(crlf(offers));
  CHECK(step.pull() == "MAIL FROM:<s@x>\r\n");
  step.withdrawn = {0};
  step.dialog.received("250 ok\r\n");
  CHECK(step.pull() == "RSET\r\n");
}

TEST_CASE("who was to answer when the connection closed: the oldest unanswered command") {
  struct Case {
    const char* replies;
    Stage stage;
    const char* text;
  };
  for (const Case& c :
       {Case{"", Stage::mail, "connection closed while waiting for the reply to MAIL FROM"},
        Case{"250 ok\r\n", Stage::rcpt, "connection closed while waiting for the reply to RCPT TO"},
        Case{"250 ok\r\n250 ok\r\n550 no\r\n", Stage::data,
             "connection closed while waiting for the reply to DATA"},
        Case{"250 ok\r\n25", Stage::rcpt, "connection closed while waiting for the reply to RCPT TO"},
        Case{"250 ok\r\n421 4.3.2 going down\r\n", Stage::rcpt,
             "the peer ended the connection in reply to RCPT TO: 421 4.3.2 going down"}}) {
    Talk talk;
    talk.mails = {mail(1, {"a@y", "b@y"})};
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(offers));
    talk.pull();
    talk.dialog.received(c.replies);
    talk.pull();
    talk.dialog.end(Drop::How::closed);
    CHECK(talk.dialog.drop().oldest == c.stage);
    CHECK(talk.dialog.drop().text == c.text);
  }
}

TEST_CASE(
    "the first line of a refusal is that recipient's verdict when the connection ends before the last") {
  for (const char* begun : {"550-5.1.1 no such user\r\n", "550-5.1.1 no such user\r\n550"}) {
    Talk talk;
    talk.mails = {mail(1, {"a@y", "b@y"})};
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(offers));
    talk.pull();
    talk.dialog.received("250 ok\r\n");
    talk.dialog.received(begun);
    talk.dialog.end(Drop::How::closed);
    CHECK(talk.dialog.drop().oldest == Stage::rcpt);
    const auto open = talk.dialog.take_open();
    REQUIRE(open.size() == 1);
    REQUIRE(open[0].rcpt[0].has_value());
    CHECK(open[0].rcpt[0]->code == 550);
    CHECK(open[0].rcpt[0]->enhanced == EnhancedStatus{5, 1, 1});
    CHECK(!open[0].rcpt[1].has_value());
  }
}

TEST_CASE("421 ends everything; only as the answer to a content it is that content's answer") {
  Talk talk;
  talk.mails = {mail(1, {"a@y"}), mail(2, {"b@y"})};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  talk.pull();
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  talk.pull();
  talk.dialog.received("421 4.3.2 no more\r\n250 ok\r\n");
  CHECK(talk.dialog.failed());
  CHECK(talk.pull().empty());
  talk.dialog.end(Drop::How::closed);
  CHECK(talk.dialog.drop().how == Drop::How::reply_421);
  CHECK(talk.dialog.drop().oldest == Stage::mail);
  const auto finished = talk.dialog.take_finished();
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].dot[0]->code == 421);
  CHECK(talk.dialog.take_open().size() == 1);
}

TEST_CASE("what the kernel did not take was not sent") {
  // The write "MAIL, RCPT a, RCPT b, DATA" is broken at every octet.
  const std::string whole = crlf("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>\nDATA");
  for (std::size_t taken = 0; taken < whole.size(); ++taken) {
    Talk talk;
    talk.mails = {mail(1, {"a@y", "b@y"})};
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(offers));
    talk.stop_after = 0;
    REQUIRE(talk.pull() == whole);
    talk.dialog.partly_written(taken, 0);
    talk.dialog.end(Drop::How::reset);
    const auto open = talk.dialog.take_open();
    REQUIRE(open.size() == 1);
    CHECK(open[0].mail_sent == (taken >= 17));
    CHECK(open[0].rcpts_sent == (taken >= 47 ? 2u : taken >= 32 ? 1u : 0u));
    CHECK(!open[0].data_sent);
    CHECK(talk.dialog.drop().oldest == (taken >= 17 ? Stage::mail : Stage::none));
  }
}

TEST_CASE("a content is in doubt only when its dot was sent") {
  for (const bool all : {false, true}) {
    Talk talk;
    talk.mails = {mail(1, {"a@y"}), mail(2, {"b@y"})};
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(offers));
    talk.pull();
    talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
    talk.stop_after = 0;
    talk.pull();
    talk.dialog.partly_written(all ? 10 : 0, all ? 1 : 0);
    talk.dialog.end(Drop::How::reset);
    const auto open = talk.dialog.take_open();
    REQUIRE(open.size() == 2);
    CHECK(open[0].content_sent);
    CHECK(open[0].dot_sent == all);
    CHECK(!open[1].mail_sent);
    CHECK(talk.dialog.drop().oldest == (all ? Stage::dot : Stage::content));
  }
}

TEST_CASE("250 to a content that the kernel has not taken whole is no delivery, a refusal is one") {
  for (const char* reply : {"250 thank you, that was enough\r\n", "552 too large\r\n"}) {
    for (const bool all : {false, true}) {
      CAPTURE(reply);
      CAPTURE(all);
      Talk talk;
      talk.mails = {mail(1, {"a@y"}), mail(2, {"b@y"})};
      talk.dialog.received("220 hi\r\n");
      talk.pull();
      talk.dialog.received(crlf(offers));
      talk.pull();
      talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
      talk.stop_after = 0;
      talk.pull();
      talk.dialog.partly_written(0, all ? 1 : 0);
      talk.dialog.received(reply);
      const bool believed = all || reply[0] == '5';
      CHECK(talk.dialog.failed() != believed);
      const auto finished = talk.dialog.take_finished();
      CHECK(finished.size() == (believed ? 1u : 0u));
      talk.dialog.end(Drop::How::closed);
      const auto open = talk.dialog.take_open();
      if (believed) continue;
      CHECK(talk.dialog.drop().how == Drop::How::garbage);
      CHECK(talk.dialog.drop().text ==
            "protocol error while sending the content: reply before the whole of it was sent: " +
                std::string(reply, std::string_view(reply).size() - 2));
      REQUIRE(open.size() == 2);
      CHECK(open[0].dot_sent);  // in doubt: who knows what it keeps
      CHECK(!open[0].dot.front());
      CHECK(!open[1].mail_sent);
    }
  }
}

TEST_CASE("what a peer says is cut: a reply, and the words of a drop") {
  Talk talk;
  talk.mails = {mail(1, {"a@y", "b@y"})};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  talk.pull();
  const std::string words(3000, 'x');
  talk.dialog.received("250 ok\r\n550-" + words + "\r\n550 " + words + "\r\n421 " + words + "\r\n");
  talk.dialog.end(Drop::How::closed);
  CHECK(talk.dialog.take_open().front().rcpt[0]->text.size() == 1000);
  CHECK(talk.dialog.drop().reply.text.size() == 1000);
  CHECK(talk.dialog.drop().text.size() < 1100);
  Talk early;
  early.dialog.received("554-" + words + "\r\n554 " + words + "\r\n");
  early.dialog.end(Drop::How::closed);
  CHECK(early.dialog.drop().text.size() < 1100);
}

TEST_CASE("refusals behind a content turn the overlap off") {
  Talk talk;
  talk.mails = {mail(1, {"a@y"}), mail(2, {"b@y"}), mail(3, {"c@y"})};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  talk.pull();
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  talk.pull();
  talk.dialog.received("250 queued\r\n503 bad sequence\r\n503 no\r\n503 no\r\n");
  CHECK(talk.dialog.overlap_refused());
  talk.pull();
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  CHECK(talk.pull() == crlf("<3>\n."));
}

TEST_CASE("garbage, replies nobody asked for and numbers out of order end the connection") {
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n", "354 go\r\n"}) {
    Talk talk;
    talk.dialog.received(bytes);
    CHECK(talk.dialog.failed());
    talk.dialog.end(Drop::How::closed);
    CHECK(talk.dialog.drop().oldest == Stage::greeting);
    CHECK(talk.dialog.drop().how == Drop::How::garbage);
  }
  Talk talk;
  talk.quit_at_end = false;
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(offers));
  talk.dialog.received("421 4.4.2 idle too long\r\n");
  talk.dialog.end(Drop::How::closed);
  CHECK(talk.dialog.drop().how == Drop::How::reply_421);
  CHECK(talk.dialog.drop().oldest == Stage::none);
}

TEST_CASE("LIMITS MAILMAX ends the connection in order") {
  Talk talk;
  talk.quit_at_end = false;
  talk.mails = {mail(1, {"a@y"}), mail(2, {"b@y"})};
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf("250-hello\n250-PIPELINING\n250 LIMITS RCPTMAX=20 MAILMAX=1"));
  talk.pull();
  talk.dialog.received("250 ok\r\n250 ok\r\n354 go\r\n");
  CHECK(talk.pull() == crlf("<1>\n."));
  talk.dialog.received("250 queued\r\n");
  CHECK(talk.pull() == "QUIT\r\n");
  talk.dialog.end(Drop::How::closed);
  CHECK(talk.dialog.left_in_order());
  CHECK(talk.next == 1);
}

TEST_CASE("rejects_allowed used up: no further RCPT, and DATA only when somebody was accepted") {
  for (const bool accepted : {false, true}) {
    Talk talk;
    talk.mails = {mail(1, {"a@y", "b@y", "c@y", "d@y"}, 1)};
    talk.mails[0].plan.rejects_allowed = 2;
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(offers));
    talk.pull();
    talk.dialog.received("250 ok\r\n");
    talk.pull();
    talk.dialog.received(accepted ? "250 ok\r\n" : "550 no\r\n");
    talk.pull();
    talk.dialog.received("550 no\r\n");
    if (accepted) {
      CHECK(talk.pull() == "RCPT TO:<c@y>\r\n");
      talk.dialog.received("550 no\r\n");
      CHECK(talk.pull() == "DATA\r\n");
    } else {
      CHECK(talk.pull() == "QUIT\r\n");
      const auto finished = talk.dialog.take_finished();
      REQUIRE(finished.size() == 1);
      CHECK(finished[0].rcpts_sent == 2);
    }
  }
}
