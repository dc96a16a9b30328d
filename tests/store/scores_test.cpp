// Bounce scores: a failure, the member's score and the mail that follows from it are one commit.
#include <doctest/doctest.h>

#include <filesystem>

#include "protocol/mail/ascii.hpp"
#include "store/directory/apply.hpp"
#include "store/directory/scores.hpp"
#include "store/spool/outbox.hpp"
#include "store/spool/settle.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;
using std::chrono::hours;

namespace {

constexpr const char* first_member = "member0@domain0.example";

/// Each failure counts 1 as "gone"; whatever is to be told goes to one address.
void count_failures(Options& options) {
  options.failed = [](const Read&, const spool::Failures& failures) {
    std::vector<dir::Operation> operations;
    for (const auto& one : failures.all) {
      dir::ScoreMember change;
      change.list = failures.message.list;
      change.address = mail::lower(one.address);
      change.failure = {one.outcome.last.at, false, "gone"};
      change.said = one.outcome.last.reply.text;
      operations.push_back(
          {"failed:" + id_text(failures.message.id) + ":" + std::to_string(one.outcome.number), "spoold",
           change});
    }
    return operations;
  };
  options.notices = [](const Read&, const dir::Applied& applied, std::string_view) -> Acceptance {
    if (!applied.scored || applied.scored->act == bounce::Act::nothing) return {};
    Acceptance mail;
    mail.content.bytes = std::make_shared<const std::string>();
    NewMessage& m = mail.messages.emplace_back();
    m.message.list = applied.list.id;
    m.message.list_address = applied.list.address();
    m.message.subject = std::to_string(static_cast<int>(applied.scored->act));
    m.head = "Subject: told\r\n\r\nwords\r\n";
    m.recipients.push_back({applied.members.front().address, {}, applied.members.front().id});
    return mail;
  };
}

void fail_next_post(Opened& s, const list::List& list, Verdict verdict = Verdict::failed) {
  const auto accepted = s.accept(post_to(list, 100));
  REQUIRE(accepted);
  for (const Claim& claim : s.claim()) {
    if (claim.message != accepted->ids.front()) continue;
    Settlement settlement = outcome_of(claim, verdict);
    for (Outcome& o : settlement.outcomes) o.last.at = s.now();
    REQUIRE(s.settle(std::move(settlement)));
  }
}

std::optional<bounce::Score> score(const Opened& s, const list::List& list,
                                   std::string_view address = first_member) {
  return dir::score_of(Read(*s.store), list.id, address);
}

std::optional<list::Member> member(const Opened& s, const list::List& list) {
  return dir::find_member(Read(*s.store), list.id, first_member);
}

std::vector<std::string> history(const Opened& s) {
  std::vector<std::string> details;
  const Read read(*s.store);
  for (const HistoryEvent& event : spool::history(read, {}, s.now() + hours(1), 0, 10'000).events)
    if (event.event == "bounce") details.push_back(event.detail);
  return details;
}

std::size_t told(const Opened& s) {
  std::size_t count = 0;
  const Read read(*s.store);
  for (const auto& m : spool::messages(read, 0, 1000, true)) count += m.list != 0 && m.post == 0;
  return count;
}

}  // namespace

TEST_CASE("a final failure of list mail counts against the member in the commit of its settle") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 1);
  fail_next_post(s, list);
  REQUIRE(score(s, list));
  CHECK(score(s, list)->half_points() == 2);
  CHECK(history(s) == std::vector<std::string>{"gone, 1 point: 1.0 of 5.0; said to Member0@domain0.example"});
  // The same day again, a delivery, and mail that is not list mail count nothing.
  fail_next_post(s, list);
  fail_next_post(s, list, Verdict::delivered);
  REQUIRE(s.accept(plain({"member0@domain0.example"})));
  for (const Claim& claim : s.claim()) REQUIRE(s.settle(outcome_of(claim, Verdict::failed)));
  CHECK(score(s, list)->half_points() == 2);
  CHECK(Read(*s.store).entries(Table::outbox) == 0);
}

TEST_CASE("a score leads to a probe, the probe that bounced to warnings on their days, and to removal") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 1);
  for (int day = 0; day < 5; ++day, s.pass(hours(24))) fail_next_post(s, list);
  CHECK(told(s) == 1);
  const auto probed = score(s, list);
  REQUIRE(probed);
  CHECK(probed->half_points() == 0);
  REQUIRE(probed->token.size() == 32);
  CHECK(dir::probed(Read(*s.store), probed->token)->address == first_member);
  CHECK(!dir::probed(Read(*s.store), std::string(32, '0')));

  dir::ScoreMember bounced;
  bounced.what = dir::ScoreMember::What::probe;
  bounced.list = list.id;
  bounced.address = first_member;
  bounced.token = std::string(32, '0');  // guessed
  REQUIRE(s.change(bounced));
  CHECK(member(s, list)->delivery == list::Delivery::regular);
  bounced.token = probed->token;
  REQUIRE(s.change(bounced));
  CHECK(member(s, list)->delivery == list::Delivery::nomail_by_bounce);
  CHECK(!dir::probed(Read(*s.store), probed->token));
  const TimePoint disabled = s.now();

  std::vector<long> days;
  std::size_t before = told(s);
  for (int tick = 0; tick < 24 * 30 && member(s, list); ++tick, s.pass(hours(1))) {
    REQUIRE(await<void>([&](auto cb) { s.store->tick_scores(s.now(), cb); }));
    if (told(s) == before) continue;
    before = told(s);
    days.push_back(std::chrono::floor<std::chrono::days>(s.now() - disabled).count());
  }
  CHECK(days == std::vector<long>{7, 14, 21});
  CHECK(!member(s, list));
  CHECK(!score(s, list));
  CHECK(Read(*s.store).entries(Table::probe) == 0);
}

TEST_CASE("an operation of the outbox that is applied again, or left by a crash, counts once") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 1);
  dir::ScoreMember change;
  change.list = list.id;
  change.address = first_member;
  change.failure = {s.now(), true, "full"};
  const std::string packed = dir::pack(dir::Operation{"report:1", "spoold", change});
  for (int times = 0; times < 2; ++times)
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      spool::put_outbox(write, packed);
      spool::put_outbox(write, packed);
      return {};
    }));
  CHECK(Read(*s.store).entries(Table::outbox) == 4);
  s.reopen();
  REQUIRE(await<void>([&](auto cb) { s.store->tick_scores(s.now(), cb); }));
  CHECK(Read(*s.store).entries(Table::outbox) == 0);
  CHECK(score(s, list)->half_points() == 1);
  CHECK(history(s).size() == 1);
  // Of a list that is gone: dropped, and recorded.
  REQUIRE(s.change(dir::RemoveList{list.id}));
  change.list = list.id;
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    spool::put_outbox(write, dir::pack(dir::Operation{"report:2", "spoold", change}));
    return {};
  }));
  REQUIRE(await<void>([&](auto cb) { s.store->tick_scores(s.now(), cb); }));
  CHECK(Read(*s.store).entries(Table::outbox) == 0);
}

TEST_CASE(
    "a report that is accepted and what it counts are one commit, with or without a message for somebody") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 2);
  const auto operation = [&](const char* address) {
    dir::ScoreMember change;
    change.list = list.id;
    change.address = address;
    change.failure = {s.now(), false, "gone"};
    return dir::pack(dir::Operation{dir::new_operation_id(), "spoold", change});
  };
  Acceptance alone;
  alone.operations = {operation(first_member)};
  REQUIRE(s.accept(std::move(alone)));
  CHECK(score(s, list)->half_points() == 2);
  Acceptance with_mail = plain({"owner@x.example"});
  with_mail.operations = {operation("member1@domain1.example"), operation("nobody@x.example")};
  REQUIRE(s.accept(std::move(with_mail)));
  CHECK(score(s, list, "member1@domain1.example")->half_points() == 2);
  CHECK(!score(s, list, "nobody@x.example"));
}

TEST_CASE(
    "after a commit that failed, or a crash behind any commit, a failure is counted as often as it is a "
    "fact") {
  Folder copies;
  int copied = 0;
  Fresh s([&](Options& options) { count_failures(options); });
  const list::List list = make_list(s, "test", 1);
  for (int day = 0; day < 6; ++day, s.pass(hours(24))) {
    // A crash before the commit of the settle: nothing of it is there. Behind it: all of it.
    for (const bool behind : {false, true}) {
      if (behind) fail_next_post(s, list);
      const std::string copy = copies.path() + "/" + std::to_string(copied++);
      std::filesystem::create_directory(copy);
      std::filesystem::copy_file(s.options.path + "/data.mdb", copy + "/data.mdb");
      Opened crashed(copy);
      count_failures(crashed.options);
      *crashed.clock = s.now().time_since_epoch().count();
      REQUIRE(crashed.open());
      std::uint32_t failed = 0, events = 0;
      {
        const Read read(*crashed.store);
        for (const auto& m : spool::messages(read, 0, 1000, true))
          failed += m.list != 0 && m.post != 0 ? m.counts.failed : 0;
        const auto now = dir::score_of(read, list.id, first_member);
        events = now ? static_cast<std::uint32_t>(now->counted.size() + now->led.size()) : 0;
      }
      CHECK(failed == events);
      CHECK(told(crashed) == (failed >= 5 ? 1 : 0));
      CHECK(crashed.problems() == "");
    }
  }
}

TEST_CASE("killed at each commit of a tick: each member is warned, and removed, exactly once") {
  Folder copies;
  int copied = 0;
  bool copying = false;
  constexpr std::size_t members = 400;
  Fresh s([&](Options& options) {
    count_failures(options);
    options.fault = [&](const char* point) {
      if (copying && std::string_view(point) == "committed") {
        const std::string to = copies.path() + "/" + std::to_string(copied++);
        std::filesystem::create_directory(to);
        std::filesystem::copy_file(s.options.path + "/data.mdb", to + "/data.mdb");
      }
      return 0;
    };
  });
  const list::List list = make_list(s, "test", members);
  REQUIRE(s.change(dir::SetList{
      list.id, {{"bounce_probe", "false"}, {"bounce_threshold", "1"}, {"bounce_warnings", "1"}}}));
  fail_next_post(s, list);  // all are disabled, and warned at once
  REQUIRE(told(s) == members);
  const auto of_list = [&](const Opened& one) { return dir::list(Read(*one.store), list.id)->members; };
  s.pass(hours(24 * 7));
  copying = true;
  REQUIRE(await<void>([&](auto cb) { s.store->tick_scores(s.now(), cb); }));
  copying = false;
  REQUIRE(of_list(s) == 0);
  REQUIRE(told(s) == 2 * members);
  REQUIRE(copied >= 2);
  const int step = std::max(1, copied / 12);
  for (int n = 0; n < copied; n += step) {
    Opened crashed(copies.path() + "/" + std::to_string(n));
    count_failures(crashed.options);
    *crashed.clock = s.now().time_since_epoch().count();
    REQUIRE(crashed.open());
    CHECK(told(crashed) == 2 * members - of_list(crashed));  // who is removed and who is told are one commit
    REQUIRE(await<void>([&](auto cb) { crashed.store->tick_scores(crashed.now(), cb); }));
    CHECK(of_list(crashed) == 0);
    CHECK(told(crashed) == 2 * members);
    CHECK(crashed.problems() == "");
  }
}

TEST_CASE("failures of one cause are taken back; a member that they disabled gets mail again") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 3);
  REQUIRE(s.change(dir::SetList{list.id, {{"bounce_probe", "false"}, {"bounce_threshold", "2"}}}));
  for (int day = 0; day < 2; ++day, s.pass(hours(24))) fail_next_post(s, list);
  CHECK(member(s, list)->delivery == list::Delivery::nomail_by_bounce);
  REQUIRE(s.change(dir::UndoBounces{list.id, {}, "other", {}}));
  CHECK(member(s, list)->delivery == list::Delivery::nomail_by_bounce);
  const auto undone = s.change(dir::UndoBounces{list.id, {}, "gone", s.now() - hours(25)});
  REQUIRE(undone);
  CHECK(undone->members.size() == 3);
  CHECK(member(s, list)->delivery == list::Delivery::regular);
  CHECK(score(s, list)->half_points() == 2);
  REQUIRE(s.change(dir::UndoBounces{list.id, first_member, "gone", {}}));
  CHECK(!score(s, list));
  CHECK(score(s, list, "member1@domain1.example")->half_points() == 2);
}

TEST_CASE("a score goes with its member, and when somebody decides about his delivery") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 3);
  fail_next_post(s, list);
  CHECK(Read(*s.store).entries(Table::member_score) == 3);
  REQUIRE(s.change(dir::SetMember{list.id, first_member, {}, list::Delivery::regular}));
  CHECK(!score(s, list));
  REQUIRE(s.change(dir::Unsubscribe{list.id, {"member1@domain1.example"}}));
  CHECK(Read(*s.store).entries(Table::member_score) == 1);
  REQUIRE(s.change(dir::RemoveList{list.id}));
  CHECK(wait_until([&] { return Read(*s.store).entries(Table::member_score) == 0; }));
}

TEST_CASE(
    "a spike: the failures of many members at one domain are taken back, the owners are told once, a day "
    "counts nothing") {
  std::size_t spikes = 0;
  Fresh s([&](Options& options) {
    count_failures(options);
    options.notices = [&](const Read&, const dir::Applied& applied, std::string_view) -> Acceptance {
      spikes += applied.scored && applied.scored->guarded == dir::ScoreMember::Guarded::spike;
      return {};
    };
  });
  const list::List list = make_list(s, "test", 2000);  // 20 at each of 100 domains
  REQUIRE(s.change(dir::SetList{list.id, {{"bounce_probe", "false"}, {"bounce_threshold", "2"}}}));
  const auto address = [](int n, int domain) {
    return "member" + std::to_string(100 * n + domain) + "@domain" + std::to_string(domain) + ".example";
  };
  const auto fail = [&](const std::string& who, const char* cause = "gone") {
    dir::ScoreMember change;
    change.list = list.id;
    change.address = who;
    change.failure = {s.now(), false, cause};
    REQUIRE(s.change(change));
  };
  const auto points = [&](const std::string& who) {
    const auto found = score(s, list, who);
    return found ? found->half_points() : 0;
  };
  fail(address(0, 7));  // the day before
  s.pass(hours(24));
  for (int n = 0; n < 9; ++n) {
    fail(address(n, 7));
    fail(address(n, 7));  // of another post: he is counted once
  }
  fail(address(0, 8));
  fail(address(9, 7), "other");
  CHECK(member(s, list).has_value());
  CHECK(dir::find_member(Read(*s.store), list.id, address(0, 7))->delivery ==
        list::Delivery::nomail_by_bounce);
  CHECK(points(address(1, 7)) == 2);
  CHECK(spikes == 0);
  s.pass(std::chrono::minutes(30));
  fail(address(9, 7));
  CHECK(spikes == 0);  // that he failed otherwise today has used up his day
  fail(address(10, 7));
  CHECK(spikes == 1);
  for (int n = 1; n < 11; ++n) CHECK(points(address(n, 7)) == (n == 9 ? 2 : 0));
  CHECK(points(address(0, 7)) == 2);  // what was before the spike stays
  CHECK(dir::find_member(Read(*s.store), list.id, address(0, 7))->delivery == list::Delivery::regular);
  CHECK(points(address(0, 8)) == 2);
  for (int n = 11; n < 20; ++n) fail(address(n, 7));
  CHECK(points(address(15, 7)) == 0);
  CHECK(spikes == 1);
  fail(address(16, 7), "other");
  CHECK(points(address(16, 7)) == 2);
  s.reopen();
  fail(address(17, 7));
  CHECK(points(address(17, 7)) == 0);
  s.pass(hours(25));
  fail(address(17, 7));
  CHECK(points(address(17, 7)) == 2);
  bool named = false;
  for (const std::string& line : history(s))
    named = named || line.find("suspended for a day") != std::string::npos;
  CHECK(named);
  CHECK(s.problems() == "");
  CHECK(Read(*s.store).entries(Table::guard) > 0);
  REQUIRE(s.change(dir::RemoveList{list.id}));
  CHECK(Read(*s.store).entries(Table::guard) == 0);
}

TEST_CASE("without a guard each failure counts") {
  Fresh s(count_failures);
  const list::List list = make_list(s, "test", 2000);
  REQUIRE(s.change(dir::SetList{list.id, {{"bounce_guard", "off"}}}));
  for (int n = 0; n < 20; ++n) {
    dir::ScoreMember change;
    change.list = list.id;
    change.address = "member" + std::to_string(100 * n + 7) + "@domain7.example";
    change.failure = {s.now(), false, "gone"};
    REQUIRE(s.change(change));
  }
  CHECK(Read(*s.store).entries(Table::member_score) == 20);
  CHECK(Read(*s.store).entries(Table::guard) == 0);
}
