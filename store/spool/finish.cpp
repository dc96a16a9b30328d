#include "store/spool/finish.hpp"

#include <optional>

#include "store/spool/content.hpp"
#include "store/spool/own_mail.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t rows_a_step = 64;

/// Deletes rows whose key begins with prefix, at most `budget`, which it takes them off; true: none is left.
bool drop(Write& write, Table table, std::string_view prefix, std::uint32_t& budget) {
  Cursor c = write.cursor(table);
  for (bool more = c.seek(prefix); more && c.at(prefix); more = c.next()) {
    if (budget == 0) return false;
    --budget;
    c.del(write);
  }
  return true;
}

}  // namespace

bool drop_message(Write& write, Id id, std::uint32_t& budget) {
  const Key prefix = Key().u64(id);
  for (const Table table : {Table::head, Table::recipient, Table::done, Table::recipients, Table::request})
    if (!drop(write, table, prefix, budget)) return false;
  return true;
}

void drop_content(Write& write, const MessageRow& message) {
  if (!keeps_its_text(write, message)) write.del(Table::head, Key().u64(message.id));
  release_content(write, message.content);
}

bool finish_if_done(Write& write, MessageRow& message) {
  if (message.counts.open() > 0) return false;
  write.del(Table::message, Key().u64(message.id));
  if (message.report_at == TimePoint{}) drop_content(write, message);
  message.state = MessageState::finished;
  message.finished = write.now();
  put_message(write, message);
  return true;
}

bool sweep_history(Write& write, TimePoint cutoff, const Enough& enough) {
  for (;;) {
    Cursor c = write.cursor(Table::history);
    std::uint32_t budget = rows_a_step;
    for (bool more = c.first();; more = c.next(), --budget) {
      if (!more || KeyReader(c.key()).time() >= cutoff) return true;
      if (budget == 0) break;
      c.del(write);
    }
    if (enough()) return false;
  }
}

bool sweep_finished(Write& write, TimePoint cutoff, Id& after, const Enough& enough) {
  const auto next = [&]() -> std::optional<MessageRow> {
    Cursor c = write.cursor(Table::finished);
    if (after == ~Id{0} || !c.seek(Key().u64(after + 1))) return std::nullopt;
    return unpack_message(KeyReader(c.key()).u64(), c.value());
  };
  for (unsigned looked = 1; auto message = next(); ++looked) {
    // Ids are in the order of arrival: from the first one on that came after the cutoff, none can have finished
    // before it. What came while the clock was ahead says nothing about those behind it.
    const bool ahead = message->arrived > write.now() + clock_slack;
    if (!ahead && message->arrived >= cutoff) return true;
    bool gone = true;
    if (message->finished > write.now() + clock_slack) {
      message->finished = write.now();
      put_message(write, *message);
    } else if (message->finished < cutoff && message->report_at == TimePoint{}) {
      std::uint32_t budget = rows_a_step;
      gone = drop_message(write, message->id, budget);
      if (gone) write.del(Table::finished, Key().u64(message->id));
    }
    if (gone) after = message->id;
    if (looked % 8 == 0 && enough()) return false;
  }
  return true;
}

}  // namespace spoold::store::spool
