#include "protocol/list/settings_table.hpp"

#include <set>

#include <doctest/doctest.h>

using namespace spoold::list;

namespace {

std::string fault(std::string_view key, std::string_view text) {
  Settings settings;
  auto done = set(settings, key, text);
  return done ? "set" : done.error();
}

std::string again(std::string_view key, std::string_view text) {
  Settings settings;
  auto done = set(settings, key, text);
  return done ? *print(settings, key) : done.error();
}

}  // namespace

TEST_CASE("settings table: each value reads and prints") {
  CHECK(again("description", " All about t\xc3\xa9sts ") == "All about t\xc3\xa9sts");
  CHECK(again("owner", "anna@a.example,Bert@B.example  anna@a.example") == "anna@a.example, Bert@b.example");
  CHECK(again("owner", "\"a, b\"@x.example") == "\"a, b\"@x.example");
  for (const char* text : {"never", "personalized", "every:3", "always"}) CHECK(again("verp", text) == text);
  for (const char* text : {"classic", "opaque"}) CHECK(again("verp_format", text) == text);
  for (const char* text : {"none", "individual"}) CHECK(again("personalize", text) == text);
  for (const char* text : {"reject", "hold", "accept", "discard", "defer"})
    CHECK(again("nonmembers", text) == text);
  for (const char* text : {"0", "40KiB", "25MiB"}) CHECK(again("max_size", text) == text);
  for (const char* text : {"true", "false"}) CHECK(again("own_posts", text) == text);
  CHECK(again("avoid_duplicates", "yes") == "true");
}

TEST_CASE("settings table: what is printed reads back as the same, for every key") {
  Settings settings;
  settings.owners = {"anna@a.example"};
  std::set<std::string_view> names;
  for (const auto& key : setting_keys()) {
    CAPTURE(key.name);
    CHECK(names.insert(key.name).second);
    CHECK(!key.meaning.empty());
    Settings back = settings;
    CHECK(set(back, key.name, *print(settings, key.name)));
    CHECK(*print(back, key.name) == *print(settings, key.name));
  }
}

TEST_CASE("settings table: what becomes of failures") {
  for (const char* key : {"bounce_processing", "bounce_probe"}) {
    CHECK(again(key, "no") == "false");
    CHECK(again(key, "true") == "true");
  }
  for (const char* text : {"0.5", "5.0", "7.5", "1000.0"}) CHECK(again("bounce_threshold", text) == text);
  CHECK(again("bounce_threshold", "3") == "3.0");
  for (const char* text : {"0", "0.0", "-1", "1000.5", "2.25", "2.5.0", "many", ""})
    CHECK(fault("bounce_threshold", text) != "set");
  CHECK(fault("bounce_threshold", "2.25") ==
        "bounce_threshold: '2.25' is no number of points: expected 0.5 to 1000 in steps of 0.5");
  CHECK(again("bounce_stale", "10d") == "10d");
  CHECK(again("bounce_interval", "2w") == "2w");
  CHECK(fault("bounce_interval", "10m") == "bounce_interval: '10m' is less than an hour");
  for (const char* text : {"0", "3", "100"}) CHECK(again("bounce_warnings", text) == text);
  CHECK(fault("bounce_warnings", "101") == "bounce_warnings: '101' is no number from 0 to 100");
  Settings settings;
  CHECK(*print(settings, "bounce_threshold") == "5.0");
  CHECK(*print(settings, "bounce_stale") == "1w");
  CHECK(*print(settings, "bounce_warnings") == "3");
  CHECK(*print(settings, "bounce_interval") == "1w");
  CHECK(*print(settings, "bounce_probe") == "true");
  CHECK(*print(settings, "bounce_processing") == "true");
}

TEST_CASE("settings table: faults") {
  CHECK(fault("verb", "always") == "there is no setting 'verb'; did you mean 'verp'?");
  CHECK(fault("nonsense_key", "x") == "there is no setting 'nonsense_key'");
  CHECK(fault("advertised", "true") == "'advertised' is known, but not built yet");
  CHECK(fault("complaint", "ban") == "complaint: 'ban' is none of: tell, nomail, leave");
  CHECK(fault("archive", "on") == "archive: 'on' is no archive: expected maildir:DIR or mbox:FILE");
  CHECK(fault("archive", "mbox:posts") == "archive: 'posts' is no absolute path");
  CHECK(fault("archived_at", "https://a.example/x").find("has no $hash") != std::string::npos);
  CHECK(fault("verp", "sometimes") == "verp: 'sometimes' is none of: never, personalized, always, every:N");
  CHECK(fault("verp", "every:0") == "verp: every:N needs a number of posts, 1 or more");
  CHECK(fault("verp", "every:3x") == "verp: every:N needs a number of posts, 1 or more");
  CHECK(fault("verp_format", "secret") == "verp_format: 'secret' is none of: classic, signed, opaque");
  CHECK(fault("verp_accept", "mlmmj, qmail") ==
        "verp_accept: 'qmail' is none of: classic, mlmmj, ezmlm, sympa, xverp");
  CHECK(fault("bounce_guard", "0%") == "bounce_guard: '0%' is neither 1% to 100% nor off");
  CHECK(fault("bounce_guard", "10") == "bounce_guard: '10' is neither 1% to 100% nor off");
  CHECK(fault("personalize", "fully") == "personalize: 'fully' is none of: none, individual, full");
  CHECK(fault("nonmembers", "maybe") ==
        "nonmembers: 'maybe' is none of: reject, hold, accept, discard, defer");
  CHECK(fault("own_posts", "1") == "own_posts: '1' is neither true nor false");
  CHECK(fault("owner", "") == "owner: a list needs at least one owner");
  CHECK(fault("owner", "anna") == "owner: 'anna': the address has no @");
  CHECK(fault("description", "two\nlines") ==
        "description: a description is one line of UTF-8 text without control characters");
  CHECK(fault("max_size", "big").starts_with("max_size: 'big' is not "));
  Settings settings;
  settings.verp = Verp::never;
  CHECK(!set(settings, "verp", "every:x"));
  CHECK(settings.verp == Verp::never);
}

TEST_CASE("settings table: a style sets several settings, and each style the same ones") {
  for (const char* name : {"discussion", "announcement", "transparent"}) {
    CAPTURE(name);
    const auto texts = style(name);
    REQUIRE(texts);
    CHECK(texts->size() == style("discussion")->size());
    Settings settings;
    for (const auto& [key, text] : *texts) CHECK_MESSAGE(set(settings, key, text), key);
  }
  CHECK(style("newsletter").error() ==
        "style: 'newsletter' is none of: discussion, announcement, transparent");
  Settings settings;
  const auto discussion = style("discussion");
  for (const auto& [key, text] : *discussion) CHECK(*print(settings, key) == text);
}
