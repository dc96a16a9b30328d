// The bar: of real bounces at least 97 of 100 are read exactly right, with CRLF and with LF alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "protocol/bounce/scan.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;

namespace {

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

std::string with_crlf(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' && (out.empty() || out.back() != '\r')) out += '\r';
    out += c;
  }
  return out;
}

struct Addresses {
  std::set<std::string> permanent, temporary;
  bool operator==(const Addresses&) const = default;
};

Addresses scanned(const std::string& mail) {
  Addresses found;
  for (const bounce::Failure& failure : bounce::scan(mail).failures)
    (failure.permanent ? found.permanent : found.temporary).insert(failure.address);
  return found;
}

}  // namespace

TEST_CASE("bounces: 97 of 100 real ones are read exactly right") {
  const std::string folder = source_dir() + "/tests/protocol/bounce/data/flufl/";
  const auto expected = nlohmann::json::parse(slurp(folder + "expected.json"));
  std::size_t right = 0;
  for (const auto& [name, answer] : expected.items()) {
    const Addresses want{answer["permanent"].get<std::set<std::string>>(),
                         answer["temporary"].get<std::set<std::string>>()};
    const std::string mail = slurp(folder + name);
    REQUIRE(!mail.empty());
    const Addresses got = scanned(with_crlf(mail));
    right += got == want;
    CHECK_MESSAGE(scanned(mail) == got, name << " with LF");
    if (got == want) continue;
    std::ostringstream words;
    for (const auto& a : got.permanent) words << " permanent " << a;
    for (const auto& a : got.temporary) words << " temporary " << a;
    MESSAGE("not exactly right: " << name << ":" << words.str());
  }
  CHECK(expected.size() == 113);
  CHECK(right * 100 >= expected.size() * 97);
}
