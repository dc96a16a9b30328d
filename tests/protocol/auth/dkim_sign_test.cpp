// What of a message is signed, and the field that is made of it, without cryptography. With keys: tests/server/signing_keys_test.cpp.
#include "protocol/auth/dkim_sign.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "protocol/auth/dkim.hpp"
#include "protocol/dns/zone_file.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

constexpr TimePoint arrived{std::chrono::seconds(1'795'862'191)};

mail::Header scan(const std::string& text) {
  auto header = mail::Header::scan(text);
  REQUIRE(header);
  return *header;
}

mail::Header scan(std::string&&) = delete;  // fields are views of it

std::string names_of(const std::string& text) {
  std::string all;
  for (const std::string& name : signed_fields(scan(text).fields())) all += (all.empty() ? "" : ":") + name;
  return all;
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find("\r\n", at);
    REQUIRE(end != text.npos);
    longest = std::max(longest, end - at);
    at = end + 2;
  }
  return longest;
}

const std::string post =
    "Received: from a\r\nFrom: Anne <anne@north.example>\r\nTo: test@lists.example\r\nSubject:  Two\r\n  "
    "blanks \r\n"
    "Date: Sun, 22 Nov 2026 10:31:07 +0000\r\nMessage-ID: <1@north.example>\r\nReferences: "
    "<0@north.example>\r\n\r\n";

/// A digest that is the octets themselves, cut to 32: only equality counts here.
class Kept : public Digest {
 public:
  void update(std::string_view octets) override { all_ += octets; }
  std::string finish() override {
    all_.resize(32, '.');
    return all_;
  }
  std::unique_ptr<Digest> copy() const override { return std::make_unique<Kept>(*this); }

 private:
  std::string all_;
};

}  // namespace

TEST_CASE("DKIM signing: an author's mail: what may be there once cannot be added, what lists add can be") {
  CHECK(names_of(post) ==
        "from:from:subject:subject:date:date:to:to:cc:message-id:message-id:mime-version:content-type:"
        "content-transfer-encoding:references");
  CHECK(
      names_of("From: a@b.example\r\nReply-To: c@d.example\r\n\r\n") ==
      "from:from:subject:date:to:cc:message-id:mime-version:content-type:content-transfer-encoding:reply-to");
}

TEST_CASE("DKIM signing: in list mail no List- field, Reply-To or List-Unsubscribe-Post can be added") {
  const std::string names = names_of(
      "From: a@b.example\r\nList-Id: <test.lists.example>\r\nList-Unsubscribe: <mailto:x@y.example>\r\n\r\n");
  CHECK(names.find(
            ":reply-to:list-id:list-id:list-post:list-help:list-subscribe:list-unsubscribe:list-unsubscribe:"
            "list-unsubscribe-post:list-owner:list-archive") != names.npos);
}

TEST_CASE("DKIM signing: our own verifier hashes the very octets that are signed") {
  const std::string body = "Hello  there, \r\n\r\n\r\n";
  const std::string text = post + body;
  const auto header = scan(text);
  BodyHash hash(true, std::nullopt, [] { return std::make_unique<Kept>(); });
  hash.update(body);
  const ToSign made =
      to_sign(header.fields(), *hash.finish(), {"north.example", "s1", KeyType::ed25519}, arrived);
  const std::string mail = signed_field(made, std::string(64, '\xfb')) + text;

  const auto signed_header = scan(mail);
  DkimCheck check(signed_header, arrived, [] { return std::make_unique<Kept>(); });
  check.body(body);
  check.body_end();
  const auto zone = dns::ZoneFile::parse("s1._domainkey.north.example. TXT \"" +
                                         key_record(KeyType::ed25519, std::string(32, 'k')) + "\"\n");
  REQUIRE(zone);
  for (const auto& question : check.ask()) check.answered(question, zone->answer(question));
  const auto proof = check.next_proof();
  REQUIRE_MESSAGE(proof, check.verdicts().front().reason);
  CHECK(proof->octets == made.octets);
  CHECK(proof->signature == std::string(64, '\xfb'));
  CHECK(proof->key == std::string(32, 'k'));
  CHECK(made.field.find(" t=1795862191;") != std::string::npos);
  CHECK(made.field.find("x=") == std::string::npos);
}

TEST_CASE("DKIM signing: two fields of a name are signed from the bottom up") {
  const std::string text = "To: first@a.example\r\nFrom: x@y.example\r\nTo: second@a.example\r\n\r\n";
  const auto header = scan(text);
  const ToSign made =
      to_sign(header.fields(), std::string(32, 'h'), {"y.example", "s", KeyType::rsa}, arrived);
  CHECK(made.octets.find("to:second@a.example\r\nto:first@a.example\r\n") != std::string::npos);
}

TEST_CASE(
    "DKIM signing: lines of at most 78 octets, whatever the lengths of domain, selector and signature") {
  const auto header = scan(post);
  for (std::size_t domain = 1; domain < 60; ++domain)
    for (const std::size_t size : {std::size_t{64}, std::size_t{128}, std::size_t{256}, std::size_t{512}}) {
      const std::string d = std::string(domain, 'd') + ".example", s(1 + domain % 40, 's');
      const ToSign made = to_sign(header.fields(), std::string(32, 'h'), {d, s, KeyType::rsa}, arrived);
      const std::string field = signed_field(made, std::string(size, 'x'));
      CHECK(longest_line(field) <= 78);
      const std::string ended = field + "\r\n";
      const auto read = DkimSignature::parse(scan(ended).fields().front().value, arrived);
      CHECK(!read.fault);
      CHECK(read.domain == d);
      CHECK(read.selector == s);
      CHECK(read.signature == std::string(size, 'x'));
      CHECK(read.body_hash == std::string(32, 'h'));
    }
}

TEST_CASE("DKIM signing: a domain that fills a line has it for itself") {
  const std::string d = std::string(63, 'a') + "." + std::string(63, 'b') + ".example";
  const ToSign made = to_sign(scan(post).fields(), std::string(32, 'h'), {d, "s", KeyType::rsa}, arrived);
  CHECK(made.field.find("\r\n d=" + d + ";\r\n s=s;") != std::string::npos);
}

TEST_CASE("DKIM signing: a key record is cut into strings of 255 octets, which are the record again") {
  const std::string record = key_record(KeyType::rsa, std::string(294, 'k'));
  const auto strings = txt_strings(record);
  REQUIRE(strings.size() == 2);
  CHECK(strings[0].size() == 255);
  CHECK(strings[0] + strings[1] == record);
  CHECK(txt_strings(std::string(255, 'x')).size() == 1);
  CHECK(txt_strings("").size() == 1);
}
