// What one VERP recipient and one accepted message cost in instructions, in the parts without sockets: fixed
// input, one thread. Not to be run alone: scripts/bench cost runs it under callgrind, which counts inside the
// functions measured_* only. usage: cost PART [FOLDER]; prints how many were made.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/delivery/planner.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/smtp/client_dialog.hpp"
#include "protocol/smtp/data_writer.hpp"
#include "protocol/smtp/server_dialog.hpp"
#include "store/directory/operations.hpp"
#include "store/env.hpp"
#include "store/roster.hpp"
#include "store/spool/accept.hpp"
#include "store/spool/claim.hpp"
#include "store/spool/settle.hpp"

using namespace spoold;

#define MEASURED extern "C" __attribute__((noinline)) void

namespace {

const TimePoint NOW = TimePoint{} + std::chrono::hours(500'000);

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "cost: %s\n", what);
  std::exit(1);
}

std::string text_of(std::size_t size) {
  std::string text =
      "From: <poster@example.net>\r\nTo: test@lists.example\r\nSubject: cost\r\nMessage-ID: <1@cost>\r\n\r\n";
  while (text.size() < size) text += std::string(76, 'x') + "\r\n";
  return text;
}

std::string member(std::size_t i) {
  return "member" + std::to_string(100'000 + i) + "@d" + std::to_string(i % 100) + ".example";
}

}  // namespace

// An SMTP client that pipelines: MAIL, RCPT, DATA in one read, 4 KB of content in the next.
MEASURED measured_server_dialog(smtp::ServerDialog& dialog, const std::vector<std::string>& input,
                                std::size_t messages) {
  using What = smtp::ServerDialog::Action::What;
  std::string out, content;
  const std::vector<smtp::Reply> accepted{smtp::Reply{250, {2, 0, 0}, "queued as 6H05R3BNW0001"}};
  for (std::size_t i = 0; i < messages; ++i)
    for (const std::string& read : input) {
      std::string_view left = read;
      for (;;) {
        const auto action = dialog.consume(left, out, content);
        if (action.what == What::more && left.empty()) break;
        if (action.what == What::ask && std::holds_alternative<smtp::MailArgument>(dialog.asked())) {
          dialog.answer(smtp::ServerDialog::Granted{}, out);
        } else if (action.what == What::ask) {
          smtp::Recipient recipient;
          recipient.address = "anne@north.example";
          dialog.answer(std::move(recipient), out);
        } else if (action.what == What::commit) {
          dialog.committed(accepted, out);
          content.clear();
        } else if (action.what == What::close) {
          wrong("the server dialog closed");
        }
      }
      out.clear();
    }
}

// A peer that keeps up: with CHUNKING many copies are in flight, all but the first behind an RSET (the one
// before might have no end); else one content and the next envelope.
MEASURED measured_client_dialog(smtp::ClientDialog& dialog, std::vector<smtp::ClientDialog::Mail>& mails,
                                bool chunking) {
  smtp::ClientDialog::Output out;
  const smtp::ClientDialog::Sending sending = [](delivery::MessageId, std::uint32_t) { return true; };
  std::size_t next = 0, done = 0, turns = 0;
  while (done < mails.size()) {
    std::size_t contents = 0;
    bool envelope = false;
    for (;;) {
      while (dialog.wants_next() && next < mails.size()) dialog.begin(std::move(mails[next++]));
      if (!dialog.output(out, sending)) break;
      contents += out.contents.size();
      envelope = envelope || out.commands.find("DATA\r\n") != std::string::npos;
      dialog.written();
    }
    if (chunking) {
      for (std::size_t i = 0; i < contents; ++i) {
        if (i > 0) dialog.received("250 2.0.0 ok\r\n");
        dialog.received("250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.0.0 accepted\r\n");
      }
    } else {
      if (contents > 0) dialog.received("250 2.0.0 accepted\r\n");
      if (envelope) dialog.received("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n");
    }
    done += dialog.take_finished().size();
    if (++turns > 2 * mails.size() + 10) wrong("the client dialog stands still");
  }
}

// One connection takes VERP copies of batches of 500, 16 in flight; each is delivered.
MEASURED measured_planner(delivery::Planner& planner, std::vector<delivery::Batch>& batches,
                          delivery::ConnectionId connection) {
  std::vector<delivery::Transaction> open;
  const smtp::Reply ok{250, {2, 0, 0}, "accepted"};
  for (delivery::Batch& batch : batches) {
    std::size_t left = batch.recipients.size();
    planner.add(std::move(batch), NOW);
    while (left > 0) {
      for (;;) {
        delivery::Next next = planner.next(connection, NOW);
        if (next.what != delivery::Next::Do::transaction) break;
        if (!planner.sending(connection, next.transaction.message, next.transaction.recipients[0], NOW))
          wrong("withdrawn");
        open.push_back(std::move(next.transaction));
        if (open.size() == 16) break;
      }
      if (open.empty()) wrong("the planner stands still");
      for (delivery::Transaction& t : open) {
        delivery::Observation seen;
        seen.message = t.message;
        seen.recipients = std::move(t.recipients);
        seen.rcpts_sent = 1;
        seen.mail = ok;
        seen.rcpt.emplace_back(ok);
        seen.dot.emplace_back(ok);
        seen.chunked = seen.mail_sent = seen.content_sent = seen.dot_sent = true;
        planner.report(connection, seen, NOW);
      }
      open.clear();
      left -= planner.take_outcomes().size();
    }
  }
}

MEASURED measured_verp_sender(const list::VerpEncoder& encoder, const std::vector<std::string>& members) {
  std::string out;
  for (std::size_t i = 0; i < members.size(); ++i) {
    out.clear();
    encoder.append(out, members[i], i + 1);
  }
}

MEASURED measured_wire_form(const std::string& text, std::size_t times) {
  std::string scratch;
  for (std::size_t i = 0; i < times; ++i) {
    smtp::DataWriter writer(true);
    if (writer.write(text, scratch).size() <= text.size() || writer.finish() != ".\r\n") wrong("not stuffed");
  }
}

// Accepts that come together: their jobs and the one commit.
MEASURED measured_store_accept(store::Env& env,
                               std::vector<std::vector<std::unique_ptr<store::spool::Accepting>>>& commits) {
  for (auto& group : commits) {
    auto write = env.begin(NOW);
    for (auto& accepting : group)
      if (!accepting->slice(*write, [] { return false; })) wrong("accept");
    if (env.commit(std::move(write)) != 0) wrong("commit");
  }
}

MEASURED measured_store_settle(store::Env& env, std::size_t recipients) {
  store::spool::ClaimPlaces places;
  LastReply last;
  last.reply = smtp::Reply{250, {2, 0, 0}, "accepted"};
  last.remote = "mx.example[192.0.2.1]:25";
  last.at = NOW;
  last.stage = Stage::dot;
  while (recipients > 0) {
    auto write = env.begin(NOW);
    const auto claims = store::spool::claim(*write, places, "relay", NOW, 500);
    if (env.commit(std::move(write)) != 0 || claims.empty()) wrong("claim");
    write = env.begin(NOW);
    for (const store::Claim& claim : claims) {
      store::Settlement settlement;
      settlement.message = claim.message;
      settlement.route = claim.route;
      settlement.claim_first = claim.first;
      for (const store::Recipient& r : claim.recipients) {
        Outcome& outcome = settlement.outcomes.emplace_back();
        outcome.number = r.number;
        outcome.verdict = Verdict::delivered;
        outcome.last = last;
        settlement.versions.push_back(r.version);
      }
      store::spool::settle(*write, settlement, {});
      recipients -= claim.recipients.size();
    }
    if (env.commit(std::move(write)) != 0) wrong("commit");
  }
}

namespace {

std::size_t server_dialog() {
  static smtp::ServerProfile profile;
  smtp::ServerDialog dialog(profile);
  std::string out, content;
  dialog.open(out);
  std::string_view hello = "EHLO client.example\r\n";
  dialog.consume(hello, out, content);
  measured_server_dialog(
      dialog,
      {"MAIL FROM:<poster@example.net> SIZE=4096\r\nRCPT TO:<anne@north.example>\r\nDATA\r\n",
       text_of(4096) + ".\r\n"},
      1000);
  return 1000;
}

std::size_t client_dialog(bool chunking) {
  smtp::ClientDialog dialog({false, "lists.example", smtp::ClientDialog::Pipelining::connection, {}, {}, {}});
  smtp::ClientDialog::Output out;
  const smtp::ClientDialog::Sending all = [](delivery::MessageId, std::uint32_t) { return true; };
  dialog.received("220 mx.example ESMTP\r\n");
  dialog.output(out, all);
  dialog.written();
  dialog.received(std::string("250-mx.example\r\n250-PIPELINING\r\n") + (chunking ? "250-CHUNKING\r\n" : "") +
                  "250 SIZE 0\r\n");
  if (!dialog.established()) wrong("no session");
  std::vector<smtp::ClientDialog::Mail> mails(2000);
  for (std::size_t i = 0; i < mails.size(); ++i) {
    smtp::ClientDialog::Mail& m = mails[i];
    m.plan.message = 7;
    m.plan.recipients = {static_cast<std::uint32_t>(i)};
    m.plan.overlap = m.plan.chunked = true;
    m.addresses = {member(i)};
    m.sender = "test-bounces+member=d.example@lists.example";
    m.size = 4096;
  }
  const std::size_t count = mails.size();
  measured_client_dialog(dialog, mails, chunking);
  return count;
}

std::size_t planner() {
  delivery::Limits limits;
  limits.retry = {std::chrono::hours(1)};
  limits.lifetime = std::chrono::hours(100);
  limits.isolation_waits = {std::chrono::seconds(5)};
  limits.isolation_window = std::chrono::minutes(10);
  delivery::Planner lane(limits, 1, {}, NOW);
  std::vector<delivery::Batch> batches(10);
  std::size_t count = 0;
  for (delivery::Batch& batch : batches) {
    batch.message = 7;
    batch.one_each = true;
    for (int i = 0; i < 500; ++i, ++count) {
      delivery::Candidate& one = batch.recipients.emplace_back();
      one.number = static_cast<std::uint32_t>(count);
      one.address = member(count);
      one.arrived = NOW;
    }
  }
  const auto connection = lane.connected("mx.example[192.0.2.1]:25", NOW);
  measured_planner(lane, batches, connection);
  return count;
}

std::size_t verp_sender() {
  list::List test;
  test.id = 1;
  test.local = "test";
  test.domain = "lists.example";
  const list::VerpEncoder encoder(test, list::VerpFormat::classic, '+', 1,
                                  [](std::string_view) { return std::array<std::uint8_t, 32>{}; });
  std::vector<std::string> members;
  for (std::size_t i = 0; i < 5000; ++i) members.push_back(member(i));
  measured_verp_sender(encoder, members);
  return members.size();
}

std::size_t wire_form() {
  measured_wire_form(text_of(3900) + ".hidden\r\n" + text_of(100), 1000);
  return 1000;
}

std::unique_ptr<store::Env> opened(const std::string& folder) {
  std::filesystem::create_directories(folder);
  store::Env::Settings settings;
  settings.path = folder;
  settings.max_size = 1ull << 30;
  auto env = store::Env::open(settings);
  if (!env) wrong(env.error().text.c_str());
  return std::move(*env);
}

std::unique_ptr<store::spool::Accepting> accepting(list::ListId list) {
  store::Acceptance a;
  a.content.bytes = std::make_shared<const std::string>(text_of(4096));
  a.messages.emplace_back();
  if (list) {
    a.messages[0].message.list = list;
    a.messages[0].message.post = 1;
  } else {
    a.messages[0].message.reverse_path = "poster@example.net";
    a.messages[0].recipients.push_back({"anne@north.example"});
  }
  return std::make_unique<store::spool::Accepting>(
      std::move(a), [](std::string_view) { return std::string("relay"); }, store::directory_roster());
}

std::size_t store_accept(const std::string& folder) {
  const auto env = opened(folder);
  std::vector<std::vector<std::unique_ptr<store::spool::Accepting>>> commits(50);
  for (auto& group : commits)
    for (int i = 0; i < 20; ++i) group.push_back(accepting(0));
  measured_store_accept(*env, commits);
  return commits.size() * 20;
}

std::size_t with_members(const std::string& folder, bool settle) {
  constexpr std::size_t members = 5000;
  const auto env = opened(folder);
  auto write = env->begin(NOW);
  list::Settings settings;
  settings.owners = {"owner@x.example"};
  settings.verp = list::Verp::always;
  const auto list = store::directory::create_list(*write, "test", "lists.example", settings, NOW);
  if (!list) wrong("create_list");
  for (std::size_t i = 0; i < members; ++i) {
    list::Member one;
    one.address = member(i);
    if (!store::directory::add_member(*write, list->id, std::move(one), NOW)) wrong("add_member");
  }
  if (env->commit(std::move(write)) != 0) wrong("commit");
  std::vector<std::vector<std::unique_ptr<store::spool::Accepting>>> commits(1);
  commits[0].push_back(accepting(list->id));
  if (!settle) {
    measured_store_accept(*env, commits);
    return members;
  }
  write = env->begin(NOW);
  if (!commits[0][0]->slice(*write, [] { return false; })) wrong("expand");
  if (env->commit(std::move(write)) != 0) wrong("commit");
  measured_store_settle(*env, members);
  return members;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string part = argc > 1 ? argv[1] : "", folder = argc > 2 ? argv[2] : "";
  std::size_t count = 0;
  if (part == "server_dialog")
    count = server_dialog();
  else if (part == "client_dialog_chunking" || part == "client_dialog_pipelining")
    count = client_dialog(part == "client_dialog_chunking");
  else if (part == "planner")
    count = planner();
  else if (part == "verp_sender")
    count = verp_sender();
  else if (part == "wire_form")
    count = wire_form();
  else if (part == "store_accept" && !folder.empty())
    count = store_accept(folder);
  else if ((part == "store_expand" || part == "store_settle") && !folder.empty())
    count = with_members(folder, part == "store_settle");
  else
    wrong("usage: cost PART [FOLDER], see scripts/bench cost");
  std::printf("%zu\n", count);
}
