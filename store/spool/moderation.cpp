#include "store/spool/moderation.hpp"

#include <algorithm>

#include "protocol/rfc3339.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "store/spool/content.hpp"

namespace spoold::store {

const char* text(Decision::What what) {
  switch (what) {
    case Decision::What::accept:
      return "accepted";
    case Decision::What::reject:
      return "rejected";
    case Decision::What::discard:
      break;
  }
  return "discarded";
}

namespace spool {
namespace {

using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;
constexpr std::uint32_t rows_a_step = 64;

Key held_key(list::ListId list, std::uint32_t number) {
  return Key().u32(list).u32(number);
}

void put(Packer& out, const mail::Octets& octets) {
  out.flag(octets.eight_bit).flag(octets.leading_dots);
}
mail::Octets read_octets(Unpacker& in) {
  mail::Octets octets;
  octets.eight_bit = in.flag();
  octets.leading_dots = in.flag();
  return octets;
}

std::string pack(const HeldPost& post) {
  Packer out;
  out.num(post.id).num(post.content).str(post.list_address).time(post.at).time(post.until);
  out.str(post.rule).str(post.reason).str(post.reverse_path).str(post.poster).flag(post.told);
  out.str(post.from).str(post.subject).str(post.message_id);
  out.num(post.scanned.size).num(post.scanned.header_size);
  put(out, post.scanned.header);
  put(out, post.scanned.body);
  out.str(post.client).str(post.protocol).str(post.tls);
  out.u8(
      static_cast<std::uint8_t>((post.utf8 ? 1 : 0) | (post.require_tls ? 2 : 0) | (post.vouched ? 4 : 0)));
  out.str(post.been_there).num(post.given_to.size());
  for (const list::ListId id : post.given_to) out.num(id);
  return out.take();
}

HeldPost unpack(std::string_view key, std::string_view record) {
  KeyReader place(key);
  HeldPost post;
  post.list = place.u32();
  post.number = place.u32();
  Unpacker in(record, "held", key);
  post.id = in.num();
  post.content = in.num();
  post.list_address = in.text();
  post.at = in.time();
  post.until = in.time();
  post.rule = in.text();
  post.reason = in.text();
  post.reverse_path = in.text();
  post.poster = in.text();
  post.told = in.flag();
  post.from = in.text();
  post.subject = in.text();
  post.message_id = in.text();
  post.scanned.size = in.num();
  post.scanned.header_size = in.num();
  post.scanned.header = read_octets(in);
  post.scanned.body = read_octets(in);
  post.client = in.text();
  post.protocol = in.text();
  post.tls = in.text();
  const std::uint8_t flags = in.at_end() ? 0 : in.u8();  // a version before this wrote none
  post.utf8 = (flags & 1) != 0;
  post.require_tls = (flags & 2) != 0;
  post.vouched = (flags & 4) != 0;
  if (in.at_end()) return post;  // as did one before this of what follows
  post.been_there = in.text();
  for (std::uint64_t left = in.num(); left > 0; --left) post.given_to.push_back(in.num32());
  return post;
}

/// A row of held_id.
struct Known {
  HeldPlace place;
  std::optional<Decision> decision;
};
Known unpack_known(Id id, std::string_view record) {
  Unpacker in(record, "held_id", id);
  Known known;
  known.place.list = in.num32();
  known.place.number = in.num32();
  if (in.at_end()) return known;
  Decision& made = known.decision.emplace();
  made.held = id;
  made.what = in.word(Decision::What::discard);
  made.who = in.text();
  made.at = in.time();
  made.message = in.num();
  made.reason = in.text();
  return known;
}
std::optional<Known> find_known(const Read& read, Id id) {
  const auto record = read.get(Table::held_id, Key().u64(id));
  if (!record) return std::nullopt;
  return unpack_known(id, *record);
}

void each_held(const Read& read, const std::function<void(const HeldPost&)>& visit) {
  read.each(Table::held, {}, [&](std::string_view key, std::string_view value) {
    KeyReader place(key);
    place.u32();
    if (place.u32() != 0) visit(unpack(key, value));
    return true;
  });
}

std::int64_t day_of(TimePoint at) {
  return std::chrono::floor<Days>(at.time_since_epoch()).count();
}

}  // namespace

std::uint64_t sum_of_held_octets(const Read& read) {
  std::uint64_t octets = 0;
  each_held(read, [&](const HeldPost& post) { octets += post.scanned.size; });
  return octets;
}

// A store of a version before has no such row until the next post is held or decided.
std::uint64_t held_octets(const Read& read) {
  const Key key = held_key(0, 0);
  const auto row = read.get(Table::held, key);
  return row ? Unpacker(*row, "held", key).num() : sum_of_held_octets(read);
}

void put_held_octets(Write& write, std::uint64_t octets) {
  write.put(Table::held, held_key(0, 0), Packer().num(octets).bytes());
}

void put_held(Write& write, HeldPost& post) {
  put_held_octets(write, held_octets(write) + post.scanned.size);
  const Key last = held_key(post.list, 0);
  std::uint32_t number = 0;
  if (const auto before = write.get(Table::held, last)) number = Unpacker(*before, "held", last).num32();
  post.number = number + 1;
  write.put(Table::held, last, Packer().num(post.number).bytes());
  write.put(Table::held, held_key(post.list, post.number), pack(post));
  write.put(Table::held_id, Key().u64(post.id), Packer().num(post.list).num(post.number).bytes());
}

Result<void> decide(Write& write, Decision decision) {
  const auto known = find_known(write, decision.held);
  if (!known)
    return fail(Error::Kind::not_found, "no post " + id_text(decision.held) + " is held for moderation");
  if (known->decision)
    return fail(Error::Kind::conflict,
                "post " + id_text(decision.held) + " was " + said(*known->decision) + " already");
  const auto post = held_post(write, known->place.list, known->place.number);
  if (!post) return fail(Error::Kind::not_found, "the held post " + id_text(decision.held) + " is gone");
  const std::uint64_t octets = held_octets(write);
  put_held_octets(write, octets - std::min(octets, post->scanned.size));
  write.del(Table::held, held_key(known->place.list, known->place.number));
  decision.at = write.now();
  Packer out;
  out.num(known->place.list).num(known->place.number);
  out.word(decision.what).str(decision.who).time(decision.at).num(decision.message).str(decision.reason);
  write.put(Table::held_id, Key().u64(decision.held), out.bytes());
  release_content(write, post->content);
  return {};
}

std::optional<HeldPost> held_post(const Read& read, list::ListId list, std::uint32_t number) {
  if (number == 0) return std::nullopt;
  const Key key = held_key(list, number);
  const auto record = read.get(Table::held, key);
  if (!record) return std::nullopt;
  return unpack(key, *record);
}

std::optional<HeldPost> held_post(const Read& read, Id id) {
  const auto known = find_known(read, id);
  if (!known || known->decision) return std::nullopt;
  return held_post(read, known->place.list, known->place.number);
}

std::optional<list::ListId> list_of_held(const Read& read, Id id) {
  const auto known = find_known(read, id);
  if (!known) return std::nullopt;
  return known->place.list;
}

std::optional<Decision> decision(const Read& read, Id id) {
  const auto known = find_known(read, id);
  return known ? known->decision : std::nullopt;
}

std::string said(const Decision& decision) {
  std::string said = std::string(text(decision.what)) + " by " + decision.who + " at " + rfc3339(decision.at);
  if (decision.message != 0) said += ", as message " + id_text(decision.message);
  return said;
}

std::vector<HeldPost> held_posts(const Read& read, list::ListId list, HeldPlace after, std::size_t limit) {
  std::vector<HeldPost> posts;
  if (list != 0 && after.list != list) after = {list, 0};
  Cursor cursor = read.cursor(Table::held);
  for (bool more = cursor.seek(held_key(after.list, after.number)); more && posts.size() < limit;
       more = cursor.next()) {
    KeyReader key(cursor.key());
    const list::ListId of = key.u32();
    const std::uint32_t number = key.u32();
    if (list != 0 && of != list) break;
    if (number == 0 || (of == after.list && number == after.number)) continue;
    posts.push_back(unpack(cursor.key(), cursor.value()));
  }
  return posts;
}

std::uint64_t count_held(const Read& read, list::ListId list) {
  std::uint64_t count = 0;
  read.each(Table::held, Key().u32(list), [&](std::string_view key, std::string_view) {
    KeyReader place(key);
    place.u32();
    if (place.u32() != 0) ++count;
    return true;
  });
  return count;
}

void each_held_content(const Read& read, const std::function<void(Id, Id)>& visit) {
  each_held(read, [&](const HeldPost& post) { visit(post.id, post.content); });
}

bool may_tell(const Read& read, const TellingLimit& limit, TimePoint now) {
  const auto row = read.get(Table::told, limit.key);
  if (!row) return limit.most > 0;
  Unpacker in(*row, "told", limit.key);
  const bool today = in.num() == static_cast<std::uint64_t>(day_of(now));
  return (today ? in.num() : 0) < limit.most;
}

void count_told(Write& write, const TellingLimit& limit) {
  const auto today = static_cast<std::uint64_t>(day_of(write.now()));
  std::uint64_t count = 0;
  if (const auto row = write.get(Table::told, limit.key)) {
    Unpacker in(*row, "told", limit.key);
    if (in.num() == today) count = in.num();
  }
  write.put(Table::told, limit.key, Packer().num(today).num(count + 1).bytes());
}

bool sweep_moderation(Write& write, TimePoint cutoff, SweptModeration& place, const Enough& enough) {
  for (bool more = place.decided != ~Id{0}; more;) {
    Cursor cursor = write.cursor(Table::held_id);
    more = cursor.seek(Key().u64(place.decided + 1));
    for (std::uint32_t budget = rows_a_step; more && budget > 0; --budget) {
      place.decided = KeyReader(cursor.key()).u64();
      const Known known = unpack_known(place.decided, cursor.value());
      if (known.decision && known.decision->at < cutoff) cursor.del(write);
      more = cursor.next();
    }
    if (!more)
      place.decided = ~Id{0};
    else if (enough())
      return false;
  }
  const auto today = static_cast<std::uint64_t>(day_of(write.now()));
  for (bool more = true; more;) {
    Cursor cursor = write.cursor(Table::told);
    more = place.told.empty() ? cursor.first() : cursor.seek(place.told);
    for (std::uint32_t budget = rows_a_step; more && budget > 0; --budget) {
      place.told = cursor.key();
      if (Unpacker(cursor.value(), "told", place.told).num() != today) cursor.del(write);
      more = cursor.next();
    }
    if (more && enough()) return false;
  }
  return true;
}

}  // namespace spool
}  // namespace spoold::store
