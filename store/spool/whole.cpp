// Whole messages: hold, release, retry, remove (edit.hpp). What makes them cheap: MessageRow's generation.
#include <algorithm>
#include <utility>

#include "store/spool/due.hpp"
#include "store/spool/edit.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/report.hpp"

namespace spoold::store::spool {
namespace {

using Kind = Error::Kind;
constexpr std::uint32_t rebuilt_at_once = 5000;

struct Active {
  std::vector<std::uint32_t> numbers;
  std::uint32_t queued = 0, deferred = 0;
};

/// The recipients of the message that claims cover.
Active active(const Read& read, MessageRow& message, std::uint32_t first, std::uint32_t end) {
  Active out;
  const std::uint32_t before = first - std::min(first, longest_claim);
  for (const ClaimRow& claim : claims_from(read, message.id, before, end)) {
    const std::uint32_t from = std::max(first, claim.first), to = std::min(end, claim.first + claim.count);
    if (from >= to) continue;
    const Numbers numbers(read, message, from, to - from);
    for (std::uint32_t number = from; number < to; ++number) {
      if (!numbers.covered_at(number, claim.due)) continue;
      out.numbers.push_back(number);
      ++(numbers.stored(number) == RecipientState::deferred ? out.deferred : out.queued);
    }
  }
  std::sort(out.numbers.begin(), out.numbers.end());  // ranges may overlap
  return out;
}

/// Every open recipient that no claim covers counts as `as` from now on.
void overlay(MessageRow& message, const Active& active, RecipientState as) {
  Counts& c = message.counts;
  const std::uint32_t moved = c.open() - static_cast<std::uint32_t>(active.numbers.size());
  c.queued = active.queued;
  c.deferred = active.deferred;
  c.held = 0;
  count_of(c, as) += moved;
}

void note(Write& write, const MessageRow& message, const char* event, const std::string& who,
          const char* detail) {
  HistoryEvent e;
  e.at = write.now();
  e.message = message.id;
  e.event = event;
  e.who = who;
  e.list = message.list;
  e.detail = detail;
  add_history(write, e);
}

}  // namespace

bool rebuild(Write& write, Id id, const RouteOf& route, std::vector<std::string>& routes) {
  const auto stage = write.get(Table::stage, stage_key(StageKind::rebuild, id));
  if (!stage) return true;
  Unpacker u(*stage, "stage");
  const auto generation = u.num32();
  const TimePoint at = u.time();
  const bool also_held = u.flag();  // those held one by one
  auto message = find_message(write, id);
  if (!message || message->state != MessageState::held || message->generation != generation ||
      message->giving_up) {
    write.del(Table::stage, stage_key(StageKind::rebuild, id));
    return true;
  }
  const std::uint32_t first = message->held_from;
  const std::uint32_t end = first + std::min(rebuilt_at_once, message->numbers() - first);
  const Active claimed = active(write, *message, first, end);
  Numbers numbers(write, *message, first, end - first);
  std::size_t next_claimed = 0;
  DueRuns runs(id, at, generation);
  std::string domain, last_route;
  const auto release = [&](std::uint32_t number, std::string_view recipient_domain) {
    if (numbers.finished(number)) return;
    if (!also_held && numbers.stored(number) == RecipientState::held) return;
    while (next_claimed < claimed.numbers.size() && claimed.numbers[next_claimed] < number) ++next_claimed;
    if (next_claimed < claimed.numbers.size() && claimed.numbers[next_claimed] == number) return;
    if (numbers.row(number)) {
      RecipientRow row = numbers.row_or_new(number);
      if (row.state == RecipientState::held)
        row.state = row.attempts > 0 ? RecipientState::deferred : RecipientState::queued;
      row.next = at;
      recount(message->counts, RecipientState::held, row.state);
      numbers.put(write, number, std::move(row));
    } else {
      recount(message->counts, RecipientState::held, RecipientState::queued);
    }
    if (last_route.empty() || recipient_domain != domain) {
      domain = recipient_domain;
      last_route = route(domain);
    }
    runs.add(write, number, last_route);
  };
  each_original(write, *message, first, end - first,
                [&](std::uint32_t number, const PageReader& at_page) { release(number, at_page.domain); });
  for (std::uint32_t number = std::max(first, message->originals); number < end; ++number)
    if (const RecipientRow* row = numbers.row(number)) {
      const std::string address = row->address;
      const auto sign = address.rfind('@');
      release(number,
              sign == std::string::npos ? std::string_view{} : std::string_view(address).substr(sign + 1));
    }
  runs.finish(write);
  for (const std::string& r : runs.routes())
    if (std::find(routes.begin(), routes.end(), r) == routes.end()) routes.push_back(r);
  message->held_from = end;
  const bool done = end == message->numbers();
  if (done) {
    message->held_from = 0;
    message->state = MessageState::queued;
    warn_if_owed(write, *message);
    write.del(Table::stage, stage_key(StageKind::rebuild, id));
  }
  if (!finish_if_done(write, *message)) put_message(write, *message);
  return done;
}

Result<WholeResult> whole(Write& write, Id id, Store::Whole what, const std::string& who,
                          const RouteOf& route) {
  auto message = find_message(write, id);
  if (!message) return fail(Kind::not_found, "there is no message " + id_text(id));
  if (message->state == MessageState::finished)
    return fail(Kind::conflict, "message " + id_text(id) + " is finished already");
  if (message->giving_up && what != Store::Whole::remove)
    return fail(Kind::conflict,
                "message " + id_text(id) + " was removed; only what is on the wire is still open");
  if (what == Store::Whole::retry && message->state == MessageState::held)
    return fail(Kind::conflict, "message " + id_text(id) + " is held: release it");
  WholeResult result;
  Active claimed = active(write, *message, 0, message->numbers());
  ++message->generation;
  if (what == Store::Whole::remove) {
    overlay(*message, claimed, RecipientState::removed);
    message->giving_up = true;
    message->state = MessageState::queued;  // of what is still on the wire
    message->held_from = 0;
    note(write, *message, "edited", who, "remove");
    if (!finish_if_done(write, *message)) put_message(write, *message);
  } else {
    overlay(*message, claimed, RecipientState::held);
    message->state = MessageState::held;
    message->held_from = 0;
    const bool hold = what == Store::Whole::hold;
    note(write, *message,
         hold                            ? "held"
         : what == Store::Whole::release ? "released"
                                         : "edited",
         who,
         hold                            ? "hold"
         : what == Store::Whole::release ? "release"
                                         : "retry");
    put_message(write, *message);
    if (!hold) {
      write.put(Table::stage, stage_key(StageKind::rebuild, id),
                Packer()
                    .num(message->generation)
                    .time(free_time(write, {}, write.now(), id, write.now()))
                    .flag(what == Store::Whole::release)
                    .bytes());
      result.rebuilding = !rebuild(write, id, route, result.routes);
    }
  }
  result.claimed = std::move(claimed.numbers);
  return result;
}

std::vector<Id> unfinished_rebuilds(const Read& read) {
  std::vector<Id> out;
  read.each(Table::stage, Key().u8(static_cast<std::uint8_t>(StageKind::rebuild)), [&](auto key, auto) {
    KeyReader k(key);
    k.u8();
    return out.push_back(k.u64()), true;
  });
  return out;
}

}  // namespace spoold::store::spool
