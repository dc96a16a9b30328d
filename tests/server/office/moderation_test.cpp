// Held posts in the office: what the rules put aside, who is told, what a decision becomes, expiry and the summary, by a clock
// that the test moves.
#include "server/office/moderation.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include "protocol/list/moderation_token.hpp"
#include "protocol/mail/header.hpp"
#include "server/office/acceptance.hpp"
#include "server/office/drafts.hpp"
#include "store/directory/operations.hpp"
#include "store/spool/check.hpp"
#include "store/spool/moderation.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::server;
using std::chrono::hours;
namespace spool = spoold::store::spool;
namespace directory = spoold::store::directory;

namespace {

struct Office {
  store::Folder folder;
  store::Opened s{folder.path()};
  std::shared_ptr<conf::Settings> settings = std::make_shared<conf::Settings>();
  std::unique_ptr<AddressBook> book;
  list::List list;
  const auth::Verified* verified = nullptr;  // of what comes

  Office() {
    settings->hostname = "lists.example";
    REQUIRE(s.open());
    book = std::make_unique<AddressBook>(settings, [](std::string_view data) -> std::array<std::uint8_t, 32> {
      return {static_cast<std::uint8_t>(std::hash<std::string_view>{}(data))};
    });
    list = store::make_list(s, "test", 2);
    set({{"nonmembers", "hold"}, {"moderators", "mo@m.example"}});
  }
  void set(directory::Texts texts) {
    REQUIRE(s.change([&](store::Write& write) -> store::Result<void> {
      auto done = directory::set_list(write, list.id, texts);
      if (!done) return tl::unexpected(done.error());
      return {};
    }));
  }

  Disposition post(const std::string& from, std::string fields = "", bool stored = true,
                   std::vector<smtp::Recipient> to = {}) {
    const std::string text =
        "From: <" + from + ">\r\nSubject: Hello\r\nMessage-ID: <m@x.example>\r\n" + fields + "\r\nWords.\r\n";
    smtp::Transaction transaction;
    transaction.open = true;
    transaction.reverse_path = from;
    transaction.recipients = std::move(to);
    if (transaction.recipients.empty())
      transaction.recipients.push_back({list.address(), smtp::to::Post{list.id}});
    Arrival arrival{.transaction = transaction,
                    .header = std::string_view(text).substr(0, text.find("\r\n\r\n") + 4),
                    .content = {},
                    .scanned = mail::scan(text),
                    .client = "client.example ([192.0.2.1])",
                    .protocol = "ESMTP",
                    .at = s.now(),
                    .numbers = &s.store->post_numbers(),
                    .addresses = book.get(),
                    .verified = verified};
    arrival.content.bytes = std::make_shared<const std::string>(text);
    arrival.content.size = text.size();
    REQUIRE(s.post_number(list.id));  // there are some
    Disposition made = dispose(*settings, *s.store, arrival);
    if (stored && !made.all_refused()) {
      REQUIRE(accept(made.acceptance));
    }
    return made;
  }
  /// As a session does: Opened::accept() would give the list's own mail the number of a post.
  store::Result<store::Accepted> accept(store::Acceptance acceptance) {
    return store::await<store::Accepted>([&](auto cb) { s.store->accept(std::move(acceptance), cb); });
  }
  std::vector<store::HeldPost> held() { return spool::held_posts(store::Read(*s.store), 0, {}, 1000); }
  std::vector<store::Message> messages() { return spool::messages(store::Read(*s.store), 0, 1000); }
  std::vector<std::string> problems() { return spool::check(store::Read(*s.store)).problems; }
  std::string text(const store::Message& message) {
    return spool::outgoing(store::Read(*s.store), message, 0, 1 << 20);
  }
  store::Result<store::Accepted> decide(Moderation asked) {
    auto made = moderate(*settings, *s.store, asked);
    if (!made) return tl::unexpected(made.error());
    return accept(std::move(made->acceptance));
  }
};

std::string member(int n) {
  return "member" + std::to_string(n) + "@domain" + std::to_string(n) + ".example";
}

}  // namespace

TEST_CASE(
    "office: a stranger's post is held, and the moderators alone are told, with an address for the answer") {
  Office o;
  const Disposition made = o.post("eve@x.example");
  REQUIRE(made.fates.front().held == 0u);
  const auto held = o.held();
  REQUIRE(held.size() == 1);
  CHECK(held[0].rule == "nonmembers");
  CHECK(held[0].until == o.s.now() + hours(24 * 7));
  REQUIRE(o.messages().size() == 1);
  const std::string notice = o.text(o.messages()[0]);
  const std::string address = o.book->moderation_address(o.list, held[0].id);
  CHECK(notice.find("\r\nReply-To: " + address + "\r\n") != std::string::npos);
  CHECK(notice.find("<mailto:" + address + "?subject=accept>") != std::string::npos);
  CHECK(notice.find("\r\nSubject: Hello\r\n") != std::string::npos);
  CHECK(notice.find("Words.") != std::string::npos);
  CHECK(o.s.recipients(o.messages()[0].id)[0].address == "mo@m.example");
  const auto to = o.book->look_up(store::Read(*o.s.store), *Mailbox::parse(address), {}, false, o.s.now());
  REQUIRE(to);
  CHECK(to->to == smtp::Resolved(smtp::to::Moderation{o.list.id, held[0].id}));
  CHECK(o.problems().empty());
}

TEST_CASE("office: the notice to the moderators says what SPF, DKIM and DMARC found") {
  Office o;
  auth::Verified verified;
  verified.spf.emplace().result = auth::SpfResult::fail;
  o.verified = &verified;
  o.post("eve@x.example");
  REQUIRE(o.messages().size() == 1);
  CHECK(o.text(o.messages()[0]).find("\r\n  Checks:   spf=fail") != std::string::npos);
}

TEST_CASE(
    "office: a member whose post is held is told once, within the day's limit; without moderators the owners "
    "are") {
  Office o;
  o.set({{"member_moderation", "hold"}, {"moderators", ""}});
  for (int i = 0; i < 12; ++i) o.post(member(0));
  CHECK(o.held().size() == 12);
  std::size_t told = 0, owners = 0;
  for (const store::Message& message : o.messages()) {
    const std::string to = o.s.recipients(message.id)[0].address;
    told += to == member(0) ? 1u : 0u;
    owners += to == "owner@x.example" ? 1u : 0u;
  }
  CHECK(told == 10);
  CHECK(owners == 12);
  o.s.pass(hours(24));
  o.post(member(0));
  CHECK(o.messages().size() == 24);
  CHECK(o.problems().empty());
}

TEST_CASE("office: discarded by a rule, a post leaves a line of history and nothing else") {
  Office o;
  o.set({{"discard_these", "eve@x.example"}});
  const Disposition made = o.post("eve@x.example");
  CHECK_FALSE(made.fates.front().refusal);
  CHECK(o.held().empty());
  CHECK(o.messages().empty());
  const auto page = spool::history(store::Read(*o.s.store), {}, o.s.now() + hours(1), 0, 1000);
  REQUIRE(page.events.size() >= 1);
  CHECK(page.events.back().detail.starts_with("discarded: discard_these: "));
}

TEST_CASE("office: accepted days later, the post goes to the members of then, once") {
  Office o;
  o.post("eve@x.example");
  const store::HeldPost post = o.held()[0];
  o.s.pass(hours(24 * 3));
  o.set({{"footer", "the footer of now"}});
  const auto accepted = o.decide({.what = Moderation::What::accept, .post = post.id, .who = "anna"});
  REQUIRE(accepted);
  const auto message = spool::message(store::Read(*o.s.store), accepted->ids.front());
  REQUIRE(message);
  const std::string text = o.text(*message);
  CHECK(text.find("the footer of now") != std::string::npos);
  CHECK(text.find("client.example ([192.0.2.1])") != std::string::npos);
  CHECK(text.find(rfc5322_date(post.at)) != std::string::npos);
  CHECK(accepted->recipients.front() == 2);
  const auto second = o.decide({.what = Moderation::What::reject, .post = post.id, .who = "bert"});
  REQUIRE_FALSE(second);
  CHECK(second.error().text.find("was accepted by anna at 20") != std::string::npos);
  CHECK(o.problems().empty());
}

TEST_CASE("office: rejected, the sender is told from the null path; accept and remember lets him post") {
  Office o;
  o.post("eve@x.example");
  REQUIRE(
      o.decide({.what = Moderation::What::reject, .post = o.held()[0].id, .who = "anna", .reason = "no"}));
  const store::Message told = o.messages().back();
  CHECK(told.reverse_path.empty());
  CHECK(o.s.recipients(told.id)[0].address == "eve@x.example");
  CHECK(o.text(told).find("Reason:   no\r\n") != std::string::npos);
  o.post("eve@x.example");
  REQUIRE(
      o.decide({.what = Moderation::What::accept, .post = o.held()[0].id, .who = "anna", .remember = true}));
  CHECK(o.post("eve@x.example", "", false).fates.front().message);
  CHECK(o.held().empty());
  CHECK(o.problems().empty());
}

TEST_CASE("office: what nobody decides expires, as the list says") {
  Office o;
  o.post("eve@x.example");
  o.s.pass(hours(24 * 7 - 1));
  CHECK(expired(*o.settings, *o.s.store, o.s.now(), 10).empty());
  o.post("late@x.example");
  o.s.pass(hours(1));
  o.set({{"held_expiry", "reject"}});
  auto due = expired(*o.settings, *o.s.store, o.s.now(), 10);
  REQUIRE(due.size() == 1);
  REQUIRE(due[0].decision);
  CHECK(due[0].decision->what == store::Decision::What::reject);
  REQUIRE(o.accept(std::move(due[0])));
  CHECK(o.held().size() == 1);
  CHECK(o.s.recipients(o.messages().back().id)[0].address == "eve@x.example");
  o.s.pass(hours(24 * 365));
  o.set({{"held_expiry", "discard"}});
  due = expired(*o.settings, *o.s.store, o.s.now(), 10);
  REQUIRE(due.size() == 1);
  CHECK(due[0].messages.empty());
  REQUIRE(o.accept(std::move(due[0])));
  CHECK(o.held().empty());
  CHECK(o.problems().empty());
}

TEST_CASE("office: killed at each commit of an expiry run, each post ends once and its poster is told once") {
  Office o;
  o.set({{"held_expiry", "reject"}});
  constexpr std::size_t posts = 12;
  for (std::size_t n = 0; n < posts; ++n) o.post("eve" + std::to_string(n) + "@x.example");
  o.s.pass(hours(24 * 8));
  store::Folder copies;
  int copied = 0;
  o.s.store.reset();
  o.s.options.fault = [&](const char* point) {
    if (std::string_view(point) == "committed") {
      const std::string to = copies.path() + "/" + std::to_string(copied++);
      std::filesystem::create_directory(to);
      std::filesystem::copy_file(o.folder.path() + "/data.mdb", to + "/data.mdb");
    }
    return 0;
  };
  REQUIRE(o.s.open());
  const auto told = [](store::Store& store) {
    std::map<std::string, int> by_poster;
    for (const store::Message& m : spool::messages(store::Read(store), 0, 1000))
      if (m.reverse_path.empty())  // as rejections are
        ++by_poster[spool::recipients(store::Read(store), m.id, 0, 1).at(0).address];
    return by_poster;
  };
  const auto run = [&](store::Opened& s) {
    for (;;) {
      auto due = expired(*o.settings, *s.store, s.now(), 5);
      if (due.empty()) return;
      for (store::Acceptance& one : due)
        REQUIRE(store::await<store::Accepted>([&](auto cb) { s.store->accept(std::move(one), cb); }));
    }
  };
  run(o.s);
  const auto all = told(*o.s.store);
  REQUIRE(all.size() == posts);
  REQUIRE(copied >= static_cast<int>(posts));
  for (int n = 0; n < copied; ++n) {
    store::Opened crashed(copies.path() + "/" + std::to_string(n));
    *crashed.clock = o.s.now().time_since_epoch().count();
    REQUIRE(crashed.open());
    run(crashed);
    CHECK(told(*crashed.store) == all);
    CHECK(spool::held_posts(store::Read(*crashed.store), 0, {}, 100).empty());
    CHECK(crashed.problems() == "");
  }
}

TEST_CASE("office: thousands of posts wait: what is read, told and expired at a time is bounded") {
  Office o;
  o.post("eve@x.example");
  // As 25 MiB each: what a list of them costs must not grow with that. The content is one, and each has a reference.
  const store::HeldPost first = o.held()[0];
  constexpr std::uint32_t posts = 2000;  // a fifth of the ten thousand: each ends in a commit of its own
  for (std::uint32_t n = 1; n < posts;) {
    store::Acceptance more;
    const auto bytes = std::make_shared<const std::string>("Subject: x\r\n\r\nwords\r\n");
    more.content.bytes = bytes;
    for (; n < posts && more.held.size() < 500; ++n) {
      store::HeldPost post = first;
      post.id = o.s.store->new_id();
      post.content = 0;
      post.scanned.size = 25u << 20;
      post.subject = std::string(200, 'x');
      more.held.push_back(std::move(post));
    }
    REQUIRE(o.accept(std::move(more)));
  }
  // A page is a page.
  std::size_t seen = 0;
  for (spool::HeldPlace after;;) {
    const auto page = spool::held_posts(store::Read(*o.s.store), 0, after, 200);
    if (page.empty()) break;
    CHECK(page.size() <= 200);
    seen += page.size();
    after = {page.back().list, page.back().number};
  }
  CHECK(seen == posts);
  // The summary names some, and how many there are.
  o.s.pass(hours(24));
  auto due = summaries(*o.book, *o.s.store, o.s.now());
  REQUIRE(due.size() == 1);
  REQUIRE(o.accept(std::move(due[0])));
  const std::string summary = o.text(o.messages().back());
  CHECK(summary.size() < (256u << 10));
  CHECK(summary.find("2000") != std::string::npos);
  // Expiry takes so many at a time, whatever waits.
  o.s.pass(hours(24 * 7));
  CHECK(expired(*o.settings, *o.s.store, o.s.now(), 50).size() == 50);
  std::size_t rounds = 0;
  for (;; ++rounds) {
    auto batch = expired(*o.settings, *o.s.store, o.s.now(), 1000);
    if (batch.empty()) break;
    for (store::Acceptance& one : batch) REQUIRE(o.accept(std::move(one)));
  }
  CHECK(rounds == 2);
  CHECK(o.held().empty());
  CHECK(o.problems().empty());
}

TEST_CASE("office: the summary of the day, once, of posts from before today") {
  Office o;
  o.post("eve@x.example");
  CHECK(summaries(*o.book, *o.s.store, o.s.now()).empty());
  o.s.pass(hours(24));
  auto due = summaries(*o.book, *o.s.store, o.s.now());
  REQUIRE(due.size() == 1);
  REQUIRE(o.accept(std::move(due[0])));
  const store::Message summary = o.messages().back();
  CHECK(o.text(summary).find(store::id_text(o.held()[0].id)) != std::string::npos);
  CHECK(o.s.recipients(summary.id)[0].address == "mo@m.example");
  CHECK(summaries(*o.book, *o.s.store, o.s.now()).empty());
  o.s.pass(hours(24));
  CHECK(summaries(*o.book, *o.s.store, o.s.now()).size() == 1);
}

TEST_CASE("office: a moderator's answer is a decision; a program's is none, and is not answered") {
  Office o;
  o.post("eve@x.example");
  const store::HeldPost post = o.held()[0];
  const auto answered = [&](const std::string& fields) {
    return o.post("mo@m.example", fields, true,
                  {{"x@lists.example", smtp::to::Moderation{o.list.id, post.id}}});
  };
  CHECK(answered("Auto-Submitted: auto-replied\r\n").moderations.empty());
  CHECK(answered("Precedence: bulk\r\n").moderations.empty());
  const Disposition unclear = answered("X: y\r\n");
  REQUIRE(unclear.moderations.size() == 1);
  CHECK_FALSE(unclear.moderations[0].asked);
  CHECK(unclear.moderations[0].answer_to == "mo@m.example");
  CHECK(o.held().size() == 1);
}

TEST_CASE(
    "office: mail to owners says where it came, and does not come a second time; nobody answers what came to "
    "-bounces") {
  Office o;
  const smtp::Recipient owner{"test-owner@lists.example", smtp::to::Owners{{o.list.id}}};
  const smtp::Recipient bounces{"test-bounces@lists.example", smtp::to::Bounce{o.list.id, {}}};
  REQUIRE(o.post("eve@x.example", "", true, {owner}).fates[0].message);
  const store::Message sent = o.messages().back();
  CHECK(sent.reverse_path == "test-bounces@lists.example");
  CHECK(o.text(sent).starts_with("Delivered-To: test-owner@lists.example\r\nReceived: "));
  const Disposition again =
      o.post("owner@x.example", "Delivered-To: TEST-owner@lists.example\r\n", false, {owner});
  REQUIRE(again.fates[0].refusal);
  CHECK(again.fates[0].refusal->code == 554);
  // An owner's vacation program answers the envelope's sender, and then nothing more.
  REQUIRE(o.post("owner@x.example", "", true, {bounces}).fates[0].message);
  CHECK(o.messages().back().reverse_path.empty());
  const Disposition looped =
      o.post("owner@x.example", "Delivered-To: test-bounces@lists.example\r\n", false, {bounces});
  CHECK_FALSE(looped.fates[0].message);
  CHECK_FALSE(looped.fates[0].refusal);
  // A program of an owner that answers all that it gets: not to himself, and to no other owner's program.
  o.set({{"owner", "owner@x.example"}});
  const auto to_owner = [&](const std::string& fields) {
    return o.post("owner@x.example", fields, false, {owner});
  };
  CHECK(to_owner("").fates[0].refusal->enhanced.text() == "5.4.6");
  o.set({{"owner", "owner@x.example other@x.example"}});
  REQUIRE(to_owner("").fates[0].message);
  CHECK(to_owner("").acceptance.messages[0].recipients.size() == 1);
  CHECK(to_owner("").acceptance.messages[0].recipients[0].address == "other@x.example");
  CHECK(to_owner("Auto-Submitted: auto-replied\r\n").fates[0].refusal);
  std::string far;
  for (int i = 0; i < 101; ++i) far += "Received: x\r\n";
  CHECK(o.post("eve@x.example", far, false, {owner}).fates[0].refusal->code == 554);
}
