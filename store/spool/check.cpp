// The invariants of the spool (spool.hpp): every open recipient is covered by exactly one due entry or claim,
// counts are right, contents are referenced as often as they say, nothing points to nowhere.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "store/broken.hpp"
#include "store/spool/content.hpp"
#include "store/spool/due.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/spool.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::size_t most_problems = 100;
constexpr std::uint32_t numbers_at_once = 8192;

struct Span {
  std::uint32_t first, count;
  TimePoint at;
  std::uint32_t left;  // of a claim
  bool claim;
};

class Check {
 public:
  explicit Check(const Read& read) : read_(read) {}

  CheckReport run() {
    collect();
    for (const Table table : {Table::message, Table::finished})
      read_.each(table, {}, [&](auto key, auto value) {
        MessageRow message = unpack_message(KeyReader(key).u64(), value);
        one(message, table == Table::finished);
        return report_.problems.size() < most_problems;
      });
    for (const auto& [id, spans] : spans_)
      if (!seen_.contains(id) && !staged(id))
        for (const Span& s : spans)
          if (s.claim) problem(id, "has a claim, but there is no such message");
    contents();
    rows_without_message();
    std::string after;
    for (auto page = hosts(read_, after, numbers_at_once); !page.empty();
         page = hosts(read_, after, numbers_at_once))
      after = page.back().route;  // each was unpacked
    return std::move(report_);
  }

 private:
  void problem(Id id, const std::string& what) {
    if (report_.problems.size() < most_problems)
      report_.problems.push_back("message " + id_text(id) + " " + what);
  }

  bool staged(Id id) const {
    for (const StageKind kind :
         {StageKind::accept, StageKind::abandoned, StageKind::content, StageKind::drop})
      if (read_.has(Table::stage, stage_key(kind, id))) return true;
    return false;
  }

  void collect() {
    read_.each(Table::due, {}, [&](auto key, auto value) {
      const DueRow d = unpack_due(key, value);
      ++report_.due;
      due_[d.message].emplace_back(d.generation, Span{d.first, d.count, d.at, 0, false});
      return true;
    });
    read_.each(Table::claim, {}, [&](auto key, auto value) {
      const ClaimRow c = unpack_claim(key, value);
      ++report_.claims;
      spans_[c.message].push_back({c.first, c.count, c.due, c.left, true});
      return true;
    });
  }

  void one(MessageRow& message, bool finished) {
    ++report_.messages;
    seen_.insert(message.id);
    report_.recipients += message.numbers();
    if (finished != (message.state == MessageState::finished))
      problem(message.id, "is in the table of another state");
    const bool to_report = message.report_at != TimePoint{};
    if (!finished || to_report) ++references_[message.content];
    if (to_report != read_.has(Table::report, Key().time(message.report_at).u64(message.id)))
      problem(message.id, "has a report due, but not at its time");
    std::vector<Span> spans = spans_[message.id];
    for (const auto& [generation, span] : due_[message.id])
      if (generation == message.generation) spans.push_back(span);
    if (finished)
      for (const Span& s : spans)
        if (s.claim) problem(message.id, "is finished, but a claim covers some of it");
    std::vector<std::uint32_t> covered_by(spans.size());
    Counts counts;
    std::vector<std::uint8_t> cover;
    for (std::uint32_t first = 0; first < message.numbers(); first += numbers_at_once) {
      const std::uint32_t count = std::min(numbers_at_once, message.numbers() - first);
      const Numbers numbers(read_, message, first, count);
      std::uint32_t listed = 0;
      each_original(read_, message, first, count, [&](std::uint32_t, const PageReader&) { ++listed; });
      for (std::uint32_t number = first; number < first + count; ++number) {
        const RecipientRow* row = numbers.row(number);
        if (number >= message.originals && (!row || row->address.empty()))
          problem(message.id, "lacks an added recipient");
        std::size_t due = 0, claims = 0;
        for (std::size_t i = 0; i < spans.size(); ++i)
          if (number - spans[i].first < spans[i].count && numbers.covered_at(number, spans[i].at)) {
            ++(spans[i].claim ? claims : due);
            ++covered_by[i];
          }
        const RecipientState state = effective(message, number, numbers.stored(number), claims > 0);
        ++count_of(counts, state);
        const bool to_go = state == RecipientState::queued || state == RecipientState::deferred;
        if (to_go && due + claims != 1)
          problem(message.id, "recipient " + std::to_string(number) + " is " + text(state) + " and covered " +
                                  std::to_string(due + claims) + " times");
        if (!to_go && due + claims > 0 && state != RecipientState::removed)
          problem(message.id,
                  "recipient " + std::to_string(number) + " is " + text(state) + ", but still due");
      }
    }
    for (std::size_t i = 0; i < spans.size(); ++i)
      if (spans[i].claim && covered_by[i] != spans[i].left)
        problem(message.id, "a claim says that it covers " + std::to_string(spans[i].left) + ", but it is " +
                                std::to_string(covered_by[i]));
    report_.open += counts.open();
    const Counts& c = message.counts;
    if (counts.queued != c.queued || counts.deferred != c.deferred || counts.held != c.held ||
        counts.delivered != c.delivered || counts.failed != c.failed || counts.expired != c.expired ||
        counts.removed != c.removed)
      problem(message.id, "counts its recipients wrongly");
    if (!finished && c.open() == 0) problem(message.id, "has no open recipient, but is not finished");
    if (finished && c.open() > 0) problem(message.id, "is finished with open recipients");
  }

  void contents() {
    std::map<Id, ContentRow> rows;
    std::map<Id, std::uint64_t> octets;  // in chunks
    read_.each(Table::content, {}, [&](auto key, auto value) {
      KeyReader k(key);
      const Id id = k.u64();
      if (!k.rest().empty()) {
        octets[id] += value.size();
        return true;
      }
      rows[id] = *find_content(read_, id);
      ++report_.contents;
      return true;
    });
    for (const auto& [id, row] : rows) {
      const auto at = references_.find(id);
      const std::uint32_t used = at == references_.end() ? 0 : at->second;
      if (used != row.references)
        problem(id, "(a content) is used by " + std::to_string(used) + " messages, but says " +
                        std::to_string(row.references));
      const std::uint64_t there = octets[id] + row.tail.size();
      if (there != row.size)
        problem(id,
                "(a content) has " + std::to_string(there) + " octets, but says " + std::to_string(row.size));
    }
    for (const auto& [id, used] : references_)
      if (!rows.contains(id))
        problem(id, "(a content) is missing, used by " + std::to_string(used) + " messages");
    for (const auto& [id, chunks] : octets)
      if (!rows.contains(id) && !staged(id)) problem(id, "(a content) has octets that nothing refers to");
  }

  void rows_without_message() {
    for (const Table table :
         {Table::recipients, Table::done, Table::recipient, Table::head, Table::request}) {
      Id last = 0;
      read_.each(table, {}, [&](auto key, auto) {
        const Id id = KeyReader(key).u64();
        if (id != last && !seen_.contains(id) && !staged(id)) problem(id, "does not exist, but has rows");
        last = id;
        return report_.problems.size() < most_problems;
      });
    }
  }

  const Read& read_;
  CheckReport report_;
  std::map<Id, std::vector<std::pair<std::uint32_t, Span>>> due_;
  std::map<Id, std::vector<Span>> spans_;
  std::map<Id, std::uint32_t> references_;
  std::set<Id> seen_;
};

}  // namespace

CheckReport check(const Read& read) {
  try {
    return Check(read).run();
  } catch (const Broken& broken) {
    CheckReport report;
    report.problems.push_back(broken.error.text);
    return report;
  }
}

}  // namespace spoold::store::spool
