// DMARC (RFC 9989): the tree walk, which record applies, alignment, policy.
#include "protocol/auth/dmarc.hpp"

#include "tests/protocol/auth/answered.hpp"

using namespace spoold;
using namespace spoold::auth;
using tests::answered;
using tests::zone_of;

namespace {

DmarcVerdict judged(const char* zone, const char* domain, std::vector<Identifier> identifiers = {}) {
  DmarcCheck check({domain, std::move(identifiers)});
  return answered(check, zone_of(zone), 40).verdict();
}

Identifier spf(const char* domain) {
  return {Identifier::By::spf, domain};
}
Identifier dkim(const char* domain) {
  return {Identifier::By::dkim, domain};
}

constexpr auto pass = DmarcResult::pass, fail = DmarcResult::fail, none = DmarcResult::none;

}  // namespace

TEST_CASE("the tree walk asks for at most eight names (RFC 9989 4.10)") {
  const auto names = [](const char* domain) { return judged("", domain).walk; };
  CHECK(names("a.b.c.d.e.f.g.h.i.j.mail.example.com") ==
        std::vector<std::string>{"_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
                                 "_dmarc.g.h.i.j.mail.example.com", "_dmarc.h.i.j.mail.example.com",
                                 "_dmarc.i.j.mail.example.com", "_dmarc.j.mail.example.com",
                                 "_dmarc.mail.example.com", "_dmarc.example.com", "_dmarc.com"});
  CHECK(names("Mail.Example.COM.") ==
        std::vector<std::string>{"_dmarc.mail.example.com", "_dmarc.example.com", "_dmarc.com"});
  CHECK(names("a.b.c.d.e.f.example.com").size() == 8);
  CHECK(names("a.b.c.d.e.f.g.example.com").size() == 8);
  CHECK(names("b.c.d.e.f.example.com").size() == 7);
  CHECK(names("com") == std::vector<std::string>{"_dmarc.com"});
  CHECK(names("[192.0.2.1]").empty());
  CHECK(names("a..b").empty());
  CHECK(judged("", "example.com").result == none);
  CHECK(judged("", "a.example.com").organizational_domain == "a.example.com");
}

TEST_CASE("the organizational domain (RFC 9989 4.10.2)") {
  const auto org = [](const char* zone, const char* domain) {
    return judged(zone, domain).organizational_domain;
  };
  CHECK(
      org("_dmarc.mail.example.com. TXT \"v=DMARC1; p=none\"\n_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n",
          "a.mail.example.com") == "example.com");
  CHECK(
      org("_dmarc.mail.example.com. TXT \"v=DMARC1; psd=n\"\n_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n",
          "a.mail.example.com") == "mail.example.com");
  CHECK(org("_dmarc.com. TXT \"v=DMARC1; p=none; psd=y\"\n", "a.mail.example.com") == "example.com");
  CHECK(org("_dmarc.com. TXT \"v=DMARC1; p=none; psd=y\"\n", "com") == "com");  // where the walk began
  CHECK(org("_dmarc.a.example.com. TXT \"v=DMARC1; p=none\"\n", "a.example.com") == "a.example.com");
  CHECK(org("_dmarc.com. TXT \"v=DMARC1; p=none; psd=u\"\n", "a.example.com") == "com");
  // psd=y and psd=n stop the walk.
  const auto verdict = judged("_dmarc.example.com. TXT \"v=DMARC1; psd=n\"\n", "a.example.com");
  CHECK(verdict.walk.size() == 2);
}

TEST_CASE("which record applies, and which of p, sp and np (RFC 9989 4.10.1)") {
  const char* zone =
      "_dmarc.example.com. TXT \"v=DMARC1; p=reject; sp=quarantine; np=none\"\n"
      "here.example.com. A 192.0.2.1\n"
      "alias.example.com. CNAME nowhere.example.\n"
      "_dmarc.own.example.com. TXT \"v=DMARC1; p=none; sp=reject\"\n"
      "x.own.example.com. A 192.0.2.1\n"
      "$TIMEOUT slow.example.com.\n"
      "_dmarc.gov. TXT \"v=DMARC1; p=none; sp=quarantine; np=reject; psd=y\"\n"
      "agency.gov. MX 0 mail.agency.gov.\n"
      "_dmarc.bureau.gov. TXT \"v=DMARC1; p=reject\"\n";
  const auto policy = [zone](const char* domain) {
    const auto verdict = judged(zone, domain);
    CHECK(verdict.result == fail);
    return std::string(text(verdict.policy.value())) + " by " + verdict.record_domain;
  };
  CHECK(policy("example.com") == "reject by example.com");
  CHECK(policy("here.example.com") == "quarantine by example.com");
  CHECK(policy("not.example.com") == "none by example.com");
  CHECK(policy("alias.example.com") == "quarantine by example.com");  // a name with a CNAME exists
  CHECK(policy("own.example.com") == "none by own.example.com");
  CHECK(policy("x.own.example.com") ==
        "quarantine by example.com");  // sp of what is no organizational domain is ignored
  CHECK(policy("agency.gov") == "quarantine by gov");
  CHECK(policy("nobody.gov") == "reject by gov");
  CHECK(policy("mail.bureau.gov") == "reject by bureau.gov");
  CHECK(policy("gov") == "none by gov");
  const auto slow = judged(zone, "slow.example.com");
  CHECK(slow.result == DmarcResult::temperror);
  CHECK(slow.disposition == DmarcPolicy::none);
  CHECK_FALSE(slow.policy);
  CHECK(judged(zone, "slow.example.com", {spf("slow.example.com")}).result == pass);
}

TEST_CASE("alignment: relaxed by the organizational domain, strict by the name (RFC 9989 4.4)") {
  const char* zone =
      "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n"
      "_dmarc.strict.example. TXT \"v=DMARC1; p=reject; adkim=s; aspf=r\"\n"
      "_dmarc.strictspf.example. TXT \"v=DMARC1; p=reject; aspf=S\"\n"
      "_dmarc.dept.example.com. TXT \"v=DMARC1; p=none; psd=n\"\n"
      "_dmarc.shop. TXT \"v=DMARC1; p=none; psd=y\"\n"
      "$SERVFAIL _dmarc.broken.example.com.\n";
  const auto result = [zone](const char* domain, Identifier identifier) {
    return judged(zone, domain, {identifier}).result;
  };
  CHECK(result("example.com", spf("example.com")) == pass);
  CHECK(result("example.com", spf("bounce.example.com")) == pass);
  CHECK(result("news.example.com", dkim("example.com")) == pass);
  CHECK(result("example.com", dkim("example.net")) == fail);
  CHECK(result("example.com", dkim("notexample.com")) == fail);
  CHECK(result("example.com", dkim("Example.COM.")) == pass);
  CHECK(result("strict.example", dkim("mail.strict.example")) == fail);
  CHECK(result("strict.example", dkim("strict.example")) == pass);
  CHECK(result("strict.example", spf("mail.strict.example")) == pass);
  CHECK(result("strictspf.example", spf("mail.strictspf.example")) == fail);
  CHECK(result("strictspf.example", dkim("mail.strictspf.example")) == pass);
  CHECK(result("dept.example.com", dkim("example.com")) == fail);  // another organization
  CHECK(result("dept.example.com", dkim("mail.dept.example.com")) == pass);
  CHECK(result("a.shop", dkim("b.shop")) == fail);
  CHECK(result("a.shop", dkim("mail.a.shop")) == pass);
  CHECK(result("example.com", spf("x.broken.example.com")) == DmarcResult::temperror);
  const auto both = judged(zone, "example.com", {spf("x.broken.example.com"), dkim("a.example.com")});
  CHECK(both.result == pass);
  REQUIRE(both.alignments.size() == 2);
  CHECK_FALSE(both.alignments[0].aligned);
  CHECK(both.alignments[1].organizational_domain == "example.com");
}

TEST_CASE("records: what is one, what is ignored, what is invalid (RFC 9989 4.7, 4.8, 4.10.1)") {
  const auto read = [](const char* txt) -> std::string {
    const auto record = DmarcRecord::parse(txt);
    if (!record) return "none at all";
    return record->fault.empty() ? text(record->policy) : record->fault;
  };
  CHECK(read("v=DMARC1; p=reject") == "reject");
  CHECK(read("v=DMARC1;p=REJECT;") == "reject");
  CHECK(read(" V = DMARC1 ; p = quarantine ; ") == "quarantine");
  CHECK(read("v=DMARC1") == "none");
  CHECK(read("v=DMARC1; rua=mailto:a@example.com") == "none");
  CHECK(read("v=DMARC1; pct=0; rf=x; ri=never; p=reject; future=1; nonsense;;") == "reject");
  CHECK(read("v=DMARC1; p=reject; adkim=x; t=maybe; psd=?") == "reject");
  CHECK(read("v=dmarc1; p=reject") == "none at all");
  CHECK(read("v=DMARC10; p=reject") == "none at all");
  CHECK(read("p=reject; v=DMARC1") == "none at all");
  CHECK(read("v=DMARC1 p=reject") == "none at all");
  CHECK(read("v=DMARC1; p=none; p=reject") == "none at all");
  CHECK(read("") == "none at all");
  CHECK(read("v=DMARC1; p=rejekt") == "p=rejekt is not a policy");
  CHECK(read("v=DMARC1; p=reject; sp=") == "sp= is not a policy");
  CHECK(read("v=DMARC1; p=reject; np=all") == "np=all is not a policy");
  CHECK(read("v=DMARC1; p=rejekt; rua=mailto:a@example.com") == "none");
  CHECK(read("v=DMARC1; p=reject; sp=x; rua=nonsense, https://example.com/r!10m") == "none");
  CHECK(read("v=DMARC1; p=rejekt; rua=a@example.com") == "p=rejekt is not a policy");
  CHECK(read("v=DMARC1; p=rejekt; rua=mailto:a!b@example.com") == "p=rejekt is not a policy");

  CHECK(judged("_dmarc.example. TXT \"v=DMARC1; p=rejekt\"\n", "example").result == DmarcResult::permerror);
  CHECK(judged("_dmarc.example. TXT \"v=DMARC1; p=reject\"\n_dmarc.example. TXT \"v=DMARC1; p=none\"\n",
               "example")
            .result == none);
  CHECK(judged("_dmarc.example. TXT \"v=DMARC1; p=reject\"\n_dmarc.example. TXT \"v=spf1 -all\"\n", "example")
            .result == fail);
}

TEST_CASE("disposition: the policy of what fails, one step less with t=y (RFC 9989 4.7)") {
  const auto disposition = [](const std::string& tags, std::vector<Identifier> passed = {}) {
    return std::string(text(
        judged(("_dmarc.example. TXT \"v=DMARC1; " + tags + "\"\n").c_str(), "example", std::move(passed))
            .disposition));
  };
  CHECK(disposition("p=reject") == "reject");
  CHECK(disposition("p=reject; pct=0") == "reject");
  CHECK(disposition("p=reject; t=y") == "quarantine");
  CHECK(disposition("p=quarantine; t=y") == "none");
  CHECK(disposition("p=none; t=y") == "none");
  CHECK(disposition("p=reject; t=n") == "reject");
  CHECK(disposition("p=reject", {dkim("example")}) == "none");
}

TEST_CASE("a failure of DNS is temporary, and only where it matters (RFC 9989 5.3.6)") {
  const auto result = [](const char* zone, std::vector<Identifier> passed = {}) {
    return judged(zone, "mail.example.com", std::move(passed)).result;
  };
  CHECK(result("$SERVFAIL _dmarc.mail.example.com.\n_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n") ==
        DmarcResult::temperror);
  CHECK(result("$TIMEOUT _dmarc.example.com.\n") == DmarcResult::temperror);
  const char* own = "_dmarc.mail.example.com. TXT \"v=DMARC1; p=reject\"\n$TIMEOUT _dmarc.com.\n";
  CHECK(result(own) == fail);
  CHECK(result(own, {spf("mail.example.com")}) == pass);
  CHECK(result(own, {spf("other.example.com")}) == DmarcResult::temperror);
  CHECK(result(own, {spf("example.net")}) == fail);
}
