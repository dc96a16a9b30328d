// Reports that are no RFC 3464, as rows of one table: what opens the list of failed addresses, how a line of it shows an
// address, what ends it. The rows are tried in order; the first that finds an address decides. Behind them general rules
// read what any mail system might write. To know a further format: a row in formats.cpp, a sample in
// tests/protocol/bounce/data.
//
// Guarantees: linear in the notice times the rows; nothing is read of a message that speaks like a person unless it
// begins with the words of a report and did not come by a list.
#pragma once
#include "protocol/bounce/notice.hpp"
#include "protocol/bounce/scan.hpp"

namespace spoold::bounce {

Scan read_formats(const Notice&);

/// What has been found so far: each address once, no postmaster, at most failures_at_most.
class Found {
 public:
  explicit Found(const Notice& notice) : notice_(&notice) {}
  /// `line`: where it was found; the words there and below it are the diagnostic.
  void add(std::string address, bool permanent, std::size_t line);
  /// The same in place of the last one: "an undisclosed address (generated from anne@example.net)".
  void replace_last(std::string address, bool permanent, std::size_t line);
  /// Is it an address of the notice's own header?
  bool own(std::string_view address) const;
  bool empty() const { return failures_.empty(); }
  std::vector<Failure> take() { return std::move(failures_); }

 private:
  const Notice* notice_;
  std::vector<Failure> failures_;
  std::vector<std::string> keys_;
};

/// Does the notice say that nothing is lost yet: a warning, a delay?
bool only_delayed(const Notice&);

/// formats_general.cpp: any line that reads "<address>: reason", a heading with a list of addresses, a label before an
/// address, an SMTP dialogue, the only address that is named. Of daemons only.
Scan read_general(const Notice&);

}  // namespace spoold::bounce
