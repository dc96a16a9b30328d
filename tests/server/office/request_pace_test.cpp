// Subscription bombing: what a network and a list may ask for, and what one victim gets of ten thousand requests.
#include "server/office/request_pace.hpp"

#include <doctest/doctest.h>

#include <set>

#include "server/office/requests.hpp"
#include "store/directory/apply.hpp"
#include "store/directory/asked.hpp"
#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::server;
namespace dir = spoold::store::directory;
using store::now;

TEST_CASE("pace: ten at once, then each waits twice as long, and a day without any forgets") {
  RequestPace pace;
  TimePoint t = now;
  for (int n = 0; n < 10; ++n) CHECK_FALSE(pace.wait("192.0.2.0/24", 1, t));
  std::vector<Duration> waits;
  for (int n = 0; n < 5; ++n) {
    const auto wait = pace.wait("192.0.2.0/24", 1, t);
    REQUIRE(wait);
    waits.push_back(*wait);
    CHECK(pace.wait("192.0.2.0/24", 1, t + *wait - Duration(1)));
    CHECK_FALSE(pace.wait("198.51.100.0/24", 1, t));  // another network does not wait
    t += *wait;
    CHECK_FALSE(pace.wait("192.0.2.0/24", 1, t));
  }
  for (std::size_t i = 0; i < waits.size(); ++i) CHECK(waits[i] == std::chrono::minutes(1 << i));
  CHECK_FALSE(pace.wait("192.0.2.0/24", 1, t + std::chrono::hours(48)));
  // Whoever speaks for others has no network.
  for (int n = 0; n < 100; ++n) CHECK_FALSE(pace.wait("", 2, t));
}

TEST_CASE("pace: a token that comes back takes one away; a clock that goes back makes nobody wait longer") {
  RequestPace pace;
  for (int n = 0; n < 100; ++n) {
    CHECK_FALSE(pace.wait("192.0.2.0/24", 1, now));
    pace.confirmed("192.0.2.0/24", 1, now);
  }
  for (int n = 0; n < 10; ++n) CHECK_FALSE(pace.wait("192.0.2.0/24", 1, now));
  CHECK(pace.wait("192.0.2.0/24", 1, now));
  CHECK_FALSE(pace.wait("192.0.2.0/24", 1, now - std::chrono::hours(24 * 365)));
}

TEST_CASE(
    "pace: a list takes two hundred from everywhere, then one in half a minute; the tables are bounded") {
  RequestPace pace;
  const auto network = [](int n) {
    return "10." + std::to_string(n / 256) + "." + std::to_string(n % 256) + ".0/24";
  };
  int taken = 0;
  for (int n = 0; n < 60'000; ++n) taken += pace.wait(network(n), 1, now) ? 0 : 1;
  CHECK(taken == 200);
  CHECK_FALSE(pace.wait(network(1), 2, now));
  CHECK_FALSE(pace.wait(network(70'000), 1, now + std::chrono::seconds(30)));
  RequestPace small(RequestPace::Limits{.free_of_list = 1e9, .entries = 1000});
  for (int n = 0; n < 60'000; ++n) small.wait(network(n), static_cast<list::ListId>(n), now);
  CHECK(small.size() == 2000);
}

TEST_CASE(
    "10,000 joins for one victim from 1,000 networks are one letter and one row, and no network is slowed") {
  store::DirectoryFolder folder;
  const list::ListId list = folder.make("test");
  RequestPace pace;
  const std::string content = "From: victim@x.example\r\nTo: test-join@lists.example\r\n\r\n";
  const auto header = mail::Header::scan(content);
  smtp::to::Command to;
  to.role = list::text(list::Role::join);
  to.list = list;
  int letters = 0, refused = 0;
  for (int n = 0; n < 10'000; ++n) {
    const std::string network =
        "10." + std::to_string(n % 1000 / 250) + "." + std::to_string(n % 250) + ".0/24";
    const std::string sender = "bot" + std::to_string(n) + "@far.example";
    const RequestRead request = folder.read([&](const store::Read& read) {
      return read_request(read, to,
                          {.header = *header,
                           .content = content,
                           .reverse_path = sender,
                           .pace = &pace,
                           .network = network,
                           .at = now + std::chrono::seconds(n)});
    });
    refused += request.refusal ? 1 : 0;
    for (const dir::Operation& one : request.operations) {
      const auto applied = folder.write([&](store::Write& write) { return dir::apply(write, one); });
      REQUIRE(applied);
      letters += applied->asked && applied->asked->answer == list::Answer::confirm ? 1 : 0;
    }
  }
  CHECK(letters == 1);
  CHECK(refused == 0);
  CHECK(folder.read([](const store::Read& read) { return read.entries(store::Table::asked); }) == 1);
  CHECK(pace.size() == 2);  // only what leads to a letter counts
}

TEST_CASE("one network that names ten thousand victims is refused with a 451 after ten letters") {
  store::DirectoryFolder folder;
  smtp::to::Command to;
  to.role = list::text(list::Role::join);
  to.list = folder.make("test");
  RequestPace pace;
  int letters = 0;
  std::string said;
  for (int n = 0; n < 10'000; ++n) {
    const std::string content =
        "From: victim" + std::to_string(n) + "@x.example\r\nTo: test-join@lists.example\r\n\r\n";
    const auto header = mail::Header::scan(content);
    const RequestRead request = folder.read([&](const store::Read& read) {
      return read_request(read, to,
                          {.header = *header,
                           .content = content,
                           .reverse_path = "bot@far.example",
                           .pace = &pace,
                           .network = "192.0.2.0/24",
                           .at = now});
    });
    letters += static_cast<int>(request.operations.size());
    if (request.refusal) said = request.refusal->oneline();
  }
  CHECK(letters == 10);
  CHECK(said == "451 4.7.1 too many requests that nobody has confirmed; try again in 60 s");
}
