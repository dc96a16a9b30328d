#include "store/spool/finish.hpp"

#include "store/spool/content.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t rows_at_once = 2000;

/// Deletes at most `budget` rows whose key begins with prefix; true: none is left.
bool drop(Write& write, Table table, std::string_view prefix, std::uint32_t& budget) {
  Cursor c = write.cursor(table);
  for (bool more = c.seek(prefix); more && c.at(prefix); more = c.next()) {
    if (budget == 0) return false;
    --budget;
    c.del(write);
  }
  return true;
}

bool drop_message(Write& write, Id id, std::uint32_t& budget) {
  const Key prefix = Key().u64(id);
  for (const Table table : {Table::head, Table::recipient, Table::done, Table::recipients, Table::request})
    if (!drop(write, table, prefix, budget)) return false;
  return true;
}

}  // namespace

void drop_content(Write& write, const MessageRow& message) {
  write.del(Table::head, Key().u64(message.id));
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

bool sweep_stage(Write& write, bool at_start) {
  std::uint32_t budget = rows_at_once;
  Key behind;
  for (;;) {
    std::string key;
    {
      Cursor c = write.cursor(Table::stage);
      if (!c.seek(behind)) return true;
      key = c.key();
    }
    behind = Key().raw(key).u8(0);
    KeyReader reader(key);
    const auto kind = static_cast<StageKind>(reader.u8());
    const Id id = reader.u64();
    bool done = false;
    switch (kind) {
      case StageKind::content:
      case StageKind::accept:
        if (!at_start) continue;
        [[fallthrough]];
      case StageKind::abandoned:
        done = drop_message(write, id, budget) && drop_chunks(write, id, budget);
        break;
      case StageKind::drop:
        done = drop_chunks(write, id, budget);
        break;
      case StageKind::rebuild:
        continue;  // whole.hpp goes on with it
      default:
        Unpacker({}, "stage").bad("names unknown work");
    }
    if (!done) return false;
    write.del(Table::stage, key);
  }
}

bool sweep_history(Write& write, TimePoint cutoff, Id& after) {
  std::uint32_t budget = rows_at_once;
  {
    Cursor c = write.cursor(Table::history);
    for (bool more = c.first(); more; more = c.next()) {
      if (KeyReader(c.key()).time() >= cutoff) break;
      if (budget-- == 0) return false;
      c.del(write);
    }
  }
  // Ids begin with the time of arrival: nothing behind the cutoff can have finished before it.
  const Id end = static_cast<Id>(std::max<std::int64_t>(cutoff.time_since_epoch().count(), 0)) << 22;
  while (after < end) {
    std::optional<MessageRow> message;
    {
      Cursor c = write.cursor(Table::finished);
      if (!c.seek(Key().u64(after + 1))) return true;
      message = unpack_message(KeyReader(c.key()).u64(), c.value());
    }
    if (message->id >= end) return true;
    if (message->finished < cutoff && message->report_at == TimePoint{}) {
      if (budget == 0 || !drop_message(write, message->id, budget)) return false;
      write.del(Table::finished, Key().u64(message->id));
      if (budget > 0) --budget;
    }
    after = message->id;
  }
  return true;
}

}  // namespace spoold::store::spool
