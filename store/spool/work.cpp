#include "store/spool/work.hpp"

#include <optional>

#include "store/spool/content.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/hold.hpp"
#include "store/spool/reroute.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t rows_a_step = 32;

/// The first row behind `after` of work that somebody waits for.
std::optional<std::string> next_wanted(const Read& read, const std::string& after) {
  for (const StageKind kind : {StageKind::rebuild, StageKind::hold}) {
    const Key prefix = Key().u8(static_cast<std::uint8_t>(kind));
    Cursor c = read.cursor(Table::stage);
    const std::string from = std::max(after + '\0', std::string(prefix.view()));
    if (c.seek(from) && c.at(prefix)) return std::string(c.key());
  }
  return std::nullopt;
}

/// Rebuilds and holds, a slice of one of them. False: there is none.
bool serve(Write& write, Backlog& backlog, const RouteOf& route, const Enough& enough) {
  auto key = next_wanted(write, backlog.served);
  if (!key) key = next_wanted(write, {});
  if (!key) return false;
  if (stage_kind(*key) == StageKind::rebuild)
    rebuild(write, stage_id(*key), route, backlog.routes, enough);
  else
    hold_some(write, *key, enough);
  backlog.served = std::move(*key);
  return true;
}

/// Drops some rows of what this row of `stage` names; true: nothing is left of it.
bool drop_some(Write& write, StageKind kind, Id id) {
  std::uint32_t budget = rows_a_step;
  if (kind != StageKind::drop && !drop_message(write, id, budget)) return false;
  return drop_chunks(write, id, budget);
}

}  // namespace

void leave_work(Write& write, std::string_view key, std::string_view value) {
  write.put(Table::stage, key, value);
  write.leaves_work();
}

bool do_work(Write& write, Backlog& backlog, const RouteOf& route, const Enough& enough) {
  backlog.routes.clear();
  if (backlog.recall.exchange(false)) backlog.recalling.emplace();
  backlog.recalled = backlog.recalling;
  while (serve(write, backlog, route, enough))
    if (enough()) return false;
  if (backlog.recalled) {
    const TimePoint latest = write.now() + backlog.longest_wait;
    if (!recall(write, latest, *backlog.recalled, route, backlog.routes, enough)) return false;
    backlog.recalled.reset();
  }
  for (const auto kind : {StageKind::abandoned, StageKind::drop, StageKind::accept, StageKind::content}) {
    const bool cut_off = kind == StageKind::accept || kind == StageKind::content;
    for (;;) {
      Id id = 0;
      {
        Cursor c = write.cursor(Table::stage);
        const Key prefix = Key().u8(static_cast<std::uint8_t>(kind));
        if (!c.seek(prefix) || !c.at(prefix)) break;
        id = stage_id(c.key());
      }
      if (cut_off && id >= backlog.first_new) break;
      if (drop_some(write, kind, id)) write.del(Table::stage, stage_key(kind, id));
      if (enough()) return false;
    }
  }
  return true;
}

}  // namespace spoold::store::spool
