#include "protocol/smtp/server_dialog.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <filesystem>

#include "tests/protocol/smtp/dialog_script.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using namespace spoold::tests;
using Phase = smtp::ServerDialog::Phase;

namespace {

std::vector<Script> scripts() {
  std::vector<Script> all;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() + "/tests/dialogs"))
    if (entry.path().extension() == ".txt") all.push_back(read_script(entry.path()));
  return all;
}

enum class Cut { groups, lines, octets };

void replay(const Script& script, Cut cut) {
  CAPTURE(script.name);
  Driver driver(script.profile, script.room);
  for (const Step& step : script.steps) {
    driver.commit = step.commit;
    std::string_view rest = step.sent;
    while (!rest.empty()) {
      std::size_t n = rest.size();
      if (cut == Cut::octets) n = 1;
      if (cut == Cut::lines) n = std::min(rest.find('\n'), n - 1) + 1;
      driver.feed(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    CHECK(difference(step, driver.out, driver.closed) == "");
    driver.out.clear();
  }
}

std::string sent(const Script& script) {
  std::string all;
  for (const Step& step : script.steps) all += step.sent;
  return all;
}

}  // namespace

TEST_CASE("server dialog: the scripts, as written") {
  REQUIRE(scripts().size() >= 12);
  for (const Script& script : scripts()) replay(script, Cut::groups);
}

TEST_CASE("server dialog: the scripts, a line and an octet at a time") {
  for (const Script& script : scripts()) {
    if (script.grouped_only) continue;
    replay(script, Cut::lines);
    replay(script, Cut::octets);
  }
}

TEST_CASE("server dialog: cut off after every octet, nothing is committed that was not whole") {
  for (const Script& script : scripts()) {
    if (script.grouped_only) continue;
    CAPTURE(script.name);
    const std::string all = sent(script);
    // Octet by octet: the state at each cut is that of a session whose connection ends there.
    Driver whole(script.profile, script.room);
    std::vector<std::size_t> commits_after;
    for (const char c : all) {
      whole.feed({&c, 1});
      commits_after.push_back(whole.committed.size());
    }
    for (std::size_t cut = 0; cut<all.size(); cut += all.size()> 5000 ? 997u : 1u) {
      Driver driver(script.profile, script.room);
      std::size_t fed = 0;
      for (const Step& step : script.steps) {
        driver.feed(step.sent.substr(0, std::min(step.sent.size(), cut - fed)));
        fed += std::min(step.sent.size(), cut - fed);
      }
      const std::size_t commits = cut == 0 ? 0 : commits_after[cut - 1];
      CHECK(driver.committed.size() == commits);
    }
  }
}

namespace {

// Commands of every kind: good, bad, out of sequence.
std::string any_command(bool lmtp) {
  const std::string hello = lmtp ? "LHLO" : "EHLO";
  return *rc::gen::element<std::string>(
      hello + " client.example", "HELO client.example", hello, "MAIL FROM:<a@client.example>", "MAIL FROM:<>",
      "MAIL FROM:<a", "MAIL FROM:<a@client.example> SIZE=999999999", "MAIL FROM:<a@client.example> X=Y",
      "MAIL FROM:<a@client.example> RET=HDRS ENVID=x+2By", "MAIL FROM:<> RET=NONE",
      "RCPT TO:<b@mx.example> NOTIFY=DELAY", "RCPT TO:<b@mx.example> ORCPT=rfc822;x NOTIFY=NEVER",
      "RCPT TO:<b@mx.example> NOTIFY=", "RCPT TO:<b@mx.example>", "RCPT TO:<c@mx.example>",
      "RCPT TO:<unknown@mx.example>", "RCPT TO:<later@mx.example>", "RCPT TO:<>", "DATA", "DATA x", "RSET",
      "RSET x", "NOOP", "VRFY", "VRFY x", "HELP", "QUIT x", "STARTTLS", "BDAT 0 LAST", "FROB", "LHLO x",
      "NO\rOP", std::string(5000, 'x'));
}

bool starts_over(const std::string& command) {
  return command.starts_with("EHLO c") || command.starts_with("HELO c") || command.starts_with("LHLO c") ||
         command == "RSET";
}

}  // namespace

TEST_CASE("server dialog: what ends a transaction leaves nothing, an error anywhere else changes nothing") {
  rc::check([] {
    smtp::ServerProfile profile;
    profile.lmtp = *rc::gen::arbitrary<bool>();
    profile.max_errors = 1 << 30;
    profile.content.size = 1000;
    profile.max_recipients = 4;
    Driver driver(profile);
    const int length = *rc::gen::inRange(1, 60);
    for (int i = 0; i < length; ++i) {
      const std::string command = any_command(profile.lmtp);
      const smtp::Transaction before = driver.dialog.transaction();
      const Phase phase = driver.dialog.phase();
      driver.out.clear();
      driver.feed(command + "\r\n");
      const bool error = driver.out.front() == '4' || driver.out.front() == '5';
      if (driver.dialog.phase() == Phase::content) {
        RC_ASSERT(driver.out.starts_with("354"));
        RC_ASSERT(driver.dialog.transaction() == before);
        const int fate = *rc::gen::inRange(0, 4);
        const std::size_t wanted = profile.lmtp ? before.recipients.size() : 1;
        driver.commit.assign(wanted, smtp::Reply{fate == 1 ? 451 : fate == 2 ? 550 : 250, {}, "as told"});
        driver.out.clear();
        driver.feed(fate == 3 ? "bare\nfeed\r\n.\r\n" : "x: y\r\n\r\n.\r\n");
        const auto replies = static_cast<std::size_t>(std::count(driver.out.begin(), driver.out.end(), '\n'));
        RC_ASSERT(replies == wanted);
        RC_ASSERT(driver.dialog.transaction() == smtp::Transaction{});
        RC_ASSERT(driver.dialog.phase() == Phase::ready);
      } else if (command.starts_with("DATA") || command.starts_with("BDAT") ||
                 (!error && starts_over(command))) {
        RC_ASSERT(driver.dialog.transaction() == smtp::Transaction{});
        RC_ASSERT((driver.dialog.phase() == Phase::ready || (error && phase == Phase::start) ||
                   (command == "RSET" && phase == Phase::start)));
      } else if (error) {
        RC_ASSERT(driver.dialog.transaction() == before);
        RC_ASSERT(driver.dialog.phase() == phase);
      }
    }
  });
}

TEST_CASE("server dialog: an idle client and a stopping server") {
  const smtp::ServerProfile profile;
  smtp::ServerDialog dialog(profile);
  std::string out;
  CHECK(dialog.open(out).limit == std::chrono::minutes(5));
  out.clear();
  CHECK(dialog.timed_out(out).what == smtp::ServerDialog::Action::What::close);
  CHECK(out == "421 4.4.2 timed out waiting for you\r\n");
  out.clear();
  CHECK(dialog.stopping(out).what == smtp::ServerDialog::Action::What::close);
  CHECK(out.starts_with("421 4.3.2 "));
}

TEST_CASE("server dialog: the time limit of content is that of a data block") {
  const smtp::ServerProfile profile;
  Driver driver(profile);
  driver.feed("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n");
  REQUIRE(driver.dialog.phase() == Phase::content);
  std::string_view input = "x: y\r\n";
  CHECK(driver.dialog.consume(input, driver.out, driver.content).limit == std::chrono::minutes(3));
  CHECK(driver.content == "x: y\r\n");
}

TEST_CASE("server dialog: what a sender asks of reports is in the transaction") {
  const smtp::ServerProfile profile;
  Driver driver(profile);
  driver.feed(
      "EHLO a\r\nMAIL FROM:<a@b.example> RET=FULL ENVID=id\r\nRCPT TO:<a@b.example> NOTIFY=DELAY\r\n");
  driver.feed("RCPT TO:<unknown@b.example> NOTIFY=NEVER\r\nRCPT TO:<c@b.example> ORCPT=rfc822;x\r\n");
  const smtp::Transaction& transaction = driver.dialog.transaction();
  CHECK(transaction.dsn == smtp::DsnOfMessage{smtp::Ret::full, "id"});
  REQUIRE(transaction.recipients.size() == 2);
  CHECK(transaction.recipients[0].dsn == smtp::DsnOfRecipient{smtp::notify_delay, ""});
  CHECK(transaction.recipients[1].dsn == smtp::DsnOfRecipient{0, "rfc822;x"});
}

TEST_CASE(
    "server dialog: a client that does not read replies does not make it keep more than 16 KiB of them") {
  smtp::ServerProfile profile;
  profile.brake.idle_commands = 1 << 30;
  for (const std::string command : {"HELP\r\n", "NOOP\r\n", "EHLO client.example\r\n"}) {
    Driver driver(profile);
    std::string flood;
    while (flood.size() < 65536) flood += command;
    driver.feed(flood);
    CHECK(driver.most_said >= profile.max_replies);
    CHECK(driver.most_said < profile.max_replies + 1000);
    CHECK(driver.pending.empty());
  }
}

TEST_CASE(
    "server dialog: a search for addresses is slowed down after 20 refused recipients, ended after 100") {
  const smtp::ServerProfile profile;
  const auto search = [](Driver& driver) {
    driver.feed("EHLO client.example\r\n");
    // New transactions do not start the count anew.
    for (int i = 0; i < 200 && !driver.closed; ++i)
      driver.feed(i % 10 == 0 ? "RSET\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<unknown@mx.example>\r\n"
                              : "RCPT TO:<unknown@mx.example>\r\nRCPT TO:<later@mx.example>\r\n");
  };
  Driver stranger(profile);
  search(stranger);
  CHECK(stranger.pauses == 79);
  CHECK(stranger.closed);
  CHECK(stranger.out.ends_with("421 4.7.0 too many errors: too many recipients were refused\r\n"));
  Driver trusted(profile, true, {.trusted_network = true, .local = false});
  search(trusted);
  CHECK(trusted.pauses == 0);
  CHECK_FALSE(trusted.closed);
}

TEST_CASE("server dialog: dead addresses of an honest sender do not stop its good ones") {
  const smtp::ServerProfile profile;
  Driver driver(profile);
  driver.feed("EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n");
  for (int i = 0; i < 50; ++i) driver.feed("RCPT TO:<unknown@mx.example>\r\nRCPT TO:<b@mx.example>\r\n");
  CHECK(driver.pauses == 30);
  driver.feed("DATA\r\n");
  driver.feed("x: y\r\n\r\n.\r\n");
  CHECK(driver.committed.size() == 1);
  CHECK_FALSE(driver.closed);
}

TEST_CASE("server dialog: 100 commands that carry no mail end the session, messages among them do not") {
  const smtp::ServerProfile profile;
  Driver idle(profile), busy(profile), trusted(profile, true, {.trusted_network = true, .local = false});
  for (Driver* driver : {&idle, &busy, &trusted}) {
    driver->feed("EHLO client.example\r\n");
    for (int i = 1; i < 1000 && !driver->closed; ++i) {
      driver->feed(i % 3 == 0 ? "NOOP\r\n" : i % 3 == 1 ? "HELP\r\n" : "RSET\r\n");
      if (driver != &busy || i % 50 != 0) continue;
      driver->feed("MAIL FROM:<a@client.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n");
      driver->feed("x: y\r\n.\r\n");
    }
  }
  CHECK(idle.closed);
  CHECK(std::count(idle.out.begin(), idle.out.end(), '\n') < 115);
  CHECK(idle.out.ends_with("421 4.7.0 too many errors: too many commands without a message\r\n"));
  CHECK_FALSE(busy.closed);
  CHECK_FALSE(trusted.closed);
}

TEST_CASE("server dialog: who may relay is a fact of the client and of the protocol") {
  smtp::ServerProfile smtp_profile, lmtp_profile;
  lmtp_profile.lmtp = true;
  using Client = smtp::ServerDialog::Client;
  const Client stranger{}, network{.trusted_network = true, .local = false},
      local{.trusted_network = false, .local = true};
  for (const smtp::ServerProfile* profile : {&smtp_profile, &lmtp_profile}) {
    CHECK_FALSE(smtp::ServerDialog(*profile, stranger).may_relay());
    CHECK_FALSE(smtp::ServerDialog(*profile, local).may_relay());
    CHECK(smtp::ServerDialog(*profile, network).may_relay() == !profile->lmtp);
    CHECK(smtp::ServerDialog(*profile, stranger).stranger());
    CHECK_FALSE(smtp::ServerDialog(*profile, local).stranger());
    CHECK_FALSE(smtp::ServerDialog(*profile, network).stranger());
  }
}

TEST_CASE("server dialog: a question waits as long as it takes, and the input behind it stays") {
  const smtp::ServerProfile profile;
  smtp::ServerDialog dialog(profile);
  using What = smtp::ServerDialog::Action::What;
  std::string out, content;
  dialog.open(out);
  std::string_view input = "EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nNOOP\r\n";
  CHECK(dialog.consume(input, out, content).what == What::ask);
  CHECK(input == "RCPT TO:<c@d.example>\r\nNOOP\r\n");
  REQUIRE(std::holds_alternative<smtp::MailArgument>(dialog.asked()));
  CHECK(std::get<smtp::MailArgument>(dialog.asked()).reverse_path->text() == "a@b.example");
  CHECK_FALSE(dialog.transaction().open);
  CHECK(dialog.answer(smtp::ServerDialog::Granted(), out).what == What::more);
  CHECK(dialog.transaction().open);
  CHECK(dialog.consume(input, out, content).what == What::ask);
  CHECK(input == "NOOP\r\n");
  REQUIRE(std::holds_alternative<smtp::RcptArgument>(dialog.asked()));
  out.clear();
  CHECK(dialog.answer(smtp::Reply{550, {5, 1, 1}, "no such address here"}, out).what == What::more);
  CHECK(dialog.consume(input, out, content).what == What::more);
  CHECK(out == "550 5.1.1 no such address here\r\n250 2.0.0 ok\r\n");
  CHECK(dialog.transaction().recipients.empty());
}

TEST_CASE("server dialog: TLS from the first octet is greeted behind the handshake, and offers no STARTTLS") {
  smtp::ServerProfile profile;
  profile.starttls = true;
  smtp::ServerDialog dialog(profile);
  std::string out, content;
  const auto first = dialog.implicit_tls();
  CHECK(first.what == smtp::ServerDialog::Action::What::handshake);
  CHECK(first.limit == std::chrono::seconds(30));
  dialog.secured("TLSv1.3 TLS_AES_256_GCM_SHA384", out);
  CHECK(out == "220 localhost ESMTP spoold\r\n");
  std::string_view input = "EHLO client.example\r\n";
  dialog.consume(input, out, content);
  CHECK(out.find("STARTTLS") == std::string::npos);
  CHECK(dialog.protocol() == std::string("ESMTPS"));
  CHECK(dialog.tls() == "TLSv1.3 TLS_AES_256_GCM_SHA384");
}

TEST_CASE("server dialog: errors before STARTTLS still count after it") {
  smtp::ServerProfile profile;
  profile.starttls = true;
  profile.max_errors = 3;
  Driver driver(profile);
  driver.feed("FROB\r\nEHLO client.example\r\nFROB\r\nSTARTTLS\r\n");
  CHECK(driver.dialog.phase() == Phase::start);
  CHECK_FALSE(driver.closed);
  driver.feed("FROB\r\n");
  CHECK(driver.closed);
}

TEST_CASE("server dialog: chunks of one octet are bounded, for clients without rights") {
  const smtp::ServerProfile profile;
  Driver stranger(profile), trusted(profile, true, {.trusted_network = true, .local = false});
  for (Driver* driver : {&stranger, &trusted}) {
    driver->feed("EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@mx.example>\r\n");
    for (int i = 0; i < 1000 && !driver->closed; ++i) driver->feed("BDAT 1\r\nx");
  }
  CHECK(stranger.closed);
  CHECK(stranger.content.size() <= 100);
  CHECK_FALSE(trusted.closed);
  CHECK(trusted.content.size() == 1000);
}

TEST_CASE("server dialog: a message is the same, by DATA and by chunks of any size") {
  rc::check([] {
    const auto lines = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "", ".", "..", ".x", "x: y", "QUIT", std::string(700, 'z'), "\xc3\xa9"));
    std::string content, stuffed;
    for (const std::string& line : lines) {
      content += line + "\r\n";
      stuffed += (line.starts_with('.') ? "." : "") + line + "\r\n";
    }
    const bool open_end = *rc::gen::arbitrary<bool>();  // the last line end is not sent
    const smtp::ServerProfile profile;
    Driver by_data(profile), by_chunks(profile, true, {.trusted_network = true, .local = false});
    for (Driver* driver : {&by_data, &by_chunks})
      driver->feed("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n");
    by_data.feed("DATA\r\n");
    by_data.feed(stuffed + ".\r\n");
    std::string_view rest = content;
    if (open_end && !lines.empty() && !lines.back().empty()) rest.remove_suffix(2);
    while (!rest.empty()) {
      const std::size_t n = *rc::gen::inRange<std::size_t>(1, rest.size() + 1);
      const bool last = n == rest.size() && *rc::gen::arbitrary<bool>();
      by_chunks.feed("BDAT " + std::to_string(n) + (last ? " LAST" : "") + "\r\n" +
                     std::string(rest.substr(0, n)));
      rest.remove_prefix(n);
    }
    if (by_chunks.committed.empty()) by_chunks.feed("BDAT 0 LAST\r\n");
    RC_ASSERT(by_data.committed == by_chunks.committed);
    RC_ASSERT(by_data.committed.size() == 1u);
    RC_ASSERT(by_data.dialog.reader().scanned() == by_chunks.dialog.reader().scanned());
    RC_ASSERT(by_chunks.dialog.phase() == Phase::ready);
  });
}
