// DKIM with real keys: the published example of RFC 8463 A, signed with Ed25519 and with RSA.
#include "server/auth/crypto.hpp"

#include <doctest/doctest.h>

#include <string>

#include "protocol/dns/zone_file.hpp"

using namespace spoold;

namespace {

const std::string message =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    " date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n"
    "\r\n"
    "We lost the game.  Are you hungry yet?\r\n"
    "\r\n"
    "Joe.\r\n";

const char* zone =
    "brisbane._domainkey.football.example.com. TXT \"v=DKIM1; k=ed25519; "
    "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n"
    "test._domainkey.football.example.com. TXT \"v=DKIM1; k=rsa; "
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
    "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/"
    "8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9Pz"
    "oxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\"\n";

std::string results(const std::string& text, const std::string& records = zone) {
  const auto header = mail::Header::scan(text);
  REQUIRE(header);
  const auto answers = dns::ZoneFile::parse(records);
  REQUIRE(answers);
  auth::DkimCheck check(*header, TimePoint(std::chrono::seconds(1528637999)), server::new_sha256);
  for (std::size_t at = header->end(); at < text.size(); at += 7)
    check.body(std::string_view(text).substr(at, 7));
  check.body_end();
  for (const auto& question : check.ask()) check.answered(question, answers->answer(question));
  server::prove(check);
  REQUIRE(check.done());
  std::string all;
  for (const auto& one : check.verdicts()) all += std::string(auth::text(one.result)) + " ";
  return all;
}

}  // namespace

TEST_CASE("DKIM: the example of RFC 8463 verifies with both keys, and fails when anything is changed") {
  CHECK(results(message) == "pass pass ");
  const auto changed = [](const char* from, const char* to) {
    std::string text = message;
    return text.replace(text.find(from), std::string_view(from).size(), to);
  };
  CHECK(results(changed("hungry", "Hungry")) == "fail fail ");
  CHECK(results(changed("dinner", "supper")) == "fail fail ");
  CHECK(results(changed("b=/gCr", "b=/gCs")) == "fail pass ");
  CHECK(results(changed("game.  Are", "game. Are")) == "pass pass ");
}

TEST_CASE("DKIM: keys that are none") {
  const std::string ed = "brisbane._domainkey.football.example.com. TXT ",
                    rsa = "test._domainkey.football.example.com. TXT ";
  CHECK(results(message, ed + "\"k=ed25519; p=YWJj\"\n" + rsa + "\"p=YWJj\"\n") == "permerror permerror ");
  // An RSA key of 512 bits; an Ed25519 key as SubjectPublicKeyInfo under k=rsa.
  const std::string small =
      "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALGdD7v19jqtSfT5Q/IKd9QcSfCGhMvzQkczCy"
      "Hju3CAxBsjCWK+sx+FH/9VVvdPDQCIGQtfnPPscu5WpoGPLU8CAwEAAQ==";
  CHECK(results(message, rsa + "\"p=" + small + "\"\n") == "permerror policy ");
  CHECK(results(message, rsa + "\"p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n") ==
        "permerror permerror ");
}
