#include "server/admin/scan.hpp"

#include <algorithm>

#include "server/admin/interrupt.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {
constexpr std::size_t messages_at_once = 200;
constexpr std::size_t recipients_at_once = 1000;
constexpr std::size_t events_at_once = 5000;
}  // namespace

void for_each_message(const store::Store& store, const Filter& filter, TimePoint now, bool finished,
                      const std::function<bool(const store::Message&)>& each) {
  if (!filter.ids.empty()) {
    auto ids = filter.ids;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const store::Id id : ids) {
      unless_interrupted();
      const auto message = [&] {
        const store::Read read(store);
        return store::spool::message(read, id);
      }();
      if (message && filter.matches(*message, now) && !each(*message)) return;
    }
    return;
  }
  store::Id after = 0;
  while (true) {
    unless_interrupted();
    const auto page = [&] {
      const store::Read read(store);
      return store::spool::messages(read, after, messages_at_once, finished);
    }();
    if (page.empty()) return;
    for (const auto& message : page)
      if (filter.matches(message, now) && !each(message)) return;
    after = page.back().id;
  }
}

void for_each_page(const store::Store& store, store::Id id,
                   const std::function<bool(const std::vector<store::Recipient>&)>& each) {
  std::uint32_t from = 0;
  while (true) {
    unless_interrupted();
    const auto page = [&] {
      const store::Read read(store);
      return store::spool::recipients(read, id, from, recipients_at_once);
    }();
    if (page.empty() || !each(page)) return;
    from = page.back().number + 1;
    if (from == 0) return;
  }
}

void for_each_event(const store::Store& store, TimePoint from, TimePoint to, store::Id message,
                    const std::function<void(const std::vector<store::HistoryEvent>&)>& each) {
  std::string after;
  do {
    unless_interrupted();
    auto page = [&] {
      const store::Read read(store);
      return store::spool::history(read, from, to, message, events_at_once, after);
    }();
    if (!page.events.empty()) each(page.events);
    after = std::move(page.after);
  } while (!after.empty());
}

void for_each_history(const store::Store& store, const store::Message& message,
                      const std::function<void(const std::vector<store::HistoryEvent>&)>& each) {
  // The clock may have been set back in between; and what a report says of a finished message comes later.
  const TimePoint last = message.finished == TimePoint{} ? store.now() + std::chrono::hours(1)
                                                         : message.finished + std::chrono::hours(24);
  for_each_event(store, message.arrived - std::chrono::hours(1), last, message.id, each);
}

}  // namespace spoold::server::admin
