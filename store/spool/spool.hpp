// What can be read of the spool inside one short Read. Writing goes through Store (store/store.hpp).
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/error.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {

class Read;

namespace spool {

std::optional<Message> message(const Read&, Id);
/// Up to `limit` messages with id > after, oldest first; finished ones only when asked for.
std::vector<Message> messages(const Read&, Id after, std::size_t limit, bool finished = false);
/// Up to `limit` recipients with number >= from, in number order, in every state (added ones included).
std::vector<Recipient> recipients(const Read&, Id, std::uint32_t from, std::size_t limit);
/// Recipients of a message by address key (an address can have several numbers after edits).
std::vector<Recipient> find_recipients(const Read&, Id, std::string_view address_key);

/// Octets [offset, offset + limit) of the message as it goes out; fewer only at its end (damage throws Broken).
std::string outgoing(const Read&, const Message&, std::uint64_t offset, std::size_t limit);
std::string head(const Read&, Id message);
/// Of a personalised message, in order.
std::vector<BlankAt> blanks(const Read&, Id message);
/// Octets of the content as received.
std::string content(const Read&, Id content, std::uint64_t offset, std::size_t limit);

struct DueRoute {
  std::string route;
  TimePoint earliest;
};
/// Every route that has due entries, with the earliest time: one seek a route.
std::vector<DueRoute> due_routes(const Read&);
std::optional<TimePoint> earliest_due(const Read&, std::string_view route);

/// Numbers of one message that wait on a route for a later time.
struct Later {
  TimePoint at{};
  Id message = 0;
  std::uint32_t first = 0, count = 0;
};
/// Up to `limit` of them behind `after`, in order of time, message and number.
std::vector<Later> later(const Read&, std::string_view route, const Later& after, std::size_t limit);
/// Those recipients of it, at most `limit` numbers on, that wait for just this.
std::vector<Recipient> waiting(const Read&, const Later&, std::size_t limit);

std::vector<Suspect> suspects(const Read&, std::string_view route);
std::optional<Suspect> suspect(const Read&, std::string_view route, std::string_view address_key);

/// What is remembered of the next hop of a route (protocol/delivery/memory.hpp).
std::optional<HostRow> host(const Read&, std::string_view route);
/// Up to `limit` of them behind the route `after`, in order of routes.
std::vector<HostRow> hosts(const Read&, const std::string& after, std::size_t limit);

using store::HistoryEvent;
struct HistoryPage {
  std::vector<HistoryEvent> events;
  std::string after;  // the place to go on with; empty: that was all
};
/// Events between two times behind the place `after`, oldest first; `message` 0: of all messages. Looks at no more
/// than `rows` rows, those of other messages included: a page may be empty, and not be the last.
HistoryPage history(const Read&, TimePoint from, TimePoint to, Id message, std::size_t rows,
                    std::string_view after = {});

struct CheckReport {
  std::uint64_t messages = 0, recipients = 0, open = 0, due = 0, claims = 0, contents = 0;
  std::vector<std::string> problems;  // one sentence each
  // What repair.hpp can mend: live messages and contents whose numbers do not add up.
  std::vector<Id> miscounted, miscounted_contents;
};
/// The invariants of the spool, all in one Read: for tests. Beside a daemon use Check (check.hpp).
CheckReport check(const Read&);

}  // namespace spool
}  // namespace spoold::store
