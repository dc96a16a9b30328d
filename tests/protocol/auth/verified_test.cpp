// What was found out about a message: the policy, the field, the log.
#include "protocol/auth/verified.hpp"

#include <doctest/doctest.h>

#include "protocol/auth/results.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

Verified verified(SpfResult spf, DmarcResult dmarc = DmarcResult::none,
                  DmarcPolicy policy = DmarcPolicy::none) {
  Verified found;
  found.client = "192.0.2.1";
  found.spf.emplace().result = spf;
  found.spf->domain = "poster.example";
  found.dmarc.emplace();
  found.dmarc->domain = "author.example";
  found.dmarc->result = dmarc;
  found.dmarc->policy = found.dmarc->disposition = policy;
  return found;
}

conf::Smtp policy(conf::Smtp::Spf spf, conf::Smtp::Dmarc dmarc) {
  conf::Smtp smtp;
  smtp.spf = spf;
  smtp.dmarc = dmarc;
  return smtp;
}

std::string refused(const Verified& found, const conf::Smtp& by) {
  const auto refusal = auth::refusal(found, by);
  return refusal ? refusal->reply.oneline().substr(0, 10) : "accepted";
}

bool claimed(const std::string& value, const std::string& name = "Authentication-Results") {
  const std::string text = name + ":" + value + "\r\n\r\n";
  const auto header = mail::Header::scan(text);
  REQUIRE(header);
  REQUIRE(header->fields().size() == 1);
  return claims(header->fields().front(), "mx.example.org");
}

}  // namespace

TEST_CASE("policy: off and mark refuse nothing, whatever was found") {
  using Smtp = conf::Smtp;
  for (const auto spf : {Smtp::Spf::off, Smtp::Spf::mark})
    for (const auto dmarc : {Smtp::Dmarc::off, Smtp::Dmarc::mark})
      for (const auto result : {SpfResult::fail, SpfResult::temperror, SpfResult::permerror})
        for (const auto of_author : {DmarcResult::fail, DmarcResult::temperror, DmarcResult::permerror})
          CHECK(refused(verified(result, of_author, DmarcPolicy::reject), policy(spf, dmarc)) == "accepted");
}

TEST_CASE("policy: reject_fail refuses the result fail, and a failure of DNS for now (RFC 7372)") {
  const conf::Smtp by = policy(conf::Smtp::Spf::reject_fail, conf::Smtp::Dmarc::mark);
  CHECK(refused(verified(SpfResult::fail, DmarcResult::pass), by) == "550 5.7.23");
  CHECK(refused(verified(SpfResult::temperror), by) == "451 4.7.24");
  for (const auto result :
       {SpfResult::none, SpfResult::neutral, SpfResult::pass, SpfResult::softfail, SpfResult::permerror})
    CHECK(refused(verified(result), by) == "accepted");
  Verified explained = verified(SpfResult::fail);
  explained.spf->explanation = "see\r\n250 http://poster.example";
  const std::string wire = refusal(explained, by)->reply.wire();
  CHECK(wire.find("\r\n250 ") == std::string::npos);
  CHECK(wire.find("poster.example does not allow 192.0.2.1 to send its mail") != std::string::npos);
  CHECK(wire.find("poster.example explains: see??250 http://poster.example\r\n") != std::string::npos);
}

TEST_CASE(
    "policy: dmarc = reject follows the author's domain, and waits where a failure of DNS leaves it open") {
  const conf::Smtp by = policy(conf::Smtp::Spf::mark, conf::Smtp::Dmarc::reject);
  CHECK(refused(verified(SpfResult::none, DmarcResult::fail, DmarcPolicy::reject), by) == "550 5.7.26");
  CHECK(refused(verified(SpfResult::none, DmarcResult::fail, DmarcPolicy::quarantine), by) == "accepted");
  CHECK(refused(verified(SpfResult::none, DmarcResult::fail, DmarcPolicy::none), by) == "accepted");
  CHECK(refused(verified(SpfResult::fail, DmarcResult::pass, DmarcPolicy::reject), by) == "accepted");
  CHECK(refused(verified(SpfResult::none, DmarcResult::permerror, DmarcPolicy::reject), by) == "accepted");
  CHECK(refused(verified(SpfResult::none, DmarcResult::temperror, DmarcPolicy::reject), by) == "451 4.7.26");
  CHECK(refused(verified(SpfResult::none, DmarcResult::temperror, DmarcPolicy::none), by) == "accepted");
  Verified unknown = verified(SpfResult::none, DmarcResult::temperror);
  unknown.dmarc->policy.reset();
  CHECK(refused(unknown, by) == "451 4.7.26");
  // The signature whose key did not come may be the author's.
  Verified doubt = verified(SpfResult::temperror, DmarcResult::fail, DmarcPolicy::reject);
  CHECK(refused(doubt, by) == "451 4.7.26");
  doubt = verified(SpfResult::fail, DmarcResult::fail, DmarcPolicy::reject);
  doubt.dkim.emplace_back().result = DkimResult::temperror;
  CHECK(refused(doubt, by) == "451 4.7.26");
  doubt.dkim.front().result = DkimResult::fail;
  CHECK(refused(doubt, by) == "550 5.7.26");
  // t=y lowers what is wished (RFC 9989 4.7).
  Verified testing = verified(SpfResult::none, DmarcResult::fail, DmarcPolicy::reject);
  testing.dmarc->disposition = DmarcPolicy::quarantine;
  CHECK(refused(testing, by) == "accepted");
}

TEST_CASE("the log and the field name SPF alone where DMARC is off") {
  Verified found = verified(SpfResult::pass, DmarcResult::fail);
  CHECK(summary(found) == "spf=pass dkim=none dmarc=fail");
  found.dkim.resize(12);
  CHECK(summary(found).find("neutral,neutral") != std::string::npos);
  CHECK(summary(found).size() < 200);
  found.dmarc.reset();
  CHECK(summary(found) == "spf=pass");
  CHECK(authentication_results("mx.example.org", found) ==
        "Authentication-Results: mx.example.org;\r\n spf=pass smtp.mailfrom=poster.example\r\n");
}

TEST_CASE(
    "the log and the field where SPF was not asked: what was handed over, a client that is only on a list") {
  Verified found = verified(SpfResult::pass, DmarcResult::fail);
  found.spf.reset();
  found.handed_over = true;
  found.dkim.emplace_back().result = DkimResult::pass;
  CHECK(summary(found) == "dkim=pass");
  Verified client;
  CHECK(summary(client).empty());
  CHECK(authentication_results("mx.example.org", client) ==
        "Authentication-Results: mx.example.org; none\r\n");
  client.listed = {"list.example"};
  CHECK(summary(client) == "dnsbl=list.example");
  CHECK(authentication_results("mx.example.org", client) ==
        "Authentication-Results: mx.example.org;\r\n x-dnsbl=listed dns.zone=list.example\r\n");
  for (const auto spf : {conf::Smtp::Spf::mark, conf::Smtp::Spf::reject_fail})
    CHECK(refused(client, policy(spf, conf::Smtp::Dmarc::reject)) == "accepted");
  CHECK(identifiers({}, {}).empty());
}

TEST_CASE("Authentication-Results of our name, however it is written (RFC 8601 2.2)") {
  for (const char* ours :
       {" mx.example.org; spf=pass", " MX.Example.ORG;", "mx.example.org", " mx.example.org 1; none",
        " \"mx.example.org\"; spf=pass", " \"mx\\.example.org\";", " (\\() mx.example.org; spf=pass",
        " (a (b) c)\r\n (;)mx.example.org(x);", " mx.example.org.;", "\r\n mx.example.org ; spf=pass"})
    CHECK_MESSAGE(claimed(ours), ours);
  for (const char* others : {" mx.example.com; x=mx.example.org", " (mx.example.org) other.example;",
                             " amx.example.org;", "", " ;", " (mx.example.org;", " \"mx.example.org"})
    CHECK_MESSAGE(claimed(others) == (std::string(others) == " \"mx.example.org"), others);
  CHECK(!claimed(" mx.example.org; spf=pass", "X-Authentication-Results"));
  CHECK(claimed(" mx.example.org; spf=pass", "authentication-results"));
}

TEST_CASE("policy: dkim2 = reject refuses a broken chain with its reason, and waits for a key (draft 10.4)") {
  conf::Smtp by = policy(conf::Smtp::Spf::mark, conf::Smtp::Dmarc::mark);
  Verified found = verified(SpfResult::pass, DmarcResult::pass);
  const auto refusal_of = [&](Dkim2Result result) {
    found.dkim2 = Dkim2Verdict{result, "Message Instance m=1 body\r\nhash", {}};
    return refused(found, by);
  };
  for (const auto result : {Dkim2Result::fail, Dkim2Result::permerror, Dkim2Result::temperror})
    CHECK(refusal_of(result) == "accepted");
  by.dkim2 = conf::Smtp::Dkim2::reject;
  CHECK(refusal_of(Dkim2Result::pass) == "accepted");
  CHECK(refusal_of(Dkim2Result::none) == "accepted");
  CHECK(refusal_of(Dkim2Result::fail) == "550 5.7.20");
  CHECK(refusal_of(Dkim2Result::permerror) == "550 5.7.20");
  CHECK(refusal_of(Dkim2Result::temperror) == "451 4.7.5 ");  // as long as the others
  CHECK(refusal(found, by)->by == Refusal::By::dkim2);
  found.dkim2.reset();
  CHECK(refused(found, by) == "accepted");
}

TEST_CASE("the log and the field name the result of DKIM2, and whose the last signature is") {
  Verified found = verified(SpfResult::pass, DmarcResult::pass);
  found.dkim2 = Dkim2Verdict{Dkim2Result::fail, "it broke", {}};
  found.dkim2->signatures.push_back({2, 2, "lists.example", "s", "ed25519-sha256", Dkim2Result::fail, ""});
  CHECK(summary(found) == "spf=pass dkim=none dkim2=fail dmarc=pass");
  CHECK(authentication_results("mx.example.org", found)
            .find(";\r\n dkim2=fail reason=\"it broke\" header.d=lists.example header.i=2;\r\n") !=
        std::string::npos);
}
