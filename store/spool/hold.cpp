#include "store/spool/hold.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "store/spool/due.hpp"
#include "store/spool/history.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/work.hpp"

namespace spoold::store::spool {
namespace {

/// What is still to be held of a message on a route.
struct HoldRow {
  std::uint32_t generation = 0;
  LastReply why;
  std::string after;  // key of `due`: up to here is done
};

std::string pack(const HoldRow& row) {
  Packer p;
  p.num(row.generation);
  spool::pack(p, row.why);
  p.str(row.after);
  return p.take();
}

HoldRow unpack_hold(std::string_view key, std::string_view value) {
  Unpacker u(value, "stage", key);
  HoldRow row;
  row.generation = u.num32();
  row.why = unpack_reply(u);
  row.after = u.text();
  return row;
}

/// Up to `most` numbers of the entry become held; what is behind them stays due. How many numbers were looked at.
std::uint32_t hold_entry(Write& write, MessageRow& message, DueRow entry, std::uint32_t most,
                         const LastReply& why) {
  const std::uint32_t count = std::min(entry.count, most);
  write.del(Table::due, due_key(entry));
  Numbers numbers(write, message, entry.first, count);
  HistoryEvent event{.at = write.now(),
                     .message = message.id,
                     .event = "held",
                     .route = entry.route,
                     .who = {},
                     .recipients = {},
                     .last = why,
                     .address = {},
                     .detail = "its content seems to end connections",
                     .list = message.list};
  for (std::uint32_t number = entry.first; number - entry.first < count; ++number) {
    if (!numbers.covered_at(number, entry.at)) continue;
    RecipientRow row = numbers.row_or_new(number);
    recount(message, effective(message, number, row.state, false),
            effective(message, number, RecipientState::held, false));
    row.state = RecipientState::held;
    numbers.put(write, number, std::move(row));
    event.recipients.emplace_back(number, std::string());
  }
  if (!event.recipients.empty()) add_history(write, event);
  if (count < entry.count) {
    entry.first += count;
    entry.count -= count;
    put_due(write, entry);
  }
  return count;
}

Key hold_key(Id message, std::string_view route) {
  return stage_key(StageKind::hold, message).raw(route);
}

}  // namespace

void leave_hold(Write& write, const MessageRow& message, std::string_view route, const LastReply& why) {
  if (message.state == MessageState::finished || message.giving_up) return;
  const Key key = hold_key(message.id, route);
  if (const auto row = write.get(Table::stage, key))
    if (unpack_hold(key, *row).generation == message.generation) return;  // it goes on where it is
  leave_work(write, key, pack(HoldRow{message.generation, why, {}}));
}

void hold_some(Write& write, const std::string& key, const Enough& enough) {
  constexpr std::uint32_t numbers_a_step = 256;
  constexpr std::size_t entries_a_step = 1000;
  const auto value = write.get(Table::stage, key);
  if (!value) return;
  HoldRow row = unpack_hold(key, *value);
  auto message = find_message(write, stage_id(key));
  const Key prefix = Key().str(std::string_view(key).substr(hold_key(0, {}).view().size()));
  if (row.after.empty()) row.after = prefix.view();
  bool all = !message || message->state == MessageState::finished || message->giving_up ||
             message->generation != row.generation;
  const auto find = [&]() -> std::optional<DueRow> {  // or as many entries of others as are one step
    Cursor c = write.cursor(Table::due);
    bool more = c.seek(row.after);
    for (std::size_t seen = 0; more && c.at(prefix);
         more = c.next(), row.after = c.at(prefix) ? c.key() : row.after) {
      DueRow entry = unpack_due(c.key(), c.value());
      if (entry.message == message->id && entry.generation == message->generation) return entry;
      if (++seen == entries_a_step) return std::nullopt;
    }
    all = true;
    return std::nullopt;
  };
  while (!all) {
    if (auto entry = find()) {
      row.after = due_key(*entry).view();
      hold_entry(write, *message, std::move(*entry), numbers_a_step, row.why);
    }
    if (enough()) break;
  }
  if (message && message->state != MessageState::finished) put_message(write, *message);
  if (all)
    write.del(Table::stage, key);
  else
    write.put(Table::stage, key, pack(row));
}

}  // namespace spoold::store::spool
