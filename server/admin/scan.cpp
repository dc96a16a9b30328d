#include "server/admin/scan.hpp"

#include <algorithm>

#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {
constexpr std::size_t messages_at_once = 200;
constexpr std::size_t recipients_at_once = 1000;
constexpr std::size_t events_at_once = 5000;
}  // namespace

void Scan::messages(const Filter& filter, TimePoint now, bool finished,
                    const std::function<bool(const store::Message&)>& each) const {
  if (!filter.ids.empty()) {
    auto ids = filter.ids;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const store::Id id : ids) {
      between_();
      const auto message = [&] {
        const store::Read read(store_);
        return store::spool::message(read, id);
      }();
      if (message && filter.matches(*message, now) && !each(*message)) return;
    }
    return;
  }
  store::Id after = 0;
  while (true) {
    between_();
    const auto page = [&] {
      const store::Read read(store_);
      return store::spool::messages(read, after, messages_at_once, finished);
    }();
    if (page.empty()) return;
    for (const auto& message : page)
      if (filter.matches(message, now) && !each(message)) return;
    after = page.back().id;
  }
}

void Scan::recipients(store::Id id,
                      const std::function<bool(const std::vector<store::Recipient>&)>& each) const {
  std::uint32_t from = 0;
  while (true) {
    between_();
    const auto page = [&] {
      const store::Read read(store_);
      return store::spool::recipients(read, id, from, recipients_at_once);
    }();
    if (page.empty() || !each(page)) return;
    from = page.back().number + 1;
    if (from == 0) return;
  }
}

void Scan::events(TimePoint from, TimePoint to, store::Id message, const Events& each) const {
  std::string after;
  do {
    between_();
    auto page = [&] {
      const store::Read read(store_);
      return store::spool::history(read, from, to, message, events_at_once, after);
    }();
    if (!page.events.empty()) each(page.events);
    after = std::move(page.after);
  } while (!after.empty());
}

void Scan::history(const store::Message& message, const Events& each) const {
  // The clock may have been set back in between; and what a report says of a finished message comes later.
  const TimePoint last = message.finished == TimePoint{} ? store_.now() + std::chrono::hours(1)
                                                         : message.finished + std::chrono::hours(24);
  events(message.arrived - std::chrono::hours(1), last, message.id, each);
}

}  // namespace spoold::server::admin
