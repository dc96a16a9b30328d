// Places: by host, by network, and the tenth that strangers do not get.
#include "server/inbound/census.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::server;

namespace {

Peer from(const std::string& address) {
  Peer peer;
  peer.address = asio::ip::make_address(address);
  peer.host = address;
  return peer;
}

conf::Smtp limits(int most, int most_of_host) {
  conf::Smtp smtp;
  smtp.max_connections = most;
  smtp.max_connections_per_host = most_of_host;
  return smtp;
}

}  // namespace

TEST_CASE("census: one IPv6 customer network does not take all places") {
  Census census;
  std::vector<Census::Place> places;
  const auto smtp = limits(1000, 20);
  const auto enter = [&](const std::string& address) {
    auto place = census.enter(from(address), true, smtp);
    if (place) places.push_back(*std::move(place));
    return place.has_value();
  };
  int of_64 = 0, of_48 = 0;
  for (int i = 1; i <= 100; ++i) of_64 += enter("2001:db8:0:1::" + std::to_string(i));
  CHECK(of_64 == 20);
  for (int i = 2; i <= 99; ++i) of_48 += enter("2001:db8:0:" + std::to_string(i) + "::1");
  CHECK(of_48 == 60);
  CHECK(enter("2001:db8:1::1"));
  int v4 = 0;
  for (int i = 0; i < 30; ++i) v4 += enter("192.0.2.1");
  CHECK(v4 == 20);
  CHECK(enter("192.0.2.2"));
  places.clear();
  CHECK(enter("2001:db8:0:1::1"));
}

TEST_CASE("census: where places are short a host gets half of its own, and that is shown") {
  std::atomic<bool> stress{false};
  Census census(stress);
  std::vector<Census::Place> places;
  const auto smtp = limits(100, 10);
  const auto enter = [&](const std::string& address) {
    auto place = census.enter(from(address), true, smtp);
    if (place) places.push_back(*std::move(place));
    return place.has_value();
  };
  for (int i = 0; i < 7; ++i) CHECK(enter("192.0.2.200"));
  for (int i = 0; i < 74; ++i) CHECK(enter("192.0.2." + std::to_string(i)));
  CHECK(!stress);
  CHECK(enter("192.0.2.99"));
  CHECK(stress);
  CHECK(!enter("192.0.2.200"));
  int of_one = 0;
  for (int i = 0; i < 8; ++i) of_one += enter("192.0.2.201");
  CHECK(of_one == 5);
  places.clear();
  CHECK(!stress);
  for (int i = 0; i < 10; ++i) CHECK(enter("192.0.2.200"));
  CHECK(!enter("192.0.2.200"));
}

TEST_CASE("census: a tenth of the places is for trusted networks") {
  Census census;
  std::vector<Census::Place> places;
  const auto smtp = limits(100, 100);
  int strangers = 0, trusted = 0;
  for (int i = 0; i < 200; ++i) {
    auto place = census.enter(from("192.0.2." + std::to_string(i % 200)), true, smtp);
    if (!place) CHECK(place.error() == Census::Refusal::too_many);
    if (place) places.push_back(*std::move(place)), ++strangers;
  }
  CHECK(strangers == 90);
  CHECK(census.pressed());
  for (int i = 0; i < 200; ++i)
    if (auto place = census.enter(from("10.0.0.1"), false, smtp))
      places.push_back(*std::move(place)), ++trusted;
  CHECK(trusted == 10);
  places.clear();
  CHECK_FALSE(census.pressed());
}

TEST_CASE("census: the pressure begins above nine tenths of the strangers' places, once") {
  Census census;
  std::vector<Census::Place> places;
  const auto smtp = limits(100, 200);  // half of it where places are short
  const auto enter = [&] { places.push_back(census.enter(from("192.0.2.1"), true, smtp).value()); };
  while (places.size() < 81) enter();
  CHECK_FALSE(census.pressed());
  enter();
  CHECK(census.pressed());
  CHECK(census.pressure_began());
  CHECK_FALSE(census.pressure_began());
  places.pop_back();
  enter();
  CHECK_FALSE(census.pressure_began());
  while (places.size() > 70) places.pop_back();
  CHECK_FALSE(census.pressed());
}
