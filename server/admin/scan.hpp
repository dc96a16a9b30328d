// Walking the queue in pages, each in a short Read of its own (at most 5,000 rows): what a caller does with a
// row happens outside of any transaction, so it may write, wait or print. A walk sees each message at most
// once; what changes behind it meanwhile is not seen.
#pragma once
#include <functional>

#include "server/admin/filter.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

/// Messages that the filter's message part matches, oldest first, until `each` answers false. Finished ones
/// only when they are named by id, or `finished` asks for them.
void for_each_message(const store::Store&, const Filter&, TimePoint now, bool finished,
                      const std::function<bool(const store::Message&)>& each);

/// All recipients of a message in number order, a page at a time, until `each` answers false.
void for_each_page(const store::Store&, store::Id,
                   const std::function<bool(const std::vector<store::Recipient>&)>& each);

/// What happened between two times, oldest first, in pages; `message` 0: to all messages. Pages without an event of
/// the message are left out.
void for_each_event(const store::Store&, TimePoint from, TimePoint to, store::Id message,
                    const std::function<void(const std::vector<store::HistoryEvent>&)>& each);
/// The history of one message: of its life, and of a day after it was finished.
void for_each_history(const store::Store&, const store::Message&,
                      const std::function<void(const std::vector<store::HistoryEvent>&)>& each);

}  // namespace spoold::server::admin
