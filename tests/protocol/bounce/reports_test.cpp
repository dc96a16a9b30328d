// Reports in the words of many mail systems, data/reports.txt, each with what must be read from it.
#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "protocol/bounce/scan.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;

namespace {

std::string read(const std::string& mail) {
  std::set<std::string> permanent, temporary;
  for (const bounce::Failure& failure : bounce::scan(mail).failures)
    (failure.permanent ? permanent : temporary).insert(failure.address);
  std::string out;
  for (const auto& [kind, addresses] :
       {std::pair("permanent", &permanent), std::pair("temporary", &temporary)})
    if (!addresses->empty()) {
      out += std::string(out.empty() ? "" : " ") + kind;
      for (const std::string& address : *addresses) out += " " + address;
    }
  return out.empty() ? "none" : out;
}

}  // namespace

TEST_CASE("reports of many mail systems") {
  std::ifstream file(source_dir() + "/tests/protocol/bounce/data/reports.txt");
  std::string name, want, mail;
  std::size_t reports = 0;
  const auto judge = [&] {
    if (name.empty()) return;
    ++reports;
    CHECK_MESSAGE(read(mail) == want, name);
  };
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("=== ")) {
      mail += line + "\r\n";
      continue;
    }
    judge();
    const std::size_t bar = line.find(" | ");
    name = line.substr(4, bar - 4);
    want = line.substr(bar + 3);
    mail.clear();
  }
  judge();
  CHECK(reports > 50);
}
