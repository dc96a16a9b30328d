// SPF (RFC 7208): tables of records, clients and results, ours, by the sections of the RFC.
#include "protocol/auth/spf.hpp"

#include "tests/protocol/auth/answered.hpp"

using namespace spoold;
using namespace spoold::auth;
using tests::answered;
using tests::zone_of;

namespace {

SpfVerdict judged(const dns::ZoneFile& zone, const char* client, const std::string& mail_from,
                  const char* helo = "mx.client.example") {
  SpfCheck check({*dns::parse_ip(client), helo, mail_from, "mx.example.org",
                  TimePoint(std::chrono::seconds(1700000000))});
  return answered(check, zone).verdict();
}

std::string result(const dns::ZoneFile& zone, const char* client, const std::string& mail_from,
                   const char* helo = "mx.client.example") {
  return text(judged(zone, client, mail_from, helo).result);
}

/// The result of a record of d.example, for a client; the rest of the zone is `more`.
std::string of_record(const std::string& record, const char* client = "192.0.2.1",
                      const std::string& more = "") {
  return result(zone_of("d.example. TXT \"" + record + "\"\n" + more), client, "anne@d.example");
}

}  // namespace

TEST_CASE("SPF: which domain is judged (RFC 7208 2.4, 4.3)") {
  const auto zone = zone_of(
      "d.example. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
      "helo.example. TXT \"v=spf1 exists:%{l}.ok.example -all\"\n"
      "postmaster.ok.example. A 127.0.0.2\n");
  CHECK(result(zone, "192.0.2.1", "anne@d.example") == "pass");
  CHECK(result(zone, "192.0.2.1", "anne@D.Example.") == "pass");
  CHECK(result(zone, "192.0.2.2", "anne@d.example") == "fail");
  CHECK(result(zone, "192.0.2.1", "", "helo.example") == "pass");  // postmaster@HELO
  CHECK(result(zone, "192.0.2.1", "@helo.example") == "pass");     // no local part
  CHECK(result(zone, "192.0.2.1", "x@helo.example") == "fail");
  CHECK(result(zone, "192.0.2.1", "\"a@b\"@d.example") == "pass");  // the last '@'
  for (const char* none : {"anne@example", "anne@[192.0.2.1]", "anne@a..example", "anne@",
                           "anne@nowhere.example", "anne@\xc3\xbc.example"})
    CHECK(result(zone, "192.0.2.1", none) == "none");
  CHECK(result(zone, "192.0.2.1", "anne@" + std::string(64, 'a') + ".example") == "none");
  CHECK(result(zone, "192.0.2.1", "", "[192.0.2.1]") == "none");
  CHECK(result(zone, "192.0.2.1", "", "localhost") == "none");
}

TEST_CASE("SPF: which record is one (RFC 7208 4.4, 4.5)") {
  CHECK(of_record("v=spf1") == "neutral");
  CHECK(of_record("V=SPF1 -ALL") == "fail");
  CHECK(of_record("v=spf10 -all") == "none");
  CHECK(of_record("v=spf1-all") == "none");
  CHECK(of_record("v=spf1\" \" +all") == "pass");  // strings are joined
  CHECK(of_record("v=spf1\" \"-all") == "none");   // without a blank
  CHECK(of_record("v=spf1 -all", "192.0.2.1", "d.example. TXT other\n") == "fail");
  CHECK(of_record("v=spf1 -all", "192.0.2.1", "d.example. TXT \"v=spf1 +all\"\n") == "permerror");
  CHECK(of_record("v=spf1 -all", "192.0.2.1", "$SERVFAIL d.example.\n") == "temperror");
  CHECK(of_record("v=spf1 -all", "192.0.2.1", "$TIMEOUT d.example.\n") == "temperror");
  CHECK(of_record("x", "192.0.2.1", "d.example. SPF \"v=spf1 -all\"\n") == "none");  // type SPF is no more
}

TEST_CASE("SPF: syntax; an error anywhere is a permerror (RFC 7208 4.6, 12)") {
  for (const char* good :
       {"v=spf1  all  ", "v=spf1 +all ", "v=spf1 all exp=e.example", "v=spf1 all x-y_z.1=%{d}%%%_%-",
        "v=spf1 all redirect.x=", "v=spf1 a:%{d} all", "v=spf1 a:%{d2r.-}.example/24//64 all",
        "v=spf1 A:D.EXAMPLE.//0 all", "v=spf1 a:d.example-x all", "v=spf1 mx:a/b.example/0 all",
        "v=spf1 ip6:::1/128 all", "v=spf1 ip4:0.0.0.0/0", "v=spf1 ip6:::ffff:192.0.2.1 all",
        "v=spf1 a:d.example/32//128 all", "v=spf1 exists:%{L9}.x all", "v=spf1 redirect=d.example all"})
    CHECK_MESSAGE(of_record(good) == "pass", good);
  for (const char* bad : {"v=spf1 all/8",
                          "v=spf1 all.",
                          "v=spf1 all:d.example",
                          "v=spf1 all moo",
                          "v=spf1 -",
                          "v=spf1 ++all",
                          "v=spf1 include all",
                          "v=spf1 include: all",
                          "v=spf1 include:d.example/24 all",
                          "v=spf1 a: all",
                          "v=spf1 a:d all",
                          "v=spf1 a:d.example. all/",
                          "v=spf1 a/33 all",
                          "v=spf1 a/024 all",
                          "v=spf1 a/ all",
                          "v=spf1 a// all",
                          "v=spf1 a//129 all",
                          "v=spf1 a:/24 all",
                          "v=spf1 a:192.0.2.1 all",
                          "v=spf1 a:d.123 all",
                          "v=spf1 a:d.-x all",
                          "v=spf1 a:%{d}example all",
                          "v=spf1 a:%{d all",
                          "v=spf1 a:%{x}.d.example all",
                          "v=spf1 a:%{d0} all",
                          "v=spf1 a:%{dr2} all",
                          "v=spf1 a:%{c}.example all",
                          "v=spf1 a:%d.example all",
                          "v=spf1 a:%{t} all",
                          "v=spf1 a:%{} all",
                          "v=spf1 mx; all",
                          "v=spf1 ptr/24 all",
                          "v=spf1 ptr: all",
                          "v=spf1 ip4 all",
                          "v=spf1 ip4:192.0.2 all",
                          "v=spf1 ip4:192.0.2.1/33 all",
                          "v=spf1 ip4:192.0.2.01 all",
                          "v=spf1 ip4:::1 all",
                          "v=spf1 ip6:192.0.2.1 all",
                          "v=spf1 ip6::::1 all",
                          "v=spf1 ip6:::1/129 all",
                          "v=spf1 ip6:::1//64 all",
                          "v=spf1 exists all",
                          "v=spf1 exists:d.example/24 all",
                          "v=spf1 redirect= all",
                          "v=spf1 redirect=d all",
                          "v=spf1 redirect:d.example all",
                          "v=spf1 exp=",
                          "v=spf1 exp=a.b exp=a.b all",
                          "v=spf1 redirect=a.b redirect=a.b all",
                          "v=spf1 1x=y all",
                          "v=spf1 =y all",
                          "v=spf1 x=%{ all",
                          "v=spf1 x=%{c} all",
                          "v=spf1 all ip4",
                          "v=spf1 all\\009",
                          "v=spf1 \\200all",
                          "v=spf1 a:\\195\\188.example all",
                          "v=spf1 x:y=z all"})
    CHECK_MESSAGE(of_record(bad) == "permerror", bad);
}

TEST_CASE("SPF: qualifiers, order, the default (RFC 7208 4.6.2, 4.7)") {
  CHECK(of_record("v=spf1 +ip4:192.0.2.1 -all") == "pass");
  CHECK(of_record("v=spf1 ?ip4:192.0.2.0/24 -all") == "neutral");
  CHECK(of_record("v=spf1 ~ip4:192.0.2.0/25 -all") == "softfail");
  CHECK(of_record("v=spf1 -ip4:192.0.2.0/31 +all") == "fail");
  CHECK(of_record("v=spf1 ip4:192.0.2.128/25") == "neutral");
  const auto zone =
      zone_of("d.example. TXT \"v=spf1 a:x.example ?ip4:192.0.2.0/24 -all\"\nx.example. A 192.0.2.9\n");
  CHECK(judged(zone, "192.0.2.1", "a@d.example").mechanism == "ip4:192.0.2.0/24");
  CHECK(judged(zone, "198.51.100.1", "a@d.example").mechanism == "all");
  CHECK(judged(zone, "192.0.2.1", "a@d.example").lookups == 1);
  CHECK(judged(zone_of("d.example. TXT \"v=spf1\"\n"), "192.0.2.1", "a@d.example").mechanism == "default");
}

TEST_CASE("SPF: ip4, ip6, a, mx, exists by family (RFC 7208 5)") {
  const std::string zone =
      "v4.example. A 192.0.2.1\nv6.example. AAAA 2001:db8::1\n"
      "mail.example. MX 10 v4.example.\nmail.example. MX 5 v6.example.\nnull.example. MX 0 .\n";
  CHECK(of_record("v=spf1 ip6:2001:db8::/32 -all", "2001:db8:ffff::1") == "pass");
  CHECK(of_record("v=spf1 ip6:2001:db8::/33 -all", "2001:db8:ffff::1") == "fail");
  CHECK(of_record("v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::1") == "fail");
  CHECK(of_record("v=spf1 ip4:192.0.2.1 -all", "::ffff:192.0.2.1") == "pass");
  CHECK(of_record("v=spf1 ip6:::/0 -all", "::ffff:192.0.2.1") == "fail");
  CHECK(of_record("v=spf1 a:v4.example -all", "192.0.2.1", zone) == "pass");
  CHECK(of_record("v=spf1 a:v4.example/24 -all", "192.0.2.200", zone) == "pass");
  CHECK(of_record("v=spf1 a:v6.example//64 -all", "2001:db8::ffff", zone) == "pass");
  CHECK(of_record("v=spf1 a:v6.example/0 -all", "2001:db8::ffff", zone) == "fail");
  CHECK(of_record("v=spf1 a:v4.example -all", "2001:db8::1", zone) == "fail");
  CHECK(of_record("v=spf1 mx:mail.example -all", "192.0.2.1", zone) == "pass");
  CHECK(of_record("v=spf1 mx:mail.example -all", "2001:db8::1", zone) == "pass");
  CHECK(of_record("v=spf1 mx:v4.example -all", "192.0.2.1", zone) == "fail");  // no implicit MX
  CHECK(of_record("v=spf1 mx:null.example -all", "192.0.2.1", zone) == "fail");
  CHECK(of_record("v=spf1 exists:v4.example -all", "2001:db8::9", zone) == "pass");
  CHECK(of_record("v=spf1 exists:v6.example -all", "2001:db8::9", zone) == "fail");  // always A
  CHECK(of_record("v=spf1 a:x..example -all", "192.0.2.1", zone) == "fail");
  CHECK(of_record("v=spf1 a:slow.example -all", "192.0.2.1", "$TIMEOUT slow.example.\n") == "temperror");
  CHECK(of_record("v=spf1 ip4:192.0.2.1 a:slow.example", "192.0.2.1", "$TIMEOUT slow.example.\n") == "pass");
  CHECK(of_record("v=spf1 mx:m.example", "192.0.2.1", "m.example. MX 1 s.example.\n$SERVFAIL s.example.\n") ==
        "temperror");
  CHECK(of_record("v=spf1 mx:m.example", "192.0.2.1",
                  "m.example. MX 1 v.example.\nm.example. MX 2 s.example.\nv.example. A 192.0.2.1\n$SERVFAIL "
                  "s.example.\n") == "pass");
}

TEST_CASE("SPF: ptr and %{p} (RFC 7208 5.5, 7.3)") {
  const std::string zone =
      "1.2.0.192.in-addr.arpa. PTR forged.d.example.\n1.2.0.192.in-addr.arpa. PTR Host.D.example.\n"
      "1.2.0.192.in-addr.arpa. PTR slow.example.\n"
      "host.d.example. A 192.0.2.1\nforged.d.example. A 192.0.2.77\n$TIMEOUT slow.example.\n"
      "$SERVFAIL 3.2.0.192.in-addr.arpa.\nhost.d.example.p.example. A 127.0.0.2\nunknown.p.example. A "
      "127.0.0.2\n";
  CHECK(of_record("v=spf1 ptr -all", "192.0.2.1", zone) == "pass");
  CHECK(of_record("v=spf1 ptr:d.example -all", "192.0.2.1", zone) == "pass");
  CHECK(of_record("v=spf1 ptr:forged.d.example -all", "192.0.2.1", zone) == "fail");
  CHECK(of_record("v=spf1 ptr:st.d.example -all", "192.0.2.1", zone) == "fail");
  CHECK(of_record("v=spf1 ptr -all", "192.0.2.2", zone) == "fail");
  CHECK(of_record("v=spf1 ptr -all", "192.0.2.3", zone) == "fail");  // a failure of DNS is no match
  CHECK(of_record("v=spf1 exists:%{p}.p.example -all", "192.0.2.1", zone) == "pass");
  CHECK(of_record("v=spf1 exists:%{p}.p.example -all", "192.0.2.3", zone) == "pass");  // unknown
}

TEST_CASE("SPF: include and redirect (RFC 7208 5.2, 6.1)") {
  const std::string zone =
      "pass.example. TXT \"v=spf1 ip4:192.0.2.1 -all\"\nnone.example. TXT nothing\nbad.example. TXT \"v=spf1 "
      "moo\"\n"
      "soft.example. TXT \"v=spf1 ~all\"\nempty.example. TXT \"v=spf1\"\n$SERVFAIL slow.example.\n"
      "red.example. TXT \"v=spf1 redirect=pass.example\"\n";
  CHECK(of_record("v=spf1 include:pass.example ~all", "192.0.2.1", zone) == "pass");
  CHECK(of_record("v=spf1 -include:pass.example ~all", "192.0.2.1", zone) == "fail");
  CHECK(of_record("v=spf1 include:pass.example ~all", "192.0.2.2", zone) == "softfail");
  CHECK(of_record("v=spf1 include:soft.example -all", "192.0.2.2", zone) == "fail");
  CHECK(of_record("v=spf1 include:empty.example -all", "192.0.2.2", zone) == "fail");
  CHECK(of_record("v=spf1 include:red.example -all", "192.0.2.1", zone) == "pass");
  for (const char* permerror : {"none", "bad", "nowhere"})
    CHECK(of_record("v=spf1 include:" + std::string(permerror) + ".example all", "192.0.2.1", zone) ==
          "permerror");
  CHECK(of_record("v=spf1 include:slow.example all", "192.0.2.1", zone) == "temperror");
  CHECK(of_record("v=spf1 redirect=pass.example", "192.0.2.2", zone) == "fail");
  CHECK(of_record("v=spf1 redirect=pass.example ?all", "192.0.2.2", zone) == "neutral");
  CHECK(of_record("v=spf1 redirect=none.example", "192.0.2.2", zone) == "permerror");
  CHECK(of_record("v=spf1 redirect=slow.example", "192.0.2.2", zone) == "temperror");
  const auto verdict =
      judged(zone_of(zone + "d.example. TXT \"v=spf1 include:pass.example\"\n"), "192.0.2.1", "a@d.example");
  CHECK(verdict.mechanism == "include:pass.example");
}

TEST_CASE("SPF: limits (RFC 7208 4.6.4)") {
  std::string ten, names, hosts;
  for (int i = 0; i < 10; ++i) ten += " a:n.example";
  for (int i = 0; i < 10; ++i)
    names += "m.example. MX " + std::to_string(i) + " h" + std::to_string(i) + ".example.\n";
  for (int i = 0; i < 10; ++i)
    hosts += "h" + std::to_string(i) + ".example. A 192.0.2." + std::to_string(100 + i) + "\n";
  const std::string n = "n.example. A 192.0.2.50\n";
  CHECK(of_record("v=spf1" + ten + " ip4:192.0.2.1", "192.0.2.1", n) == "pass");
  CHECK(of_record("v=spf1" + ten + " a:n.example ip4:192.0.2.1", "192.0.2.1", n) == "permerror");
  CHECK(of_record("v=spf1 ip4:192.0.2.1" + ten + " a:n.example", "192.0.2.1", n) ==
        "pass");  // what is not reached does not count
  CHECK(of_record("v=spf1" + ten + " redirect=n.example", "192.0.2.1", n) == "permerror");
  CHECK(of_record("v=spf1 include:d.example all") == "permerror");
  CHECK(of_record("v=spf1 redirect=d.example") == "permerror");
  CHECK(of_record("v=spf1 mx:m.example ip4:192.0.2.1", "192.0.2.1", names + hosts) == "pass");
  CHECK(of_record("v=spf1 mx:m.example", "192.0.2.109", names + hosts) == "pass");
  CHECK(of_record("v=spf1 mx:m.example all", "192.0.2.1", names + hosts + "m.example. MX 99 h0.example.\n") ==
        "permerror");
  CHECK(of_record("v=spf1 a:x.example a:y.example all") == "pass");
  CHECK(of_record("v=spf1 a:x.example a:y.example a:z.example all") == "permerror");
  CHECK(of_record("v=spf1 a:x.example all a:y.example a:z.example") == "pass");
  CHECK(of_record("v=spf1 mx:m.example all", "192.0.2.1", names) ==
        "permerror");  // hosts without addresses are void, too
  std::string pointers;
  for (int i = 0; i < 10; ++i)
    pointers += "1.2.0.192.in-addr.arpa. PTR x" + std::to_string(i) + ".example.\n";
  pointers += "1.2.0.192.in-addr.arpa. PTR host.d.example.\nhost.d.example. A 192.0.2.1\n";
  CHECK(of_record("v=spf1 ptr -all", "192.0.2.1", pointers) == "fail");  // the eleventh does not count
}

TEST_CASE("SPF: macros (RFC 7208 7, the examples of 7.4)") {
  const auto asked = [](const std::string& spec, const char* client = "192.0.2.3") {
    const auto zone = zone_of("email.example.com. TXT \"v=spf1 exists:" + spec + " -all\"\n");
    SpfCheck check({*dns::parse_ip(client), "mx.client.example", "strong-bad@email.example.com", "", {}});
    for (const dns::Question& q : check.ask()) check.answered(q, zone.answer(q));
    const auto questions = check.ask();
    return questions.size() == 1 ? questions.front().name : "?";
  };
  CHECK(asked("%{d}") == "email.example.com");
  CHECK(asked("%{d4}") == "email.example.com");
  CHECK(asked("%{d2}") == "example.com");
  CHECK(asked("%{d1}") == "com");
  CHECK(asked("%{dr}") == "com.example.email");
  CHECK(asked("%{d2r}.x") == "example.email.x");
  CHECK(asked("%{o}") == "email.example.com");
  CHECK(asked("%{l}.x") == "strong-bad.x");
  CHECK(asked("%{l-}.x") == "strong.bad.x");
  CHECK(asked("%{lr-}.x") == "bad.strong.x");
  CHECK(asked("%{l1r-}.x") == "strong.x");
  CHECK(asked("%{ir}.%{v}._spf.%{d2}") == "3.2.0.192.in-addr._spf.example.com");
  CHECK(asked("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}") == "bad.strong.lp.3.2.0.192.in-addr._spf.example.com");
  CHECK(asked("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01") ==
        "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com");
  CHECK(asked("%{s}.%{h}") == "strong-bad@email.example.com.mx.client.example");
  CHECK(asked("%{S}.x") == "strong-bad%40email.example.com.x");
  CHECK(asked("a%_b%%c%-d.x") == "a b%c%20d.x");
  const std::string label(60, 'a');
  CHECK(asked(label + "." + label + "." + label + ".%{d}.%{d}.%{d}.%{d}.%{d}.example") ==
        label + "." + label + "." +
            "email.example.com.email.example.com.email.example.com.email.example.com.email.example.com."
            "example");
}

TEST_CASE("SPF: the explanation (RFC 7208 6.2)") {
  const auto explained = [](const std::string& record, const std::string& more,
                            const char* client = "192.0.2.9") {
    const auto zone = zone_of("d.example. TXT \"" + record + "\"\n" + more);
    const auto verdict = judged(zone, client, "anne@d.example");
    return std::string(text(verdict.result)) + ": " + verdict.explanation;
  };
  const std::string record = "v=spf1 -all exp=e.%{d}";
  CHECK(explained(record, "e.d.example. TXT \"%{c} may not: %{s} %{r} %{t} %{i} %%\"\n") ==
        "fail: 192.0.2.9 may not: anne@d.example mx.example.org 1700000000 192.0.2.9 %");
  CHECK(explained(record, "e.d.example. TXT \"%{C}\"\n", "2001:db8::1") == "fail: 2001%3Adb8%3A%3A1");
  CHECK(explained(record, "") == "fail: ");
  CHECK(explained(record, "$TIMEOUT e.d.example.\n") == "fail: ");
  CHECK(explained(record, "e.d.example. TXT one\ne.d.example. TXT two\n") == "fail: ");
  CHECK(explained(record, "e.d.example. TXT \"bad %{x}\"\n") == "fail: ");
  CHECK(explained(record, "e.d.example. TXT \"\\195\\188\"\n") == "fail: ");
  CHECK(explained("v=spf1 ~all exp=e.d.example", "e.d.example. TXT why\n") == "softfail: ");
  CHECK(explained("v=spf1 include:i.example -all exp=e.d.example",
                  "e.d.example. TXT mine\ni.example. TXT \"v=spf1 -all exp=other.example\"\nother.example. "
                  "TXT theirs\n") == "fail: mine");
  CHECK(explained("v=spf1 redirect=i.example exp=e.d.example",
                  "e.d.example. TXT mine\ni.example. TXT \"v=spf1 -all exp=other.example\"\nother.example. "
                  "TXT \"%{d}\"\n") == "fail: i.example");
  CHECK(explained("v=spf1 a:x.example a:y.example -all exp=nowhere.example", "") ==
        "fail: ");  // no void look-up
}
