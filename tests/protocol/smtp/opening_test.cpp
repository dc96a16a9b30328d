// STARTTLS and AUTH: what goes out, what is never said in plain text, and what is to blame at each step.
#include "protocol/smtp/opening.hpp"

#include <doctest/doctest.h>

#include "protocol/mail/base64.hpp"
#include "protocol/smtp/client_dialog.hpp"

using namespace spoold;
using namespace spoold::smtp;
using Use = TlsPlan::Use;

namespace {

struct Line {
  std::string heard;  // "TLS": the handshake is done; empty: nothing yet
  std::string said;   // what goes out then; "TLS": a handshake is wanted
};

ClientDialog::Options options(Use use, bool credentials = false, bool plain_auth = false) {
  ClientDialog::Options o;
  o.hostname = "me";
  o.tls.use = use;
  o.tls.policy = "required";
  o.tls.plain_auth = plain_auth;
  if (credentials) o.credentials = std::make_shared<const Credentials>(Credentials{"spoold", "secret", {}});
  return o;
}

std::string said_by(ClientDialog& dialog) {
  if (dialog.wants_handshake()) return "TLS";
  ClientDialog::Output out;
  if (!dialog.output(out, {})) return {};
  dialog.written();
  CHECK(out.commands.ends_with("\r\n"));
  return out.commands.substr(0, out.commands.size() - 2);
}

void hear(ClientDialog& dialog, const std::string& heard) {
  if (heard == "TLS") return dialog.secured();
  std::string bytes;
  for (const char c : heard) bytes += c == '\n' ? std::string("\r\n") : std::string(1, c);
  dialog.received(bytes + "\r\n");
}

struct Ended {
  Stage stage;
  Reply reply;
  std::string text;
};

// The whole script, then cut before each line: the stage is that of what was waited for.
Ended run(const std::vector<Line>& script, const ClientDialog::Options& o,
          const std::vector<Stage>& stages = {}) {
  for (std::size_t cut = 0; cut < stages.size(); ++cut) {
    CAPTURE(cut);
    ClientDialog dialog(o);
    for (std::size_t i = 0; i < cut; ++i) {
      if (!script[i].heard.empty()) hear(dialog, script[i].heard);
      (void)said_by(dialog);
    }
    CHECK(!dialog.established());
    dialog.end(Drop::How::closed);
    CHECK(dialog.drop().oldest == stages[cut]);
    CHECK(!dialog.drop().text.empty());
    CHECK(dialog.take_open().empty());
  }
  ClientDialog dialog(o);
  for (std::size_t i = 0; i < script.size(); ++i) {
    CAPTURE(i);
    if (!script[i].heard.empty()) hear(dialog, script[i].heard);
    CHECK(said_by(dialog) == script[i].said);
  }
  if (dialog.established()) return {Stage::none, {}, {}};
  CHECK(dialog.failed());
  dialog.end(Drop::How::closed);
  return {dialog.drop().oldest, dialog.drop().reply, dialog.drop().text};
}

const std::string offer = "250-hello\n250-PIPELINING\n250 STARTTLS";
const std::string plain_offer = "250 hello";
const std::string auth_offer = "250-hello\n250 AUTH LOGIN PLAIN XOAUTH2";
const std::string login_offer = "250-hello\n250 AUTH LOGIN";

}  // namespace

TEST_CASE("STARTTLS, and EHLO anew; cut at each step the stage is known") {
  const std::vector<Line> script{{"220 hi", "EHLO me"},
                                 {offer, "STARTTLS"},
                                 {"220 go", "TLS"},
                                 {"TLS", "EHLO me"},
                                 {"250-hello\n250 SIZE 100", ""}};
  for (const Use use : {Use::offered, Use::must})
    CHECK(run(script, options(use),
              {Stage::greeting, Stage::ehlo, Stage::starttls, Stage::starttls, Stage::ehlo})
              .stage == Stage::none);
}

TEST_CASE("what was offered before TLS is forgotten") {
  ClientDialog dialog(options(Use::offered));
  hear(dialog, "220 hi");
  said_by(dialog);
  hear(dialog, offer);
  CHECK(dialog.offered().pipelining);
  said_by(dialog);
  hear(dialog, "220 go");
  dialog.secured();
  CHECK(!dialog.offered().pipelining);
  said_by(dialog);
  hear(dialog, "250-hello\n250 STARTTLS");  // offered again: not taken again
  CHECK(dialog.established());
  CHECK(!dialog.offered().pipelining);
}

TEST_CASE("no TLS asked for: STARTTLS is passed over") {
  CHECK(run({{"220 hi", "EHLO me"}, {offer, ""}}, options(Use::never)).stage == Stage::none);
}

TEST_CASE("STARTTLS not offered, or refused: plain text where that is allowed, else a fault of the host") {
  CHECK(run({{"220 hi", "EHLO me"}, {plain_offer, ""}}, options(Use::offered)).stage == Stage::none);
  CHECK(run({{"220 hi", "EHLO me"}, {offer, "STARTTLS"}, {"454 4.7.0 not now", ""}}, options(Use::offered))
            .stage == Stage::none);
  Ended ended = run({{"220 hi", "EHLO me"}, {plain_offer, ""}}, options(Use::must));
  CHECK(ended.stage == Stage::starttls);
  CHECK(ended.text == "STARTTLS is not offered, and the policy is \"required\"");
  ended = run({{"220 hi", "EHLO me"}, {"502 what", "HELO me"}, {"250 hi", ""}}, options(Use::must));
  CHECK(ended.stage == Stage::starttls);
  ended = run({{"220 hi", "EHLO me"}, {offer, "STARTTLS"}, {"454 4.7.0 not now", ""}}, options(Use::must));
  CHECK(ended.stage == Stage::starttls);
  CHECK(ended.reply.oneline() == "454 4.7.0 not now");
}

TEST_CASE("octets behind the 220 are an injection") {
  for (const char* more : {"250 injected\r\n", "2", "\r\n", "\x16\x03\x01"}) {
    CAPTURE(more);
    ClientDialog dialog(options(Use::offered));
    hear(dialog, "220 hi");
    said_by(dialog);
    hear(dialog, offer);
    CHECK(said_by(dialog) == "STARTTLS");
    dialog.received(std::string("220 go\r\n") + more);
    CHECK(dialog.failed());
    CHECK(!dialog.wants_handshake());
    CHECK(dialog.tls_broke());
    dialog.end(Drop::How::closed);
    CHECK(dialog.drop().oldest == Stage::starttls);
    CHECK(dialog.drop().text.find("octets behind the reply to STARTTLS") != std::string::npos);
  }
}

TEST_CASE("a handshake that failed says why, and is at STARTTLS") {
  ClientDialog dialog(options(Use::must));
  hear(dialog, "220 hi");
  said_by(dialog);
  hear(dialog, offer);
  said_by(dialog);
  hear(dialog, "220 go");
  dialog.handshake_failed("TLS handshake failed: certificate has expired");
  CHECK(dialog.tls_broke());
  dialog.end(Drop::How::closed);
  CHECK(dialog.drop().oldest == Stage::starttls);
  CHECK(dialog.drop().text == "TLS handshake failed: certificate has expired");
}

TEST_CASE("TLS is broken when nothing is said under it, but not when the host says 421") {
  for (const bool says_421 : {false, true}) {
    ClientDialog dialog(options(Use::offered));
    hear(dialog, "220 hi");
    said_by(dialog);
    hear(dialog, offer);
    said_by(dialog);
    if (!says_421) {
      hear(dialog, "220 go");
      dialog.secured();
      said_by(dialog);
    } else {
      hear(dialog, "421 busy");
    }
    dialog.end(Drop::How::closed);
    CHECK(dialog.tls_broke() == !says_421);
  }
}

TEST_CASE("a host takes no mail when its greeting is 521 (RFC 7504), and by no other word") {
  const auto takes_no_mail = [](const std::vector<std::string>& heard) {
    ClientDialog dialog(options(Use::never));
    for (const std::string& line : heard) {
      hear(dialog, line);
      said_by(dialog);
    }
    dialog.end(Drop::How::closed);
    return dialog.takes_no_mail();
  };
  CHECK(takes_no_mail({"521 no mail here"}));
  CHECK(takes_no_mail({"521-5.3.2 no mail\n521 5.3.2 here"}));
  CHECK_FALSE(takes_no_mail({"554 5.3.2 no mail here"}));
  CHECK_FALSE(takes_no_mail({"421 4.3.2 not now"}));
  CHECK_FALSE(takes_no_mail({}));
  CHECK_FALSE(takes_no_mail({"220 hi", "521 no mail", "521 no mail"}));
}

TEST_CASE("smtps: TLS first, then the greeting") {
  ClientDialog::Options o = options(Use::must);
  o.tls.implicit = true;
  CHECK(run({{"", "TLS"}, {"TLS", ""}, {"220 hi", "EHLO me"}, {offer, ""}}, o,
            {Stage::starttls, Stage::starttls, Stage::greeting, Stage::ehlo})
            .stage == Stage::none);
}

TEST_CASE("AUTH PLAIN where it is offered, else LOGIN") {
  CHECK(run({{"220 hi", "EHLO me"}, {auth_offer, "AUTH PLAIN AHNwb29sZABzZWNyZXQ="}, {"235 2.7.0 ok", ""}},
            options(Use::never, true, true), {Stage::greeting, Stage::ehlo, Stage::auth})
            .stage == Stage::none);
  CHECK(run({{"220 hi", "EHLO me"},
             {login_offer, "AUTH LOGIN"},
             {"334 VXNlcm5hbWU6", "c3Bvb2xk"},
             {"334 UGFzc3dvcmQ6", "c2VjcmV0"},
             {"235 2.7.0 ok", ""}},
            options(Use::never, true, true),
            {Stage::greeting, Stage::ehlo, Stage::auth, Stage::auth, Stage::auth})
            .stage == Stage::none);
}

TEST_CASE("AUTH PLAIN: a response that makes the line too long waits to be asked for (RFC 4954 4)") {
  // With AUTH PLAIN and CRLF 509 and 513 octets.
  for (const std::size_t octets : {363u, 366u}) {
    CAPTURE(octets);
    ClientDialog::Options o = options(Use::never, true, true);
    const std::string password(octets, 'x');
    o.credentials = std::make_shared<const Credentials>(Credentials{"spoold", password, {}});
    const std::string response = mail::base64_encode(std::string("\0spoold\0", 8) + password);
    if (octets == 363)
      CHECK(run({{"220 hi", "EHLO me"}, {auth_offer, "AUTH PLAIN " + response}, {"235 2.7.0 ok", ""}}, o,
                {Stage::greeting, Stage::ehlo, Stage::auth})
                .stage == Stage::none);
    else
      CHECK(run({{"220 hi", "EHLO me"}, {auth_offer, "AUTH PLAIN"}, {"334", response}, {"235 2.7.0 ok", ""}},
                o, {Stage::greeting, Stage::ehlo, Stage::auth, Stage::auth})
                .stage == Stage::none);
  }
}

TEST_CASE("logged in, each MAIL says AUTH=<> (RFC 4954 5); else none does") {
  for (const bool credentials : {true, false}) {
    CAPTURE(credentials);
    ClientDialog dialog(options(Use::never, credentials, true));
    hear(dialog, "220 hi");
    (void)said_by(dialog);
    hear(dialog, auth_offer);
    if (credentials) {
      (void)said_by(dialog);
      hear(dialog, "235 2.7.0 ok");
    }
    REQUIRE(dialog.established());
    ClientDialog::Mail mail;
    mail.plan.message = 1;
    mail.plan.recipients = {0};
    mail.sender = "a@b.example";
    mail.addresses = {"c@d.example"};
    mail.size = 10;
    dialog.begin(std::move(mail));
    ClientDialog::Output out;
    REQUIRE(dialog.output(out, {}));
    CHECK(out.commands.find(credentials ? "MAIL FROM:<a@b.example> AUTH=<>\r\n"
                                        : "MAIL FROM:<a@b.example>\r\n") != std::string::npos);
  }
}

TEST_CASE("a refused password is a fault of the host at AUTH, in its words") {
  for (const char* words : {"535 5.7.8 no", "454 4.7.0 later", "504 5.5.4 what"}) {
    const Ended ended =
        run({{"220 hi", "EHLO me"}, {auth_offer, "AUTH PLAIN AHNwb29sZABzZWNyZXQ="}, {words, ""}},
            options(Use::never, true, true));
    CHECK(ended.stage == Stage::auth);
    CHECK(ended.reply.oneline() == words);
  }
  const Ended ended = run({{"220 hi", "EHLO me"}, {plain_offer, ""}}, options(Use::never, true, true));
  CHECK(ended.stage == Stage::auth);
  CHECK(ended.text == "a username is configured, but neither AUTH PLAIN nor AUTH LOGIN is offered");
}

TEST_CASE("a server that asks on and on never hears more than the password once") {
  for (const std::string& kind : {auth_offer, login_offer}) {
    ClientDialog dialog(options(Use::never, true, true));
    hear(dialog, "220 hi");
    said_by(dialog);
    hear(dialog, kind);
    std::string all = said_by(dialog);
    for (int i = 0; i < 5 && !dialog.failed(); ++i) {
      hear(dialog, "334 more");
      all += "\n" + said_by(dialog);
    }
    CHECK(dialog.failed());
    CHECK(all.find("c2VjcmV0", all.find("c2VjcmV0") + 1) == std::string::npos);
  }
}

TEST_CASE("the password is not said in plain text") {
  for (const std::string& first : {auth_offer, std::string("250-hello\n250-AUTH PLAIN\n250 STARTTLS")}) {
    ClientDialog dialog(options(Use::offered, true));
    hear(dialog, "220 hi");
    said_by(dialog);
    hear(dialog, first);
    if (said_by(dialog) == "STARTTLS") hear(dialog, "502 no");
    CHECK(dialog.failed());
    dialog.end(Drop::How::closed);
    CHECK(dialog.drop().oldest == Stage::auth);
    CHECK(dialog.drop().text == "the password is not sent without TLS");
  }
  CHECK(run({{"220 hi", "EHLO me"},
             {"250-hello\n250-AUTH PLAIN\n250 STARTTLS", "STARTTLS"},
             {"220 go", "TLS"},
             {"TLS", "EHLO me"},
             {auth_offer, "AUTH PLAIN AHNwb29sZABzZWNyZXQ="},
             {"235 ok", ""}},
            options(Use::must, true))
            .stage == Stage::none);
}
