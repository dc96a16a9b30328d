#include <doctest/doctest.h>

#include "protocol/list/approved.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/settings_table.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

/// No cryptography, but another answer for other octets.
std::array<std::uint8_t, 32> mixed(std::string_view data) {
  std::array<std::uint8_t, 32> out{};
  std::uint32_t state = 2166136261u;
  for (int round = 0; round < 8; ++round)
    for (const char c : data) {
      state = (state ^ static_cast<std::uint8_t>(c)) * 16777619u;
      out[state % out.size()] = static_cast<std::uint8_t>(out[state % out.size()] + (state >> 24));
    }
  return out;
}

List list_with(std::string_view password) {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  list.settings.moderation.emergency = true;
  REQUIRE(set(list.settings, "moderator_password", sealed_password(list.address(), password, mixed)));
  return list;
}

bool approved(const List& list, const std::string& fields) {
  const std::string head = fields + "From: eve@x.example\r\n\r\n";
  return is_approved(list, *mail::Header::scan(head), mixed);
}

}  // namespace

TEST_CASE("approved: the password of the list, in one of four fields") {
  const List list = list_with("correct horse");
  for (const char* name : {"Approved", "approve", "X-Approved", "X-Approve"})
    CHECK(approved(list, std::string(name) + ": correct horse \r\n"));
  CHECK(approved(list, "Approved: wrong\r\nX-Approved: correct horse\r\n"));
  for (const char* wrong : {"Approved: correct hors\r\n", "Approved: correct horse 2\r\n", "Approved:\r\n",
                            "Subject: correct horse\r\n", ""})
    CHECK_FALSE(approved(list, wrong));
  CHECK_FALSE(approved(list, "Approved: " + list.settings.moderation.password + "\r\n"));
  List other = list;
  other.local = "other";
  CHECK_FALSE(approved(other, "Approved: correct horse\r\n"));
  List without = list;
  without.settings.moderation.password.clear();
  CHECK_FALSE(approved(without, "Approved:\r\n"));
  CHECK_FALSE(approved(without, "Approved: correct horse\r\n"));
}

TEST_CASE("approved: goes before emergency and membership, not before loops and bans") {
  List list = list_with("correct horse");
  const auto rule = [&](const std::string& fields, bool approves) {
    const std::string head = fields + "From: eve@x.example\r\n\r\n";
    const auto header = mail::Header::scan(head);
    const auto made = judge(list, Rules(list.settings.moderation.rules), Post(*header, "eve@x.example"),
                            [](const std::string&) { return std::nullopt; }, {.approved = approves});
    return std::string(made.rule) + " " + text(made.outcome);
  };
  CHECK(rule("", false) == "emergency hold");
  CHECK(rule("", true) == "approved accept");
  CHECK(rule("List-Id: <test.lists.example>\r\n", true) == "loop reject");
  REQUIRE(set(list.settings, "bans", "eve@x.example"));
  CHECK(rule("", true) == "banned reject");
}

TEST_CASE("approved: the setting takes a hash, and nothing that could be a password") {
  Settings settings;
  CHECK(set(settings, "moderator_password", "secret").error() ==
        "moderator_password: this is no hash of a password");
  CHECK(set(settings, "moderator_password", ""));
  const std::string sealed = sealed_password("test@lists.example", "correct horse", mixed);
  CHECK(is_sealed(sealed));
  REQUIRE(set(settings, "moderator_password", sealed));
  CHECK(*print(settings, "moderator_password") == sealed);
}
