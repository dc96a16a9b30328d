#include "store/spool/check.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "store/broken.hpp"
#include "store/spool/content.hpp"
#include "store/spool/digest.hpp"
#include "store/spool/due.hpp"
#include "store/spool/mend.hpp"
#include "store/spool/moderation.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::size_t most_problems = 100;
constexpr std::uint32_t numbers_at_once = 8192;
constexpr std::uint64_t rows_at_once = 20'000;
constexpr std::array tables_of_messages{Table::recipients, Table::done,    Table::recipient,
                                        Table::head,       Table::request, Table::claim};

bool staged(const Read& read, Id id) {
  for (const StageKind kind : {StageKind::accept, StageKind::abandoned, StageKind::content, StageKind::drop})
    if (read.has(Table::stage, stage_key(kind, id))) return true;
  return false;
}

/// The spans that hold the number the walk stands at: numbers only grow, spans are sorted by their first one. A
/// recipient with a time of its own is covered by those of just that time, one without by all.
class Cover {
 public:
  explicit Cover(const std::vector<Span>& spans) : spans_(spans) {}

  void move_to(std::uint32_t number) {
    for (; next_ < spans_.size() && spans_[next_].first <= number; ++next_) {
      const Span& span = spans_[next_];
      if (span.end() <= number) continue;
      if (span.claim)
        claims_.push_back(next_);
      else
        begin_entry(span);
    }
    std::erase_if(claims_, [&](std::size_t i) { return spans_[i].end() <= number; });
    while (!ends_.empty() && ends_.begin()->first <= number) {
      const auto at = entries_.find(ends_.begin()->second);
      if (--at->second == 0) entries_.erase(at);
      --open_;
      ends_.erase(ends_.begin());
    }
  }
  std::size_t entries(const RecipientRow* row) const {
    if (!row) return open_;
    const auto at = entries_.find(row->next);
    return at == entries_.end() ? 0 : at->second;
  }
  /// Calls f(index of the span) for each claim.
  template <class F>
  void each_claim(const RecipientRow* row, F f) const {
    for (const std::size_t i : claims_)
      if (!row || row->next == spans_[i].at) f(i);
  }

 private:
  void begin_entry(const Span& span) {
    ++entries_[span.at];
    ++open_;
    ends_.emplace(span.end(), span.at);
  }

  const std::vector<Span>& spans_;
  std::size_t next_ = 0, open_ = 0;
  std::map<TimePoint, std::size_t> entries_;
  std::multimap<std::uint64_t, TimePoint> ends_;  // of these entries
  std::vector<std::size_t> claims_;               // few: what is on the wire around one number
};

/// All entries but those that cannot be read, which records() names.
template <class F>
void each_due(const Read& read, F f) {
  read.each(Table::due, {}, [&](auto key, auto value) {
    try {
      f(unpack_due(key, value));
    } catch (const Broken& broken) {
      if (broken.error.kind != Error::Kind::corrupt) throw;
    }
    return true;
  });
}

std::vector<Span> claims_of(const Read& read, Id message) {
  std::vector<Span> spans;
  read.each(Table::claim, Key().u64(message), [&](auto key, auto value) {
    const ClaimRow c = unpack_claim(key, value);
    spans.push_back({c.first, c.count, c.due, c.left, true});
    return true;
  });
  return spans;
}

}  // namespace

bool same(const Counts& a, const Counts& b) {
  return a.queued == b.queued && a.deferred == b.deferred && a.held == b.held && a.delivered == b.delivered &&
         a.failed == b.failed && a.expired == b.expired && a.removed == b.removed;
}

std::vector<Span> spans_of(const Read& read, const MessageRow& message) {
  std::vector<Span> spans = claims_of(read, message.id);
  each_due(read, [&](const DueRow& d) {
    if (d.message == message.id && d.generation == message.generation)
      spans.push_back({d.first, d.count, d.at, 0, false});
  });
  return spans;
}

Sum sum_of(const Read& read, MessageRow& message, std::vector<Span>& spans,
           const std::function<void(const std::string&)>& say) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.first < b.first; });
  Sum sum;
  sum.covered.resize(spans.size());
  Cover cover(spans);
  for (std::uint32_t first = 0; first < message.numbers(); first += numbers_at_once) {
    const std::uint32_t count = std::min(numbers_at_once, message.numbers() - first);
    const Numbers numbers(read, message, first, count);
    each_original(read, message, first, count, [](std::uint32_t, const PageReader&) {});  // each can be read
    for (std::uint32_t number = first; number < first + count; ++number) {
      const RecipientRow* row = numbers.row(number);
      if (number >= message.originals && (!row || row->address.empty())) say("lacks an added recipient");
      std::size_t entries = 0, claims = 0;
      cover.move_to(number);
      if (row ? is_waiting(row->state) : !numbers.done(number)) {
        entries = cover.entries(row);
        cover.each_claim(row, [&](std::size_t i) {
          ++claims;
          ++sum.covered[i];
        });
      }
      const RecipientState state = effective(message, number, numbers.stored(number), claims > 0);
      ++count_of(sum.counts, state);
      const std::size_t times = entries + claims;
      if (is_waiting(state) && times == 0) sum.uncovered.push_back(number);
      if (is_waiting(state) ? times != 1 : times > 0 && state != RecipientState::removed)
        say("recipient " + std::to_string(number) + " is " + text(state) +
            (is_waiting(state) ? " and covered " + std::to_string(times) + " times" : ", but still due"));
    }
  }
  return sum;
}

std::map<Id, std::uint32_t> count_references(const Read& read, const std::vector<Id>& contents) {
  std::map<Id, std::uint32_t> counts;
  for (const Id id : contents) counts[id] = 0;
  const auto count = [&](const MessageRow& message) {
    if (const auto at = counts.find(message.content); at != counts.end()) ++at->second;
  };
  read.each(Table::message, {}, [&](auto key, auto value) {
    count(unpack_message(KeyReader(key).u64(), value));
    return true;
  });
  read.each(Table::report, {}, [&](auto key, auto) {
    KeyReader k(key);
    k.time();
    const auto message = find_message(read, k.u64());
    if (message && message->state == MessageState::finished) count(*message);
    return true;
  });
  const auto waits = [&](Id, Id content) {
    if (const auto at = counts.find(content); at != counts.end()) ++at->second;
  };
  each_held_content(read, waits);
  each_digest_content(read, waits);
  return counts;
}

void Check::problem(Id id, const std::string& what) {
  if (report_.problems.size() < most_problems)
    report_.problems.push_back("message " + id_text(id) + " " + what);
}

bool Check::step(const Read& read) {
  bool more = false;
  try {
    switch (stage_) {
      case Stage::live:
        report_.due = read.entries(Table::due);
        report_.claims = read.entries(Table::claim);
        more = messages(read, Table::message);
        break;
      case Stage::finished:
        more = messages(read, Table::finished);
        break;
      case Stage::contents:
        more = contents(read);
        break;
      case Stage::again:
        again(read);
        break;
      case Stage::rows:
        more = rows(read);
        break;
      case Stage::records:
        more = records(read);
        break;
      case Stage::done:
        return false;
    }
  } catch (
      const Broken& broken) {  // a row that cannot be read: what this stage has not reached is not looked at
    report_.problems.push_back(broken.error.text);
  }
  if (!more) next_stage();
  return stage_ != Stage::done;
}

void Check::next_stage() {
  stage_ = report_.problems.size() >= most_problems ? Stage::done
                                                    : static_cast<Stage>(static_cast<int>(stage_) + 1);
  after_ = 0;
  table_ = 0;
  // A content that no message refers to was noted when its row was met; this is the other way round.
  if (stage_ == Stage::again)
    for (const auto& [id, used] : references_) doubtful_.push_back(id);
}

bool Check::messages(const Read& read, Table table) {
  std::vector<MessageRow> batch;
  std::map<Id, std::vector<Span>> spans;
  const std::uint64_t budget = std::max(rows_at_once, table == Table::message ? read.entries(Table::due) : 0);
  std::uint64_t looked_at = 0;
  bool more = false;
  Cursor c = read.cursor(table);
  for (more = c.seek(Key().u64(after_ + 1)); more && looked_at < budget; more = c.next()) {
    after_ = KeyReader(c.key()).u64();
    try {
      batch.push_back(unpack_message(after_, c.value()));
    } catch (const Broken& broken) {
      problem(after_, "cannot be read: " + broken.error.text);
      continue;
    }
    looked_at += 1 + batch.back().numbers();
    spans[after_] = claims_of(read, after_);
  }
  std::map<Id, std::uint32_t> generations;
  for (const MessageRow& message : batch) generations[message.id] = message.generation;
  if (table == Table::message)
    each_due(read, [&](const DueRow& d) {
      const auto generation = generations.find(d.message);
      if (generation != generations.end() && generation->second == d.generation)
        spans[d.message].push_back({d.first, d.count, d.at, 0, false});
    });
  for (MessageRow& message : batch) {
    try {
      one(read, message, std::move(spans[message.id]), table == Table::finished);
    } catch (const Broken& broken) {
      problem(message.id, "cannot be read: " + broken.error.text);
    }
    if (report_.problems.size() >= most_problems) return false;
  }
  return more;
}

void Check::one(const Read& read, MessageRow& message, std::vector<Span> spans, bool finished) {
  const auto say = [&](const std::string& what) { problem(message.id, what); };
  ++report_.messages;
  report_.recipients += message.numbers();
  if (finished != (message.state == MessageState::finished)) say("is in the table of another state");
  const bool to_report = message.report_at != TimePoint{};
  if (!finished || to_report) ++references_[message.content];
  if (to_report != read.has(Table::report, Key().time(message.report_at).u64(message.id)))
    say("has a report due, but not at its time");
  if (finished && std::any_of(spans.begin(), spans.end(), [](const Span& s) { return s.claim; }))
    say("is finished, but a claim covers some of it");
  const Sum sum = sum_of(read, message, spans, say);
  bool adds_up = same(sum.counts, message.counts);
  if (!adds_up) say("counts its recipients wrongly");
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (!spans[i].claim || sum.covered[i] == spans[i].left) continue;
    adds_up = false;
    say("a claim says that it covers " + std::to_string(spans[i].left) + ", but it is " +
        std::to_string(sum.covered[i]));
  }
  report_.open += sum.counts.open();
  if (!finished && sum.counts.open() == 0) {
    adds_up = false;
    say("has no open recipient, but is not finished");
  }
  if (finished && sum.counts.open() > 0) say("is finished with open recipients");
  if (!adds_up && !finished) report_.miscounted.push_back(message.id);
}

bool Check::contents(const Read& read) {
  std::uint64_t looked_at = 0;
  Cursor c = read.cursor(Table::content);
  bool more = c.seek(Key().u64(after_ + 1));
  while (more && looked_at < rows_at_once) {
    const Id id = after_ = KeyReader(c.key()).u64();
    const auto row = find_content(read, id);
    std::uint64_t octets = row ? row->tail.size() : 0;
    for (const Key prefix = Key().u64(id); more && c.at(prefix); more = c.next(), ++looked_at)
      if (c.key().size() > prefix.view().size()) octets += c.value().size();
    if (!row) {
      if (!staged(read, id)) problem(id, "(a content) has octets that nothing refers to");
      continue;
    }
    ++report_.contents;
    if (octets != row->size)
      problem(id,
              "(a content) has " + std::to_string(octets) + " octets, but says " + std::to_string(row->size));
    const auto counted = references_.find(id);
    if (counted == references_.end() || counted->second != row->references) doubtful_.push_back(id);
    if (counted != references_.end()) references_.erase(counted);
  }
  return more;
}

/// The last word on references: messages that finished or came since they were counted are no fault.
void Check::again(const Read& read) {
  references_.clear();
  each_held_content(read, [&](Id post, Id content) {
    if (!find_content(read, content)) problem(post, "is held for moderation, but its content is missing");
  });
  if (const std::uint64_t said = held_octets(read), sum = sum_of_held_octets(read); said != sum)
    report_.problems.push_back("the posts held for moderation have " + std::to_string(sum) +
                               " octets, but the store says " + std::to_string(said));
  each_digest_content(read, [&](Id post, Id content) {
    if (!find_content(read, content)) problem(post, "waits for a digest, but its content is missing");
  });
  if (doubtful_.empty()) return;
  for (const auto& [id, used] : count_references(read, doubtful_)) {
    const auto row = find_content(read, id);
    if (!row && used > 0)
      problem(id, "(a content) is missing, used by " + std::to_string(used) + " messages");
    if (!row || row->references == used) continue;
    problem(id, "(a content) is used by " + std::to_string(used) + " messages, but says " +
                    std::to_string(row->references));
    report_.miscounted_contents.push_back(id);
  }
  doubtful_.clear();
}

bool Check::rows(const Read& read) {
  const Table table = tables_of_messages[table_];
  Cursor c = read.cursor(table);
  bool more = c.seek(Key().u64(after_ + 1));
  for (std::uint64_t looked_at = 0; more && looked_at < rows_at_once; ++looked_at) {
    after_ = KeyReader(c.key()).u64();
    const Key key = Key().u64(after_);
    if (!read.has(Table::message, key) && !read.has(Table::finished, key) && !staged(read, after_))
      problem(after_, table == Table::claim ? "has a claim, but there is no such message"
                                            : std::string("does not exist, but has rows in table ") +
                                                  table_names[static_cast<std::size_t>(table)]);
    more = c.seek(Key().u64(after_ + 1));
  }
  if (more) return true;
  after_ = 0;
  return ++table_ < tables_of_messages.size();
}

/// Each row that can be mended is read once, also where a stage before stopped at one of them.
bool Check::records(const Read& read) {
  const Table table = mended_tables[table_];
  Cursor c = read.cursor(table);
  bool more = after_key_.empty() ? c.first() : c.seek(after_key_ + '\0');
  for (std::uint64_t looked_at = 0; more && looked_at < rows_at_once; ++looked_at, more = c.next()) {
    after_key_ = c.key();
    try {
      read_row(table, c.key(), c.value());
    } catch (const Broken& broken) {
      const std::string& text = broken.error.text;
      const auto named = [&text](const std::string& problem) {
        return problem.find(text) != std::string::npos;
      };
      if (std::none_of(report_.problems.begin(), report_.problems.end(), named))
        report_.problems.push_back(text);
      unreadable_.push_back(text);
      if (unreadable_.size() >= most_problems) return false;
    }
  }
  if (more) return true;
  after_key_.clear();
  return ++table_ < mended_tables.size();
}

CheckReport check(const Read& read) {
  Check check;
  while (check.step(read)) continue;
  return check.report();
}

}  // namespace spoold::store::spool
