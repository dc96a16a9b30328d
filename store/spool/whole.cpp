// Whole messages: hold, release, retry, remove (edit.hpp). What makes them cheap: MessageRow's generation.
#include <algorithm>
#include <utility>

#include "protocol/mail/mailbox.hpp"
#include "store/spool/due.hpp"
#include "store/spool/edit.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/report.hpp"
#include "store/spool/work.hpp"

namespace spoold::store::spool {
namespace {

using Kind = Error::Kind;

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

namespace {

/// One release or retry, from where the last slice ended.
class Rebuilding {
 public:
  Rebuilding(Write& write, MessageRow& message, TimePoint at, bool also_held, const RouteOf& route)
      : write_(write),
        message_(message),
        at_(at),
        also_held_(also_held),
        route_(route),
        runs_(message.id, at, message.generation) {}

  /// The next numbers become due. True: those were the last.
  bool step() {
    const std::uint32_t first = message_.held_from;
    const std::uint32_t end = first + std::min(numbers_a_step, message_.numbers() - first);
    const Active claimed = active(write_, message_, first, end);
    Numbers numbers(write_, message_, first, end - first);
    each_original(write_, message_, first, end - first, [&](std::uint32_t number, const PageReader& at_page) {
      release(numbers, claimed, number, at_page.domain);
    });
    for (std::uint32_t number = std::max(first, message_.originals); number < end; ++number)
      if (const RecipientRow* row = numbers.row(number)) {
        const std::string address = row->address;
        release(numbers, claimed, number, domain_of(address));
      }
    message_.held_from = end;
    return end == message_.numbers();
  }

  void finish(std::vector<std::string>& routes) {
    runs_.finish(write_);
    for (const std::string& r : runs_.routes())
      if (std::find(routes.begin(), routes.end(), r) == routes.end()) routes.push_back(r);
  }

 private:
  void release(Numbers& numbers, const Active& claimed, std::uint32_t number, std::string_view domain) {
    if (numbers.finished(number)) return;
    if (!also_held_ && numbers.stored(number) == RecipientState::held) return;
    if (std::binary_search(claimed.numbers.begin(), claimed.numbers.end(), number)) return;
    if (numbers.row(number)) {
      RecipientRow row = numbers.row_or_new(number);
      if (row.state == RecipientState::held)
        row.state = row.attempts > 0 ? RecipientState::deferred : RecipientState::queued;
      row.next = at_;
      recount(message_, RecipientState::held, row.state);
      numbers.put(write_, number, std::move(row));
    } else {
      recount(message_, RecipientState::held, RecipientState::queued);
    }
    if (last_route_.empty() || domain != domain_) {
      domain_ = domain;
      last_route_ = route_(domain_);
    }
    runs_.add(write_, number, last_route_);
  }

  static constexpr std::uint32_t numbers_a_step = 512;
  Write& write_;
  MessageRow& message_;
  const TimePoint at_;
  const bool also_held_;  // those held one by one
  const RouteOf& route_;
  DueRuns runs_;
  std::string domain_, last_route_;
};

}  // namespace

void rebuild(Write& write, Id id, const RouteOf& route, std::vector<std::string>& routes,
             const Enough& enough) {
  const Key key = stage_key(StageKind::rebuild, id);
  const auto stage = write.get(Table::stage, key);
  if (!stage) return;
  Unpacker u(*stage, "stage", key);
  const auto generation = u.num32();
  const TimePoint at = u.time();
  const bool also_held = u.flag();
  auto message = find_message(write, id);
  if (!message || message->state != MessageState::held || message->generation != generation ||
      message->giving_up) {
    write.del(Table::stage, key);
    return;
  }
  came_now(*message, write.now());
  Rebuilding rebuilding(write, *message, at, also_held, route);
  bool all = false;
  do all = rebuilding.step();
  while (!all && !enough());
  rebuilding.finish(routes);
  if (all) {
    message->held_from = 0;
    message->state = MessageState::queued;
    warn_if_owed(write, *message);
    write.del(Table::stage, key);
  }
  if (!finish_if_done(write, *message)) put_message(write, *message);
}

Result<WholeResult> whole(Write& write, Id id, Whole what, const std::string& who, const RouteOf& route,
                          const Enough& enough) {
  auto message = find_message(write, id);
  if (!message) return fail(Kind::not_found, "there is no message " + id_text(id));
  if (message->state == MessageState::finished)
    return fail(Kind::conflict, "message " + id_text(id) + " is finished already");
  if (message->giving_up && what != Whole::remove)
    return fail(Kind::conflict,
                "message " + id_text(id) + " was removed; only what is on the wire is still open");
  if (what == Whole::retry && message->state == MessageState::held)
    return fail(Kind::conflict, "message " + id_text(id) + " is held: release it");
  WholeResult result;
  Active claimed = active(write, *message, 0, message->numbers());
  ++message->generation;
  if (what == Whole::remove) {
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
    const bool hold = what == Whole::hold;
    note(write, *message,
         hold                     ? "held"
         : what == Whole::release ? "released"
                                  : "edited",
         who,
         hold                     ? "hold"
         : what == Whole::release ? "release"
                                  : "retry");
    put_message(write, *message);
    if (!hold) {
      leave_work(write, stage_key(StageKind::rebuild, id),
                 Packer()
                     .num(message->generation)
                     .time(FreeTimes(write, id).from({}, write.now()))
                     .flag(what == Whole::release)
                     .bytes());
      rebuild(write, id, route, result.routes, enough);
    }
  }
  result.claimed = std::move(claimed.numbers);
  return result;
}

}  // namespace spoold::store::spool
