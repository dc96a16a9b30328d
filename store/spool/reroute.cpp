#include "store/spool/reroute.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "protocol/mail/mailbox.hpp"
#include "store/spool/due.hpp"
#include "store/spool/numbers.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t numbers_a_step = 512;
constexpr unsigned entries_a_step = 16;

/// Writes the entry's recipients under the routes that they have now, due at `wished`.
void move(Write& write, const DueRow& entry, TimePoint wished, const RouteOf& route_of,
          std::vector<std::string>& routes) {
  write.del(Table::due, due_key(entry));
  auto message = find_message(write, entry.message);
  if (!message || message->state == MessageState::finished || message->generation != entry.generation) return;
  if (came_now(*message, write.now())) put_message(write, *message);
  Numbers numbers(write, *message, entry.first, entry.count);
  FreeTimes free(write, entry.message);
  struct Way {
    TimePoint at;
    DueRuns runs;
  };
  std::map<std::string, Way> ways;
  std::string domain, route;
  const auto add = [&](std::uint32_t number, std::string_view its_domain) {
    if (!numbers.covered_at(number, entry.at)) return;
    if (route.empty() || its_domain != domain) {
      domain = its_domain;
      route = route_of(domain);
    }
    auto way = ways.find(route);
    if (way == ways.end()) {
      const TimePoint at = free.from(route, wished);
      way = ways.emplace(route, Way{at, DueRuns(entry.message, at, entry.generation)}).first;
    }
    way->second.runs.add(write, number, route);
    if (numbers.row(number) && way->second.at != entry.at) {
      RecipientRow row = numbers.row_or_new(number);
      row.next = way->second.at;
      numbers.put(write, number, std::move(row));
    }
  };
  each_original(write, *message, entry.first, entry.count,
                [&](std::uint32_t number, const PageReader& at) { add(number, at.domain); });
  const std::uint32_t end = entry.first + std::min(entry.count, message->numbers() - entry.first);
  for (std::uint32_t number = std::max(entry.first, message->originals); number < end; ++number)
    if (const RecipientRow* row = numbers.row(number)) {
      const std::string address = row->address;
      add(number, domain_of(address));
    }
  for (auto& [name, way] : ways) {
    way.runs.finish(write);
    if (std::find(routes.begin(), routes.end(), name) == routes.end()) routes.push_back(name);
  }
}

}  // namespace

bool reroute(Write& write, const std::string& route, std::string& after, const RouteOf& route_of,
             std::vector<std::string>& routes, const Enough& enough) {
  const std::string prefix(Key().str(route).view());
  std::uint32_t numbers = 0;  // since enough() was asked
  for (unsigned looked = 0;; ++looked) {
    if (numbers >= numbers_a_step || looked == entries_a_step) {
      if (enough()) return false;
      numbers = looked = 0;
    }
    DueRow entry;
    {
      Cursor c = write.cursor(Table::due);
      if (!c.seek(after.empty() ? prefix : after + '\0') || !c.at(prefix)) return true;
      after = c.key();
      entry = unpack_due(c.key(), c.value());
    }
    // Of a message that is still being accepted in slices: it was routed by the configuration of now.
    if (!find_message(write, entry.message)) continue;
    DueRow rest = entry;
    entry.count = std::min(entry.count, numbers_a_step);
    rest.first += entry.count;
    rest.count -= entry.count;
    if (rest.count > 0) put_due(write, rest);  // the next one met
    numbers += entry.count;
    move(write, entry, entry.at, route_of, routes);
  }
}

bool due_behind(const Read& read, std::string_view route, TimePoint latest) {
  Cursor c = read.cursor(Table::due);
  return c.seek(Key().str(route).time(latest + Duration(1))) && c.at(Key().str(route));
}

bool recall(Write& write, TimePoint latest, std::string& place, const RouteOf& route_of,
            std::vector<std::string>& routes, const Enough& enough) {
  do {
    DueRow far;
    {
      Cursor c = write.cursor(Table::due);
      if (!c.seek(place)) return true;
      far = unpack_due(c.key(), c.value());
      const Key route = Key().str(far.route);
      if (far.at <= latest) {
        if (!c.seek(Key(route).time(latest + Duration(1))) || !c.at(route)) {
          place = route.view();
          place.back() = '\x01';  // behind all of this route
          continue;
        }
        far = unpack_due(c.key(), c.value());
      }
      place = std::string(c.key()) + '\0';
    }
    // Of a message that is still being accepted in slices: the next pass finds it.
    if (!find_message(write, far.message)) continue;
    DueRow rest = far;
    far.count = std::min(far.count, numbers_a_step);
    rest.first += far.count;
    rest.count -= far.count;
    if (rest.count > 0) put_due(write, rest);  // the next one met
    move(write, far, write.now(), route_of, routes);
  } while (!enough());
  return false;
}

}  // namespace spoold::store::spool
