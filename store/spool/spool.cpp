#include "store/spool/spool.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "store/spool/due.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/request.hpp"

namespace spoold::store::spool {
namespace {

using mail::lower;
using mail::same;

/// The claims of one message, to tell which recipients they cover.
class Claims {
 public:
  Claims(const Read& read, Id message) : claims_(claims_from(read, message, 0, ~std::uint32_t{0})) {}
  const ClaimRow* covering(const Numbers& numbers, std::uint32_t number) const {
    for (const ClaimRow& c : claims_)
      if (number - c.first < c.count && numbers.covered_at(number, c.due)) return &c;
    return nullptr;
  }

 private:
  std::vector<ClaimRow> claims_;
};

Recipient show(const MessageRow& message, const Numbers& numbers, const Claims& claims, std::uint32_t number,
               std::string address, std::uint64_t member) {
  const RecipientRow row = numbers.row_or_new(number);
  Recipient r;
  r.number = number;
  r.address = std::move(address);
  r.member = member;
  const ClaimRow* claim = claims.covering(numbers, number);
  r.active = claim != nullptr;
  if (claim) r.claim = claim->due;
  r.state = effective(message, number, numbers.stored(number), r.active);
  r.version = row.version;
  r.attempts = row.attempts;
  if (r.state == RecipientState::delivered && r.attempts == 0) r.attempts = 1;  // at once: it has no row
  r.next_attempt = row.next;
  r.possible_duplicate = row.possible_duplicate;
  r.isolate = row.isolate;
  r.last = row.last;
  return r;
}

}  // namespace

std::optional<Message> message(const Read& read, Id id) {
  auto row = find_message(read, id);
  if (!row) return std::nullopt;
  return static_cast<Message&&>(*row);
}

std::vector<Message> messages(const Read& read, Id after, std::size_t limit, bool finished) {
  std::vector<Message> out;
  Cursor live = read.cursor(Table::message), ended = read.cursor(Table::finished);
  if (after == ~Id{0}) return out;
  const Key from = Key().u64(after + 1);
  bool more_live = live.seek(from), more_ended = finished && ended.seek(from);
  while (out.size() < limit && (more_live || more_ended)) {
    const bool take_live = more_live && (!more_ended || live.key() < ended.key());
    Cursor& c = take_live ? live : ended;
    out.push_back(unpack_message(KeyReader(c.key()).u64(), c.value()));
    (take_live ? more_live : more_ended) = c.next();
  }
  return out;
}

namespace {

template <class Wanted>  // (Numbers, number)
std::vector<Recipient> those(const Read& read, Id id, std::uint32_t from, std::size_t limit, Wanted wanted) {
  std::vector<Recipient> out;
  auto message = find_message(read, id);
  if (!message || from >= message->numbers()) return out;
  const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(limit, message->numbers() - from));
  const Numbers numbers(read, *message, from, count);
  const Claims claims(read, id);
  Requests requests(read, *message);
  each_original(read, *message, from, count, [&](std::uint32_t number, const PageReader& at) {
    if (!wanted(numbers, number)) return;
    out.push_back(show(*message, numbers, claims, number, at.address(), at.member));
    if (message->requests) out.back().dsn = requests.of(number);
  });
  for (std::uint32_t number = std::max(from, message->originals); number < from + count; ++number)
    if (const RecipientRow* row = numbers.row(number); row && wanted(numbers, number))
      out.push_back(show(*message, numbers, claims, number, row->address, row->member));
  return out;
}

}  // namespace

std::vector<Recipient> recipients(const Read& read, Id id, std::uint32_t from, std::size_t limit) {
  return those(read, id, from, limit, [](const Numbers&, std::uint32_t) { return true; });
}

std::vector<Later> later(const Read& read, std::string_view route, const Later& after, std::size_t limit) {
  std::vector<Later> out;
  const Key prefix = Key().str(route);
  Cursor c = read.cursor(Table::due);
  std::optional<MessageRow> message;
  bool more = c.seek(Key(prefix).time(after.at).u64(after.message).u32(after.first).u8(0));
  for (; more && c.at(prefix) && out.size() < limit; more = c.next()) {
    const DueRow due = unpack_due(c.key(), c.value());
    if (!message || message->id != due.message) message = find_message(read, due.message);
    if (message && message->generation == due.generation)  // else it is void
      out.push_back({due.at, due.message, due.first, due.count});
  }
  return out;
}

std::vector<Recipient> waiting(const Read& read, const Later& one, std::size_t limit) {
  return those(
      read, one.message, one.first, std::min<std::size_t>(limit, one.count),
      [&one](const Numbers& numbers, std::uint32_t number) { return numbers.covered_at(number, one.at); });
}

std::vector<Recipient> find_recipients(const Read& read, Id id, std::string_view address_key) {
  std::vector<Recipient> out;
  auto message = find_message(read, id);
  if (!message) return out;
  const std::string key = lower(address_key);
  const Claims claims(read, id);
  for (const std::uint32_t number : find_originals(read, *message, key)) {
    const Numbers numbers(read, *message, number, 1);
    each_original(read, *message, number, 1, [&](std::uint32_t, const PageReader& at) {
      out.push_back(show(*message, numbers, claims, number, at.address(), at.member));
    });
  }
  each_added(read, *message, [&](std::uint32_t number, const RecipientRow& row) {
    if (!same(key, row.address)) return;
    const Numbers numbers(read, *message, number, 1);
    out.push_back(show(*message, numbers, claims, number, row.address, row.member));
  });
  return out;
}

}  // namespace spoold::store::spool
