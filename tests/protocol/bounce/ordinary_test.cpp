// Mail that is no bounce names nobody, however much it looks like one or quotes one.
#include <doctest/doctest.h>

#include <string>

#include "protocol/bounce/scan.hpp"

using namespace spoold;

namespace {

const std::string postfix_text =
    "This is the mail system at host mx.example.net.\n\nI'm sorry to have to inform you that your message "
    "could not\n"
    "be delivered to one or more recipients. It's attached below.\n\n                   The mail system\n\n"
    "<dirk@south.example>: host mx.south.example[192.0.2.1] said: 550 5.1.1\n"
    "    <dirk@south.example>: Recipient address rejected: User unknown (in reply to RCPT TO command)\n";
const std::string status =
    "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; dirk@south.example\nAction: "
    "failed\nStatus: 5.1.1\n"
    "Diagnostic-Code: smtp; 550 5.1.1 User unknown\n";
const std::string daemon =
    "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\nTo: test-bounces@lists.example\n";

std::string multipart(const std::string& type,
                      std::initializer_list<std::pair<std::string, std::string>> parts) {
  const std::string boundary = "=_" + type.substr(0, type.find(';'));
  std::string out =
      "MIME-Version: 1.0\nContent-Type: multipart/" + type + "; boundary=\"" + boundary + "\"\n\n";
  for (const auto& [part_type, body] : parts)
    out += "--" + boundary + "\nContent-Type: " + part_type + "\n\n" + body + "\n";
  return out + "--" + boundary + "--\n";
}

const std::string report = daemon + "Subject: Undelivered Mail Returned to Sender\n" +
                           multipart("report; report-type=delivery-status",
                                     {{"text/plain", postfix_text}, {"message/delivery-status", status}});

std::string named(const std::string& mail) {
  std::string out;
  for (const bounce::Failure& failure : bounce::scan(mail).failures) out += failure.address + " ";
  return out;
}

}  // namespace

TEST_CASE("ordinary mail: the bounce that the other cases quote is one") {
  CHECK(named(report) == "dirk@south.example ");
  CHECK(named(daemon + "Subject: failure notice\n\n" + postfix_text) == "dirk@south.example ");
}

TEST_CASE("ordinary mail: somebody forwards a bounce") {
  const std::string anne = "From: Anne <anne@north.example>\nTo: test@lists.example\n";
  const std::string list = "List-Id: <test.lists.example>\n";
  for (const std::string subject :
       {"Subject: Fwd: Undelivered Mail Returned to Sender\n", "Subject: [Test] Fwd: failure notice\n",
        "Subject: what is this?\n", "Subject: Undelivered Mail Returned to Sender\n"})
    for (const std::string& more : {std::string(), list}) {
      const std::string head = anne + more + subject;
      CAPTURE(head);
      CHECK(named(head +
                  multipart("mixed", {{"text/plain", "What does this mean?\n"}, {"message/rfc822", report}}))
                .empty());
      CHECK(named(head + "\nI got this today:\n\n" + postfix_text).empty());
      CHECK(named(head + "\n> " + postfix_text).empty());
    }
  CHECK(named(anne + list + "Subject: FW: failure notice\n" +
              multipart("mixed", {{"text/plain", postfix_text}, {"message/delivery-status", status}}))
            .empty());
}

TEST_CASE("ordinary mail: a digest holds a bounce") {
  const std::string head =
      "From: test-request@lists.example\nSubject: Test Digest, Vol 1, Issue 2\nList-Id: "
      "<test.lists.example>\n";
  CHECK(named(head + multipart("digest", {{"message/rfc822", report}, {"message/rfc822", report}})).empty());
  CHECK(named(head + "\nToday's Topics:\n\n   1. Undelivered Mail (Anne)\n\n" + std::string(70, '-') +
              "\n\nFrom: MAILER-DAEMON@mx.example.net\nSubject: failure notice\n\n" + postfix_text)
            .empty());
}

TEST_CASE("ordinary mail: responders") {
  for (const char* lines :
       {"From: Bert <bert@b.example>\nSubject: Out of office: hello\nAuto-Submitted: auto-replied\n",
        "From: Bert <bert@b.example>\nReturn-Path: <>\nSubject: Automatic reply: hello\n",
        "From: bert@b.example\nPrecedence: auto_reply\nSubject: Auto reply\n",
        "From: postmaster@b.example\nSubject: Out of office\nX-Autoreply: yes\n"}) {
    const std::string head = lines;
    CAPTURE(head);
    CHECK(named(head + "\nI am away until Monday. Please write to carl@b.example in urgent cases; mail to\n"
                       "bert@b.example is not read. If your message could not be answered, sorry.\n")
              .empty());
  }
}

TEST_CASE(
    "ordinary mail: a program that asks senders to confirm themselves answers in the form of a report") {
  CHECK(named("From: noreply@guests.example\nSubject: Re: [Test] Hello (Action Required)\n" +
              multipart("report; report-type=delivery-status",
                        {{"text/plain", "Your message has been waitlisted.\n"},
                         {"message/delivery-status", status}}))
            .empty());
}

TEST_CASE("ordinary mail: receipts") {
  const std::string head = daemon + "Subject: Successful Mail Delivery Report\n";
  for (const char* action : {"delivered", "relayed", "expanded", "Delivered (to mailbox)"})
    CHECK(named(head +
                multipart("report; report-type=delivery-status",
                          {{"text/plain",
                            "Your message was successfully delivered to\n\n<dirk@south.example>: fine\n"},
                           {"message/delivery-status",
                            "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; "
                            "dirk@south.example\nAction: " +
                                std::string(action) + "\nStatus: 2.0.0\n"}}))
              .empty());
  CHECK(
      named(
          head +
          "\nYour message was successfully delivered to the following recipients:\n\n  dirk@south.example\n")
          .empty());
  for (const char* disposition :
       {"manual-action/MDN-sent-manually; displayed", "automatic-action/MDN-sent-automatically; deleted"})
    CHECK(
        named("From: postmaster@south.example\nSubject: Disposition notification\n" +
              multipart(
                  "report; report-type=disposition-notification",
                  {{"text/plain", "Your message to dirk@south.example could not be read; it was deleted.\n"},
                   {"message/disposition-notification",
                    "Final-Recipient: rfc822; dirk@south.example\nDisposition: " + std::string(disposition) +
                        "\n"}}))
            .empty());
}

TEST_CASE("ordinary mail: what a postmaster writes that is no report") {
  CHECK(named("From: postmaster@south.example\nSubject: Virus found in mail from you\n\n"
              "We found a virus in a mail that you sent to dirk@south.example and cris@south.example.\n")
            .empty());
  CHECK(named("From: postmaster@south.example\nSubject: Quota warning\n\n"
              "The mailbox dirk@south.example has reached 90 percent of its quota and will soon be full.\n")
            .empty());
  CHECK(named("From: Mail Administrator <admin@south.example>\nSubject: Maintenance on Sunday\n\n"
              "The server will be away on Sunday from 8 to 10. Ask dirk@south.example.\n")
            .empty());
}

TEST_CASE("ordinary mail: hostile or broken input ends, and names nobody") {
  std::string deep = "From: MAILER-DAEMON@x.example\nSubject: failure notice\n";
  for (int i = 0; i < 100; ++i) deep += "Content-Type: message/rfc822\n\n";
  CHECK(named(deep).empty());
  CHECK(named("").empty());
  CHECK(named(daemon).empty());
  CHECK(named(daemon + "Subject: failure notice\n\n" + std::string(1 << 20, '<')).empty());
  CHECK(named(daemon + "Subject: failure notice\n\n" + std::string(1 << 20, '@')).empty());
  CHECK(named("Subject: " + std::string(100000, '=') + "?\n\nx\n").empty());
}
