#include "protocol/list/settings.hpp"

#include <doctest/doctest.h>

using namespace spoold::list;

TEST_CASE("envelope_for: the table of lists.md A2") {
  struct Row {
    Verp verp;
    Personalize personalize;
    std::uint32_t post;
    Envelope expected;
  };
  constexpr auto none = Personalize::none, individual = Personalize::individual;
  for (const Row& row :
       {Row{Verp::never, none, 3, Envelope::bulk}, Row{Verp::never, individual, 3, Envelope::each_plain},
        Row{Verp::personalized, none, 3, Envelope::bulk},
        Row{Verp::personalized, individual, 3, Envelope::each_verp},
        Row{Verp::every, none, 1, Envelope::bulk}, Row{Verp::every, none, 2, Envelope::bulk},
        Row{Verp::every, none, 3, Envelope::each_verp}, Row{Verp::every, none, 4, Envelope::bulk},
        Row{Verp::every, individual, 1, Envelope::each_verp}, Row{Verp::always, none, 1, Envelope::each_verp},
        Row{Verp::always, individual, 1, Envelope::each_verp}}) {
    CAPTURE(int(row.verp));
    CAPTURE(int(row.personalize));
    CAPTURE(row.post);
    Settings settings;
    settings.verp = row.verp;
    settings.verp_every = 3;
    settings.personalize = row.personalize;
    CHECK(envelope_for(settings, row.post) == row.expected);
  }
}
