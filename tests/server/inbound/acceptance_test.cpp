// What addresses mean and what becomes of mail to them, over real sockets and a real store.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>

#include "server/office/acceptance.hpp"
#include "tests/server/inbound/served.hpp"

using namespace spoold;
using namespace spoold::server;

TEST_CASE("inbound: a post is in the store, expanded, when the 250 is read") {
  Served served;
  const std::string said = deliver(served, "anne@far.example", {"Test@Lists.Example"}, post);
  REQUIRE(said.starts_with("250 2.0.0 queued as "));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 1);
  const store::Message& message = messages.front();
  CHECK(said.substr(20) == store::id_text(message.id));
  CHECK(message.list_address == "test@lists.example");
  CHECK(message.reverse_path == "test-bounces@lists.example");
  CHECK(message.post == 1);
  CHECK(message.copies == list::Copies::each_verp);
  CHECK(message.subject == "hello");
  CHECK(served.recipients(message.id) ==
        std::vector<std::string>{"anne@far.example", "bart@near.example", "cris@near.example"});
  const std::string out = served.outgoing(message);
  CHECK(out.size() == message.size);
  CHECK(has(out.substr(0, 140),
            "Received: from client.example ([127.0.0.1])\r\n\tby mx.example (spoold) with ESMTP id " +
                store::id_text(message.id) + "\r\n\tfor <Test@lists.example>; "));
  CHECK(has(out, "\r\nList-Id: <test.lists.example>\r\n"));
  CHECK(out.ends_with("\r\n\r\nthe text\r\n"));
  CHECK(served.opened.problems() == "");
  CHECK(served.stats.accepted == 1);
  CHECK(served.stats.recipients == 3);
  CHECK(served.woken == std::vector<std::string>{"relay"});
}

TEST_CASE(
    "inbound: Received shows what EHLO said where it is a domain or an address literal (RFC 5321 4.4)") {
  for (const char* shown :
       {"mx.example.net", "localhost", "win_pc", "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]"})
    CHECK(client_text(shown, "[192.0.2.9]") == std::string(shown) + " ([192.0.2.9])");
  for (const char* odd :
       {"", "..", "x(y", "mx..example", "-a.example", "[", "[]", "[192.0.2.300]", "a:b", "x;y"})
    CHECK(client_text(odd, "[192.0.2.9]") == "unknown ([192.0.2.9])");
}

TEST_CASE("inbound: what an address is") {
  Served served;
  Client client(served);
  envelope(client, "eve@else.example", {});
  const auto said = [&](const std::string& address) {
    return client.ask("RCPT TO:<" + address + ">").substr(0, 9);
  };
  for (const char* good : {"test@lists.example",
                           "TEST@LISTS.EXAMPLE",
                           "test-owner@lists.example",
                           "test-request@lists.example",
                           "test-leave@lists.example",
                           "test-unsubscribe@lists.example",
                           "test-join@lists.example",
                           "test-subscribe@lists.example",
                           "test-admin@lists.example",
                           "test-bounces@lists.example",
                           "test-confirm+abc@lists.example",
                           "test-bounces+anne=far.example@lists.example",
                           "test-bounces+nonsense@lists.example",
                           "postmaster@lists.example",
                           "abuse@lists.example",
                           "staff@lists.example",
                           "any@relayed.example",
                           "postmaster",
                           "postmaster@mx.example",
                           "abuse@mx.example"}) {
    CAPTURE(good);
    CHECK(said(good) == "250 2.1.5");
  }
  for (const char* unknown : {"none@lists.example", "none-owner@lists.example", "anne@mx.example",
                              "none-bounces+a=b@lists.example"}) {
    CAPTURE(unknown);
    CHECK(said(unknown) == "550 5.1.1");
  }
  CHECK(said("any@else.example") == "550 5.7.1");
}

TEST_CASE("inbound: a trusted client may relay anywhere, but not to addresses that do not exist here") {
  Served served([](conf::Settings& settings, store::Options&) {
    settings.smtp.trusted_networks = {*conf::parse_network("127.0.0.0/8")};
  });
  const std::string said =
      deliver(served, "eve@else.example", {"any@else.example", "any@ELSE.example"}, post);
  REQUIRE(said.starts_with("250 2.0.0"));
  const auto message = served.messages().at(0);
  CHECK(message.list == 0);
  CHECK(message.reverse_path == "eve@else.example");
  CHECK(served.recipients(message.id) == std::vector<std::string>{"any@else.example"});
  CHECK(served.outgoing(message).ends_with("\r\n" + post));
  CHECK(served.outgoing(message).size() == message.size);
  Client client(served);
  CHECK(envelope(client, "eve@else.example", {"none@lists.example"}).starts_with("550 5.1.1"));
}

TEST_CASE("inbound: a message without a header goes on with a header of its own") {
  Served served;
  REQUIRE(deliver(served, "a@b.example", {"any@relayed.example"}, "just text\r\n").starts_with("250"));
  REQUIRE(deliver(served, "a@b.example", {"any@relayed.example"}, "").starts_with("250"));
  REQUIRE(deliver(served, "a@b.example", {"any@relayed.example"}, "From a@b.example Sun\r\nTo: x\r\n\r\n")
              .starts_with("250"));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 3);
  CHECK(served.outgoing(messages[0]).ends_with("+0000\r\n\r\njust text\r\n"));
  CHECK(served.outgoing(messages[1]).ends_with("+0000\r\n\r\n"));
  CHECK(served.outgoing(messages[2]).ends_with("+0000\r\nTo: x\r\n\r\n"));
}

TEST_CASE("inbound: who may post is judged after the header") {
  Served served;
  const std::string stranger = "From: eve@else.example\r\n\r\nbuy\r\n",
                    own = "List-Id: <test.lists.example>\r\n";
  CHECK(deliver(served, "eve@else.example", {"test@lists.example"}, stranger).starts_with("550 5.7.1"));
  CHECK(deliver(served, "", {"test@lists.example"}, post).starts_with("550 5.7.1"));
  CHECK(deliver(served, "anne@far.example", {"test@lists.example"}, "Subject: none\r\n\r\n")
            .starts_with("550 5.6.0"));
  CHECK(deliver(served, "anne@far.example", {"test@lists.example"}, own + post).starts_with("554 5.4.6"));
  CHECK(served.messages().empty());
  CHECK(deliver(served, "eve@else.example", {"open@lists.example"}, stranger).starts_with("250"));
  CHECK(served.messages().size() == 1);
}

TEST_CASE("inbound: several lists and others in one transaction are several messages of one commit") {
  Served served;
  const std::string said = deliver(served, "anne@far.example",
                                   {"test@lists.example", "open@lists.example", "test@lists.example",
                                    "any@relayed.example", "staff@lists.example", "test-owner@lists.example"},
                                   post);
  REQUIRE(said.starts_with("250"));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 4);
  CHECK(messages[0].list_address == "test@lists.example");
  CHECK(messages[1].list_address == "open@lists.example");
  CHECK(said.substr(20) == store::id_text(messages[0].id));
  CHECK(messages[2].reverse_path == "anne@far.example");
  CHECK(served.recipients(messages[2].id) ==
        std::vector<std::string>{"boss@far.example", "any@relayed.example"});
  CHECK(messages[3].reverse_path == "test-bounces@lists.example");
  CHECK(messages[3].list == 0);
  CHECK(served.recipients(messages[3].id) == std::vector<std::string>{"owner@far.example"});
  CHECK(messages[0].content == messages[3].content);
  CHECK_FALSE(has(served.outgoing(messages[2]), "\tfor <"));
  CHECK(served.opened.problems() == "");
}

TEST_CASE("inbound: what one of several lists refuses is reported to the sender, in the commit of the rest") {
  Served served;
  const std::string stranger = "From: eve@else.example\r\nSubject: buy\r\n\r\nbuy\r\n";
  const std::string said =
      deliver(served, "eve@else.example", {"test@lists.example", "open@lists.example"}, stranger);
  const auto messages = served.messages();
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].list_address == "open@lists.example");
  CHECK(said == "250 2.0.0 queued as " + store::id_text(messages[0].id));
  CHECK(messages[1].reverse_path.empty());
  CHECK(served.recipients(messages[1].id) == std::vector<std::string>{"eve@else.example"});
  const std::string report = served.outgoing(messages[1]);
  CHECK(report.size() == messages[1].size);
  CHECK(has(report, "Final-Recipient: rfc822; test@lists.example\r\n"));
  CHECK(has(report, "Status: 5.7.1\r\n"));
  CHECK(has(report, "Subject: buy\r\n"));
  CHECK_FALSE(has(report, "\r\n\r\nbuy\r\n"));
  const auto events = store::spool::history(store::Read(*served.opened.store), TimePoint{},
                                            served.opened.now() + std::chrono::hours(1), 0, 100)
                          .events;
  CHECK(std::any_of(events.begin(), events.end(), [](const store::HistoryEvent& event) {
    return event.event == "failed" && event.address == "test@lists.example" &&
           event.detail.starts_with("550 5.7.1");
  }));
  CHECK(served.opened.problems() == "");
  // All refuse: the reply of the first, and no mail about it.
  CHECK(deliver(served, "eve@else.example", {"test@lists.example", "test@lists.example"}, stranger)
            .starts_with("550 5.7.1"));
  CHECK(served.messages().size() == 2);
}

TEST_CASE("inbound: a bounce to a VERP address is noted, and nothing is queued") {
  Served served;
  const std::string report = "From: MAILER-DAEMON@far.example\r\nSubject: undeliverable\r\n\r\n5.1.1\r\n";
  CHECK(deliver(served, "", {"test-bounces+anne=far.example@lists.example"}, report) == "250 2.0.0 noted");
  CHECK(served.messages().empty());
  const auto events = store::spool::history(store::Read(*served.opened.store), TimePoint{},
                                            served.opened.now() + std::chrono::hours(1), 0, 100)
                          .events;
  REQUIRE(events.size() == 1);
  CHECK(events[0].event == "bounce");
  CHECK(events[0].address == "anne@far.example");
  CHECK(events[0].list != 0);
  CHECK(events[0].detail == "From: MAILER-DAEMON@far.example; Subject: undeliverable");
}

TEST_CASE("inbound: a decision is one commit, whatever it holds") {
  static std::atomic<int> fault{0};
  fault = 0;
  Served served([](conf::Settings&, store::Options& options) {
    options.fault = [](const char* point) { return std::string_view(point) == "commit" ? fault.load() : 0; };
  });
  const auto events = [&] {
    return store::spool::history(store::Read(*served.opened.store), TimePoint{},
                                 served.opened.now() + std::chrono::hours(1), 0, 100)
        .events.size();
  };
  const std::vector<std::string> to = {"test-bounces+anne=far.example@lists.example",
                                       "test-bounces+bart=near.example@lists.example", "any@relayed.example"};
  const auto before = served.opened.store->figures().commits;
  REQUIRE(deliver(served, "", {to[0], to[1]}, post) == "250 2.0.0 noted");
  CHECK(events() == 2);
  CHECK(served.opened.store->figures().commits == before + 1);
  REQUIRE(deliver(served, "", to, post).starts_with("250 2.0.0 queued as "));
  CHECK(events() == 4);
  CHECK(served.messages().size() == 1);
  CHECK(served.opened.store->figures().commits == before + 2);
  fault = ENOSPC;
  CHECK(deliver(served, "", to, post).starts_with("452 4.3.1"));
  fault = 0;
  CHECK(events() == 4);  // nothing of it
  CHECK(served.messages().size() == 1);
  CHECK(served.stats.bounced == 4);
}

TEST_CASE("inbound: mail to owners keeps the null reverse path, so that a bounce never makes a bounce") {
  Served served;
  REQUIRE(deliver(served, "", {"test-bounces@lists.example"}, post).starts_with("250"));
  REQUIRE(served.messages().size() == 1);
  CHECK(served.messages()[0].reverse_path.empty());
  CHECK(served.recipients(served.messages()[0].id) == std::vector<std::string>{"owner@far.example"});
}

TEST_CASE("inbound: LMTP has a reply for each recipient") {
  Served served;
  Client client(served.folder.path() + "/lmtp");
  CHECK(client.reply() == "220 mx.example LMTP spoold");
  client.send("LHLO client.example\r\n");
  CHECK(client.reply().starts_with("250-mx.example|250-PIPELINING"));
  client.send(
      "MAIL FROM:<eve@else.example>\r\nRCPT TO:<test@lists.example>\r\nRCPT TO:<any@relayed.example>\r\n"
      "RCPT TO:<none@lists.example>\r\nRCPT TO:<open@lists.example>\r\nDATA\r\n");
  for (const char* expected : {"250 2.1.0", "250 2.1.5", "250 2.1.5", "550 5.1.1", "250 2.1.5", "354"})
    CHECK(client.reply().starts_with(expected));
  client.send("From: eve@else.example\r\n\r\nbuy\r\n.\r\nNOOP\r\n");
  CHECK(client.reply().starts_with("550 5.7.1"));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 2);
  CHECK(client.reply() == "250 2.0.0 queued as " + store::id_text(messages[0].id));
  CHECK(client.reply() == "250 2.0.0 queued as " + store::id_text(messages[1].id));
  CHECK(client.reply() == "250 2.0.0 ok");
  CHECK(has(served.outgoing(messages[0]),
            "Received: from client.example (unix)\r\n\tby mx.example (spoold) with LMTP id "));
}

TEST_CASE(
    "inbound: role addresses of a domain with many lists reach the owners of 20, once, however often named") {
  Served served([](conf::Settings& settings, store::Options&) { settings.smtp.max_recipients = 1000; });
  for (int i = 0; i < 60; ++i) {
    const auto made = served.opened.change([&](store::Write& write) -> store::Result<void> {
      list::Settings of_list;
      of_list.owners = {"owner" + std::to_string(i) + "@far.example", "all@far.example"};
      const auto list = store::directory::create_list(write, "l" + std::to_string(100 + i), "many.example",
                                                      of_list, served.opened.now());
      if (!list) return tl::unexpected(list.error());
      return {};
    });
    REQUIRE(made);
  }
  Client client(served);
  REQUIRE(envelope(client, "", {"abuse@many.example"}).starts_with("250"));
  std::string group;
  for (int i = 0; i < 300; ++i)
    group += i % 2 == 0 ? "RCPT TO:<abuse@many.example>\r\n"
                        : "RCPT TO:<bounces+" + std::to_string(i) + "@many.example>\r\n";
  client.send(group);
  for (int i = 0; i < 300; ++i) REQUIRE(client.reply().starts_with("250"));
  REQUIRE(send_message(client, post).starts_with("250"));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 1);
  CHECK(served.recipients(messages[0].id).size() == 21);
}

TEST_CASE("inbound: a list whose owners are nobody is answered at RCPT, one behind a list is found") {
  Served served([](conf::Settings& settings, store::Options&) {
    settings.aliases["first@lists.example"] = {"second@lists.example"};
    settings.aliases["second@lists.example"] = {"first@lists.example", "test-owner@lists.example"};
    settings.aliases["empty@lists.example"] = {"empty@lists.example"};
  });
  REQUIRE(deliver(served, "anne@far.example", {"first@lists.example"}, post).starts_with("250"));
  CHECK(served.recipients(served.messages().at(0).id) == std::vector<std::string>{"owner@far.example"});
  Client client(served);
  CHECK(envelope(client, "anne@far.example", {"empty@lists.example"}).starts_with("550 5.1.6"));
}

TEST_CASE("inbound: local parts that differ in case are two recipients, the same one is not") {
  Served served;
  REQUIRE(
      deliver(served, "anne@far.example",
              {"Bob@relayed.example", "bob@relayed.example", "Bob@RELAYED.example", "bob@relayed.example"},
              post)
          .starts_with("250"));
  CHECK(served.recipients(served.messages().at(0).id) ==
        std::vector<std::string>{"Bob@relayed.example", "bob@relayed.example"});
  CHECK(served.opened.problems() == "");
}

TEST_CASE("inbound: 100,000 recipients in one transaction are compared in less than a second") {
  smtp::Transaction transaction;
  transaction.open = true;
  transaction.reverse_path = "anne@far.example";
  for (int i = 0; i < 100000; ++i) {
    smtp::Recipient recipient;
    recipient.address = "user" + std::to_string(i / 2) + "@relayed.example";
    transaction.recipients.push_back(std::move(recipient));
  }
  Served served;
  Arrival arrival{.transaction = transaction,
                  .header = post,
                  .content = {},
                  .scanned = mail::scan(post),
                  .client = "c",
                  .protocol = "ESMTP"};
  const auto begun = std::clock();
  const Disposition made = dispose(served.settings, *served.opened.store, std::move(arrival));
  CHECK(std::clock() - begun < 5 * CLOCKS_PER_SEC);  // sanitized; without a set: minutes
  CHECK(made.acceptance.messages.at(0).recipients.size() == 50000);
}

TEST_CASE("inbound: a stranger gets no routing in a local part towards a relayed domain") {
  const std::vector<std::string> routed = {"victim%else.example@relayed.example",
                                           "else.example!victim@relayed.example",
                                           "\"victim@else.example\"@relayed.example"};
  Served strange, trusting([](conf::Settings&settings, store::Options&) {
    settings.smtp.trusted_networks = {*conf::parse_network("127.0.0.0/8")};
  });
  for (const std::string& address : routed) {
    Client stranger(strange), trusted(trusting);
    CHECK(envelope(stranger, "eve@far.example", {address}).starts_with("550 5.7.1"));
    CHECK(envelope(trusted, "anne@far.example", {address}).starts_with("250"));
  }
  Client client(strange);
  CHECK(envelope(client, "eve@far.example", {"any+detail@relayed.example"}).starts_with("250"));
}

TEST_CASE("inbound: a stranger's wish for success reports makes no mail to the sender it names") {
  Served served;
  const auto ask = [&](const std::string& to, const std::string& content) {
    Client client(served);
    envelope(client, "victim@else.example", {});
    REQUIRE(client.ask("RCPT TO:<" + to + "> NOTIFY=SUCCESS,FAILURE").starts_with("250"));
    return send_message(client, content);
  };
  const std::string stranger = "From: victim@else.example\r\n\r\nbuy\r\n";
  const auto reports = [&] {
    const auto all = served.messages();
    return std::count_if(all.begin(), all.end(), [](const store::Message& m) { return m.report; });
  };
  for (const char* to : {"open@lists.example", "test-owner@lists.example", "staff@lists.example"})
    CHECK(ask(to, post).starts_with("250"));
  CHECK(reports() == 0);
  CHECK(ask("any@relayed.example", stranger).starts_with("250"));
  CHECK(ask("test@lists.example", post).starts_with("250"));  // a member's address in From
  CHECK(reports() == 1);
}

TEST_CASE("inbound: a header that is too long for many lists is refused, not cooked for each") {
  Served served;
  std::vector<std::string> lists;
  for (int i = 0; i < 40; ++i) {
    served.make_list("n" + std::to_string(i), {}, list::Nonmembers::accept);
    lists.push_back("n" + std::to_string(i) + "@lists.example");
  }
  std::string large;
  for (int i = 0; i < 2500; ++i) large += "X-Field: " + std::string(50, 'x') + "\r\n";
  CHECK(deliver(served, "anne@far.example", lists, large + post).starts_with("552 5.3.4"));
  CHECK(deliver(served, "anne@far.example", lists, post).starts_with("250"));
  CHECK(served.messages().size() == 40);
}
