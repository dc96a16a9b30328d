// Reports in the words of many mail systems, data/reports.txt, each with what must be read from it.
#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "protocol/bounce/returned.hpp"
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

TEST_CASE("the header of the copy that a report returns") {
  const auto report = [](const std::string& part) {
    return "From: MAILER-DAEMON@a.example\r\nContent-Type: multipart/report; "
           "boundary=b\r\n\r\n--b\r\n\r\ngone\r\n--b\r\n" +
           part + "\r\n--b--\r\n";
  };
  const std::string copy = "Subject: x\r\n y\r\nTo: z\r\n";
  CHECK(bounce::returned_header(report("Content-Type: text/rfc822-headers\r\n\r\n" + copy)) == copy);
  CHECK(bounce::returned_header(report("Content-Type: message/rfc822\r\n\r\n" + copy + "\r\nbody\r\n")) ==
        copy);
  CHECK(bounce::returned_header(report("Content-Type: message/rfc822\r\n\r\nSubject: outer\r\nContent-Type: "
                                       "message/rfc822\r\n\r\n" +
                                       copy + "\r\n")) ==
        "Subject: outer\r\nContent-Type: message/rfc822\r\n");
  CHECK(bounce::returned_header(report("Content-Type: text/plain\r\n\r\n" + copy)).empty());
  CHECK(bounce::returned_header(copy).empty());
}
