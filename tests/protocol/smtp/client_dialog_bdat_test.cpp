// CHUNKING in the client dialog: what goes out before any reply, and what is known when it is lost.
#include "client_talk.hpp"

using namespace spoold;
using namespace spoold::smtp;

namespace {

const char* const chunking = "250-hello\n250-PIPELINING\n250 CHUNKING";

ClientDialog::Mail chunked(smtp::MessageId message, std::vector<std::string> addresses,
                           std::uint32_t window = 32) {
  auto m = mail(message, std::move(addresses), window);
  m.plan.chunked = true;
  m.size = 5;
  return m;
}

Talk greeted(std::vector<ClientDialog::Mail> mails, const char* ehlo = chunking) {
  Talk talk;
  talk.mails = std::move(mails);
  talk.dialog.received("220 hi\r\n");
  talk.pull();
  talk.dialog.received(crlf(ehlo));
  return talk;
}

}  // namespace

TEST_CASE("CHUNKING: whole transactions in one write, before any reply") {
  replay({chunked(1, {"a@y"}), chunked(2, {"b@y"}), chunked(3, {"c@y"})},
         {S("220 hi"), C("EHLO me"), S(chunking),
          C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nBDAT 5 LAST\n<1>\n"
            "RSET\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nBDAT 5 LAST\n<2>\n"
            "RSET\nMAIL FROM:<s@x>\nRCPT TO:<c@y>\nBDAT 5 LAST\n<3>"),
          S("250 ok\n250 ok\n250 queued"), S("250 ok"), S("250 ok\n250 ok\n250 queued"), S("250 ok\n250 ok"),
          S("550 no\n554 nobody"), C("QUIT"), S("221 bye")});
}

TEST_CASE("CHUNKING: LMTP, lock-step, no PIPELINING and hosts that are not trusted keep to DATA") {
  const Script by_data{S("220 hi"),
                       C("EHLO me"),
                       S(chunking),
                       C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"),
                       S("250 ok\n250 ok\n354 go"),
                       C("<1>\n."),
                       S("250 ok"),
                       C("QUIT"),
                       S("221 bye")};
  replay({mail(1, {"a@y"})}, by_data);
  replay({chunked(1, {"a@y"})}, by_data, {false, "me", ClientDialog::Pipelining::transaction, {}});
  auto unknown = chunked(1, {"a@y"});
  unknown.size = 0;
  replay({unknown}, by_data);
  Talk lock_step = greeted({chunked(1, {"a@y"}, 1)});
  CHECK(lock_step.pull() == crlf("MAIL FROM:<s@x>"));
  Talk apart = greeted({chunked(1, {"a@y"})}, "250-hello\n250 CHUNKING");
  CHECK(apart.pull() == crlf("MAIL FROM:<s@x>"));
  Talk lmtp(ClientDialog::Options{true, "me", ClientDialog::Pipelining::connection, {}});
  lmtp.mails = {chunked(1, {"a@y"})};
  lmtp.dialog.received("220 hi\r\n");
  lmtp.pull();
  lmtp.dialog.received(crlf(chunking));
  CHECK(lmtp.pull() == crlf("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nDATA"));
}

TEST_CASE("CHUNKING: to several recipients the content waits until each RCPT is answered") {
  replay({chunked(1, {"a@y", "b@y", "c@y"}, 2), chunked(2, {"d@y"})},
         {S("220 hi"), C("EHLO me"), S(chunking), C("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>"),
          S("250 ok\n250 ok"), C("RCPT TO:<c@y>"), S("550 no\n250 ok"),
          C("BDAT 5 LAST\n<1>\nMAIL FROM:<s@x>\nRCPT TO:<d@y>\nBDAT 5 LAST\n<2>"), S("250 queued"),
          S("250 ok\n250 ok\n250 queued"), C("QUIT"), S("221 bye")});
  Talk talk = greeted({chunked(1, {"a@y", "b@y"}), chunked(2, {"c@y"})});
  CHECK(talk.pull() == crlf("MAIL FROM:<s@x>\nRCPT TO:<a@y>\nRCPT TO:<b@y>"));
  talk.dialog.received("250 ok\r\n250 ok\r\n");
  CHECK(talk.pull().empty());  // b may yet be the one at whom the peer is slow
  talk.dialog.end(Drop::How::timeout);
  CHECK(!talk.dialog.take_open().front().dot_sent);
}

TEST_CASE("CHUNKING: a large content waits for an accepted recipient, and is not sent for nobody") {
  for (const bool accepted : {true, false}) {
    auto large = chunked(1, {"a@y"});
    large.size = 300'000;
    Talk talk = greeted({large, chunked(2, {"b@y"})});
    CHECK(talk.pull() == crlf("MAIL FROM:<s@x>\nRCPT TO:<a@y>"));
    talk.dialog.received(accepted ? "250 ok\r\n250 ok\r\n" : "250 ok\r\n550 no\r\n");
    if (accepted)
      CHECK(talk.pull() == crlf("BDAT 300000 LAST\n<1>\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nBDAT 5 LAST\n<2>"));
    else
      CHECK(talk.pull() == crlf("RSET\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nBDAT 5 LAST\n<2>"));
  }
}

TEST_CASE("CHUNKING: at most 32 transactions and 1 MiB of content in flight") {
  std::vector<ClientDialog::Mail> mails;
  for (smtp::MessageId m = 0; m < 40; ++m) mails.push_back(chunked(m, {"a@y"}));
  Talk talk = greeted(mails);
  talk.pull();
  CHECK(talk.next == 32);
  talk.dialog.received("250 ok\r\n250 ok\r\n250 queued\r\n");
  talk.pull();
  CHECK(talk.next == 33);
  for (auto& m : mails) m.size = 200'000;
  Talk bulky = greeted(mails);
  bulky.pull();
  CHECK(bulky.next == 6);
}

TEST_CASE("CHUNKING: BDAT refused for want of recipients is no evidence; refused as a command it is") {
  Talk nobody = greeted({chunked(1, {"a@y"}), chunked(2, {"b@y"})});
  nobody.pull();
  nobody.dialog.received("250 ok\r\n550 no\r\n503 nobody\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 queued\r\n");
  CHECK(!nobody.dialog.overlap_refused());
  CHECK(nobody.dialog.take_finished().size() == 2);
  for (const char* refusal : {"500 what\r\n", "502 not here\r\n", "503 not now\r\n"}) {
    Talk talk = greeted({chunked(1, {"a@y"}), chunked(2, {"b@y"})});
    talk.pull();
    talk.dialog.received("250 ok\r\n250 ok\r\n");
    talk.dialog.received(refusal);
    CHECK(talk.dialog.failed());
    CHECK(talk.dialog.overlap_refused());
    talk.dialog.end(Drop::How::closed);
    const auto open = talk.dialog.take_open();
    REQUIRE(open.size() == 2);
    CHECK(!open[0].dot_sent);  // the message was not refused: it goes again, by DATA
    // 503 may have been a matter of order, and the next BDAT is taken.
    CHECK(open[1].dot_sent == (std::string_view(refusal).starts_with("503")));
  }
}

TEST_CASE("CHUNKING: what the kernel did not take was not sent, at every octet") {
  const auto one = [](const char* name, int m) {
    return crlf(std::string("MAIL FROM:<s@x>\nRCPT TO:<") + name + "@y>\nBDAT 5 LAST\n<" + std::to_string(m) +
                ">");
  };
  const std::string whole = one("a", 1) + "RSET\r\n" + one("b", 2);
  const std::size_t content_1 = one("a", 1).size() - 5, content_2 = whole.size() - 5;
  for (std::size_t taken = 0; taken <= whole.size(); ++taken) {
    Talk talk = greeted({chunked(1, {"a@y"}), chunked(2, {"b@y"})});
    talk.stop_after = 0;
    REQUIRE(talk.pull() == whole);
    // Octets of contents that were taken in part count for nothing.
    const std::size_t contents = taken >= whole.size() ? 2 : taken >= content_1 + 5 ? 1 : 0;
    const std::size_t commands = taken <= content_1      ? taken
                                 : taken < content_1 + 5 ? content_1
                                 : taken <= content_2    ? taken - 5
                                 : taken < whole.size()  ? content_2 - 5
                                                         : content_2 - 5;
    talk.dialog.partly_written(commands, contents);
    talk.dialog.end(Drop::How::reset);
    const auto open = talk.dialog.take_open();
    REQUIRE(open.size() == 2);
    CHECK(open[0].mail_sent == (taken >= 17));
    CHECK(open[0].content_sent == (taken >= content_1));
    CHECK(open[0].dot_sent == (taken >= content_1 + 5));
    CHECK(open[1].content_sent == (taken >= content_2));
    CHECK(open[1].dot_sent == (taken == whole.size()));
  }
}

TEST_CASE("CHUNKING: with contents in flight the oldest unanswered command is the one that counts") {
  struct Case {
    const char* replies;
    Stage stage;
    std::size_t open;
  };
  for (const Case& c :
       {Case{"", Stage::mail, 3}, Case{"250 ok\r\n", Stage::rcpt, 3},
        Case{"250 ok\r\n250 ok\r\n", Stage::dot, 3}, Case{"250 ok\r\n250 ok\r\n250 ok\r\n", Stage::mail, 2},
        Case{"250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n", Stage::rcpt, 2}}) {
    Talk talk = greeted({chunked(1, {"a@y"}), chunked(2, {"b@y"}), chunked(3, {"c@y"})});
    talk.pull();
    talk.dialog.received(c.replies);
    talk.dialog.end(Drop::How::closed);
    CHECK(talk.dialog.drop().oldest == c.stage);
    CHECK(talk.dialog.take_open().size() == c.open);
  }
}

TEST_CASE(
    "BINARYMIME goes by BDAT behind the reply to each RCPT, in lock-step too, or is refused without asking") {
  const char* const binary = "250-hello\n250-PIPELINING\n250-CHUNKING\n250-8BITMIME\n250 BINARYMIME";
  auto one = mail(1, {"a@y"});
  one.size = 5;
  one.binary = one.eight_bit = true;
  auto trusted = one;
  trusted.plan.chunked = true;
  auto stepped = trusted;
  stepped.plan.window = 1;
  replay({one, mail(2, {"b@y"})},
         {S("220 hi"), C("EHLO me"), S(binary), C("MAIL FROM:<s@x> BODY=BINARYMIME\nRCPT TO:<a@y>"),
          S("250 ok"), S("250 ok"), C("BDAT 5 LAST\n<1>\nMAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"),
          S("250 queued\n250 ok\n250 ok\n354 go"), C("<2>\n."), S("250 queued"), C("QUIT"), S("221 bye")});
  replay({one}, {S("220 hi"), C("EHLO me"), S(binary), C("MAIL FROM:<s@x> BODY=BINARYMIME\nRCPT TO:<a@y>"),
                 S("250 ok\n550 no"), C("QUIT"), S("221 bye")});
  for (const auto& each : {stepped, one, trusted})
    replay({each}, {S("220 hi"), C("EHLO me"), S("250-hello\n250-CHUNKING\n250 BINARYMIME"),
                    C("MAIL FROM:<s@x> BODY=BINARYMIME"), S("250 ok"), C("RCPT TO:<a@y>"), S("250 ok"),
                    C("BDAT 5 LAST\n<1>"), S("250 queued"), C("QUIT"), S("221 bye")});
  replay({trusted}, {S("220 hi"), C("EHLO me"), S(binary),
                     C("MAIL FROM:<s@x> BODY=BINARYMIME\nRCPT TO:<a@y>\nBDAT 5 LAST\n<1>"),
                     S("250 ok\n250 ok\n250 queued"), C("QUIT"), S("221 bye")});
  const auto refused = [&](const char* ehlo, bool lmtp = false) {
    Talk talk(ClientDialog::Options{lmtp, "me", ClientDialog::Pipelining::connection, {}});
    talk.mails = {trusted, mail(2, {"b@y"})};
    talk.dialog.received("220 hi\r\n");
    talk.pull();
    talk.dialog.received(crlf(ehlo));
    CHECK(talk.pull().starts_with("MAIL FROM:<s@x>"));
    const auto finished = talk.dialog.take_finished();
    REQUIRE(finished.size() == 1);
    CHECK((finished[0].message == 1 && !finished[0].mail_sent));
    CHECK(finished[0].mail->enhanced == EnhancedStatus{5, 6, 3});
  };
  refused(chunking);
  refused("250-hello\n250-8BITMIME\n250 BINARYMIME");
  refused(binary, true);
}

TEST_CASE("REQUIRETLS goes with MAIL to a host that offers it, and is refused without asking for any other") {
  auto one = mail(1, {"a@y"});
  one.require_tls = true;
  const auto script = [&](const char* ehlo) {
    Talk talk = greeted({one, mail(2, {"b@y"})}, ehlo);
    const std::string said = talk.pull();
    const auto finished = talk.dialog.take_finished();
    if (!finished.empty()) CHECK(finished[0].mail->enhanced == EnhancedStatus{5, 7, 30});
    return said;
  };
  CHECK(script("250-hello\n250-PIPELINING\n250 REQUIRETLS") ==
        crlf("MAIL FROM:<s@x> REQUIRETLS\nRCPT TO:<a@y>\nDATA"));
  CHECK(script("250-hello\n250 PIPELINING") == crlf("MAIL FROM:<s@x>\nRCPT TO:<b@y>\nDATA"));
}
