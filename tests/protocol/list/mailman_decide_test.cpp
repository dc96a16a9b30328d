// The decisions of the real Mailman 3.3.8 (data/mailman_decide.json: settings, post, the chain that it chose) beside ours.
// Each difference that is meant stands in the table below with its reason; a case that is in it must differ.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "protocol/list/policy.hpp"
#include "protocol/list/settings_table.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

struct Difference {
  const char* outcome;  // ours
  const char* reason;
};
const char* const no_such_rule =
    "there is no rule about subjects, commands in posts or old spammers: header_rules say it";
const char* const forged =
    "a stranger can write any address there: only From and the envelope's sender count";
const char* const one_author = "a post has one author: who else is named in From would be nobody's word";
const char* const null_path = "bounces are no posts: no list may answer or distribute them";
const char* const a_loop =
    "a post of this list that comes back goes no second round, and its sender is told so";
const char* const told = "refused in the transaction: whoever is banned by mistake is told";
const char* const machine = "automatic mail is no post";

const std::map<std::string, Difference> meant = {
    {"decide.27", {"hold", forged}},
    {"decide.28", {"hold", forged}},
    {"decide.29", {"accept", "BATV is undone: the envelope's sender is the member"}},
    {"decide.31", {"reject", one_author}},
    {"decide.32", {"reject", one_author}},
    {"decide.33", {"reject", one_author}},
    {"decide.34", {"reject", one_author}},
    {"decide.35", {"reject", null_path}},
    {"decide.36", {"reject", one_author}},
    {"decide.37", {"reject", one_author}},
    {"decide.38", {"reject", told}},
    {"decide.39", {"reject", told}},
    {"decide.40", {"reject", told}},
    {"decide.42", {"reject", a_loop}},
    {"decide.43", {"reject", a_loop}},
    {"decide.44", {"reject", a_loop}},
    {"decide.45", {"reject", a_loop}},
    {"decide.46", {"reject", a_loop}},
    {"decide.47.1", {"reject", a_loop}},
    {"decide.48", {"reject", "more than 100 Received fields are a loop"}},
    {"decide.49", {"accept", no_such_rule}},
    {"decide.50", {"accept", no_such_rule}},
    {"decide.58", {"accept", "max_recipients is the number that may be named, not the first that may not"}},
    {"decide.62", {"reject", machine}},
    {"decide.63", {"reject", machine}},
    {"decide.70", {"reject", null_path}},
    {"decide.72", {"reject", null_path}},
    {"decide.73", {"accept", no_such_rule}},
    {"decide.74", {"accept", no_such_rule}},
    {"decide.75", {"accept", no_such_rule}},
    {"decide.76", {"accept", no_such_rule}},
    {"decide.77", {"accept", no_such_rule}},
    {"decide.84", {"accept", no_such_rule}},
};

void set_to(List& list, std::string_view key, const std::string& text) {
  const auto done = set(list.settings, key, text);
  REQUIRE_MESSAGE(done, (done ? "" : done.error()));
}

std::string lines(const nlohmann::json& all) {
  std::string text;
  for (const auto& one : all) text += one.get<std::string>() + "\n";
  return text;
}

/// The list of a case, as an importer from Mailman sets it up.
List list_of(const nlohmann::json& c) {
  List list;
  list.local = "test";
  list.domain = "lists.example.com";
  const auto& given = c.at("settings");
  set_to(list, "nonmembers", given.value("default_nonmember_action", "hold"));
  set_to(list, "member_moderation", given.value("default_member_action", "defer"));
  set_to(list, "emergency", given.value("emergency", false) ? "true" : "false");
  set_to(list, "implicit_destination", given.value("require_explicit_destination", true) ? "hold" : "accept");
  set_to(list, "max_recipients", "10");
  if (c.contains("bans")) set_to(list, "bans", lines(c["bans"]));
  if (c.contains("aliases")) set_to(list, "acceptable_aliases", lines(c["aliases"]));
  std::string rules;
  if (c.contains("header_matches"))
    for (const auto& match : c["header_matches"])
      rules += (match.at(2).is_null() ? std::string("hold") : match.at(2).get<std::string>()) + " " +
               match.at(0).get<std::string>() + ": " + match.at(1).get<std::string>() + "\n";
  set_to(list, "header_rules", rules);
  std::map<std::string, std::string> own;
  if (c.contains("nonmembers"))
    for (const auto& [address, action] : c["nonmembers"].items())
      own[action.get<std::string>()] += address + "\n";
  for (const auto& [action, addresses] : own) {
    if (action == "defer")
      set_to(list, "nonmembers", "defer");  // the only sender of these cases
    else
      set_to(list, action + "_these", addresses);
  }
  return list;
}

}  // namespace

TEST_CASE("judge: beside the real Mailman 3.3.8") {
  std::ifstream file(source_dir() + "/tests/protocol/list/data/mailman_decide.json");
  const auto cases = nlohmann::json::parse(file);
  std::size_t same = 0, different = 0;
  for (const auto& c : cases) {
    const std::string id = c.at("id"), message = c.at("message"), sender = c.at("mail_from");
    const List list = list_of(c);
    const auto header = mail::Header::scan(message);
    REQUIRE(header);
    const MemberOf member_of = [&](const std::string& key) -> std::optional<Membership> {
      const auto member = c.at("members").find(key);
      if (member == c.at("members").end()) return std::nullopt;
      if (member->is_null()) return Membership{};
      return Membership{parse_action(member->get<std::string>())};
    };
    const Judgement made =
        judge(list, Rules(list.settings.moderation.rules), Post(*header, sender, message.size()), member_of);
    const std::string ours = text(made.outcome), theirs = c.at("mailman");
    INFO(id << " " << c.at("title").get<std::string>() << ": " << made.rule << ": " << made.reason);
    const auto known = meant.find(id);
    CHECK(ours == (known == meant.end() ? theirs : known->second.outcome));
    ++(ours == theirs ? same : different);
  }
  MESSAGE(same << " of " << cases.size() << " decisions are Mailman's, " << different
               << " differ on purpose");
  CHECK(same + different == cases.size());
  CHECK(same >= 50);
}
