// Sessions: large messages, cuts, errors of the store, limits, stops.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "store/key.hpp"
#include "tests/server/inbound/served.hpp"

using namespace spoold;
using namespace spoold::server;

TEST_CASE("session: the replies of a pipelined group come in one write") {
  Served served;
  Client client(served);
  client.reply();
  client.ask("EHLO client.example");
  client.send(
      "MAIL FROM:<anne@far.example>\r\nRCPT TO:<test@lists.example>\r\nRCPT "
      "TO:<none@lists.example>\r\nDATA\r\n");
  const std::string all = client.one_read();
  CHECK(std::count(all.begin(), all.end(), '\n') == 4);
}

TEST_CASE("session: large messages are staged, and come out as they came in") {
  Served served;
  std::string content = "From: anne@far.example\r\nX-Long: " + std::string(3000, 'h') + "\r\n\r\n",
              wire = content;
  for (std::size_t i = 0; content.size() < 3'000'000; ++i) {
    const std::string line = (i % 7 == 0 ? "." : "") + std::to_string(i) + std::string(i % 70, 'x') + "\r\n";
    content += line;
    wire += (line.starts_with('.') ? "." : "") + line;
  }
  Client client(served);
  REQUIRE(
      envelope(client, "anne@far.example", {"any@relayed.example", "test@lists.example"}).starts_with("250"));
  REQUIRE(send_message(client, wire).starts_with("250"));
  REQUIRE(send_message(client, wire).starts_with("503"));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 2);
  CHECK(store::spool::content(store::Read(*served.opened.store), messages[0].content, 0, 1u << 30) ==
        content);
  CHECK(served.outgoing(messages[0]).ends_with("\r\n" + content));
  CHECK(messages[0].leading_dots);
  CHECK(served.outgoing(messages[1]).ends_with(content.substr(content.find("\r\n\r\n"))));
  CHECK(served.opened.problems() == "");
  CHECK(*served.reception->memory == 0);
}

TEST_CASE("session: a large message that is cut off or refused leaves nothing") {
  Served served;
  const std::string head = "From: anne@far.example\r\n\r\n";
  std::string large;
  while (large.size() < 1'000'000) large += std::string(70, 'x') + "\r\n";
  {
    Client client(served);
    envelope(client, "anne@far.example", {"test@lists.example"});
    client.ask("DATA");
    client.send(head + large);
  }
  Client client(served);
  envelope(client, "anne@far.example", {"test@lists.example"});
  client.ask("DATA");
  client.send(head + large + "bare\nfeed\r\n" + large + ".\r\n");
  CHECK(client.reply().starts_with("550 5.5.2"));
  CHECK(client.ask("NOOP").starts_with("250"));
  CHECK(becomes([&] { return served.stats.open_in == 1 && *served.reception->memory == 0; }));
  CHECK(served.messages().empty());
  CHECK(served.opened.problems() == "");
}

TEST_CASE(
    "session: what was staged of a refused message is not the content of the next one in the same input") {
  Served served;
  Client client(served);
  REQUIRE(envelope(client, "anne@far.example", {"any@relayed.example"}).starts_with("250"));
  REQUIRE(client.ask("DATA").starts_with("354"));
  std::string first = "Subject: first\r\n\r\n";
  while (first.size() < 600'000) first += "a line of the first message\r\n";
  client.send(first);
  REQUIRE(becomes([&] { return served.stats.bytes_in > first.size(); }));
  client.send("bare\nfeed\r\n.\r\nMAIL FROM:<anne@far.example>\r\nRCPT TO:<any@relayed.example>\r\nDATA\r\n");
  CHECK(client.reply().starts_with("550 5.5.2"));
  CHECK(client.reply().starts_with("250"));
  CHECK(client.reply().starts_with("250"));
  CHECK(client.reply().starts_with("354"));
  CHECK(client.ask("Subject: second\r\n\r\nthe second\r\n.").starts_with("250"));
  REQUIRE(served.messages().size() == 1);
  CHECK(served.outgoing(served.messages()[0]).ends_with("Subject: second\r\n\r\nthe second\r\n"));
}

TEST_CASE("session: cut off after every octet, nothing is stored that was not whole") {
  Served served;
  const std::string commands =
      "EHLO c\r\nMAIL FROM:<anne@far.example>\r\nRCPT TO:<test@lists.example>\r\nDATA\r\n";
  const std::string all = commands + "From: anne@far.example\r\n\r\nx\r\n.\r\n";
  for (std::size_t cut = 0; cut < all.size(); ++cut) {
    Client client(served);
    client.reply();
    client.send(all.substr(0, std::min(cut, commands.size())));
    if (cut > commands.size()) {
      for (int i = 0; i < 4; ++i) client.reply();
      client.send(all.substr(commands.size(), cut - commands.size()));
    }
  }
  CHECK(becomes([&] { return served.stats.open_in == 0; }));
  CHECK(served.messages().empty());
}

TEST_CASE("session: the store's errors become 452 and 451, and nothing is kept") {
  static std::atomic<int> fault{0};
  Served served([](conf::Settings&, store::Options& options) {
    options.fault = [](const char* point) { return std::string_view(point) == "commit" ? fault.load() : 0; };
  });
  Client client(served);
  REQUIRE(envelope(client, "anne@far.example", {"test@lists.example"}).starts_with("250"));
  fault = ENOSPC;
  CHECK(send_message(client, post).starts_with("452 4.3.1"));
  fault = 0;
  CHECK(served.messages().empty());
  CHECK(becomes([&] { return client.ask("MAIL FROM:<anne@far.example>").starts_with("250"); }));
  client.ask("RCPT TO:<test@lists.example>");
  CHECK(send_message(client, post).starts_with("250"));
  CHECK(served.messages().size() == 1);
}

TEST_CASE("session: a line of 64 MiB is answered once, and is never held") {
  Served served;
  Client client(served);
  client.reply();
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 64; ++i) client.send(block);
  CHECK(becomes([&] { return served.stats.bytes_in == std::uint64_t{64} << 20; }));
  client.send("\r\nNOOP\r\n");
  CHECK(client.reply().starts_with("500 5.5.2"));
  CHECK(client.reply().starts_with("250 2.0.0"));
}

TEST_CASE("session: connection limits") {
  Served served([](conf::Settings& settings, store::Options&) {
    settings.smtp.max_connections = 3;
    settings.smtp.max_connections_per_host = 2;
  });
  Client a(served), b(served);
  CHECK(a.reply().starts_with("220"));
  CHECK(b.reply().starts_with("220"));
  Client c(served);
  CHECK(c.reply().starts_with("421 4.7.0"));
  CHECK(c.reply() == "closed");
  Client d(served.folder.path() + "/lmtp");
  CHECK(d.reply().starts_with("220"));
  Client e(served.folder.path() + "/lmtp");
  CHECK(e.reply().starts_with("421 4.3.2"));
}

TEST_CASE("session: a stop answers 421 to idle sessions and lets open transactions finish") {
  Served served;
  Client idle(served), busy(served);
  idle.reply();
  REQUIRE(envelope(busy, "anne@far.example", {"test@lists.example"}).starts_with("250"));
  served.reception->stop();
  CHECK(idle.reply().starts_with("421 4.3.2"));
  CHECK(idle.reply() == "closed");
  CHECK(send_message(busy, post).starts_with("250"));
  CHECK(busy.reply().starts_with("421 4.3.2"));
  CHECK(served.messages().size() == 1);
  CHECK(becomes([&] { return served.reception->idle(); }));
}

TEST_CASE("session: time limits of a command and of a data block") {
  Served served(nullptr, [](smtp::ServerProfile& profile) {
    profile.command_limit = std::chrono::milliseconds(500);
    profile.block_limit = std::chrono::milliseconds(500);
  });
  Client client(served);
  client.reply();
  CHECK(client.reply().starts_with("421 4.4.2"));
  CHECK(client.reply() == "closed");
  Client slow(served);
  envelope(slow, "anne@far.example", {"test@lists.example"});
  CHECK(slow.ask("DATA").starts_with("354"));
  slow.send("From: anne@far.example\r\n");
  CHECK(slow.reply().starts_with("421 4.4.2"));
  CHECK(served.messages().empty());
}

TEST_CASE("session: when nearly all places are taken, strangers that send nothing lose theirs") {
  Served served(
      [](conf::Settings& settings, store::Options&) {
        settings.smtp.max_connections = 10;
        settings.smtp.max_connections_per_host = 10;
      },
      [](smtp::ServerProfile& profile) { profile.pressed_limit = std::chrono::milliseconds(300); });
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 9; ++i) {
    idle.push_back(std::make_unique<Client>(served));
    CHECK(idle.back()->reply().starts_with("220"));
  }
  CHECK(Client(served).reply().starts_with("421 4.3.2"));
  CHECK(Client(served.folder.path() + "/lmtp").reply().starts_with("220"));
  CHECK(becomes([&] { return served.stats.open_in == 0; }));
}

TEST_CASE("session: a stranger holds its place no longer by NOOP or by an octet of content now and then") {
  Served served(nullptr, [](smtp::ServerProfile& profile) {
    profile.idle_limit = std::chrono::milliseconds(700);
    profile.message_limit = std::chrono::milliseconds(700);
  });
  Client asks(served);
  asks.reply();
  std::string said;
  for (int i = 0; i < 600 && !said.starts_with("421") && said != "closed"; ++i) {
    said = asks.ask("NOOP");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(said.starts_with("421 4.4.2"));
  Client dribbles(served);
  envelope(dribbles, "anne@far.example", {"test@lists.example"});
  CHECK(dribbles.ask("DATA").starts_with("354"));
  // An octet earns 2 ms and takes 20: the 421 comes although something arrives all the time.
  std::atomic<bool> over = false;
  std::thread sender([&] {
    for (int i = 0; i < 600 && !over; ++i) {
      dribbles.send("x");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  said = dribbles.reply();
  over = true;
  sender.join();
  CHECK((said.starts_with("421 4.4.2") || said == "closed"));  // a reset may overtake the reply
  CHECK(served.messages().empty());
}

TEST_CASE("session: a client that dribbles a command gets no more time for it") {
  Served served(nullptr,
                [](smtp::ServerProfile& profile) { profile.command_limit = std::chrono::milliseconds(600); });
  Client client(served);
  client.reply();
  int sent = 0;
  for (; sent < 200 && served.stats.open_in != 0; ++sent) {
    client.send("N");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  CHECK(sent < 200);  // 20 s at least: each of them would have started the 600 ms anew
  CHECK(client.reply().starts_with("421 4.4.2"));
}

TEST_CASE(
    "session: one that begins after a swap of the settings sees the new ones, an older one the old ones") {
  Served served;
  Client older(served);
  REQUIRE(older.reply() == "220 mx.example ESMTP spoold");
  older.ask("EHLO client.example");
  served.settings.hostname = "new.example";
  served.settings.aliases["new@lists.example"] = {"boss@far.example"};
  served.settings.domains.clear();
  served.settings.smtp.max_message_size = 1000;
  served.reception->use(served.rules());
  Client younger(served);
  CHECK(younger.reply() == "220 new.example ESMTP spoold");
  CHECK(has(younger.ask("EHLO client.example"), "SIZE 1000|"));
  for (Client* client : {&older, &younger}) client->ask("MAIL FROM:<anne@far.example>");
  CHECK(younger.ask("RCPT TO:<new@lists.example>").starts_with("250"));
  CHECK(younger.ask("RCPT TO:<any@relayed.example>").starts_with("550"));
  CHECK(older.ask("RCPT TO:<new@lists.example>").starts_with("550"));
  CHECK(older.ask("RCPT TO:<any@relayed.example>").starts_with("250"));
  REQUIRE(send_message(older, post).starts_with("250"));
  REQUIRE(send_message(younger, post).starts_with("250"));
  const auto messages = served.messages();
  REQUIRE(messages.size() == 2);
  CHECK(has(served.outgoing(messages[0]), "by mx.example (spoold)"));
  CHECK(has(served.outgoing(messages[1]), "by new.example (spoold)"));
  CHECK(served.recipients(messages[1].id) == std::vector<std::string>{"boss@far.example"});
}

TEST_CASE("session: LMTP listeners do not relay for trusted networks") {
  Served served([](conf::Settings& settings, store::Options&) {
    settings.smtp.trusted_networks = {*conf::parse_network("unix"), *conf::parse_network("127.0.0.0/8")};
  });
  Client lmtp(served.folder.path() + "/lmtp"), smtp(served);
  lmtp.reply();
  lmtp.ask("LHLO client.example");
  lmtp.ask("MAIL FROM:<anne@far.example>");
  CHECK(lmtp.ask("RCPT TO:<victim@elsewhere.example>").starts_with("550 5.7.1"));
  CHECK(lmtp.ask("RCPT TO:<test@lists.example>").starts_with("250"));
  CHECK(lmtp.ask("RCPT TO:<any@relayed.example>").starts_with("250"));
  CHECK(envelope(smtp, "anne@far.example", {"victim@elsewhere.example"}).starts_with("250"));
}

TEST_CASE("session: a record that cannot be read is answered 451, and the thread's loop learns of it") {
  Served served;
  const list::ListId id = served.make_list("broken", {}, list::Action::accept);
  REQUIRE(served.opened.change([&](store::Write& write) -> store::Result<void> {
    write.put(store::Table::list, store::Key().u32(id), "x");
    return {};
  }));
  Client client(served);
  CHECK(envelope(client, "anne@far.example", {"test@lists.example"}).starts_with("250"));
  CHECK(client.ask("RCPT TO:<broken@lists.example>").starts_with("451 4.3.0"));
  CHECK(client.reply() == "closed");
  CHECK(becomes([&] { return served.stats.open_in == 0; }));
  Client other(served);
  CHECK(envelope(other, "anne@far.example", {"test@lists.example"}).starts_with("250"));
  CHECK(has(served.exceptions, "list"));
}

TEST_CASE("session: a stranger whose recipients are refused again and again is slowed down, then gets 421") {
  Served served(nullptr, [](smtp::ServerProfile& profile) {
    profile.brake.pause = std::chrono::milliseconds(1);
    profile.brake.refusals = 60;
  });
  std::string group;
  for (int i = 0; i < 100; ++i) group += "RCPT TO:<none@lists.example>\r\n";
  std::string last;
  {
    Client client(served);
    envelope(client, "anne@far.example", {});
    client.send(group);
    for (std::string said = client.reply(); said != "closed"; said = client.reply()) last = said;
  }
  CHECK(last.starts_with("421 4.7.0"));
  CHECK(becomes([&] { return served.stats.open_in == 0; }));
  CHECK(served.stats.refused == 60);
}

TEST_CASE("listener: the unix socket of a dead server is replaced, that of a living one is not") {
  std::vector<int> none_passed;
  Served served;
  Threads threads(Threads::Work::receive, 1, [](const std::exception&) {});
  conf::Settings settings;
  settings.listen = {served.settings.listen.at(1)};
  const auto rules = [&] {
    return std::make_shared<const Rules>(std::make_shared<const conf::Settings>(settings), &plain_hmac);
  };
  Stats stats;
  {
    Reception second(rules(), *served.opened.store, threads, stats, [](const auto&) {});
    const auto refused = second.bind(none_passed);
    REQUIRE_FALSE(refused);
    CHECK(has(refused.error(), "cannot listen on unix:"));
  }
  const std::string stale = served.folder.path() + "/stale";
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  stale.copy(at.sun_path, sizeof at.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
  ::close(fd);
  settings.listen[0].path = stale;
  Reception third(rules(), *served.opened.store, threads, stats, [](const auto&) {});
  CHECK(third.bind(none_passed));
}
