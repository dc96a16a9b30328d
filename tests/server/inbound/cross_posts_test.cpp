// Posts to several lists, lists within lists, siblings: who gets which copy, over real sockets and a real store.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "protocol/list/leave_token.hpp"
#include "protocol/list/verp.hpp"
#include "server/office/moderation.hpp"
#include "store/directory/directory.hpp"
#include "store/directory/scores.hpp"
#include "store/spool/moderation.hpp"
#include "tests/server/inbound/served.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

using Copies = std::map<std::string, std::vector<std::string>>;  // by list

struct Crossing : Served {
  list::List list(const std::string& name) {
    return *store::directory::find_list(store::Read(*opened.store), name, "lists.example");
  }
  void set(const std::string& name, const std::string& key, const std::string& value) {
    REQUIRE(opened.change(store::directory::SetList{list(name).id, {{key, value}}}));
  }
  auto add(const std::string& name, const std::string& address, bool one_copy = false,
           list::Delivery delivery = list::Delivery::regular) {
    list::Member member;
    member.address = address;
    member.one_copy = one_copy;
    member.delivery = delivery;
    return opened.change(store::directory::Subscribe{list(name).id, {member}});
  }
  void deliver_to(const std::string& name, const std::string& address) {
    store::directory::SetMember set;
    set.list = list(name).id;
    set.address = address;
    set.delivery = list::Delivery::regular;
    REQUIRE(opened.change(set));
  }
  Copies copies() {
    Copies found;
    for (const store::Message& message : messages()) found[message.list_address] = recipients(message.id);
    return found;
  }
  std::vector<store::Message> posts() {
    std::vector<store::Message> found = messages();
    std::erase_if(found, [](const store::Message& message) { return message.post == 0; });
    return found;
  }
  void accept_the_held_post() {
    const auto held = store::spool::held_posts(store::Read(*opened.store), 0, {}, 10);
    REQUIRE(held.size() == 1);
    auto made = moderate(settings, *opened.store, {.post = held[0].id, .who = "mo"});
    while (made && made->unnumbered) {
      REQUIRE(opened.post_number(*made->unnumbered));
      made = moderate(settings, *opened.store, {.post = held[0].id, .who = "mo"});
    }
    REQUIRE(made);
    REQUIRE(store::await<store::Accepted>(
        [&](auto cb) { opened.store->accept(std::move(made->acceptance), cb); }));
  }
  std::vector<store::HistoryEvent> failed() {
    std::vector<store::HistoryEvent> found;
    for (const auto& event :
         store::spool::history(store::Read(*opened.store), {}, TimePoint::max(), 0, 10'000).events)
      if (event.event == "failed") found.push_back(event);
    return found;
  }
};

std::string post_to(const std::string& to) {
  return "From: Anne <anne@far.example>\r\nTo: " + to +
         "\r\nSubject: hello\r\nMessage-ID: <m@x>\r\n\r\nthe text\r\n";
}

}  // namespace

TEST_CASE("cross-posts: a list that is a member gets a post of its own; nobody gets two, a cycle ends") {
  Crossing served;
  served.make_list("inner", {"bart@near.example", "emil@near.example"}, list::Action::accept);
  served.make_list("deep", {"emil@near.example", "fred@far.example", "test@lists.example"},
                   list::Action::accept);
  // A circle is refused, but who gets no mail is no part of one until he does.
  for (const char* name : {"deep@lists.example", "test@lists.example"})
    REQUIRE(served.add("inner", name, false, list::Delivery::nomail_by_admin));
  REQUIRE(served.add("test", "inner@lists.example"));
  for (const char* name : {"deep@lists.example", "test@lists.example"}) served.deliver_to("inner", name);
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, post_to("test@lists.example"))
              .starts_with("250"));
  CHECK(served.copies() ==
        Copies{{"test@lists.example", {"anne@far.example", "bart@near.example", "cris@near.example"}},
               {"inner@lists.example", {"emil@near.example"}},
               {"deep@lists.example", {"fred@far.example"}}});
  for (const store::Message& message : served.messages()) {
    const std::string out = served.outgoing(message);
    CHECK(message.post != 0);  // numbers may be skipped while leases are awaited
    CHECK(message.reverse_path ==
          list::bounces_address(served.list(message.list_address.substr(0, message.list_address.find('@')))));
    CHECK(has(out, "\r\nX-BeenThere: " + message.list_address + "\r\n"));
    CHECK(has(out, "X-BeenThere: test@lists.example\r\n"));
    CHECK(has(out, "X-BeenThere: inner@lists.example\r\n") == (message.list_address != "test@lists.example"));
    CHECK(has(out, "\r\nList-Id: <" + message.list_address.substr(0, message.list_address.find('@')) +
                       ".lists.example>\r\n"));
  }
  CHECK(served.failed().empty());
  CHECK(served.opened.problems() == "");
}

TEST_CASE("cross-posts: a member list that would make a circle is refused") {
  Crossing served;
  served.make_list("inner", {}, list::Action::accept);
  served.make_list("deep", {}, list::Action::accept);
  REQUIRE(served.add("test", "inner@lists.example"));
  REQUIRE(served.add("inner", "deep@lists.example"));
  for (const char* name : {"inner", "deep"}) {
    const auto added = served.add(name, "test@lists.example");
    REQUIRE_FALSE(added);
    CHECK(added.error().text.find("posts would go round in a circle: the members of test@lists.example") !=
          std::string::npos);
  }
  REQUIRE(served.add("test", "deep@lists.example"));  // twice, and no circle
}

TEST_CASE(
    "cross-posts: the rules of a nested list are asked; what it refuses is in the history of the outer one") {
  Crossing served;
  served.make_list("inner", {"emil@near.example"}, list::Action::reject);
  served.add("test", "inner@lists.example");
  const std::string text = post_to("test@lists.example");
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, text).starts_with("250"));
  CHECK(served.copies().count("inner@lists.example") == 0u);
  CHECK(served.copies()["test@lists.example"].size() == 3);
  const auto failed = served.failed();
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].address == "inner@lists.example");
  CHECK(failed[0].list == served.list("test").id);
  CHECK(has(failed[0].detail, "550 5.7.1 anne@far.example is not a member of inner@lists.example"));
  // Whoever runs the inner list may name the outer one.
  served.set("inner", "accept_these", "test@lists.example");
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, text).starts_with("250"));
  CHECK(served.copies()["inner@lists.example"] == std::vector<std::string>{"emil@near.example"});
  // Held there, it waits there.
  served.set("inner", "emergency", "true");
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, text).starts_with("250"));
  CHECK(store::spool::held_posts(store::Read(*served.opened.store), served.list("inner").id, {}, 10).size() ==
        1);
  CHECK(served.opened.problems() == "");
}

TEST_CASE("cross-posts: what a moderator accepts later goes to nobody who has the post") {
  Crossing served;
  served.make_list("inner", {"bart@near.example", "emil@near.example"}, list::Action::accept);
  served.add("test", "inner@lists.example");
  served.set("inner", "emergency", "true");
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, post_to("test@lists.example"))
              .starts_with("250"));
  served.accept_the_held_post();
  CHECK(served.copies()["inner@lists.example"] == std::vector<std::string>{"emil@near.example"});
  for (const store::Message& message : served.posts())
    CHECK(has(served.outgoing(message), "X-BeenThere: test@lists.example\r\n"));

  // The outer list holds it, the inner one is named and has it.
  served.set("inner", "emergency", "false");
  served.set("test", "emergency", "true");
  const std::size_t before = served.posts().size();
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example", "inner@lists.example"}, post_to("both"))
              .starts_with("250"));
  served.accept_the_held_post();
  REQUIRE(served.posts().size() == before + 2);  // no second post to the inner list
  CHECK(served.copies()["test@lists.example"] ==
        std::vector<std::string>{"anne@far.example", "bart@near.example", "cris@near.example"});
  CHECK(served.opened.problems() == "");
}

TEST_CASE("cross-posts: a member of several lists gets one of each, with one_copy the first only") {
  Crossing served;
  served.add("open", "bart@near.example");
  served.add("open", "cris@near.example", true);
  const auto send = [&] {
    REQUIRE(deliver(served, "anne@far.example", {"test@lists.example", "open@lists.example"}, post_to("both"))
                .starts_with("250"));
    return served.copies();
  };
  CHECK(send() ==
        Copies{{"test@lists.example", {"anne@far.example", "bart@near.example", "cris@near.example"}},
               {"open@lists.example", {"bart@near.example", "dirk@near.example"}}});
  // Where the first list does not send it to him, the second one does.
  served.opened.change(store::directory::SetMember{
      served.list("test").id, "cris@near.example", {}, list::Delivery::nomail_by_user});
  CHECK(send()["open@lists.example"] ==
        std::vector<std::string>{"bart@near.example", "cris@near.example", "dirk@near.example"});
  store::directory::SetMember change{served.list("open").id, "cris@near.example", {}, {}};
  change.one_copy = false;
  served.opened.change(change);
  CHECK_FALSE(store::directory::find_member(store::Read(*served.opened.store), served.list("open").id,
                                            "cris@near.example")
                  ->one_copy);
}

TEST_CASE(
    "cross-posts: included lists' members get the post as this list's, unless their list gets it itself") {
  Crossing served;
  served.add("open", "bart@near.example");
  served.set("test", "include_lists", "open@lists.example");
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, post_to("test@lists.example"))
              .starts_with("250"));
  CHECK(served.copies() ==
        Copies{{"test@lists.example",
                {"anne@far.example", "bart@near.example", "cris@near.example", "dirk@near.example"}}});
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, post_to("open@lists.example"))
              .starts_with("250"));
  CHECK(served.copies()["test@lists.example"].size() == 3);
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example", "open@lists.example"},
                  post_to("x@x.example"))
              .starts_with("250"));
  CHECK(served.copies()["test@lists.example"].size() == 3);
  // His copy names this list; the address that ends a membership ends that of the list that he is a member of.
  const auto dirk = store::directory::find_member(store::Read(*served.opened.store), served.list("open").id,
                                                  "dirk@near.example");
  const std::string leave = list::leave_address(served.list("test"), dirk->id, '+', &plain_hmac);
  REQUIRE(deliver(served, "dirk@near.example", {leave}, "\r\n").starts_with("250"));
  CHECK_FALSE(store::directory::find_member(store::Read(*served.opened.store), served.list("open").id,
                                            "dirk@near.example"));
  CHECK(served.opened.problems() == "");
}

TEST_CASE("cross-posts: a failure of somebody behind an included list counts against him there") {
  Crossing served;
  served.set("test", "include_lists", "open@lists.example");
  REQUIRE(
      deliver(
          served, "", {"test-bounces@lists.example"},
          "From: MAILER-DAEMON@near.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; "
          "report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nfailed\r\n--b\r\nContent-Type: "
          "message/delivery-status\r\n\r\nReporting-MTA: dns; mx.near.example\r\n\r\nFinal-Recipient: "
          "rfc822; "
          "dirk@near.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such "
          "user\r\n\r\n--b--\r\n")
          .starts_with("250"));
  const store::Read read(*served.opened.store);
  CHECK(store::directory::score_of(read, served.list("open").id, "dirk@near.example"));
  CHECK_FALSE(store::directory::score_of(read, served.list("test").id, "dirk@near.example"));
}

TEST_CASE("cross-posts: excluded lists' members do not get the post where To names their list") {
  Crossing served;
  served.add("open", "bart@near.example");
  served.set("test", "exclude_lists", "open@lists.example");
  REQUIRE(deliver(served, "anne@far.example", {"test@lists.example"}, post_to("test@lists.example"))
              .starts_with("250"));
  CHECK(served.copies()["test@lists.example"].size() == 3);
  REQUIRE(
      deliver(served, "anne@far.example", {"test@lists.example"}, post_to("x@x.example, open@lists.example"))
          .starts_with("250"));
  CHECK(served.copies()["test@lists.example"] ==
        std::vector<std::string>{"anne@far.example", "cris@near.example"});
}

TEST_CASE("cross-posts: large rosters are merged page by page: each reader once, in order") {
  Crossing served;
  const auto many = [&](const std::string& name, int from, int to, int step) {
    std::vector<std::string> members;
    for (int i = from; i < to; i += step)
      members.push_back("m" + std::to_string(i) + "@d" + std::to_string(i % 97) + ".example");
    served.make_list(name, members, list::Action::accept);
  };
  many("big", 0, 3000, 1);
  many("second", 1500, 4000, 2);
  many("third", 0, 6000, 3);
  served.set("big", "include_lists", "second@lists.example, third@lists.example");
  REQUIRE(deliver(served, "anne@far.example", {"big@lists.example"}, post_to("big@lists.example"))
              .starts_with("250"));
  std::set<std::string> wanted;
  for (int i = 0; i < 6000; ++i)
    if (i < 3000 || (i < 4000 && i % 2 == 0) || i % 3 == 0)
      wanted.insert("m" + std::to_string(i) + "@d" + std::to_string(i % 97) + ".example");
  const std::vector<std::string> got = served.copies()["big@lists.example"];
  CHECK(got.size() == wanted.size());
  CHECK(std::set<std::string>(got.begin(), got.end()) == wanted);
  CHECK(served.opened.problems() == "");
}
