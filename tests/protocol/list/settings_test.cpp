#include "protocol/list/settings.hpp"

#include <doctest/doctest.h>

using namespace spoold::list;

TEST_CASE("copies_for: the table of protocol/README.md") {
  struct Row {
    Verp verp;
    Personalize personalize;
    std::uint32_t post;
    Copies expected;
  };
  constexpr auto none = Personalize::none, individual = Personalize::individual;
  for (const Row& row :
       {Row{Verp::never, none, 3, Copies::bulk}, Row{Verp::never, individual, 3, Copies::each_plain},
        Row{Verp::personalized, none, 3, Copies::bulk},
        Row{Verp::personalized, individual, 3, Copies::each_verp}, Row{Verp::every, none, 1, Copies::bulk},
        Row{Verp::every, none, 2, Copies::bulk}, Row{Verp::every, none, 3, Copies::each_verp},
        Row{Verp::every, none, 4, Copies::bulk}, Row{Verp::every, individual, 1, Copies::each_verp},
        Row{Verp::always, none, 1, Copies::each_verp}, Row{Verp::always, individual, 1, Copies::each_verp}}) {
    CAPTURE(int(row.verp));
    CAPTURE(int(row.personalize));
    CAPTURE(row.post);
    Settings settings;
    settings.verp = row.verp;
    settings.verp_every = 3;
    settings.personalize = row.personalize;
    CHECK(copies_for(settings, row.post) == row.expected);
    settings.one_click = true;  // each member has an address of his own: no copy is for two
    CHECK(copies_for(settings, row.post) ==
          (row.verp == Verp::never ? Copies::each_plain : Copies::each_verp));
  }
}

TEST_CASE("misfit: dkim2 needs copies of one recipient each, with an envelope sender of its own") {
  Settings settings;
  CHECK_FALSE(misfit(settings));
  settings.dkim2 = true;
  CHECK_FALSE(misfit(settings));
  settings.verp = Verp::personalized;
  CHECK(misfit(settings)->find("verp=always") != std::string::npos);
  settings.personalize = Personalize::individual;
  CHECK_FALSE(misfit(settings));
  settings.verp = Verp::never;
  CHECK(misfit(settings));
  settings.verp = Verp::every;
  settings.verp_every = 2;
  settings.personalize = Personalize::none;
  CHECK(misfit(settings));
  settings.dkim2 = false;
  CHECK_FALSE(misfit(settings));
}
