// Requests on a real store, with lanes that answer as told.
#include "server/admin/operator.hpp"
#include "protocol/mail/base64.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <mutex>

#include "server/admin/reads.hpp"
#include "server/admin/views.hpp"
#include "server/log.hpp"
#include "server/spoolctl/print.hpp"
#include "store/spool/acceptance.hpp"
#include "store/spool/rows.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;
using admin::Json;
using delivery::Withdrawal;

namespace {

/// Gives the answers it was told to, in order; then `idle`. `on_withdraw` runs before each answer.
class ToldLanes : public Lanes {
 public:
  void withdraw(store::Id, std::vector<std::uint32_t> numbers, Withdrawn done) override {
    ++asked;
    if (on_withdraw) on_withdraw();
    if (silent) {
      late = [done, n = numbers.size()] { done(std::vector<Withdrawal>(n, Withdrawal::withdrawn)); };
      return;
    }
    std::vector<Withdrawal> out;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      out.push_back(answers.empty() ? Withdrawal::idle : answers.front());
      if (!answers.empty()) answers.pop_front();
    }
    done(out);
  }
  void give_back(store::Id, std::vector<std::uint32_t> numbers) override {
    given_back.insert(given_back.end(), numbers.begin(), numbers.end());
  }
  void wake(const std::vector<std::string>&) override {}
  void retry_now(store::Id id) override { retried.push_back(id); }
  void wake_hosts(const std::vector<std::string>& routes) override { woken = routes; }
  void destinations(Destinations done) override {
    if (!silent) done(states);
  }

  std::deque<Withdrawal> answers;
  std::function<void()> on_withdraw, late;
  bool silent = false;
  int asked = 0;
  std::vector<std::uint32_t> given_back;
  std::vector<store::Id> retried;
  std::vector<std::string> woken;
  std::vector<DestinationState> states;
};

struct House {
  House() : opened(folder.path()) {
    conf::Log quiet;
    quiet.level = "error";
    log::configure(quiet);
    REQUIRE(opened.open());
    settings.spool.path = folder.path();
    settings.relay.smarthost.emplace_back();  // everything is on one route
  }
  ~House() { log::configure({}); }

  Json ask(Json request) {
    Operator the_operator(*opened.store, std::make_shared<const conf::Settings>(settings), lanes);
    return the_operator.execute(request, "anna");
  }
  store::Id accept(std::vector<std::string> addresses) {
    const auto accepted = opened.accept(store::plain(std::move(addresses)));
    REQUIRE(accepted);
    return accepted->ids.at(0);
  }
  std::string state(store::Id id, const std::string& address) {
    std::string found = "absent";
    for (const auto& r : opened.recipients(id))
      if (r.address == address) found = admin::state_text(r);
    return found;
  }
  Json edit(store::Id id, Json more) {
    Json request{{"verb", "edit-recipients"}, {"id", store::id_text(id)}};
    request.update(more);
    return ask(request);
  }

  store::Folder folder;
  store::Opened opened;
  conf::Settings settings;
  ToldLanes lanes;
};

}  // namespace

TEST_CASE_FIXTURE(House, "edit-recipients of a message that waits") {
  const auto id = accept({"a@x.example", "b@x.example", "c@x.example", "d@y.example"});
  const auto answer = edit(id, {{"remove", {"A@x.example", "nobody@x.example", "not an address"}},
                                {"add", {"e@z.example", "d@y.example"}},
                                {"isolate", {"c@x.example"}},
                                {"replace", {{{"old", "b@x.example"}, {"new", "f@z.example"}}}}});
  CHECK(answer["exit"] == 1);
  CHECK(answer["removed"][0]["address"] == "a@x.example");
  CHECK(answer["added"][0]["address"] == "e@z.example");
  CHECK(answer["isolated"][0]["address"] == "c@x.example");
  CHECK(answer["replaced"][0]["new"] == "f@z.example");
  REQUIRE(answer["refused"].size() == 3);
  CHECK(answer["refused"][0]["address"] == "nobody@x.example");
  CHECK(answer["refused"][0]["reason"] == "not a recipient of this message");
  CHECK(answer["refused"][2]["reason"] == "already a recipient");
  CHECK(state(id, "a@x.example") == "removed");
  CHECK(state(id, "b@x.example") == "removed");
  CHECK(state(id, "e@z.example") == "queued");
  CHECK(state(id, "f@z.example") == "queued");
  CHECK(lanes.asked == 0);
  CHECK(opened.problems() == "");
  // A second time: it is gone already, and says so.
  CHECK(edit(id, {{"remove", {"a@x.example"}}})["refused"][0]["reason"] == "already removed");
}

TEST_CASE_FIXTURE(House, "a dry run and a refused all-or-nothing change nothing") {
  const auto id = accept({"a@x.example", "b@x.example"});
  auto answer = edit(id, {{"remove", {"a@x.example"}}, {"dry_run", true}});
  CHECK(answer["ok"] == true);
  CHECK(answer["removed"].size() == 1);
  answer = edit(id, {{"remove", {"a@x.example", "z@x.example"}}, {"all_or_nothing", true}});
  CHECK(answer["exit"] == 1);
  CHECK(answer["removed"].empty());
  CHECK(answer["refused"].size() == 2);
  CHECK(state(id, "a@x.example") == "queued");
}

TEST_CASE_FIXTURE(House, "facts beat wishes: withdrawn is changed, committed is refused by name") {
  const auto id = accept({"a@x.example", "b@x.example", "c@y.example"});
  const auto claims = opened.claim();
  REQUIRE(claims.size() == 1);
  lanes.answers = {Withdrawal::withdrawn, Withdrawal::committed};
  const auto answer = edit(id, {{"remove", {"a@x.example", "b@x.example"}}});
  CHECK(answer["removed"][0]["address"] == "a@x.example");
  CHECK(answer["refused"][0]["address"] == "b@x.example");
  CHECK(answer["refused"][0]["reason"] == "in flight: its content is being sent");
  CHECK(state(id, "a@x.example") == "removed");
  CHECK(state(id, "b@x.example") == "active");
  CHECK(lanes.given_back.size() == 1);
  CHECK(opened.problems() == "");
  REQUIRE(opened.settle(store::outcome_of(claims[0], Verdict::delivered)));
  CHECK(edit(id, {{"remove", {"b@x.example"}}})["refused"][0]["reason"] == "already delivered");
}

TEST_CASE_FIXTURE(
    House, "withdrawn from a claim that ended meanwhile: the lane is asked again about the one of now") {
  const auto id = accept({"a@x.example", "b@x.example"});
  const auto first = opened.claim();
  REQUIRE(first.size() == 1);
  lanes.answers = {Withdrawal::withdrawn, Withdrawal::committed};
  lanes.on_withdraw =
      [&] {  // the lane gives its hand back, claims again, and has sent what it has by the next question
        if (lanes.asked > 1) return;
        REQUIRE(opened.settle(store::outcome_of(first[0], Verdict::released, opened.now())));
        opened.pass(Duration(5));
        REQUIRE(opened.claim().size() == 1);
      };
  const auto answer = edit(id, {{"remove", {"a@x.example"}}});
  CHECK(lanes.asked == 2);
  CHECK(answer["removed"].empty());
  CHECK(answer["refused"][0]["reason"] == "in flight: its content is being sent");
  CHECK(state(id, "a@x.example") == "active");
  CHECK(lanes.given_back == std::vector<std::uint32_t>{0});
  CHECK(opened.problems() == "");
}

TEST_CASE_FIXTURE(House, "all-or-nothing with one in flight gives the withdrawn ones back unchanged") {
  const auto id = accept({"a@x.example", "b@x.example"});
  REQUIRE(opened.claim().size() == 1);
  lanes.answers = {Withdrawal::withdrawn, Withdrawal::committed};
  const auto answer = edit(id, {{"remove", {"a@x.example", "b@x.example"}}, {"all_or_nothing", true}});
  CHECK(answer["removed"].empty());
  CHECK(answer["refused"].size() == 2);
  CHECK(lanes.given_back.size() == 1);
  CHECK(state(id, "a@x.example") == "active");
}

TEST_CASE_FIXTURE(House,
                  "all-or-nothing with one delivered between the question and the change changes nothing") {
  const auto id = accept({"a@x.example", "b@x.example"});
  const auto claims = opened.claim();
  lanes.answers = {Withdrawal::withdrawn, Withdrawal::withdrawn};
  lanes.on_withdraw = [&] {
    auto settlement = store::outcome_of(claims[0], Verdict::delivered);
    settlement.outcomes.erase(settlement.outcomes.begin());
    settlement.versions.erase(settlement.versions.begin());
    REQUIRE(opened.settle(std::move(settlement)));
  };
  const auto answer = edit(id, {{"remove", {"a@x.example", "b@x.example"}}, {"all_or_nothing", true}});
  CHECK(answer["removed"].empty());
  CHECK(answer["refused"].size() == 2);
  CHECK(state(id, "a@x.example") == "active");
  CHECK(state(id, "b@x.example") == "delivered");
  CHECK(lanes.given_back.size() == 2);
  CHECK(opened.problems() == "");
}

TEST_CASE_FIXTURE(House, "a claim that is settled while it is asked about") {
  const auto id = accept({"a@x.example"});
  const auto claims = opened.claim();
  lanes.on_withdraw = [&] {
    if (lanes.asked == 3) REQUIRE(opened.settle(store::outcome_of(claims[0], Verdict::delivered)));
  };
  const auto answer = edit(id, {{"remove", {"a@x.example"}}});
  CHECK(answer["refused"][0]["reason"] == "already delivered");
  CHECK(lanes.asked == 3);
}

TEST_CASE_FIXTURE(House, "a lane that answers too late gets back what it withdrew") {
  const auto id = accept({"a@x.example"});
  REQUIRE(opened.claim().size() == 1);
  lanes.silent = true;
  const auto answer = edit(id, {{"remove", {"a@x.example"}}});
  CHECK(answer["refused"][0]["reason"] == "in flight: its lane did not let it go within 5 s");
  CHECK(lanes.given_back.empty());
  lanes.late();
  CHECK(lanes.given_back.size() == 1);
  CHECK(state(id, "a@x.example") == "active");
}

TEST_CASE_FIXTURE(House, "a request over many messages ends with the one at hand when the daemon stops") {
  const auto one = accept({"a@x.example"}), two = accept({"b@x.example"});
  REQUIRE(opened.claim().size() == 2);
  Operator the_operator(*opened.store, std::make_shared<const conf::Settings>(settings), lanes);
  lanes.answers = {Withdrawal::withdrawn, Withdrawal::withdrawn};
  lanes.on_withdraw = [&the_operator] { the_operator.stop(); };
  const auto answer = the_operator.execute({{"verb", "remove"}, {"filter", {{"all", true}}}}, "anna");
  CHECK(answer["exit"] == 1);
  CHECK(answer["error"] == "spoold is stopping: 1 messages were changed; the rest is unchanged");
  CHECK(answer["recipients"] == 1);
  CHECK(state(one, "a@x.example") == "removed");
  CHECK(state(two, "b@x.example") == "active");
}

TEST_CASE_FIXTURE(House, "a question that the lanes do not answer has an end") {
  accept({"a@x.example"});
  lanes.silent = true;
  for (const char* verb : {"destinations", "wake"}) {
    const auto answer = ask({{"verb", verb}, {"host", "*"}});
    CHECK(answer["exit"] == 1);
    CHECK(answer["error"].get<std::string>().find("no answer within 5 s") == 0);
  }
}

TEST_CASE_FIXTURE(House, "hold, release, retry and remove by filter") {
  const auto one = accept({"a@x.example", "b@y.example"});
  const auto two = accept({"c@x.example"});
  CHECK(ask({{"verb", "hold"}, {"filter", Json::object()}})["exit"] == 2);
  CHECK(ask({{"verb", "hold"}, {"filter", {{"recipient", "*@nowhere.example"}}}})["exit"] == 3);

  auto answer = ask({{"verb", "hold"}, {"filter", {{"recipient", "*@x.example"}}}, {"dry_run", true}});
  CHECK(answer["recipients"] == 2);
  CHECK(state(one, "a@x.example") == "queued");
  answer = ask({{"verb", "hold"}, {"filter", {{"recipient", "*@x.example"}}}});
  CHECK(answer["ok"] == true);
  CHECK(answer["recipients"] == 2);
  CHECK(answer["messages"] == 2);
  CHECK(state(one, "a@x.example") == "held");
  CHECK(state(one, "b@y.example") == "queued");
  CHECK(ask({{"verb", "release"}, {"filter", {{"states", {"held"}}}}})["recipients"] == 2);
  CHECK(state(one, "a@x.example") == "queued");

  CHECK(ask({{"verb", "hold"}, {"filter", {{"ids", {store::id_text(one)}}}}})["recipients"] == 2);
  CHECK(opened.message(one)->state == store::MessageState::held);
  CHECK(edit(one, {{"remove", {"a@x.example"}}})["ok"] == true);  // also while it is held
  CHECK(ask({{"verb", "release"}, {"filter", {{"ids", {store::id_text(one)}}}}})["recipients"] == 1);
  CHECK(ask({{"verb", "retry"}, {"filter", {{"all", true}}}})["messages"] == 2);
  CHECK(lanes.retried.size() == 2);
  answer = ask({{"verb", "remove"}, {"filter", {{"all", true}}}});
  CHECK(answer["recipients"] == 2);
  CHECK(opened.message(two)->counts.open() == 0);
  CHECK(ask({{"verb", "remove"}, {"filter", {{"all", true}}}})["exit"] == 3);
  CHECK(opened.problems() == "");
}

TEST_CASE_FIXTURE(House, "a message is held although some of it is on the wire") {
  const auto id = accept({"a@x.example", "b@x.example"});
  REQUIRE(opened.claim().size() == 1);
  lanes.answers = {Withdrawal::withdrawn, Withdrawal::committed};
  const auto answer = ask({{"verb", "hold"}, {"filter", {{"ids", {store::id_text(id)}}}}});
  CHECK(answer["exit"] == 1);
  CHECK(answer["recipients"] == 1);
  REQUIRE(answer["refused"].size() == 1);
  CHECK(answer["refused"][0]["address"] == "b@x.example");
  CHECK(state(id, "a@x.example") == "held");
  CHECK(opened.problems() == "");
}

TEST_CASE_FIXTURE(House, "the sender of a queued message") {
  const auto id = accept({"a@x.example"});
  CHECK(ask({{"verb", "edit-sender"}, {"id", store::id_text(id)}, {"sender", "bad"}})["exit"] == 2);
  CHECK(ask({{"verb", "edit-sender"}, {"id", store::id_text(id)}, {"sender", "new@x.example"}})["old"] ==
        "sender@here.example");
  CHECK(opened.message(id)->reverse_path == "new@x.example");
  CHECK(ask({{"verb", "edit-sender"}, {"id", store::id_text(id)}, {"sender", "<>"}})["ok"] == true);
  CHECK(opened.message(id)->reverse_path.empty());
  CHECK(ask({{"verb", "edit-sender"}, {"id", "0000000000000"}, {"sender", "<>"}})["exit"] == 3);
}

TEST_CASE_FIXTURE(House, "lists and members") {
  const std::string list = "test@lists.example";
  CHECK(ask({{"verb", "list-create"}, {"list", list}})["error"] ==
        "a list needs at least one owner: --owner ADDRESS");
  CHECK(ask({{"verb", "list-create"},
             {"list", "x-owner@lists.example"},
             {"owners", {"o@x.example"}}})["exit"] == 2);
  CHECK(
      ask({{"verb", "list-create"}, {"list", list}, {"owners", {"o@x.example"}}, {"dry_run", true}})["ok"] ==
      true);
  CHECK(ask({{"verb", "list-create"},
             {"list", "Test@Lists.example"},
             {"owners", {"o@x.example"}}})["address"] == list);
  CHECK(ask({{"verb", "list-create"}, {"list", list}, {"owners", {"o@x.example"}}})["exit"] == 1);

  CHECK(ask({{"verb", "list-set"},
             {"list", list},
             {"settings", {{"verp", "never"}, {"own_posts", "false"}}}})["verp"] == "never");
  CHECK(ask({{"verb", "list-set"}, {"list", list}, {"settings", {{"vrep", "never"}}}})["exit"] == 2);
  const admin::Reads reads(*opened.store, settings, {});
  CHECK(reads.list("TEST@lists.example")->settings.own_posts == false);

  auto answer =
      ask({{"verb", "member-add"}, {"list", list}, {"addresses", {"Anne@x.example", "bart@x.example"}}});
  CHECK(answer["added"].size() == 2);
  answer = ask({{"verb", "member-add"}, {"list", list}, {"addresses", {"anne@X.example"}}});
  CHECK(answer["exit"] == 1);
  CHECK(answer["already"].size() == 1);
  answer = ask({{"verb", "member-add"}, {"list", list}, {"addresses", {"x", "eve@x.example", "y z"}}});
  CHECK(answer["exit"] == 2);  // every wrong one is named, none is added
  CHECK(answer["error"].get<std::string>().find("'x'") != std::string::npos);
  CHECK(answer["error"].get<std::string>().find("'y z'") != std::string::npos);
  CHECK(!reads.member(*reads.list(list), "eve@x.example"));
  answer = ask({{"verb", "member-add"}, {"list", list}, {"addresses", {"Eve <eve@x.example>"}}});
  CHECK(answer["added"].size() == 1);
  CHECK(reads.member(*reads.list(list), "eve@x.example")->name == "Eve");
  ask({{"verb", "member-remove"}, {"list", list}, {"addresses", {"eve@x.example"}}});
  CHECK(ask({{"verb", "member-set"},
             {"list", list},
             {"address", "anne@x.example"},
             {"settings", {{"delivery", "digest"}}}})["ok"] == true);
  CHECK(reads.member(*reads.list(list), "anne@x.example")->delivery == list::Delivery::digest);
  CHECK(ask({{"verb", "member-set"},
             {"list", list},
             {"address", "anne@x.example"},
             {"settings", {{"delivery", "x"}}}})["exit"] == 2);
  answer =
      ask({{"verb", "member-move"}, {"list", list}, {"address", "Anne@x.example"}, {"to", "bart@x.example"}});
  CHECK(answer["exit"] == 1);
  answer =
      ask({{"verb", "member-move"}, {"list", list}, {"address", "zed@x.example"}, {"to", "z@x.example"}});
  CHECK(answer["exit"] == 3);
  for (const bool dry : {true, false}) {
    answer = ask({{"verb", "member-move"},
                  {"list", list},
                  {"address", "anne@x.example"},
                  {"to", "Anne@new.example"},
                  {"dry_run", dry}});
    CHECK(answer["ok"] == true);
    CHECK(answer["address"] == "Anne@new.example");
    CHECK(answer["delivery"] == "digest");
    CHECK(reads.member(*reads.list(list), "anne@x.example").has_value() == dry);
  }
  ask({{"verb", "member-move"}, {"list", list}, {"address", "anne@new.example"}, {"to", "anne@x.example"}});
  answer =
      ask({{"verb", "member-remove"}, {"list", list}, {"addresses", {"bart@x.example", "zed@x.example"}}});
  CHECK(answer["removed"].size() == 1);
  CHECK(answer["unknown"].size() == 1);

  const auto import = [&](const std::string& text, bool dry) {
    return ask(
        {{"verb", "import"}, {"list", list}, {"content", mail::base64_encode(text)}, {"dry_run", dry}});
  };
  answer = import("cris@x.example\nnot one\ndirk@x.example\n\n@x\n", false);
  CHECK(answer["exit"] == 1);
  REQUIRE(answer["bad_lines"].size() == 2);
  CHECK(answer["bad_lines"][0]["line"] == 2);
  CHECK(answer["bad_lines"][1]["line"] == 5);
  CHECK(reads.list(list)->members == 1);
  CHECK(import("cris@x.example\nanne@x.example\n", true)["added"] == 1);
  CHECK(import("cris@x.example\nanne@x.example\n", false)["already"] == 1);
  CHECK(reads.list(list)->members == 2);
  CHECK(ask({{"verb", "list-remove"}, {"list", list}})["ok"] == true);
  CHECK(!reads.list(list));
  CHECK(ask({{"verb", "list-remove"}, {"list", list}})["exit"] == 3);
  CHECK(opened.problems() == "");
}

TEST_CASE_FIXTURE(House, "a post by hand") {
  const std::string list = "test@lists.example";
  settings.hostname = "mx.lists.example";
  ask({{"verb", "list-create"},
       {"list", list},
       {"owners", {"o@x.example"}},
       {"settings", {{"verp", "never"}}}});
  ask({{"verb", "member-add"}, {"list", list}, {"addresses", {"anne@x.example", "bart@y.example"}}});
  const auto post = [&](const std::string& text, bool verp) {
    return ask({{"verb", "post"}, {"list", list}, {"content", mail::base64_encode(text)}, {"verp", verp}});
  };
  const std::string text = "From anne Sat Jan 1\nFrom: nobody@else.example\nSubject: x\n\nline\n.dot";
  const auto answer = post(text, false);
  REQUIRE(answer["ok"] == true);
  CHECK(answer["recipients"] == 2);
  const auto id = *store::parse_id(answer["id"].get<std::string>());
  CHECK(opened.message(id)->copies == list::Copies::bulk);
  CHECK(opened.message(id)->leading_dots);
  std::string octets;
  admin::Reads(*opened.store, settings, {}).content(*opened.message(id), [&](const std::string& part) {
    octets += part;
  });
  CHECK(octets.find("List-Id:") != std::string::npos);
  CHECK(octets.find("From anne") == std::string::npos);
  CHECK(octets.ends_with("\r\n\r\nline\r\n.dot\r\n"));
  const auto individual = post(text, true);
  CHECK(opened.message(*store::parse_id(individual["id"].get<std::string>()))->copies ==
        list::Copies::each_verp);
  CHECK(post("", false)["exit"] == 2);
  CHECK(post("no header at all", false)["exit"] == 2);
  const auto two = post("From: a@b.example\nFrom: c@d.example\nSubject: x\n\nx\n", false);
  CHECK(two["ok"] == false);
  CHECK(two.dump().find("more than one From field") != std::string::npos);
  CHECK(post(std::string("From: a@b.example\n\n\0", 21), false)["exit"] == 2);
  CHECK(opened.problems() == "");
}

TEST_CASE_FIXTURE(House, "whatever a request holds, the answer is an answer") {
  for (const char* text :
       {"{}", R"({"verb":5})", R"({"verb":"nothing"})", R"({"verb":"hold"})",
        R"({"verb":"hold","filter":[]})", R"({"verb":"hold","filter":{"ids":"x"}})",
        R"({"verb":"hold","dry_run":"x","filter":{"all":true}})", R"({"verb":"edit-recipients","id":7})",
        R"({"verb":"edit-recipients","id":"0000000000000","remove":["a@b.example"]})",
        R"({"verb":"list-create","list":"no address"})",
        R"({"verb":"list-create","list":"a@b.example","owners":[1]})",
        R"({"verb":"import","list":"a@b.example","content":"*"})",
        R"({"verb":"member-set","list":"a@b.example"})", "[]", "5", R"({"verb":"stats"})"}) {
    CAPTURE(text);
    const auto answer = ask(Json::parse(text));
    CHECK(answer["ok"] == false);
    CHECK(answer["exit"].get<int>() > 0);
    CHECK(!answer["error"].get<std::string>().empty());
  }
}

TEST_CASE_FIXTURE(House, "reading: queue, totals, recipients, trace") {
  const auto id = accept({"a@x.example", "b@y.example"});
  const admin::Reads reads(*opened.store, settings, {});
  std::vector<Json> rows;
  reads.queue({}, [&](Json row) { rows.push_back(row); });
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["id"] == store::id_text(id));
  CHECK(rows[0]["recipients"]["queued"] == 2);
  admin::Filter nobody;
  nobody.recipient = "z*";
  rows.clear();
  reads.queue(nobody, [&](Json row) { rows.push_back(row); });
  CHECK(rows.empty());
  CHECK(reads.queue_by({}, "destination")[0]["recipients"] == 2);

  auto claims = opened.claim();
  auto settlement =
      store::outcome_of(claims.at(0), Verdict::deferred, opened.now() + std::chrono::minutes(5));
  REQUIRE(opened.settle(settlement));
  reads.recipients(*reads.message(id), [&](Json row) { rows.push_back(row); });
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["state"] == "deferred");
  CHECK(rows[0]["attempts"] == 1);
  CHECK(rows[0]["last_reply"]["code"] == 450);
  CHECK(rows[0]["envelope_sender"] == "sender@here.example");
  CHECK(rows[0]["next_attempt"].is_string());

  edit(id, {{"remove", {"a@x.example"}}});
  rows.clear();
  reads.trace("A@x.example", [&](Json row) { rows.push_back(row); });
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["event"] == "accepted");
  CHECK(rows[1]["event"] == "deferred");
  CHECK(rows[1]["last_reply"]["text"] == "said to a@x.example");
  CHECK(rows[2]["event"] == "edited");
  CHECK(rows[2]["who"] == "anna");
  CHECK(rows[2]["detail"] == "remove a@x.example");
  std::string octets;
  reads.content(*reads.message(id), [&](const std::string& part) { octets += part; });
  CHECK(octets == "Subject: x\r\n\r\nbody\r\n");
  CHECK(reads.check().report["ok"] == true);
}

TEST_CASE_FIXTURE(House, "show: what a sender asked of reports, where he asked") {
  store::Acceptance mail = store::plain({});
  mail.messages[0].message.dsn = {smtp::Ret::headers, "id+2B1"};
  mail.messages[0].recipients.push_back(
      {"a@x.example", {smtp::notify_success | smtp::notify_delay, "rfc822;A+2Ba@x.example"}});
  mail.messages[0].recipients.push_back({"b@x.example", {smtp::notify_never, ""}});
  mail.messages[0].recipients.push_back({"c@x.example", {}});
  const auto id = opened.accept(std::move(mail)).value().ids.at(0);
  const auto unasked = accept({"a@x.example"});

  admin::Reads reads(*opened.store, settings, {});
  const auto rows = [&](store::Id of) {
    std::vector<Json> all;
    reads.recipients(*reads.message(of), [&](Json row) { all.push_back(std::move(row)); });
    return all;
  };
  const Json message = admin::message_json(*reads.message(id));
  CHECK(message["ret"] == "HDRS");
  CHECK(message["envid"] == "id+2B1");
  CHECK(admin::message_text(*reads.message(id), opened.now()).find("reports     RET=HDRS ENVID=id+2B1\n") !=
        std::string::npos);
  const auto asked = rows(id);
  REQUIRE(asked.size() == 3);
  CHECK(asked[0]["notify"] == "SUCCESS,DELAY");
  CHECK(asked[0]["orcpt"] == "rfc822;A+2Ba@x.example");
  CHECK(asked[1]["notify"] == "NEVER");
  const std::string table = admin::recipients_text(asked, opened.now(), false);
  CHECK(table.find("notify SUCCESS,DELAY; orcpt rfc822;A+2Ba@x.example\n") != std::string::npos);
  CHECK(table.find("notify NEVER\n") != std::string::npos);

  for (const Json& row : {asked[1], asked[2], rows(unasked).at(0)}) CHECK_FALSE(row.contains("orcpt"));
  for (const Json& row : {asked[2], rows(unasked).at(0)}) CHECK_FALSE(row.contains("notify"));
  const Json other = admin::message_json(*reads.message(unasked));
  for (const char* name : {"ret", "envid"}) CHECK_FALSE(other.contains(name));
  CHECK(admin::message_text(*reads.message(unasked), opened.now()).find("reports") == std::string::npos);
}

TEST_CASE_FIXTURE(House, "repair counts anew what a check found not to add up; a dry run only names it") {
  const auto id = accept({"a@x.example", "b@x.example"});
  REQUIRE(opened.change([&](store::Write& write) -> store::Result<void> {
    auto message = *store::spool::find_message(write, id);
    message.counts.queued = 7;
    store::spool::put_message(write, message);
    return {};
  }));
  const admin::Reads reads(*opened.store, settings, {});
  const auto checked = reads.check();
  CHECK(checked.report["ok"] == false);
  CHECK(checked.repairable["messages"] == Json::array({store::id_text(id)}));
  Json request{{"verb", "repair"}, {"dry_run", true}};
  request.update(checked.repairable);
  CHECK(ask(request)["repaired"] == Json::array({"message " + store::id_text(id)}));
  CHECK(reads.check().report["ok"] == false);
  request["dry_run"] = false;
  const auto answer = ask(request);
  CHECK(answer["ok"] == true);
  CHECK(answer["repaired"][0].get<std::string>().find("are 2 queued, not 7 queued") != std::string::npos);
  CHECK(reads.check().report["ok"] == true);
  CHECK(ask(request)["repaired"].empty());  // it adds up now
}

TEST_CASE_FIXTURE(House, "who became root by sudo is named beside root, and a name never hides the user") {
  const auto id = accept({"a@x.example"});
  const auto who_of = [&](const std::string& user, const std::string& person) {
    opened.pass(Duration(1));
    Operator the_operator(*opened.store, std::make_shared<const conf::Settings>(settings), lanes);
    const Json request{
        {"verb", "edit-sender"}, {"id", store::id_text(id)}, {"sender", "s@x.example"}, {"person", person}};
    CHECK(the_operator.execute(request, user)["ok"] == true);
    return store::spool::history(store::Read(*opened.store), opened.now(), opened.now(), id, 10)
        .events.at(0)
        .who;
  };
  CHECK(who_of("root", "alice") == "alice (root)");
  CHECK(who_of("mallory", "root") == "root (mallory)");
  CHECK(who_of("root", "root") == "root");
  CHECK(who_of("root", "") == "root");
}
