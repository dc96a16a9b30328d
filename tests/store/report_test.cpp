// Reports that are due: made once, in the commit of what they report, whatever crashes in between.
#include <doctest/doctest.h>

#include <algorithm>

#include "store/broken.hpp"
#include "store/key.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;
using Action = smtp::DsnAction;

namespace {

constexpr Duration minute = std::chrono::minutes(1), hour = std::chrono::hours(1);

/// A store whose reports are kept and sent to the reverse path.
struct House {
  House() : s(folder.path()) {
    s.options.report = [this](const Read&, const Message& about, smtp::Dsn report) {
      Acceptance a = plain({about.reverse_path.empty() ? "postmaster@here.example" : about.reverse_path},
                           smtp::write(report));
      a.messages[0].message.reverse_path.clear();
      a.messages[0].message.report = !about.reverse_path.empty();
      made.push_back(std::move(report));
      return a;
    };
    s.options.delay_warning = 4 * hour;
    s.options.longest_wait = 1000 * hour;
    if (!s.open()) throw std::runtime_error("no store");
  }
  Id accept(Acceptance a) { return s.accept(std::move(a)).value().ids[0]; }
  /// The recipients named get the verdict, the others are deferred for a long time.
  void settle(const std::vector<std::string>& addresses, Verdict verdict, bool untold = false) {
    for (const Claim& claim : s.claim()) {
      Settlement settlement = outcome_of(claim, verdict);
      for (std::size_t i = 0; i < claim.recipients.size(); ++i) {
        Outcome& o = settlement.outcomes[i];
        const std::string& address = claim.recipients[i].address;
        if (untold) settlement.untold.push_back(o.number);
        if (std::find(addresses.begin(), addresses.end(), address) != addresses.end()) continue;
        o.verdict = Verdict::deferred;
        o.next_attempt = s.now() + 100 * hour;
      }
      REQUIRE(s.settle(settlement));
    }
  }
  void make_due() {
    REQUIRE(await<void>([&](auto cb) { s.store->make_reports(s.now(), cb); }));
  }
  std::vector<std::string> named(std::size_t i) const {
    std::vector<std::string> all;
    for (const auto& r : made.at(i).recipients) all.push_back(std::string(text(r.action)) + " " + r.address);
    return all;
  }
  std::size_t reports_queued() const {
    const auto all = spool::messages(Read(*s.store), 0, 100, true);
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [](const auto& m) { return m.report; }));
  }

  Folder folder;
  std::vector<smtp::Dsn> made;
  Opened s;
};

using Names = std::vector<std::string>;

Acceptance asked(std::vector<std::pair<std::string, smtp::DsnOfRecipient>> recipients) {
  Acceptance a = plain({});
  for (auto& [address, dsn] : recipients) a.messages[0].recipients.push_back({address, dsn});
  return a;
}

}  // namespace

TEST_CASE("report: in the commit of the failure that ends its message") {
  House house;
  const Id id = house.accept(plain({"a@b.example"}));
  house.settle({"a@b.example"}, Verdict::failed);
  REQUIRE(house.made.size() == 1);
  CHECK(house.made[0].to == "sender@here.example");
  CHECK(house.made[0].queue_id == id_text(id));
  CHECK(house.named(0) == Names{"failed a@b.example"});
  CHECK(house.made[0].original == "Subject: x\r\n\r\nbody\r\n");
  CHECK(house.made[0].whole);
  CHECK(house.s.problems() == "");
  CHECK(house.reports_queued() == 1);
  CHECK(house.s.claim().at(0).recipients.at(0).address == "sender@here.example");
  CHECK(spool::outgoing(Read(*house.s.store), *house.s.message(id), 0, 100).empty());  // its content is gone
}

TEST_CASE(
    "report: failures wait for those of the message's other recipients, also over a restart; one report") {
  House house;
  const Id id = house.accept(plain({"a@x.example", "b@x.example", "c@x.example"}));
  house.settle({"a@x.example"}, Verdict::failed);
  CHECK(house.made.empty());
  CHECK(house.s.problems() == "");
  house.s.reopen();
  house.make_due();
  CHECK(house.made.empty());
  REQUIRE(house.s.edit(id, {{.what = Edit::What::retry, .number = 1, .address = {}}}));
  house.settle({"b@x.example"}, Verdict::expired);
  house.s.pass(minute);
  house.make_due();
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"failed a@x.example", "failed b@x.example"});
  CHECK(house.made[0].recipients[1].expired);
  CHECK(house.s.problems() == "");
  house.s.pass(minute);
  house.s.reopen();
  house.make_due();
  CHECK(house.made.size() == 1);
  CHECK(house.reports_queued() == 1);
}

TEST_CASE("report: a message that an edit finishes keeps its content until its failures are reported") {
  House house;
  const Id id = house.accept(plain({"a@x.example", "b@x.example"}));
  house.settle({"a@x.example"}, Verdict::failed);
  REQUIRE(house.s.edit(id, {{.what = Edit::What::remove, .number = 1, .address = {}}}));
  CHECK(house.s.message(id)->state == MessageState::finished);
  CHECK(house.s.problems() == "");
  house.s.pass(minute);
  house.make_due();
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"failed a@x.example"});
  CHECK(house.made[0].original.starts_with("Subject: x"));
  CHECK(house.s.problems() == "");
  CHECK(spool::outgoing(Read(*house.s.store), *house.s.message(id), 0, 100).empty());
}

TEST_CASE(
    "report: who an operator bounces is reported like any other failure, with the last reply that was "
    "heard") {
  House house;
  const Id id = house.accept(
      asked({{"a@x.example", {}}, {"b@x.example", {}}, {"c@x.example", {smtp::notify_never, {}}}}));
  house.settle({}, Verdict::failed);  // all are deferred, with a reply
  const auto bounce = [&](std::uint32_t number) {
    return house.s.edit(id, {{.what = Edit::What::bounce, .number = number, .address = {}}}).value().at(0);
  };
  CHECK(bounce(0).how == Edited::How::done);
  CHECK(bounce(0).how == Edited::How::finished);
  CHECK(bounce(2).state == RecipientState::failed);
  CHECK(house.s.message(id)->counts.failed == 2);
  CHECK(house.s.problems() == "");
  house.make_due();
  CHECK(house.made.empty());  // b may fail too
  house.s.pass(minute);
  house.make_due();
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"failed a@x.example"});
  const LastReply& last = house.made[0].recipients[0].last;
  CHECK(last.reply.enhanced == smtp::EnhancedStatus{5, 0, 0});
  CHECK(
      last.reply.text.starts_with("an operator of this server ended the delivery; the last answer was: 450"));

  CHECK(bounce(1).how == Edited::How::done);
  CHECK(house.s.message(id)->state == MessageState::finished);
  house.s.pass(minute);
  house.make_due();
  REQUIRE(house.made.size() == 2);
  CHECK(house.named(1) == Names{"failed b@x.example"});
  CHECK(house.s.problems() == "");
}

TEST_CASE(
    "report: who asked for none gets none, the null path never, a report of ours goes to the postmaster "
    "once") {
  House house;
  house.accept(asked({{"a@x.example", {smtp::notify_never, {}}},
                      {"b@x.example", {smtp::notify_success | smtp::notify_delay, {}}}}));
  Acceptance null = plain({"c@x.example"});
  null.messages[0].message.reverse_path.clear();
  house.accept(std::move(null));
  house.settle({"a@x.example", "b@x.example", "c@x.example"}, Verdict::failed);
  CHECK(house.made.empty());

  house.accept(plain({"d@x.example"}));
  house.settle({"d@x.example"}, Verdict::failed);
  CHECK(house.made.size() == 1);
  house.settle({"sender@here.example"}, Verdict::failed);
  REQUIRE(house.made.size() == 2);
  CHECK(house.named(1) == Names{"failed sender@here.example"});
  house.settle({"postmaster@here.example"}, Verdict::failed);
  CHECK(house.made.size() == 2);
  CHECK(house.s.problems() == "");
}

TEST_CASE("report: success, to who asked, of a next hop that does not report itself") {
  House house;
  const smtp::DsnOfRecipient yes{smtp::notify_success, "rfc822;A@x.example"}, no{smtp::notify_failure, {}};
  const auto recipients = asked({{"a@x.example", yes}, {"b@x.example", no}, {"c@x.example", {}}});
  house.accept(recipients);
  house.settle({"a@x.example", "b@x.example", "c@x.example"}, Verdict::delivered);
  CHECK(house.made.empty());
  house.accept(recipients);
  house.settle({"a@x.example", "b@x.example", "c@x.example"}, Verdict::delivered, true);
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"relayed a@x.example"});
  CHECK(house.made[0].recipients[0].orcpt == "rfc822;A@x.example");
  CHECK_FALSE(house.made[0].whole);
  CHECK(house.s.problems() == "");
}

TEST_CASE("report: RET and ENVID") {
  House house;
  Acceptance a = plain({"a@x.example"});
  a.messages[0].message.dsn = {smtp::Ret::headers, "id+2B"};
  house.accept(std::move(a));
  house.settle({"a@x.example"}, Verdict::failed);
  REQUIRE(house.made.size() == 1);
  CHECK_FALSE(house.made[0].whole);
  CHECK(house.made[0].envid == "id+2B");
}

TEST_CASE("report: what is asked of single recipients comes with the claim, over all pages") {
  House house;
  std::vector<std::pair<std::string, smtp::DsnOfRecipient>> many;
  for (int i = 0; i < 700; ++i) {
    smtp::DsnOfRecipient dsn;
    if (i % 3 == 0) dsn = {smtp::notify_delay, "rfc822;R" + std::to_string(i)};
    many.emplace_back("r" + std::to_string(1000 + i) + "@x.example", dsn);
  }
  const Id id = house.accept(asked(many));
  CHECK(house.s.message(id)->requests);
  std::size_t seen = 0;
  for (int round = 0; round < 2; ++round)
    for (const Claim& claim : house.s.claim(500))
      for (const Recipient& r : claim.recipients) {
        CHECK(r.address == many[r.number].first);
        CHECK(r.dsn == many[r.number].second);
        ++seen;
      }
  CHECK(seen == 700);
  CHECK(house.s.problems() == "");
  const Id plain_id = house.accept(plain({"a@x.example"}));
  CHECK_FALSE(house.s.message(plain_id)->requests);
  CHECK(Read(*house.s.store).entries(Table::request) == 3);
  house.s.pass(std::chrono::hours(24 * 30));
}

TEST_CASE("report: more than 1,000 failures are several reports") {
  House house;
  std::vector<std::string> many;
  for (int i = 0; i < 1300; ++i) many.push_back("r" + std::to_string(1000 + i) + "@x.example");
  house.accept(plain(many));
  house.settle(many, Verdict::failed);
  house.settle(many, Verdict::failed);
  house.settle(many, Verdict::failed);
  house.make_due();
  REQUIRE(house.made.size() == 2);
  CHECK(house.made[0].recipients.size() == 1000);
  CHECK(house.made[1].recipients.size() == 300);
  CHECK(house.s.problems() == "");
}

TEST_CASE("delay: one warning a message, for who allows it, not repeated by a restart") {
  House house;
  const Id id = house.accept(asked({{"a@x.example", {}},
                                    {"b@x.example", {smtp::notify_failure, {}}},
                                    {"c@x.example", {smtp::notify_delay, {}}},
                                    {"d@x.example", {}}}));
  house.settle({"d@x.example"}, Verdict::delivered);
  house.s.pass(4 * hour - Duration(1));
  house.make_due();
  CHECK(house.made.empty());
  house.s.pass(Duration(2));
  house.make_due();
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"delayed a@x.example", "delayed c@x.example"});
  CHECK(house.made[0].queue_id == id_text(id));
  CHECK(house.made[0].recipients[0].last.reply.text == "said to a@x.example");
  house.s.reopen();
  house.s.pass(hour);
  house.make_due();
  CHECK(house.made.size() == 1);
  CHECK(house.s.problems() == "");
}

TEST_CASE(
    "delay: what was never tried because its next hop is down is warned of too; held, null and reports not") {
  House house;
  house.accept(plain({"waits@x.example"}));
  const Id held = house.accept(plain({"held@x.example"}));
  REQUIRE(house.s.whole(held, Store::Whole::hold));
  Acceptance null = plain({"null@x.example"});
  null.messages[0].message.reverse_path.clear();
  house.accept(std::move(null));
  house.s.pass(5 * hour);
  house.make_due();
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"delayed waits@x.example"});
  house.s.pass(5 * hour);  // the warning itself waits
  house.make_due();
  CHECK(house.made.size() == 1);
}

TEST_CASE("delay: on hold when its warning was due, it is warned of once when released") {
  House house;
  const Id id = house.accept(asked({{"a@x.example", {}}, {"b@x.example", {smtp::notify_failure, {}}}}));
  const Id gone = house.accept(plain({"c@x.example"}));
  for (const Id each : {id, gone}) REQUIRE(house.s.whole(each, Store::Whole::hold));
  house.s.pass(5 * hour);
  house.make_due();
  house.s.reopen();
  house.make_due();
  CHECK(house.made.empty());
  for (const Id each : {id, gone}) REQUIRE(house.s.whole(each, Store::Whole::release));
  REQUIRE(house.s.whole(gone, Store::Whole::remove));
  REQUIRE(house.s.whole(id, Store::Whole::hold));  // once more, before the warning was made
  house.make_due();
  CHECK(house.made.empty());
  REQUIRE(house.s.whole(id, Store::Whole::release));
  house.make_due();
  REQUIRE(house.made.size() == 1);
  CHECK(house.named(0) == Names{"delayed a@x.example"});
  CHECK(house.made[0].queue_id == id_text(id));
  REQUIRE(house.s.whole(id, Store::Whole::hold));
  REQUIRE(house.s.whole(id, Store::Whole::release));
  house.make_due();
  house.s.pass(hour);
  house.make_due();
  CHECK(house.made.size() == 1);
  CHECK(house.s.problems() == "");
}

TEST_CASE("delay: a clock that was a year ahead does not silence the warnings of that year") {
  House house;
  house.s.pass(24 * 365 * hour);
  house.accept(plain({"ahead@x.example"}));
  house.s.pass(-24 * 365 * hour);
  house.accept(plain({"right@x.example"}));
  house.make_due();
  house.s.pass(5 * hour);
  house.make_due();
  house.make_due();
  REQUIRE(house.made.size() == 2);
  CHECK(house.named(0) == Names{"delayed ahead@x.example"});
  CHECK(house.named(1) == Names{"delayed right@x.example"});
}

TEST_CASE("delay: 0 is never") {
  House house;
  house.s.options.delay_warning = {};
  house.s.reopen();
  house.accept(plain({"a@x.example"}));
  house.s.pass(100 * hour);
  house.make_due();
  CHECK(house.made.empty());
}

TEST_CASE("report: a record that the look for due reports cannot read ends the store, it is no reply") {
  House house;
  const Id id = house.accept(plain({"a@x.example"}));
  house.settle({}, Verdict::deferred);
  house.s.pass(5 * hour);
  REQUIRE(house.s.change([&](Write& write) -> Result<void> {
    write.put(Table::message, Key().u64(id), "\xff");
    return {};
  }));
  const auto look = [&] { house.s.store->make_reports(house.s.now(), [](const Result<void>&) {}); };
  CHECK_THROWS_AS(look(), Broken);
}
