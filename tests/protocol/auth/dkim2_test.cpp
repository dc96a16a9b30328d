// DKIM2 without cryptography: recipes, former instances, canonical forms. Whole chains with keys: tests/blackbox/test_dkim2.py.
#include "protocol/auth/dkim2.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/mail/base64.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

mail::Header scan(const std::string& text) {
  auto header = mail::Header::scan(text);
  REQUIRE(header);
  return *header;
}
mail::Header scan(std::string&&) = delete;  // fields are views of it

std::string json_of(const char* text) {
  const auto recipes = Recipes::parse(text);
  return recipes ? "" : recipes.error();
}

/// The octets themselves.
class Kept : public Digest {
 public:
  void update(std::string_view octets) override { all_ += octets; }
  std::string finish() override { return all_; }
  std::unique_ptr<Digest> copy() const override { return std::make_unique<Kept>(*this); }

 private:
  std::string all_;
};

Instance instance(std::vector<std::string> fields, std::string body = {}) {
  return {std::move(fields), std::move(body)};
}

}  // namespace

TEST_CASE("DKIM2: recipes: what is one, and what is none") {
  for (const char* good : {R"({"h":{"subject":[]}})", R"( { "b" : null } )", R"({"b":[]})",
                           R"({"b":[{"c":[1,2]},{"d":["x","y"]},{"c":[4,4]}],"h":{"to":[{"d":[""]}]}})",
                           R"({"b":[{"d":["\"\\\/\b\f\t\u00e4\ud83d\ude00"]}]})"}) {
    CAPTURE(good);
    CHECK(json_of(good) == "");
  }
  for (const char* bad : {"",
                          "{}",
                          "[]",
                          "null",
                          R"({"x":1})",
                          R"({"h":{}})",
                          R"({"h":{"Subject":[]}})",
                          R"({"h":null})",
                          R"({"b":[{"c":[0,1]}]})",
                          R"({"b":[{"c":[2,1]}]})",
                          R"({"b":[{"c":[1,2]},{"c":[2,3]}]})",
                          R"({"b":[{"d":[]}]})",
                          R"({"b":[{"d":["a\nb"]}]})",
                          R"({"b":[{"c":[1,2],"d":["x"]}]})",
                          R"({"b":[{"c":[1.5,2]}]})",
                          R"({"b":[{"c":[01,2]}]})",
                          R"({"b":[]} x)",
                          R"({"b":[],"b":[]})",
                          R"({"b":[{"d":["\ud83d"]}]})",
                          R"({"b":[{"c":[1]}]})",
                          R"({"h":{"a b":[]}})",
                          R"({"b":[{"c":[99999999999999999999,99999999999999999999]}]})"}) {
    CAPTURE(bad);
    CHECK(json_of(bad) == "contains invalid JSON");
  }
  CHECK(Recipes::parse(R"({"b":[{"d":["\u00e4\ud83d\ude00"]}]})")->body->front().data.front() ==
        "\xc3\xa4\xf0\x9f\x98\x80");
}

TEST_CASE("DKIM2: fields are undone from the bottom: copies stay, texts stand where they were") {
  const Instance after =
      instance({"To: 3\r\n", "Subject: [T] x\r\n", "To: 2\r\n", "List-Id: <t>\r\n", "To: 1\r\n"});
  const auto undo = [&](const char* json) {
    const auto before = undone(after, *Recipes::parse(json));
    if (!before) return before.error();
    std::string all;
    for (const std::string& field : before->fields) all += field.substr(0, field.size() - 2) + "|";
    return all;
  };
  CHECK(undo(R"({"h":{"list-id":[]}})") == "To: 3|Subject: [T] x|To: 2|To: 1|");
  CHECK(undo(R"({"h":{"subject":[{"d":[" x"]}]}})") == "To: 3|To: 2|List-Id: <t>|To: 1|subject: x|");
  CHECK(undo(R"({"h":{"to":[{"c":[1,1]},{"d":[" a"," b"]},{"c":[3,3]}]}})") ==
        "To: 3|Subject: [T] x|List-Id: <t>|to: b|to: a|To: 1|");
  CHECK(undo(R"({"h":{"to":[{"c":[2,4]}]}})") == "names field 4 of to, which is not there");
  CHECK(undo(R"({"h":{"cc":[{"d":[" new"]}]}})") == "To: 3|Subject: [T] x|To: 2|List-Id: <t>|To: 1|cc: new|");
}

TEST_CASE("DKIM2: the canonical form of a signature without its values") {
  const std::string text =
      "DKIM2-Signature : i=1; S = ed:ed25519-sha256: AB\r\n CD== ,rsa:rsa-sha256:EF;\r\n";
  const auto field = scan(text).fields().front();
  CHECK(dkim2_canonical(field, false) ==
        "dkim2-signature:i=1;S=ed:ed25519-sha256:ABCD==,rsa:rsa-sha256:EF;\r\n");
  CHECK(dkim2_canonical(field, true) == "dkim2-signature:i=1;S=ed:ed25519-sha256:,rsa:rsa-sha256:;\r\n");
}

TEST_CASE(
    "DKIM2: the header hash takes fields in alphabetical order, the lowest of a name first, without those "
    "that hops add") {
  const auto kept = [] { return std::make_unique<Kept>(); };
  CHECK(header_hash({"Received: x\r\n", "To: 1\r\n", "X-Any: y\r\n", "SUBJect:  AbC \r\n\tdef \r\n",
                     "to:2\r\n", "Received-SPF: z\r\n", "Message-Instance: m=1\r\n"},
                    kept) == "subject:AbC def\r\nto:2\r\nto:1\r\n");
}

TEST_CASE("DKIM2: whatever is changed in a body, the recipe that says so restores it") {
  const bool ok = rc::check([] {
    // Lines before, and which of them stay; others are put between them.
    const auto before = *rc::gen::container<std::vector<std::string>>(
        rc::gen::element<std::string>("", "a", "line two", "--b", "."));
    std::string body, after, json = "{\"b\":[";
    std::uint64_t line = 0;
    const auto step = [&](const std::string& text) { json += (json.ends_with('[') ? "" : ",") + text; };
    for (const std::string& text : before) {
      body += text + "\r\n";
      if (*rc::gen::arbitrary<bool>()) after += "added\r\n", ++line;
      if (*rc::gen::arbitrary<bool>()) {
        after += text + "\r\n";
        ++line;
        step("{\"c\":[" + std::to_string(line) + "," + std::to_string(line) + "]}");
      } else {
        step("{\"d\":[\"" + text + "\"]}");
      }
    }
    const auto recipes = Recipes::parse(json + "]}");
    RC_ASSERT(recipes.has_value());
    const auto restored = undone(instance({}, after), *recipes);
    RC_ASSERT(restored.has_value());
    RC_ASSERT(restored->body == body);

    // And as a stream, in pieces of any size.
    const auto kept = [] { return std::make_unique<Kept>(); };
    const auto hash = [&] {
      std::map<std::string, BodyHash> one;
      one.emplace("all", BodyHash(false, std::nullopt, kept));
      return one;
    };
    BodiesBefore bodies;
    bodies.add(nullptr, hash());
    bodies.add(&*recipes->body, hash());
    bodies.add(nullptr, hash());
    const auto piece = *rc::gen::inRange<std::size_t>(1, 9);
    for (std::size_t at = 0; at < after.size(); at += piece)
      bodies.update(std::string_view(after).substr(at, piece));
    const auto found = bodies.finish();
    const auto simple = [&](std::string_view text) {
      BodyHash one(false, std::nullopt, kept);
      one.update(text);
      return *one.finish();
    };
    RC_ASSERT(found.at(0).at("all") == simple(after));
    RC_ASSERT(found.at(1).at("all") == simple(body));
    RC_ASSERT(found.at(2).at("all") == simple(body));
    RC_ASSERT(bodies.missing(2) == 0u);
  });
  CHECK(ok);
}

TEST_CASE("DKIM2: a line that a recipe names and the body has not") {
  for (const char* body : {"", "one\r\n", "one\r\ntwo"}) {
    CAPTURE(body);
    const auto recipes = Recipes::parse(R"({"b":[{"d":["x"]},{"c":[1,1]},{"c":[3,4]},{"d":["y"]}]})");
    BodiesBefore bodies;
    bodies.add(nullptr, {});
    bodies.add(&*recipes->body, {});
    bodies.update(body);
    (void)bodies.finish();
    CHECK(bodies.missing(1) == (body[0] == '\0' ? 1 : 4));
    CHECK_FALSE(undone(instance({}, body), *recipes));
  }
}
