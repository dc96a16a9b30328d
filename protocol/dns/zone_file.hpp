// A master file (RFC 1035 5) in the place of the DNS: what `spoolctl ... --dns FILE` asks. Names are absolute where no
// $ORIGIN stands before them; any number of zones stands in one file, and nothing outside of it exists.
//
//   $SERVFAIL broken.example.     every question for that name fails, whatever records it has
//   $TIMEOUT slow.example.        is never answered
//
// Guarantees: answers as a resolver gives them: CNAME chains are followed (at most 16), a name that only has names below
// it exists and has no records (NODATA, RFC 8020), wildcards as in RFC 4592; records of a name keep the order of the file.
// Failures: parse() names the line and what is wrong with it. $INCLUDE is refused: nothing else is read.
//
// Records of other types than dns::Type only make their name exist.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/dns/records.hpp"

namespace spoold::dns {

class ZoneFile {
 public:
  struct Fault {
    std::size_t line = 0;
    std::string what;
  };

  static tl::expected<ZoneFile, Fault> parse(std::string_view text);

  Answer answer(const Question&) const;

 private:
  class Reader;
  using Name = std::vector<std::string>;  // labels in lower case, the leftmost first

  struct Node {
    std::map<std::uint16_t, std::vector<std::string>> records;  // RDATA by type
    std::optional<Name> alias;
    Duration ttl{};
  };

  void add(const Name& owner, std::uint16_t type, std::string rdata, Duration ttl);
  const Node* find(const Name&) const;

  std::map<Name, Node> nodes_;  // every name that exists
  std::map<Name, Answer::Status> failing_;
};

}  // namespace spoold::dns
