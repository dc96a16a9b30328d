#include <doctest/doctest.h>

#include "conf/load.hpp"

using namespace spoold::conf;

namespace {

std::string table(const char* domain, const char* selector, const char* key = "k.pem") {
  return std::string("[[dkim]]\ndomain = \"") + domain + "\"\nselector = \"" + selector + "\"\nkey = \"" +
         key + "\"\n";
}

std::string fault(const std::string& text) {
  const auto settings = parse(text, "t");
  return settings ? std::string() : settings.error().front().text();
}

}  // namespace

TEST_CASE("[[dkim]]: several keys of a domain, names in lower case, files beside the configuration") {
  const auto settings = parse(
      table("Lists.example", "S2026") + table("lists.example", "20261128", "/etc/k.pem"), "/etc/spoold/t");
  REQUIRE(settings);
  REQUIRE(settings->dkim_keys.size() == 2);
  CHECK(settings->dkim_keys[0].domain == "lists.example");
  CHECK(settings->dkim_keys[0].selector == "s2026");
  CHECK(settings->dkim_keys[0].key == "/etc/spoold/k.pem");
  CHECK(settings->dkim_keys[0].key_at.line == 4);
  CHECK(settings->dkim_keys[1].selector == "20261128");
}

TEST_CASE("[[dkim]]: what is wrong is named with its place") {
  CHECK(fault(table("lists.example", "a") + table("LISTS.example", "A"))
            .find("t:7:12: the key 'a._domainkey.lists.example' is given twice") == 0);
  CHECK(fault(table("lists.example", "a_b")).find("'a_b' cannot be a selector") != std::string::npos);
  CHECK(fault(table("not a domain", "a")).find("t:2:") == 0);
  CHECK(fault("[[dkim]]\ndomain = \"lists.example\"\nselector = \"a\"\n").find("[[dkim]] needs 'key'") !=
        std::string::npos);
  CHECK(fault("[dkim]\n").find("double brackets") != std::string::npos);
}
