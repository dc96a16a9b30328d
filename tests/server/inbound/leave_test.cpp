// Mail to the address that ends a membership: over real sockets and a real store.
#include <doctest/doctest.h>

#include "protocol/list/leave_token.hpp"
#include "server/verp_key.hpp"
#include "store/directory/directory.hpp"
#include "tests/server/inbound/served.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

struct Leaving : Served {
  list::List list() {
    const store::Read read(*opened.store);
    return *store::directory::find_list(read, "test", "lists.example");
  }
  std::optional<list::Member> member(const std::string& address) {
    const store::Read read(*opened.store);
    return store::directory::find_member(read, list().id, address);
  }
  std::string address_of(const std::string& member_address) {
    return list::leave_address(list(), member(member_address)->id, '+', &plain_hmac);
  }
  std::vector<store::HistoryEvent> edited() {
    const store::Read read(*opened.store);
    std::vector<store::HistoryEvent> found;
    for (const auto& event : store::spool::history(read, {}, TimePoint::max(), 0, 10'000).events)
      if (event.event == "edited" && event.who.starts_with("one-click")) found.push_back(event);
    return found;
  }
};

}  // namespace

TEST_CASE(
    "leave: a mail to the member's own address takes him off, whatever it says and whoever wrote it; again "
    "it does nothing") {
  Leaving served;
  const std::string address = served.address_of("bart@near.example");
  const auto before = served.list().members;
  for (const char* text : {"Subject: \r\n\r\nThis is an automatic message\r\n", "\r\n",
                           "Subject: do NOT unsubscribe\r\n\r\nplease\r\n"})
    CHECK(deliver(served, "eve@else.example", {address}, text).starts_with("250 2"));
  CHECK(deliver(served, "", {address}, post).starts_with("250 2"));
  CHECK(!served.member("bart@near.example"));
  CHECK(served.member("anne@far.example"));
  CHECK(served.list().members == before - 1);
  CHECK(served.messages().empty());
  const auto events = served.edited();
  REQUIRE(events.size() == 4);
  CHECK(events[0].who == "one-click, by mail of eve@else.example");
  CHECK(events[0].detail == "removed bart@near.example from test@lists.example");
  CHECK(events[1].detail == "asked to leave, and was no member any more");
  CHECK(events[3].who == "one-click, by mail of <>");
  CHECK(served.opened.problems() == "");
}

TEST_CASE("leave: a forged, a foreign and a cut token are refused at RCPT; nobody leaves") {
  Leaving served;
  const std::string good = served.address_of("bart@near.example");
  Client client(served);
  envelope(client, "eve@else.example", {});
  const auto said = [&](const std::string& address) {
    return client.ask("RCPT TO:<" + address + ">").substr(0, 9);
  };
  std::string forged = good;
  forged[20] = forged[20] == 'a' ? 'b' : 'a';
  CHECK(said(forged) == "550 5.1.1");
  CHECK(said("test-leave+anne=far.example@lists.example") == "550 5.1.1");
  CHECK(said(good.substr(0, 30) + "@lists.example") == "550 5.1.1");
  CHECK(said("other-leave" + good.substr(10)) == "550 5.1.1");
  CHECK(said("leave" + good.substr(10)) == "250 2.1.5");  // the form for long names
  CHECK(said(good) == "250 2.1.5");
  const list::List list = served.list();
  CHECK(said(list::leave_address(list, 1, '+', hmac_sha256("another secret, of 16 octets"))) == "550 5.1.1");
  CHECK(served.member("bart@near.example"));
}

TEST_CASE("leave: who joined again is not taken off by an old mail's address") {
  Leaving served;
  const std::string old = served.address_of("bart@near.example");
  CHECK(deliver(served, "eve@else.example", {old}, post).starts_with("250 2"));
  list::Member again;
  again.address = "bart@near.example";
  served.opened.change(store::directory::Subscribe{served.list().id, {again}});
  REQUIRE(served.member("bart@near.example"));
  CHECK(deliver(served, "eve@else.example", {old}, post).starts_with("250 2"));
  CHECK(served.member("bart@near.example"));
}

TEST_CASE("leave: a post to the list and a wish to leave in one transaction are one commit") {
  Leaving served;
  const std::string address = served.address_of("bart@near.example");
  CHECK(deliver(served, "anne@far.example", {"test@lists.example", address}, post).starts_with("250 2"));
  CHECK(!served.member("bart@near.example"));
  CHECK(served.messages().size() == 1);
}
