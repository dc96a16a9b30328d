// What one person wishes for his own mail: texts read and printed, layers, a vacation by the clock.
#include "protocol/list/preferences.hpp"

#include <doctest/doctest.h>

#include "protocol/list/letter.hpp"

using namespace spoold;
using namespace spoold::list;

TEST_CASE("preferences: what is printed can be read, and default takes it back") {
  Preferences p;
  for (const auto& [name, text] : PreferenceTexts{{"own_posts", "false"},
                                                  {"avoid_duplicates", "true"},
                                                  {"language", "pt-BR"},
                                                  {"vacation", "2027-01-06"}})
    REQUIRE(set(p, name, text));
  const auto again = with(Preferences(), texts_of(p));
  REQUIRE(again);
  CHECK(*again == p);
  for (const PreferenceKey& key : preference_keys()) REQUIRE(set(p, key.name, "default"));
  CHECK(p.empty());
}

TEST_CASE("preferences: what is wrong changes nothing and is named") {
  Preferences p;
  REQUIRE(set(p, "vacation", "2026-12-24..2027-01-06T12:00:00+01:00"));
  const Preferences before = p;
  for (const auto& [name, text] : PreferenceTexts{{"own_posts", "maybe"},
                                                  {"language", "a language"},
                                                  {"language", ""},
                                                  {"vacation", "2027-01-06..2026-12-24"},
                                                  {"vacation", "2026-13-24..2027-01-06"},
                                                  {"vacation", ".."},
                                                  {"delivery", "regular"}}) {
    const auto done = set(p, name, text);
    REQUIRE_FALSE(done);
    CHECK(done.error().find(name) != std::string::npos);
    CHECK(p == before);
  }
}

TEST_CASE("preferences: a vacation begins and ends by the clock") {
  Preferences p;
  REQUIRE(set(p, "vacation", "1970-01-02..1970-01-03"));
  const auto day = std::chrono::hours(24);
  CHECK_FALSE(p.away(TimePoint(day) - Duration(1)));
  CHECK(p.away(TimePoint(day)));
  CHECK(p.away(TimePoint(2 * day) - Duration(1)));
  CHECK_FALSE(p.away(TimePoint(2 * day)));
  CHECK_FALSE(Preferences().away(TimePoint{}));
}

TEST_CASE("preferences: in a letter, in both languages") {
  const PreferenceTexts texts{{"own_posts", "false"}, {"vacation", "2026-12-24..2027-01-06"}};
  CHECK(preferences_text(texts, "en") ==
        "    your own posts: no\r\n    nothing during the vacation: 2026-12-24..2027-01-06");
  CHECK(preferences_text(texts, "de") ==
        "    eigene Nachrichten: nein\r\n    nichts im Urlaub: 2026-12-24..2027-01-06");
}
