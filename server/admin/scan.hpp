// Walking the queue in pages, each in a short Read of its own (at most 5,000 rows): what a caller does with a
// row happens outside of any transaction, so it may write, wait or print. A walk sees each message at most
// once; what changes behind it meanwhile is not seen.
#pragma once
#include <functional>

#include "server/admin/filter.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

/// Called between two pages, never inside a Read. spoolctl ends there by a signal: it throws.
using BetweenPages = void (*)();
inline void go_on() {}

class Scan {
 public:
  explicit Scan(const store::Store& store, BetweenPages between = go_on) : store_(store), between_(between) {}

  /// Messages that the filter's message part matches, oldest first, until `each` answers false. Finished ones
  /// only when they are named by id, or `finished` asks for them.
  void messages(const Filter&, TimePoint now, bool finished,
                const std::function<bool(const store::Message&)>& each) const;

  /// All recipients of a message in number order, a page at a time, until `each` answers false.
  void recipients(store::Id, const std::function<bool(const std::vector<store::Recipient>&)>& each) const;

  using Events = std::function<void(const std::vector<store::HistoryEvent>&)>;
  /// What happened between two times, oldest first, in pages; `message` 0: to all messages. Pages without an
  /// event of the message are left out.
  void events(TimePoint from, TimePoint to, store::Id message, const Events& each) const;
  /// The history of one message: of its life, and of a day after it was finished.
  void history(const store::Message&, const Events& each) const;

 private:
  const store::Store& store_;
  const BetweenPages between_;
};

}  // namespace spoold::server::admin
