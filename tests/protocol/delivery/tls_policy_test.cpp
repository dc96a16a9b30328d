#include "protocol/delivery/tls_policy.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::delivery;
using conf::Tls;
using dns::Tlsa, dns::usable;
using Use = TlsPlan::Use;
using Trust = TlsPlan::Trust;

namespace {

const std::vector<Tlsa> good{{3, 1, 1, std::string(32, 'x')}};
const std::vector<Tlsa> useless{{1, 1, 1, std::string(32, 'x')}, {3, 1, 1, "short"}};

TlsFacts mx() {
  TlsFacts facts;
  facts.host = "mx1.example.net";
  facts.domain = "example.org";
  return facts;
}

TlsRules rules(std::optional<Tls> asked, bool configured = false, bool credentials = false) {
  TlsRules r;
  r.asked = asked;
  r.configured = configured;
  r.credentials = credentials;
  return r;
}

}  // namespace

TEST_CASE("each policy, with and without TLSA records") {
  struct Row {
    Tls policy;
    const std::vector<Tlsa>* tlsa;
    Use use;
    Trust trust;
    bool may_fall_back;
  };
  for (const Row& row : std::vector<Row>{
           {Tls::none, nullptr, Use::never, Trust::anyone, false},
           {Tls::none, &good, Use::never, Trust::anyone, false},
           {Tls::opportunistic, nullptr, Use::offered, Trust::anyone, true},
           {Tls::opportunistic, &good, Use::must, Trust::dane, false},
           {Tls::opportunistic, &useless, Use::must, Trust::anyone, false},
           {Tls::required, nullptr, Use::must, Trust::anyone, false},
           {Tls::required, &good, Use::must, Trust::anyone, false},
           {Tls::verified, nullptr, Use::must, Trust::pkix, false},
           {Tls::verified, &good, Use::must, Trust::pkix, false},
           {Tls::dane, nullptr, Use::offered, Trust::anyone, true},
           {Tls::dane, &good, Use::must, Trust::dane, false},
           {Tls::dane, &useless, Use::must, Trust::anyone, false},
       }) {
    CAPTURE(static_cast<int>(row.policy));
    CAPTURE((row.tlsa == nullptr ? 0 : row.tlsa->size()));
    TlsFacts facts = mx();
    facts.tlsa = row.tlsa;
    const TlsPlan plan = plan_tls(rules(row.policy), facts);
    CHECK(plan.use == row.use);
    CHECK(plan.trust == row.trust);
    CHECK(plan.may_fall_back == row.may_fall_back);
    facts.failed_lately = true;  // changes only what may fall back
    CHECK(plan_tls(rules(row.policy), facts).use == (row.may_fall_back ? Use::never : row.use));
  }
}

TEST_CASE(
    "mail with REQUIRETLS asks for an authenticated host, whatever else is configured, and never less than "
    "that") {
  for (const Tls policy : {Tls::none, Tls::opportunistic, Tls::required, Tls::verified, Tls::dane}) {
    CAPTURE(static_cast<int>(policy));
    for (const auto* tlsa : {static_cast<const std::vector<Tlsa>*>(nullptr), &good, &useless}) {
      TlsFacts facts = mx();
      facts.tlsa = tlsa;
      facts.failed_lately = true;
      TlsRules strict = rules(policy);
      strict.require_tls = true;
      const TlsPlan plan = plan_tls(strict, facts);
      CHECK(plan.use == Use::must);
      CHECK_FALSE(plan.may_fall_back);
      CHECK(plan.trust == (tlsa == &good && policy != Tls::verified ? Trust::dane : Trust::pkix));
      CHECK(plan.names == std::vector<std::string>{"mx1.example.net"});  // RFC 8689 4.2.1: the host's own
    }
  }
  TlsRules strict = rules(std::nullopt, true);
  strict.require_tls = true;
  TlsFacts loopback;
  loopback.host = "127.0.0.1";
  loopback.loopback = true;
  CHECK(plan_tls(strict, loopback).trust == Trust::pkix);
}

TEST_CASE("names: the MX host and the recipients' domain; for DANE the base domain first") {
  TlsFacts facts = mx();
  CHECK(plan_tls(rules(Tls::verified), facts).names ==
        std::vector<std::string>{"mx1.example.net", "example.org"});
  CHECK(plan_tls(rules(Tls::verified), facts).server_name == "mx1.example.net");
  facts.tlsa = &good;
  facts.tlsa_base = "real.example.com";
  const TlsPlan plan = plan_tls({}, facts);
  CHECK(plan.server_name == "real.example.com");
  CHECK(plan.names == std::vector<std::string>{"real.example.com", "mx1.example.net", "example.org"});
  facts = {};
  facts.host = "192.0.2.1";
  CHECK(plan_tls(rules(Tls::verified), facts).server_name.empty());
  CHECK(plan_tls(rules(Tls::verified), facts).names == std::vector<std::string>{"192.0.2.1"});
}

TEST_CASE("a configured next hop on loopback or a unix socket is spoken to in plain text, unless asked") {
  TlsFacts facts;
  facts.host = "127.0.0.1";
  facts.loopback = true;
  CHECK(plan_tls(rules({}, true), facts).use == Use::never);
  CHECK(plan_tls(rules({}, false), facts).use == Use::offered);  // an MX there
  CHECK(plan_tls(rules(Tls::verified, true), facts).use == Use::must);
  CHECK(plan_tls(rules({}, true, true), facts).use == Use::never);
  CHECK(plan_tls(rules({}, true, true), facts).plain_auth);
  facts.loopback = false;
  facts.unix_socket = true;
  CHECK(plan_tls(rules(Tls::opportunistic, true), facts).use == Use::never);
  CHECK(plan_tls(rules({}, true, true), facts).plain_auth);
}

TEST_CASE("credentials never fall back to plain text") {
  const TlsFacts facts = mx();
  CHECK(plan_tls(rules({}, true, true), facts).trust == Trust::pkix);
  CHECK(plan_tls(rules(Tls::dane, true, true), facts).trust == Trust::pkix);
  for (const Tls policy : {Tls::none, Tls::opportunistic, Tls::required, Tls::verified, Tls::dane}) {
    const TlsPlan plan = plan_tls(rules(policy, true, true), facts);
    CHECK(!plan.plain_auth);
    CHECK(plan.use == Use::must);
    CHECK(!plan.may_fall_back);
  }
}

TEST_CASE("smtps is never less than required") {
  TlsFacts facts = mx();
  facts.implicit = true;
  CHECK(plan_tls({}, facts).use == Use::must);
  CHECK(plan_tls({}, facts).implicit);
  CHECK(plan_tls(rules(Tls::verified), facts).trust == Trust::pkix);
}

TEST_CASE("hosts without TLS are forgotten after an hour, and are never too many") {
  PlaintextHosts hosts;
  const TimePoint at{std::chrono::hours(1000)};
  hosts.add("a:25", at);
  CHECK(hosts.contains("a:25", at + std::chrono::minutes(59)));
  CHECK(!hosts.contains("a:25", at + std::chrono::minutes(60)));
  CHECK(!hosts.contains("b:25", at));
  for (int i = 0; i < 5000; ++i) hosts.add("h" + std::to_string(i), at);
  CHECK(hosts.contains("h4999", at));
  int known = 0;
  for (int i = 0; i < 5000; ++i) known += hosts.contains("h" + std::to_string(i), at) ? 1 : 0;
  CHECK(known <= 1000);
}
