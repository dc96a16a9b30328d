// Lanes, sessions and settlements over real sockets, with a real store, against peers that do what the test
// says.
#include "server/delivery/delivery.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "conf/load.hpp"
#include "server/log.hpp"
#include "server/office/report.hpp"
#include "server/verp_key.hpp"
#include "store/directory/operations.hpp"
#include "tests/server/scripted_peer.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;
using store::RecipientState;

namespace {

struct House {
  explicit House(bool lmtp = false) : opened(folder.path()), peer(io, lmtp) {
    conf::Log quiet;
    quiet.level = "error";
    log::configure(quiet);
    opened.options.report = [this](const store::Read& read, const store::Message& about, smtp::Dsn report) {
      return reports->acceptance(read, about, std::move(report));
    };
    opened.options.on_due = [this](const std::string& route) {
      if (delivery) delivery->wake({route});
    };
    if (auto ok = opened.open(); !ok) throw std::runtime_error(ok.error().text);
    settings.hostname = "me.example";
    settings.relay.smarthost = {conf::parse_next_hop(peer.url()).value()};
  }
  void limit_steps(conf::Duration limit) {
    conf::Timeouts& steps = settings.delivery.timeouts;
    steps.greeting = steps.mail = steps.rcpt = steps.data = steps.dot = limit;
  }
  ~House() {
    bool stopped = delivery == nullptr;
    if (delivery) delivery->stop(Duration(100), [&] { stopped = true; });
    CHECK(until([&] { return stopped; }));
    CHECK(opened.problems() == "");
    delivery.reset();
  }

  void start() {
    const auto now = std::make_shared<const conf::Settings>(settings);
    const list::Hmac hmac = hmac_sha256("0123456789abcdef");
    reports = std::make_unique<Reports>(std::make_shared<const AddressBook>(now, hmac));
    delivery = std::make_unique<Delivery>(std::vector{&io}, *opened.store, now, hmac, stats);
    delivery->start();
  }
  store::Id accept(store::Acceptance acceptance) {
    const auto accepted = opened.accept(std::move(acceptance)).value();
    if (delivery) delivery->wake(accepted.routes);
    return accepted.ids.front();
  }
  template <class Done>
  bool until(Done done, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io.restart();
      io.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  void pass(Duration d) {
    opened.pass(d);
    delivery->wake({"relay"});
  }
  std::map<std::string, RecipientState> states(store::Id id) {
    std::map<std::string, RecipientState> all;
    for (const auto& r : opened.recipients(id)) all[r.address] = r.state;
    return all;
  }
  bool all_are(store::Id id, RecipientState state) {
    const auto all = opened.recipients(id);
    return std::all_of(all.begin(), all.end(), [&](const auto& r) { return r.state == state; });
  }
  bool settled(store::Id id) {
    const auto all = opened.recipients(id);
    return std::none_of(all.begin(), all.end(),
                        [](const auto& r) { return r.active || r.state == RecipientState::queued; });
  }
  store::Recipient recipient(store::Id id, const std::string& address) {
    for (const auto& r : opened.recipients(id))
      if (r.address == address) return r;
    throw std::runtime_error("no such recipient");
  }

  store::Folder folder;
  store::Opened opened;
  asio::io_context io{1};
  ScriptedPeer peer;
  conf::Settings settings;
  Stats stats;
  std::unique_ptr<Reports> reports;
  std::unique_ptr<Delivery> delivery;
};

std::vector<std::string> numbered(int n) {
  std::vector<std::string> all;
  for (int i = 0; i < n; ++i) all.push_back("r" + std::to_string(1000 + i) + "@dest.example");
  return all;
}

// How often the peer took responsibility for each address.
std::map<std::string, int> copies(const ScriptedPeer& peer) {
  std::map<std::string, int> all;
  for (const auto& mail : peer.got)
    for (const auto& rcpt : mail.rcpts) ++all[rcpt];
  return all;
}

store::Acceptance post(const list::List& list, list::Copies copies) {
  store::Acceptance a;
  a.content.bytes = std::make_shared<const std::string>("Subject: x\r\n\r\nbody\r\n");
  store::NewMessage& m = a.messages.emplace_back();
  m.message.list = list.id;
  m.message.list_address = list.address();
  m.message.copies = copies;
  return a;
}

list::List make_list(House& house, int members) {
  list::List made;
  list::Settings settings;
  settings.owners = {"owner@lists.example"};
  REQUIRE(house.opened.change([&](store::Write& write) -> store::Result<void> {
    auto list = store::directory::create_list(write, "test", "lists.example", settings, house.opened.now());
    if (!list) return tl::unexpected(list.error());
    made = *list;
    for (const std::string& address : numbered(members)) {
      list::Member member;
      member.address = address;
      if (auto ok = store::directory::add_member(write, made.id, member, house.opened.now()); !ok)
        return tl::unexpected(ok.error());
    }
    return {};
  }));
  return made;
}

}  // namespace

TEST_CASE("a message goes out as it came in, and the connection is used again") {
  House house;
  house.start();
  const std::string bytes = "Subject: x\r\n\r\n.\r\n..dots\r\nplain\r\n";
  auto dotted = store::plain({"a@dest.example", "b@dest.example"}, bytes);
  dotted.messages[0].message.leading_dots = true;
  const store::Id first = house.accept(std::move(dotted));
  REQUIRE(house.until([&] { return house.all_are(first, RecipientState::delivered); }));
  REQUIRE(house.peer.got.size() == 1);
  CHECK(house.peer.got[0].sender == "sender@here.example");
  CHECK(house.peer.got[0].rcpts == std::vector<std::string>{"a@dest.example", "b@dest.example"});
  CHECK(house.peer.got[0].content == bytes);
  const store::Id second = house.accept(store::plain({"c@dest.example"}));
  REQUIRE(house.until([&] { return house.all_are(second, RecipientState::delivered); }));
  CHECK(house.peer.connections == 1);
  CHECK(house.stats.delivered == 3);
}

TEST_CASE("a message of 3 MB is streamed and arrives whole") {
  House house;
  house.start();
  std::string bytes = "Subject: large\r\n\r\n";
  while (bytes.size() < 3'000'000) bytes += ".line " + std::to_string(bytes.size()) + "\r\n";
  auto large = store::plain({"a@dest.example"}, bytes);
  large.messages[0].message.leading_dots = true;
  const store::Id id = house.accept(std::move(large));
  REQUIRE(house.until([&] { return house.all_are(id, RecipientState::delivered); }));
  REQUIRE(house.peer.got.size() == 1);
  CHECK(house.peer.got[0].content == bytes);
}

TEST_CASE("VERP: one copy a member with a reverse path of its own, the dot in company of the next MAIL") {
  House house;
  house.settings.delivery.connections_per_destination = 1;
  house.start();
  const list::List list = make_list(house, 300);
  const store::Id id = house.accept(post(list, list::Copies::each_verp));
  REQUIRE(house.until([&] { return house.all_are(id, RecipientState::delivered); }));
  CHECK(house.peer.got.size() == 300);
  std::set<std::string> senders;
  for (const auto& mail : house.peer.got) {
    REQUIRE(mail.rcpts.size() == 1);
    std::string member = mail.rcpts[0];
    member.replace(member.find('@'), 1, "=");
    CHECK(mail.sender == "test-bounces+" + member + "@lists.example");
    senders.insert(mail.sender);
  }
  CHECK(senders.size() == 300);
  CHECK(house.peer.dots_with_company > 250);
}

TEST_CASE("bulk: transactions of 100 with the list's own reverse path") {
  House house;
  house.settings.delivery.connections_per_destination = 2;
  house.start();
  const list::List list = make_list(house, 250);
  const store::Id id = house.accept(post(list, list::Copies::bulk));
  REQUIRE(house.until([&] { return house.all_are(id, RecipientState::delivered); }));
  CHECK(copies(house.peer).size() == 250);
  CHECK(house.peer.got.size() <= 5);
  for (const auto& mail : house.peer.got) CHECK(mail.sender == "test-bounces@lists.example");
}

TEST_CASE("LMTP: each recipient has an answer of its own after the dot") {
  House house(true);
  house.peer.script = [](const std::string& stage, const std::string& argument) -> std::string {
    if (stage == "dot" && argument == "full@dest.example") return "452 4.2.2 mailbox full";
    if (stage == "dot" && argument == "gone@dest.example") return "550 5.1.1 gone";
    return "";
  };
  house.start();
  const store::Id id =
      house.accept(store::plain({"a@dest.example", "full@dest.example", "gone@dest.example"}));
  REQUIRE(house.until([&] { return house.settled(id); }));
  const auto states = house.states(id);
  CHECK(states.at("a@dest.example") == RecipientState::delivered);
  CHECK(states.at("full@dest.example") == RecipientState::deferred);
  CHECK(states.at("gone@dest.example") == RecipientState::failed);
}

TEST_CASE(
    "final failures: one report to the sender in the commit of the last, a failing report to the postmaster "
    "once") {
  House house;
  house.settings.aliases["postmaster@me.example"] = {"admin@here.example"};
  house.peer.script = [](const std::string& stage, const std::string& argument) -> std::string {
    if (stage == "rcpt" && argument.starts_with("no")) return "550 5.1.1 no such user";
    if (stage == "rcpt" && argument.ends_with("@here.example")) return "550 5.1.1 the sender neither";
    return "";
  };
  house.start();
  const store::Id id = house.accept(store::plain({"a@dest.example", "no1@dest.example", "no2@dest.example"}));
  REQUIRE(house.until([&] { return house.settled(id); }));
  const auto all = store::spool::messages(store::Read(*house.opened.store), 0, 10, true);
  REQUIRE(all.size() >= 2);
  const store::Message& report = all[1];
  CHECK(all[0].id == id);
  CHECK(report.reverse_path.empty());
  const std::string text = store::spool::outgoing(store::Read(*house.opened.store), report, 0, 100000);
  CHECK(text.find("Final-Recipient: rfc822; no1@dest.example") != std::string::npos);
  CHECK(text.find("Final-Recipient: rfc822; no2@dest.example") != std::string::npos);
  REQUIRE(house.until([&] { return house.settled(report.id); }));
  CHECK(house.all_are(report.id, RecipientState::failed));
  const auto messages = [&] { return store::spool::messages(store::Read(*house.opened.store), 0, 10, true); };
  REQUIRE(house.until([&] { return messages().size() == 3 && house.settled(messages()[2].id); }));
  CHECK(house.recipient(messages()[2].id, "admin@here.example").state == RecipientState::failed);
  CHECK(messages().size() == 3);
}

TEST_CASE(
    "wherever the peer closes, resets, says 421 or nothing: nobody is lost, nobody gets two copies but in "
    "doubt") {
  for (const std::string stage : {"banner", "ehlo", "mail", "rcpt", "data", "dot"})
    for (const std::string how :
         {"!close", "!reset", "421 4.3.0 not now", "!close:421 4.3.0 not now", "!silent"}) {
      CAPTURE(stage);
      CAPTURE(how);
      bool broken = true;  // outlives the house: its peer may still speak while it closes
      House house;
      house.settings.delivery.connections_per_destination = 1;
      if (how == "!silent") house.limit_steps(std::chrono::milliseconds(300));
      house.peer.script = [&](const std::string& at, const std::string& argument) -> std::string {
        const bool here = at == stage && (stage != "rcpt" || argument == "r1002@dest.example");
        return broken && here ? how : "";
      };
      house.start();
      const store::Id id = house.accept(store::plain(numbered(5)));
      REQUIRE(house.until([&] { return house.peer.connections > 0; }));
      house.until([] { return false; }, std::chrono::milliseconds(how == "!silent" ? 500 : 100));
      broken = false;
      for (int i = 0; i < 40 && !house.all_are(id, RecipientState::delivered); ++i) {
        house.pass(std::chrono::minutes(20));
        house.until([&] { return house.all_are(id, RecipientState::delivered); },
                    std::chrono::milliseconds(100));
      }
      CHECK(house.all_are(id, RecipientState::delivered));
      const auto all = copies(house.peer);
      CHECK(all.size() == 5);
      for (const auto& [address, n] : all) CHECK(n == 1);
    }
}

TEST_CASE(
    "2007: one recipient closes the connection; the others are delivered at once, he alone is deferred") {
  House house;
  house.peer.script = [](const std::string& stage, const std::string& argument) -> std::string {
    return stage == "rcpt" && argument == "dirk@dest.example" ? "!close" : "";
  };
  house.start();
  const store::Id id = house.accept(
      store::plain({"anne@dest.example", "bart@dest.example", "cris@dest.example", "dirk@dest.example"}));
  REQUIRE(house.until([&] { return copies(house.peer).size() == 3; }));
  for (int i = 0; i < 20 && !house.settled(id); ++i) {
    house.pass(std::chrono::seconds(10));
    house.until([&] { return house.settled(id); }, std::chrono::milliseconds(200));
  }
  for (const auto& [address, n] : copies(house.peer)) CHECK(n == 1);
  CHECK(house.recipient(id, "dirk@dest.example").state == RecipientState::deferred);
  CHECK(house.recipient(id, "anne@dest.example").state == RecipientState::delivered);
  CHECK(house.recipient(id, "anne@dest.example").attempts <= 1);
}

TEST_CASE("withdraw: what is not on the wire can be edited, and comes back when it is not") {
  House house;
  house.settings.delivery.connections_per_destination = 1;
  house.settings.delivery.recipients_per_transaction = 2;
  house.peer.script = [](const std::string& stage, const std::string& argument) -> std::string {
    return stage == "rcpt" && argument == "r1000@dest.example" ? "!silent" : "";
  };
  house.start();
  const store::Id id = house.accept(store::plain(numbered(6)));
  REQUIRE(house.until([&] { return house.peer.log.size() >= 3; }));
  std::vector<delivery::Withdrawal> answers;
  house.delivery->withdraw(id, {0, 4, 5, 99},
                           [&](std::vector<delivery::Withdrawal> a) { answers = std::move(a); });
  REQUIRE(house.until([&] { return !answers.empty(); }));
  using delivery::Withdrawal;
  CHECK(answers ==
        std::vector{Withdrawal::committed, Withdrawal::withdrawn, Withdrawal::withdrawn, Withdrawal::idle});
  store::Edit edit;
  edit.number = 4;
  edit.withdrawn = house.recipient(id, "r1004@dest.example").claim;
  const auto edited = house.opened.edit(id, {edit}).value();
  CHECK(edited[0].how == store::Edited::How::done);
  house.delivery->give_back(id, {4, 5});
  house.peer.script = nullptr;
  house.peer.hang_up();
  for (int i = 0; i < 40 && house.opened.message(id)->state != store::MessageState::finished; ++i) {
    house.until([&] { return house.opened.message(id)->state == store::MessageState::finished; },
                std::chrono::milliseconds(200));
    house.pass(std::chrono::minutes(20));
  }
  const auto all = copies(house.peer);
  CHECK(all.size() == 5);
  CHECK(!all.contains("r1004@dest.example"));
  CHECK(all.at("r1005@dest.example") == 1);
  CHECK(house.recipient(id, "r1004@dest.example").state == RecipientState::removed);
}

TEST_CASE("an address that cannot be reached while another can is tried last for some minutes") {
  House house;
  ScriptedPeer closed(house.io);
  closed.script = [](const std::string& stage, const std::string&) -> std::string {
    return stage == "banner" ? "!close:421 4.3.2 not now\r\n" : "";
  };
  house.settings.relay.smarthost = {conf::parse_next_hop(closed.url()).value(),
                                    conf::parse_next_hop(house.peer.url()).value()};
  house.start();
  const auto one_more = [&](const std::string& address) {
    house.peer.hang_up();
    REQUIRE(house.until([&] { return house.peer.open == 0; }));
    const store::Id id = house.accept(store::plain({address}));
    REQUIRE(house.until([&] { return house.all_are(id, RecipientState::delivered); }));
  };
  one_more("a@dest.example");
  CHECK(closed.connections == 1);
  one_more("b@dest.example");
  one_more("c@dest.example");
  CHECK(closed.connections == 1);
  CHECK(house.peer.connections == 3);
  house.pass(std::chrono::minutes(6));
  one_more("d@dest.example");
  CHECK(closed.connections == 2);
}

TEST_CASE("a dead next hop blocks nobody else") {
  House house;
  conf::RelayDomain dead;
  dead.name = "dead.example";
  ScriptedPeer other(house.io);
  dead.deliver_to = {conf::parse_next_hop(other.url()).value()};
  other.refuse();
  house.settings.domains.push_back(dead);
  house.opened.options.route = [settings = house.settings](std::string_view d) {
    return conf::route_of(settings, d);
  };
  house.opened.reopen();
  house.start();
  std::vector<std::string> many;
  for (int i = 0; i < 500; ++i) many.push_back("x" + std::to_string(i) + "@dead.example");
  const store::Id stuck = house.accept(store::plain(many));
  const store::Id good = house.accept(store::plain({"a@dest.example"}));
  CHECK(
      house.until([&] { return house.all_are(good, RecipientState::delivered); }, std::chrono::seconds(20)));
  CHECK(house.until([&] { return house.opened.recipients(stuck)[0].active == false; }));
  CHECK(house.opened.message(stuck)->counts.open() == 500);
}

TEST_CASE("a post to three is not behind a post to many at a slow host") {
  int copies_of_many = 0;
  House house;
  house.settings.delivery.connections_per_destination = 1;
  house.start();
  const list::List list = make_list(house, 3000);
  house.peer.script = [&](const std::string& stage, const std::string& argument) -> std::string {
    if (stage == "dot" && argument.starts_with("test-bounces")) ++copies_of_many;
    return "";
  };
  const store::Id many = house.accept(post(list, list::Copies::each_verp));
  REQUIRE(house.until([&] { return copies_of_many > 20; }));
  const int before = copies_of_many;
  const store::Id few = house.accept(store::plain({"a@dest.example", "b@dest.example", "c@dest.example"}));
  REQUIRE(house.until([&] { return house.all_are(few, RecipientState::delivered); }));
  CHECK(copies_of_many - before < 2900);
  REQUIRE(house.until([&] { return house.all_are(many, RecipientState::delivered); }));
}

TEST_CASE("stop: open transactions end, the rest goes back to the queue unclaimed") {
  House house;
  house.settings.delivery.connections_per_destination = 1;
  house.start();
  const list::List list = make_list(house, 500);
  const store::Id id = house.accept(post(list, list::Copies::each_verp));
  REQUIRE(house.until([&] { return house.peer.got.size() > 10; }));
  bool stopped = false;
  house.delivery->stop(std::chrono::seconds(5), [&] { stopped = true; });
  REQUIRE(house.until([&] { return stopped; }));
  const auto counts = house.opened.message(id)->counts;
  CHECK(counts.delivered == house.peer.got.size());
  CHECK(counts.open() == 500 - house.peer.got.size());
  house.delivery.reset();
  house.opened.reopen();
  CHECK(house.opened.store->possible_duplicates() == 0);
}

TEST_CASE(
    "a disk full in the middle of a fan-out: nobody gets two copies, and it goes on when there is room") {
  std::atomic<bool> full{false};
  House house;
  house.opened.options.fault = [&](const char* point) {
    return full && std::string_view(point) == "commit" ? ENOSPC : 0;
  };
  house.opened.reopen();
  house.settings.delivery.connections_per_destination = 3;
  house.start();
  const list::List list = make_list(house, 1000);
  const store::Id id = house.accept(post(list, list::Copies::each_verp));
  REQUIRE(house.until([&] { return house.peer.got.size() > 100; }));
  full = true;
  house.until([] { return false; }, std::chrono::milliseconds(300));
  const std::size_t heard = house.peer.got.size();
  CHECK(heard < 1000);
  house.pass(std::chrono::seconds(2));
  house.until([] { return false; }, std::chrono::milliseconds(200));
  CHECK(house.peer.got.size() == heard);  // no transaction is started while nothing can be recorded
  full = false;
  REQUIRE(house.until([&] {
    house.pass(std::chrono::milliseconds(100));
    return house.all_are(id, RecipientState::delivered);
  }));
  for (const auto& [address, n] : copies(house.peer)) CHECK(n == 1);
}
