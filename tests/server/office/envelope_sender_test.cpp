// EnvelopeSender: the reverse path of each copy.
#include "server/office/envelope_sender.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace spoold;
using namespace spoold::server;

namespace {

// What is signed must change it, and it need not be a secret: FNV-1a.
const list::Hmac hmac = [](std::string_view data) {
  std::array<std::uint8_t, 32> digest{};
  std::uint64_t hash = 14695981039346656037u;
  for (char c : data) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
  for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<std::uint8_t>(hash >> (i % 8 * 8));
  return digest;
};

const TimePoint noon(Duration(1'790'000'000'000));

store::Message post(list::Copies copies) {
  store::Message message;
  message.list = 3;
  message.list_address = "test@lists.example";
  message.copies = copies;
  message.arrived = noon;
  return message;
}

std::string sender(const store::Message& message, const std::string& address = "anne@north.example") {
  store::Recipient recipient;
  recipient.address = address;
  recipient.member = 5;
  return EnvelopeSender(message, '+', hmac).of(recipient);
}

}  // namespace

TEST_CASE("mail that is not list mail keeps its reverse path, the null path too") {
  store::Message mail;
  mail.reverse_path = "poster@example.net";
  mail.copies = list::Copies::each_verp;
  CHECK(sender(mail) == "poster@example.net");
  mail.reverse_path = "";
  CHECK(sender(mail) == "");
}

TEST_CASE("a post without VERP goes out as -bounces, or under the path that was forced for it") {
  for (const auto copies : {list::Copies::bulk, list::Copies::each_plain}) {
    store::Message message = post(copies);
    CHECK(sender(message) == "test-bounces@lists.example");
    message.reverse_path = "forced@lists.example";
    CHECK(sender(message) == "forced@lists.example");
  }
}

TEST_CASE("a post with VERP names the recipient, whatever else is set") {
  store::Message message = post(list::Copies::each_verp);
  CHECK(sender(message) == "test-bounces+anne=north.example@lists.example");
  CHECK(sender(message, "bart@east.example") == "test-bounces+bart=east.example@lists.example");
  message.reverse_path = "forced@lists.example";
  CHECK(sender(message) == "test-bounces+anne=north.example@lists.example");
}

TEST_CASE("the opaque form is of the epoch of arrival, so each attempt has the same sender") {
  store::Message message = post(list::Copies::each_verp);
  message.verp_format = list::VerpFormat::opaque;
  const std::string first = sender(message);
  CHECK(first.starts_with("test-bounces+b="));
  CHECK(sender(message) == first);
  const std::string detail = first.substr(std::string("test-bounces+").size());
  const auto decoded = list::decode_verp(detail.substr(0, detail.find('@')), list::verp_epoch(noon), hmac);
  REQUIRE(decoded);
  CHECK(decoded->kind == list::DecodedVerp::Kind::opaque);
  CHECK(decoded->list == 3);
  CHECK(decoded->member == 5);
  message.arrived += std::chrono::hours(24 * 28);
  CHECK(sender(message) != first);
}
