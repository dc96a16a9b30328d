#include "store/directory/scores.hpp"

#include "store/directory/rows.hpp"

namespace spoold::store::directory {
namespace {

void put(Packer& out, const std::vector<bounce::Event>& events) {
  out.num(events.size());
  for (const bounce::Event& event : events) out.time(event.at).flag(event.soft).str(event.cause);
}

std::vector<bounce::Event> read_events(Unpacker& in) {
  std::vector<bounce::Event> events;
  for (std::uint64_t left = in.num(); left > 0; --left) {
    bounce::Event& event = events.emplace_back();
    event.at = in.time();
    event.soft = in.flag();
    event.cause = in.text();
  }
  return events;
}

ScoredMember scored(std::string_view key, std::string_view record) {
  KeyReader reader(key);
  ScoredMember found;
  found.list = reader.u32();
  found.address = address_key_of(reader.rest());
  found.score = unpack_score(record);
  return found;
}

}  // namespace

std::string pack(const bounce::Score& score) {
  Packer out;
  put(out, score.counted);
  put(out, score.led);
  out.str(score.token).time(score.token_until).time(score.disabled).num(score.warnings).time(score.warned);
  return out.take();
}

bounce::Score unpack_score(std::string_view record) {
  Unpacker in(record, "member_score");
  bounce::Score score;
  score.counted = read_events(in);
  score.led = read_events(in);
  score.token = in.text();
  score.token_until = in.time();
  score.disabled = in.time();
  score.warnings = in.num32();
  score.warned = in.time();
  return score;
}

std::optional<bounce::Score> score_of(const Read& read, ListId list, std::string_view address_key) {
  const std::string place = place_of(address_key);
  if (place.empty() || address_key.size() > 320) return std::nullopt;
  const auto record = read.get(Table::member_score, member_key(list, place));
  if (!record) return std::nullopt;
  return unpack_score(*record);
}

std::optional<ScoredMember> probed(const Read& read, std::string_view token) {
  if (token.size() != 32) return std::nullopt;
  const auto key = read.get(Table::probe, token);
  if (!key) return std::nullopt;
  const auto record = read.get(Table::member_score, *key);
  if (!record) return std::nullopt;
  ScoredMember found = scored(*key, *record);
  if (found.score.token != token) return std::nullopt;
  return found;
}

void visit_scores(const Read& read, ListId list, std::string_view after,
                  const std::function<bool(const ScoredMember&)>& visit) {
  const Key prefix = list_key(list);
  const Key from = after.empty() ? prefix : member_key(list, place_of(after));
  Cursor cursor = read.cursor(Table::member_score);
  bool more = cursor.seek(from);
  if (more && !after.empty() && cursor.key() == from.view()) more = cursor.next();
  for (; more && cursor.at(prefix); more = cursor.next())
    if (!visit(scored(cursor.key(), cursor.value()))) return;
}

std::optional<ScoredMember> next_due_score(const Read& read, std::string& after, TimePoint now) {
  Cursor cursor = read.cursor(Table::member_score);
  bool more = after.empty() ? cursor.first() : cursor.seek(after);
  if (more && !after.empty() && cursor.key() == after) more = cursor.next();
  ListId known = 0;
  std::optional<List> of;
  for (unsigned looked = 0; more && looked < 1000; ++looked, more = cursor.next()) {
    after = cursor.key();
    ScoredMember found = scored(cursor.key(), cursor.value());
    if (found.list != known || !of) of = list(read, known = found.list);
    if (of && bounce::next_tick(found.score, of->settings.bounces) <= now) return found;
  }
  if (!more) after.clear();
  return std::nullopt;
}

void put_score(Write& write, ListId list, std::string_view place, const bounce::Score& score) {
  const Key key = member_key(list, place);
  if (const auto before = write.get(Table::member_score, key)) {
    const std::string token = unpack_score(*before).token;
    if (!token.empty() && token != score.token) write.del(Table::probe, token);
  }
  if (score.empty()) {
    write.del(Table::member_score, key);
    return;
  }
  write.put(Table::member_score, key, pack(score));
  if (!score.token.empty()) write.put(Table::probe, score.token, key);
}

void del_score(Write& write, ListId list, std::string_view place) {
  put_score(write, list, place, {});
}

}  // namespace spoold::store::directory
