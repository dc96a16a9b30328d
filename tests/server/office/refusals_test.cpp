// What is refused for its size, whatever the list's rules say.
#include "server/office/refusals.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::server;

TEST_CASE("a post is refused for now where the members of its lists do not fit beside each other") {
  smtp::Transaction transaction;
  const smtp::Recipient large{"large@x.example", smtp::to::Post{1, 1000}};
  CHECK_FALSE(too_many_members(transaction, large, 32'000));
  const auto refused = too_many_members(transaction, large, 31'999);
  REQUIRE(refused);
  CHECK(refused->code == 452);
  CHECK(refused->oneline() ==
        "452 4.3.1 no room now for a post to the 1000 members of large@x.example; try again later");
  // What was declared needs room too.
  transaction.declared_size = 1;
  CHECK(too_many_members(transaction, large, 32'000));
  CHECK_FALSE(too_many_members(transaction, large, 32'001));
  // And the lists before it; other recipients do not.
  transaction.declared_size = 0;
  transaction.recipients.push_back({"small@x.example", smtp::to::Post{2, 500}});
  transaction.recipients.push_back({"a@x.example", smtp::to::Relay{}});
  CHECK_FALSE(too_many_members(transaction, large, 48'000));
  const auto both = too_many_members(transaction, large, 47'999);
  REQUIRE(both);
  CHECK(both->oneline() ==
        "452 4.3.1 no room now for a post to the 1500 members of the lists of this transaction; try again "
        "later");
  CHECK_FALSE(too_many_members(transaction, {"b@x.example", smtp::to::Relay{}}, 0));
}
