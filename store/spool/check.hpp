// The invariants of the spool (store/README.md), looked at in pieces, each in a short Read of its own, so that a
// check may run beside a daemon. Guarantees: each finding about a message, the octets of a content or a
// row is true of one state of the store; a piece looks at 20,000 rows and recipients, or as many as there are due
// entries (they are in the order of time, so each batch of messages walks them once). References to contents are
// counted over many states: those that seem wrong are counted again, in one Read over the live messages.
// See also: repair.hpp.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "store/spool/numbers.hpp"
#include "store/spool/spool.hpp"

namespace spoold::store::spool {

/// Entries and claims of one message.
struct Span {
  std::uint32_t first = 0, count = 0;
  TimePoint at{};
  std::uint32_t left = 0;  // of a claim
  bool claim = false;
  std::uint64_t end() const { return std::uint64_t{first} + count; }
};

/// What a message's recipients add up to.
struct Sum {
  Counts counts;
  std::vector<std::uint32_t> covered;    // by each span
  std::vector<std::uint32_t> uncovered;  // waiting numbers that no span covers
};
/// Goes over all numbers once, whatever the number of spans. `spans` are sorted by it. `say` gets what is wrong with
/// a single recipient.
Sum sum_of(const Read&, MessageRow&, std::vector<Span>& spans,
           const std::function<void(const std::string&)>& say);
bool same(const Counts&, const Counts&);
/// Claims of the message, and its entries of `message.generation`; the latter by a walk over all of `due`.
std::vector<Span> spans_of(const Read&, const MessageRow&);
/// How many messages refer to each of these contents, live or with a report due; one walk over the live ones.
std::map<Id, std::uint32_t> count_references(const Read&, const std::vector<Id>& contents);

class Check {
 public:
  /// Looks at the next piece; false: that was the last one.
  bool step(const Read&);
  const CheckReport& report() const { return report_; }
  /// Rows that mend.hpp can mend: what is wrong with each.
  const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  enum class Stage { live, finished, contents, again, rows, records, done };
  void problem(Id id, const std::string& what);
  bool messages(const Read&, Table);
  void one(const Read&, MessageRow&, std::vector<Span> spans, bool finished);
  bool contents(const Read&);
  void again(const Read&);
  bool rows(const Read&);
  bool records(const Read&);
  void next_stage();

  CheckReport report_;
  Stage stage_ = Stage::live;
  Id after_ = 0;           // of messages, contents, rows
  std::size_t table_ = 0;  // of rows, records
  std::string after_key_;  // of records
  std::vector<std::string> unreadable_;
  std::map<Id, std::uint32_t> references_;
  std::vector<Id> doubtful_;  // contents whose references seem wrong
};

}  // namespace spoold::store::spool
