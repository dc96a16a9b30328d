#include "store/spool/claim.hpp"

#include <algorithm>
#include <utility>

#include "store/spool/finish.hpp"
#include "store/spool/request.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::size_t places_kept = 20'000;
constexpr std::size_t entries_at_once = 4000;  // looked at in one claim(): a millisecond

/// The due entries of one message that this claim() may serve, in order.
struct Waiting {
  MessageRow message;
  std::vector<DueRow> entries;
  std::size_t next = 0;
  std::uint32_t recipients = 0;  // that the entries seen so far may hold
};

struct Found {
  std::vector<Waiting> messages;
  std::vector<DueRow> dead;
  std::string end;  // where the search stopped
};

class Search {
 public:
  Search(const Read& read, std::uint32_t limit) : read_(read), limit_(limit) {}

  /// Looks at entries with from <= key < to; false: enough was found.
  bool between(const std::string& from, std::string_view prefix, std::string_view to) {
    Cursor c = read_.cursor(Table::due);
    for (bool more = c.seek(from); more && c.at(prefix) && c.key() < to; more = c.next()) {
      if (enough_ >= limit_ || seen_ >= entries_at_once) {
        found.end = c.key();
        return false;
      }
      ++seen_;
      look(unpack_due(c.key(), c.value()));
    }
    return true;
  }

  Found found;

 private:
  void look(DueRow entry) {
    auto at = places_.find(entry.message);
    if (at == places_.end()) {
      auto message = find_message(read_, entry.message);
      if (!message || message->state == MessageState::finished) {
        // Of a message still being accepted in slices: it exists with the last one.
        if (message || !read_.has(Table::stage, stage_key(StageKind::accept, entry.message)))
          found.dead.push_back(std::move(entry));
        return;
      }
      at = places_.emplace(entry.message, found.messages.size()).first;
      found.messages.push_back({std::move(*message), {}, 0, 0});
    }
    Waiting& waiting = found.messages[at->second];
    if (entry.generation != waiting.message.generation) {
      found.dead.push_back(std::move(entry));
      return;
    }
    if (waiting.recipients >= claim_size) return;  // it has its batch: this one comes in a later round
    const auto more = std::min(entry.count, claim_size - waiting.recipients);
    waiting.recipients += more;
    enough_ += more;
    waiting.entries.push_back(std::move(entry));
  }

  const Read& read_;
  const std::uint32_t limit_;
  std::size_t seen_ = 0;
  std::uint64_t enough_ = 0;
  std::map<Id, std::size_t> places_;
};

void fill(const Read& read, const MessageRow& message, const Numbers& numbers, Claim& claim) {
  Requests requests(read, message);
  const auto hand_out = [&](std::uint32_t number, std::string address, std::uint64_t member) {
    const RecipientRow row = numbers.row_or_new(number);
    Recipient& r = claim.recipients.emplace_back();
    r.number = number;
    r.address = std::move(address);
    r.member = member;
    r.state = row.state;
    r.active = true;
    r.claim = claim.due;
    r.version = row.version;
    r.attempts = row.attempts;
    r.next_attempt = row.next;
    r.possible_duplicate = row.possible_duplicate;
    r.isolate = row.isolate;
    r.last = row.last;
    if (message.requests) r.dsn = requests.of(number);
  };
  each_original(read, message, claim.first, claim.count, [&](std::uint32_t number, const PageReader& at) {
    if (numbers.covered_at(number, claim.due)) hand_out(number, at.address(), at.member);
  });
  for (std::uint32_t number = std::max(claim.first, message.originals); number < claim.first + claim.count;
       ++number)
    if (numbers.covered_at(number, claim.due)) {
      const RecipientRow* row = numbers.row(number);
      if (row && !row->address.empty()) hand_out(number, row->address, row->member);
    }
}

/// Claims from one entry; what is behind the claimed range stays due.
std::uint32_t take(Write& write, MessageRow& message, const DueRow& entry, std::uint32_t limit, TimePoint now,
                   std::vector<Claim>& out) {
  write.del(Table::due, due_key(entry));
  const std::uint32_t end =
      entry.first + std::min(entry.count, message.numbers() - std::min(entry.first, message.numbers()));
  std::uint32_t taken = 0, behind = entry.first;
  // Numbers are looked at in pieces, as an entry may span many that are finished.
  while (behind < end && taken == 0) {
    const std::uint32_t piece = std::min(end - behind, longest_claim);
    const Numbers numbers(write, message, behind, piece);
    const std::uint32_t stop = behind + piece;
    std::uint32_t first = behind;
    while (first < stop && !numbers.covered_at(first, entry.at)) ++first;
    for (behind = first; behind < stop && taken < limit; ++behind)
      if (numbers.covered_at(behind, entry.at)) ++taken;
    if (taken == 0) continue;
    Claim& claim = out.emplace_back();
    claim.message = message.id;
    claim.first = first;
    claim.count = behind - first;
    claim.route = entry.route;
    claim.due = entry.at;
    fill(write, message, numbers, claim);
    put_claim(write, {message.id, first, claim.count, taken, entry.at, now, entry.route});
  }
  if (behind < end) {
    DueRow rest = entry;
    rest.first = behind;
    rest.count = end - behind;
    put_due(write, rest);
  }
  return taken;
}

}  // namespace

std::vector<Claim> claim(Write& write, ClaimPlaces& places, const std::string& route, TimePoint now,
                         std::uint32_t limit) {
  const std::string prefix(Key().str(route).view());
  const auto behind = [&](TimePoint t) { return std::string(Key().str(route).time(t + Duration(1)).view()); };
  const std::string end = behind(now);
  if (places.size() >= places_kept && !places.contains(route)) places.clear();  // the rounds begin anew
  ClaimPlace& place = places.try_emplace(route, ClaimPlace{prefix, now}).first->second;
  const std::string from = std::min(place.from, end), round_end = std::clamp(behind(place.until), from, end);

  Search search(write, limit);
  if (search.between(from, prefix, round_end) && search.between(prefix, prefix, from) &&
      search.between(round_end, prefix, end))
    search.found.end = prefix;
  for (const DueRow& entry : search.found.dead) write.del(Table::due, due_key(entry));

  std::vector<Claim> out;
  std::string next = search.found.end;
  for (Waiting& waiting : search.found.messages) {
    std::uint32_t batch = 0;
    for (const DueRow& entry : waiting.entries) {
      if (batch >= claim_size || limit == 0) break;
      const auto taken = take(write, waiting.message, entry, std::min(limit, claim_size - batch), now, out);
      batch += taken;
      limit -= taken;
      // Go on behind this message's entries of this time: one large post does not hold the others up.
      if (limit == 0) next = Key().str(route).time(entry.at).u64(entry.message).u32(~std::uint32_t{0}).view();
    }
    if (limit == 0) break;
  }
  if (next < from || next >= round_end) place.until = now;  // that was the end of a round
  place.from = std::move(next);
  return out;
}

Reclaimed reclaim(Write& write, std::size_t claims) {
  Reclaimed result;
  for (; claims > 0; --claims) {
    ClaimRow claim;
    {
      Cursor c = write.cursor(Table::claim);
      if (!c.first()) {
        result.all = true;
        return result;
      }
      claim = unpack_claim(c.key(), c.value());
    }
    del_claim(write, claim);
    auto message = find_message(write, claim.message);
    if (!message || message->state == MessageState::finished) continue;
    Numbers numbers(write, *message, claim.first, claim.count);
    for (std::uint32_t number = claim.first; number - claim.first < claim.count; ++number) {
      if (!numbers.covered_at(number, claim.due)) continue;
      RecipientRow row = numbers.row_or_new(number);
      recount(*message, row.state, effective(*message, number, row.state, false));
      row.possible_duplicate = true;
      row.next = claim.due;
      numbers.put(write, number, row);
      ++result.recipients;
    }
    std::uint32_t count = message->giving_up ? 0 : claim.count;
    if (message->state == MessageState::held)  // only what a release in slices has already passed
      count = std::min(count, message->held_from - std::min(message->held_from, claim.first));
    if (count > 0)
      put_due(write, {claim.route, claim.due, claim.message, claim.first, count, message->generation});
    if (!finish_if_done(write, *message)) put_message(write, *message);
  }
  return result;
}

}  // namespace spoold::store::spool
