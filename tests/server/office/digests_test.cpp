// Digests in the office: which posts wait, who gets which form, that each post is in one digest whatever ends the process, all by a
// clock that the test moves.
#include "server/office/digests.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "protocol/list/digest.hpp"
#include "server/office/acceptance.hpp"
#include "store/directory/operations.hpp"
#include "store/spool/check.hpp"
#include "store/spool/digest.hpp"
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
  conf::Settings settings;
  list::List list;

  explicit Office(std::size_t members = 4) {
    settings.hostname = "mx.example";
    REQUIRE(s.open());
    list = store::make_list(s, "test", members);
    set({{"nonmembers", "accept"}, {"footer", "-- \nfoot of $list_name\n"}, {"subject_prefix", "[T]"}});
  }
  void set(directory::Texts texts) {
    directory::SetList change;
    change.list = list.id;
    change.settings = std::move(texts);
    REQUIRE(s.change(change));
  }
  void deliver(std::size_t member, list::Delivery delivery) {
    directory::SetMember change;
    change.list = list.id;
    change.address =
        "member" + std::to_string(member) + "@domain" + std::to_string(member % 100) + ".example";
    change.delivery = delivery;
    REQUIRE(s.change(change));
  }
  store::Result<store::Accepted> accept(store::Acceptance acceptance) {
    return store::await<store::Accepted>([&](auto cb) { s.store->accept(std::move(acceptance), cb); });
  }
  void post(const std::string& subject, std::size_t octets = 10) {
    const std::string text = "From: <eve@x.example>\r\nSubject: " + subject + "\r\nMessage-ID: <" + subject +
                             "@x.example>\r\n\r\n" + std::string(octets, 'w') + "\r\n";
    smtp::Transaction transaction;
    transaction.open = true;
    transaction.reverse_path = "eve@x.example";
    transaction.recipients.push_back({list.address(), smtp::to::Post{list.id}});
    Arrival arrival{.transaction = transaction,
                    .header = std::string_view(text).substr(0, text.find("\r\n\r\n") + 4),
                    .content = {},
                    .scanned = mail::scan(text),
                    .client = "client.example ([192.0.2.1])",
                    .protocol = "ESMTP",
                    .at = s.now(),
                    .numbers = &s.store->post_numbers()};
    arrival.content.bytes = std::make_shared<const std::string>(text);
    arrival.content.size = text.size();
    REQUIRE(s.post_number(list.id));
    Disposition made = dispose(settings, *s.store, arrival);
    REQUIRE_FALSE(made.all_refused());
    REQUIRE(accept(std::move(made.acceptance)));
  }
  std::vector<list::ListId> due() { return due_digests(*s.store, s.now()); }
  std::vector<store::DigestPost> waiting() {
    return spool::digest_posts(store::Read(*s.store), list.id, 1000);
  }
  /// Makes and accepts the digest of now: its two messages.
  std::vector<store::Message> send() {
    auto made = digest_of(settings, *s.store, list.id, s.now());
    REQUIRE(made);
    const auto accepted = accept(std::move(*made));
    REQUIRE(accepted);
    std::vector<store::Message> sent;
    for (const store::Id id : accepted->ids) sent.push_back(s.message(id).value());
    return sent;
  }
  std::string text(const store::Message& message) {
    return spool::outgoing(store::Read(*s.store), message, 0, 1 << 20);
  }
  std::vector<std::string> addresses(store::Id id) {
    std::vector<std::string> all;
    for (const store::Recipient& r : s.recipients(id)) all.push_back(r.address);
    return all;
  }
};

}  // namespace

TEST_CASE("digests: each form goes to those who want it, and posts to the others") {
  Office o;
  o.deliver(0, list::Delivery::digest);
  o.deliver(1, list::Delivery::digest_plain);
  o.deliver(2, list::Delivery::digest_mime);
  o.post("one");
  o.post("two");
  CHECK(o.waiting().size() == 2);
  CHECK(o.due().empty());
  for (const store::Message& m : spool::messages(store::Read(*o.s.store), 0, 10))
    CHECK(o.addresses(m.id) == std::vector<std::string>{"Member3@domain3.example"});
  o.s.pass(hours(24));
  CHECK(o.due() == std::vector<list::ListId>{o.list.id});
  const auto sent = o.send();
  REQUIRE(sent.size() == 2);
  CHECK(o.addresses(sent[0].id) ==
        std::vector<std::string>{"Member0@domain0.example", "Member2@domain2.example"});
  CHECK(o.addresses(sent[1].id) == std::vector<std::string>{"Member1@domain1.example"});
  CHECK(sent[0].copies == list::Copies::each_verp);
  CHECK(sent[0].subject == "Test Digest, Vol 1, Issue 1");
  for (const store::Message& m : sent) {
    const std::string text = o.text(m);
    CHECK(text.size() == m.size);
    CHECK(text.find("Subject: one\r\n") != std::string::npos);  // without the prefix
    CHECK(text.find("Subject: two\r\n") != std::string::npos);
    CHECK(text.find("foot of test") == text.rfind("foot of test"));  // once, of the digest
  }
  CHECK(o.waiting().empty());
  CHECK(o.s.problems().empty());
  CHECK_FALSE(digest_of(o.settings, *o.s.store, o.list.id, o.s.now()));
  // The list's default form is asked when the digest goes out.
  o.set({{"digest_format", "plain"}});
  o.post("three");
  const auto plain = o.send();
  CHECK(plain[0].subject == "Test Digest, Vol 1, Issue 2");
  CHECK(o.addresses(plain[0].id) == std::vector<std::string>{"Member2@domain2.example"});
  CHECK(o.addresses(plain[1].id).size() == 2);
}

TEST_CASE("digests: what nobody wants does not wait; a post that only digests get keeps its content") {
  Office o(1);
  o.post("one");
  CHECK(o.waiting().empty());
  o.deliver(0, list::Delivery::digest);
  o.set({{"digest_size", "0"}, {"digest_every", "0"}});
  o.post("two");
  CHECK(o.waiting().empty());
  o.set({{"digest_size", "2KiB"}});
  o.post("three");
  REQUIRE(o.waiting().size() == 1);
  CHECK(o.due().empty());
  CHECK(o.s.problems().empty());
  o.post("four", 2048);
  CHECK(o.due().size() == 1);
  o.s.reopen();
  CHECK(o.text(o.send()[0]).find(std::string(2048, 'w')) != std::string::npos);
  CHECK(o.s.problems().empty());
  // By a removed list nothing stays behind.
  o.post("five");
  directory::RemoveList remove;
  remove.list = o.list.id;
  REQUIRE(o.s.change(remove));
  CHECK(o.due().size() == 1);
  auto rest = digest_of(o.settings, *o.s.store, o.list.id, o.s.now());
  REQUIRE(rest);
  CHECK(rest->messages.empty());
  REQUIRE(o.accept(std::move(*rest)));
  CHECK(o.due().empty());
  CHECK(o.s.problems().empty());
}

TEST_CASE("digests: two at once are one; what comes meanwhile is in the next one") {
  Office o(2);
  o.deliver(0, list::Delivery::digest);
  o.post("one");
  auto first = digest_of(o.settings, *o.s.store, o.list.id, o.s.now());
  auto second = digest_of(o.settings, *o.s.store, o.list.id, o.s.now());
  o.post("two");
  REQUIRE(o.accept(std::move(*first)));
  const auto refused = o.accept(std::move(*second));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == store::Error::Kind::conflict);
  CHECK(o.waiting().size() == 1);
  const std::string next = o.text(o.send()[0]);
  CHECK(next.find("Subject: two\r\n") != std::string::npos);
  CHECK(next.find("Subject: one\r\n") == std::string::npos);
  CHECK(o.s.problems().empty());
}

TEST_CASE("digests: a year by the clock: a digest a day, a volume a month, each post once") {
  Office o(2);
  o.deliver(0, list::Delivery::digest);
  std::size_t posts = 0, found = 0, volumes = 0;
  for (int day = 0; day < 365; ++day) {
    if (day % 3 == 0) o.post("p" + std::to_string(posts++));
    o.s.pass(hours(24));
    if (o.due().empty()) continue;
    const auto sent = o.send();
    const std::string text = o.text(sent[0]);
    for (std::size_t at = text.find("Message: "); at != text.npos; at = text.find("Message: ", at + 1))
      ++found;
    if (sent[0].subject.ends_with("Issue 1")) ++volumes;
    for (const store::Claim& claim : o.s.claim())
      REQUIRE(o.s.settle(store::outcome_of(claim, spoold::Verdict::delivered)));
  }
  CHECK(found == posts);
  CHECK(volumes == 13);
  CHECK(o.s.problems().empty());
}

TEST_CASE("digests: killed after each commit, each post is in one digest") {
  Office o(20'000);
  o.deliver(0, list::Delivery::digest);
  o.post("one");
  o.post("two");
  store::Folder copies;
  int taken = 0;
  o.s.store.reset();
  o.s.options.fault = [&](const char* point) {
    if (std::string_view(point) == "committed") {
      const auto to = std::filesystem::path(copies.path()) / std::to_string(taken++);
      std::filesystem::create_directory(to);
      std::filesystem::copy_file(o.folder.path() + "/data.mdb", to / "data.mdb");
    }
    return 0;
  };
  REQUIRE(o.s.open());
  (void)o.send();
  o.s.store.reset();
  REQUIRE(taken >= 2);
  std::size_t before = 0;
  for (int n = 0; n < taken; ++n) {
    store::Opened left((std::filesystem::path(copies.path()) / std::to_string(n)).string());
    left.clock = o.s.clock;
    REQUIRE(left.open());
    CHECK(store::wait_until([&] { return left.problems().empty(); }));
    auto again = digest_of(o.settings, *left.store, o.list.id, o.s.now());
    std::uint64_t digests = 0;
    for (const store::Message& m : spool::messages(store::Read(*left.store), 0, 100, true))
      digests += m.post == 0 && m.subject.find("Digest") != std::string::npos && m.originals > 0 ? 1u : 0u;
    CHECK(digests == (again ? 0 : 1));
    if (!again) continue;
    ++before;
    CHECK(again->digest->posts.size() == 2);
  }
  CHECK(before >= 1);
  CHECK(before < static_cast<std::size_t>(taken));
}
