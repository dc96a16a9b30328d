#include "server/admin/scan.hpp"

#include <algorithm>

#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {
constexpr std::size_t messages_at_once = 200;
constexpr std::size_t recipients_at_once = 1000;
}  // namespace

void for_each_message(const store::Store& store, const Filter& filter, TimePoint now, bool finished,
                      const std::function<bool(const store::Message&)>& each) {
  if (!filter.ids.empty()) {
    auto ids = filter.ids;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const store::Id id : ids) {
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
    const auto page = [&] {
      const store::Read read(store);
      return store::spool::recipients(read, id, from, recipients_at_once);
    }();
    if (page.empty() || !each(page)) return;
    from = page.back().number + 1;
    if (from == 0) return;
  }
}

void for_each_history(const store::Store& store, const store::Message& message,
                      const std::function<void(const std::vector<store::HistoryEvent>&)>& each) {
  constexpr std::size_t events_at_once = 1000;
  for (TimePoint from = message.arrived - std::chrono::hours(1);;) {
    auto events = [&] {
      const store::Read read(store);
      return store::spool::history(read, from, store.now() + std::chrono::hours(1), message.id,
                                   events_at_once);
    }();
    const bool more = events.size() == events_at_once;
    if (more) {  // the next page begins with all events of the last millisecond, unless that is all there is
      const TimePoint last = events.back().at;
      const bool one_instant = events.front().at == last;
      if (!one_instant)
        events.erase(std::find_if(events.begin(), events.end(), [&](const auto& e) { return e.at == last; }),
                     events.end());
      from = one_instant ? last + Duration(1) : last;
    }
    each(events);
    if (!more) return;
  }
}

}  // namespace spoold::server::admin
