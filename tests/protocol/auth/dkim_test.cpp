// DKIM (RFC 6376): canonical forms, signatures, keys, without cryptography. Real signatures: tests/server/auth/dkim_test.cpp.
#include "protocol/auth/dkim.hpp"

#include "tests/protocol/auth/answered.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

/// "Hashes" by keeping the octets.
class Kept : public Digest {
 public:
  void update(std::string_view octets) override { all_ += octets; }
  std::string finish() override { return all_; }
  std::unique_ptr<Digest> copy() const override { return std::make_unique<Kept>(*this); }

 private:
  std::string all_;
};
std::unique_ptr<Digest> keep() {
  return std::make_unique<Kept>();
}

std::string body(bool relaxed, std::string_view octets, std::optional<std::uint64_t> limit = {}) {
  std::string whole;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{1000}}) {
    BodyHash hash(relaxed, limit, keep);
    for (std::size_t i = 0; i < octets.size(); i += piece) hash.update(octets.substr(i, piece));
    const std::string canonical = hash.finish().value_or("too short");
    if (piece == 1) whole = canonical;
    CHECK(canonical == whole);
  }
  return whole;
}

constexpr TimePoint now{std::chrono::seconds(1'700'000'000)};
constexpr const char* good =
    "v=1; a=rsa-sha256; c=relaxed/simple; d=Example.com; s=sel; h=From : to; bh=Ym9keQ==; b=c2ln";

std::string fault(const std::string& value) {
  const auto signature = DkimSignature::parse(value, now);
  return signature.fault ? std::string(text(signature.fault->result)) + ": " + signature.fault->reason : "";
}

std::string with(const std::string& tag, const std::string& to) {
  std::string value = good;
  const auto at = value.find(tag);
  REQUIRE(at != std::string::npos);
  return value.replace(at, std::min(value.find(';', at), value.size()) - at, to);
}

}  // namespace

TEST_CASE("DKIM: the canonical body (RFC 6376 3.4.3, 3.4.4)") {
  CHECK(body(false, "") == "\r\n");
  CHECK(body(true, "") == "");
  CHECK(body(false, "\r\n\r\n") == "\r\n");
  CHECK(body(true, "\r\n \r\n\t\r\n") == "");
  CHECK(body(false, "a b  \r\n\r\n\r\n") == "a b  \r\n");
  CHECK(body(true, " C \r\nD \t E\r\n\r\n\r\n") == " C\r\nD E\r\n");  // the example of 3.4.5
  CHECK(body(false, " C \r\nD \t E\r\n\r\n\r\n") == " C \r\nD \t E\r\n");
  CHECK(body(false, "no end") == "no end\r\n");
  CHECK(body(true, "no end  ") == "no end\r\n");
  CHECK(body(false, "\r\n\r\na\r\n\r\nb") == "\r\n\r\na\r\n\r\nb\r\n");
  CHECK(body(false, "a\rb\r\r\n") == "a\rb\r\r\n");
  CHECK(body(false, "a\nb") == "a\nb\r\n");
  CHECK(body(true, "a \r b") == "a \r b\r\n");
  CHECK(body(false, "a\r") == "a\r\r\n");
  CHECK(body(false, "abcdef\r\n", 3) == "abc");
  CHECK(body(false, "abc\r\n", 5) == "abc\r\n");
  CHECK(body(false, "abc\r\n", 6) == "too short");
  CHECK(body(false, "abc\r\n", 0) == "");
  const std::string large(100'000, 'x');
  CHECK(body(true, large + "  y\r\n", 100'001) == large + " ");
}

TEST_CASE("DKIM: canonical fields (RFC 6376 3.4.1, 3.4.2, 3.5)") {
  const std::string text =
      "A: X\r\nB : Y\t\r\n\tZ  \r\nEmpty:\r\nDKIM-Signature: v=1; b = abc\r\n def ;\r\n bh=xyz; h=b\r\n\r\n";
  const auto header = mail::Header::scan(text);
  REQUIRE(header);
  const auto& fields = header->fields();
  CHECK(canonical_field(fields[0], true) == "a:X\r\n");
  CHECK(canonical_field(fields[1], true) == "b:Y Z\r\n");
  CHECK(canonical_field(fields[1], false) == "B : Y\t\r\n\tZ  \r\n");
  CHECK(canonical_field(fields[2], true) == "empty:\r\n");
  CHECK(canonical_signature(fields[3], true) == "dkim-signature:v=1; b =; bh=xyz; h=b");
  CHECK(canonical_signature(fields[3], false) == "DKIM-Signature: v=1; b =;\r\n bh=xyz; h=b");
}

TEST_CASE("DKIM: signatures, and which result a fault is (RFC 6376 6.1.1, RFC 8601 2.7.1, RFC 8301)") {
  const auto signature = DkimSignature::parse(good, now);
  REQUIRE_FALSE(signature.fault);
  CHECK(signature.fields == std::vector<std::string>{"from", "to"});
  CHECK(signature.body_hash == "body");
  CHECK(signature.relaxed_header);
  CHECK_FALSE(signature.relaxed_body);
  CHECK(signature.key_name() == "sel._domainkey.Example.com");
  CHECK(
      fault(
          std::string(good) +
          "; t=1; x=1700000001; l=10; q=dns/txt; i=anne@mail.EXAMPLE.com; z=From:x|To:y; unknown=1;\r\n ") ==
      "");
  CHECK(fault(with("b=c2ln", "b=c2 \r\n ln")) == "");
  CHECK(fault(with("v=1", "v=2")) == "permerror: the version is not 1");
  CHECK(fault(with("a=", "a=rsa-sha1")).starts_with("permerror: rsa-sha1"));
  CHECK(fault(with("a=", "a=ed448-sha256")).starts_with("permerror: the algorithm"));
  CHECK(fault(with("a=", "a=ed25519-sha256")) == "");
  CHECK(fault(with("c=", "c=nowsp/simple")).starts_with("permerror: the canonicalization"));
  CHECK(fault(with("c=", "c=relaxed")) == "");
  CHECK(fault(with("h=", "h=to:subject")) == "permerror: From is not signed");
  for (const char* tag : {"v=1", "a=", "d=", "s=", "h=", "bh=", "b=c"})
    CHECK(fault(with(tag, "x=1800000000")).starts_with("neutral"));
  for (const char* broken :
       {"", "v", "v=1; v=1", "v=1;;a=x", "=1", "v=1; 1a=b", "v=1; a=\x01", "v=1; a=\xc3\xbc"})
    CHECK(fault(broken).starts_with("neutral"));
  CHECK(fault(with("d=", "d=a..b")).starts_with("neutral"));
  CHECK(fault(with("s=", "s=a b")).starts_with("neutral"));
  CHECK(fault(with("h=", "h=from::to")).starts_with("neutral"));
  CHECK(fault(with("bh=", "bh=?")).starts_with("neutral"));
  CHECK(fault(std::string(good) + "; l=-1").starts_with("neutral"));
  CHECK(fault(std::string(good) + "; x=soon").starts_with("neutral"));
  CHECK(fault(std::string(good) + "; t=5; x=5").starts_with("neutral"));
  CHECK(fault(std::string(good) + "; i=nobody").starts_with("neutral"));
  CHECK(fault(std::string(good) + "; x=1699999999") == "policy: the signature has expired");
  CHECK(fault(std::string(good) + "; i=@example.net").starts_with("permerror"));
  CHECK(fault(std::string(good) + "; i=@notexample.com").starts_with("permerror"));
  CHECK(fault(std::string(good) + "; q=http").starts_with("permerror"));
  CHECK(fault(std::string(good) + "; l=99999999999999999999999999") == "");
}

TEST_CASE("DKIM: keys (RFC 6376 3.6.1, 6.1.2)") {
  const auto signature = DkimSignature::parse(std::string(good) + "; i=@mail.example.com", now);
  const auto read = [&signature](const char* txt) {
    const auto key = DkimKey::parse(txt, signature);
    return key ? key->octets + (key->testing ? ", testing" : "") : key.error();
  };
  CHECK(read("p=a2V5") == "key");
  CHECK(read("v=DKIM1; h=sha1:sha256; k=rsa; n=note; s=*; t=y; p=a2 V5;") == "key, testing");
  CHECK(read("v=DKIM1; s=other:email; g=; p=a2V5") == "key");
  CHECK(read("v=DKIM1; p=") == "the key has been revoked");
  CHECK(read("v=DKIM2; p=a2V5") == "the key record is not of DKIM1");
  CHECK(read("p=a2V5; v=DKIM1") == "the key record is not of DKIM1");
  CHECK(read("v=DKIM1; k=rsa") == "key syntax: p= is missing");
  CHECK(read("h=sha1; p=a2V5") == "the key does not allow sha256");
  CHECK(read("k=dsa; p=a2V5") == "the type of the key is not supported");
  CHECK(read("k=ed25519; p=a2V5") == "the key is of another type than the signature");
  CHECK(read("s=tlsrpt; p=a2V5") == "the key is not for mail");
  CHECK(read("t=y:s; p=a2V5") == "the key (t=s) does not allow an i= below d=");
  CHECK(read("p=?") == "key syntax: p= is not base64");
  CHECK(read("v=spf1 -all") == "the key record is not of DKIM1");
  CHECK(read("google-site-verification").starts_with("key syntax"));
}

TEST_CASE("DKIM: which fields a signature covers, which keys are tried, in which order results come") {
  const std::string text =
      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed; d=a.example; s=s; h=to:from:to:to:cc:dkim-signature; "
      "bh=DQo=; b=c2ln\r\n"
      "DKIM-Signature: v=1; a=rsa-sha1; d=b.example; s=s; h=from; bh=DQo=; b=c2ln\r\n"
      "DKIM-Signature: v=1; a=rsa-sha256; d=c.example; s=s; h=from; bh=b3RoZXI=; b=c2ln\r\n"
      "DKIM-Signature: v=1; a=rsa-sha256; d=d.example; s=slow; h=from; bh=DQo=; b=c2ln\r\n"
      "DKIM-Signature: v=1; a=rsa-sha256; d=d.example; s=none; h=from; bh=DQo=; b=c2ln\r\n"
      "To: first\r\nFrom: anne\r\nTo: second\r\n\r\n";
  const auto header = mail::Header::scan(text);
  REQUIRE(header);
  DkimCheck check(*header, now, keep);
  const auto zone = tests::zone_of(
      "s._domainkey.a.example. TXT \"v=spf1\"\ns._domainkey.a.example. TXT "
      "\"p=b25l\"\ns._domainkey.a.example. TXT \"p=dHdv\"\n"
      "s._domainkey.c.example. TXT \"p=b25l\"\n$TIMEOUT slow._domainkey.d.example.\n");
  const auto questions = check.ask();
  CHECK(questions.size() == 4);
  for (const auto& question : questions) check.answered(question, zone.answer(question));
  CHECK_FALSE(check.next_proof());  // the body is not there yet
  check.body("\r\n");
  check.body_end();
  auto proof = check.next_proof();
  REQUIRE(proof);
  CHECK(proof->key == "one");
  CHECK(proof->signature == "sig");
  // Each name's instances from the bottom up, a missing one is nothing; the lowest other signature counts as a field.
  CHECK(proof->octets.starts_with(
      "to:second\r\nfrom:anne\r\nto:first\r\ndkim-signature:v=1; a=rsa-sha256; d=d.example; s=none;"));
  CHECK(
      proof->octets.ends_with("\r\ndkim-signature:v=1; a=rsa-sha256; c=relaxed; d=a.example; s=s; "
                              "h=to:from:to:to:cc:dkim-signature; bh=DQo=; b="));
  check.proved(Proved::no);
  CHECK_FALSE(check.done());
  proof = check.next_proof();
  REQUIRE(proof);
  CHECK(proof->key == "two");
  check.proved(Proved::yes);
  CHECK(check.done());
  const auto verdicts = check.verdicts();
  REQUIRE(verdicts.size() == 5);
  CHECK(verdicts[0].result == DkimResult::pass);
  CHECK(verdicts[0].domain == "a.example");
  CHECK(verdicts[0].signature == "c2ln");
  CHECK(verdicts[1].result == DkimResult::permerror);
  CHECK(verdicts[1].algorithm == "rsa-sha1");
  CHECK(verdicts[2].result == DkimResult::fail);
  CHECK(verdicts[3].result == DkimResult::temperror);
  CHECK(verdicts[4].result == DkimResult::permerror);
}

TEST_CASE("DKIM: at most ten signatures are looked at; a header full of names costs no more than its size") {
  std::string text, names = "from";
  for (int i = 0; i < 20'000; ++i) names += ":to";
  for (int i = 0; i < 12; ++i)
    text += "DKIM-Signature: v=1; a=rsa-sha256; d=d" + std::to_string(i) +
            ".example; s=s; h=" + (i == 0 ? names : "from") + "; bh=DQo=; b=c2ln\r\n";
  for (int i = 0; i < 2'000; ++i) text += "To: x\r\n";
  text += "From: y\r\n\r\n";
  const auto header = mail::Header::scan(text);
  REQUIRE(header);
  DkimCheck check(*header, now, keep);
  CHECK(check.ask().size() == DkimCheck::most_signatures);
  CHECK(check.verdicts().at(11).result == DkimResult::policy);
}
