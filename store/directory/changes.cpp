#include "store/directory/changes.hpp"

#include <sys/random.h>

#include <array>

#include "protocol/list/settings_table.hpp"
#include "store/broken.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store::directory {
namespace {

/// The first octet of a row with values. Rows of earlier versions, without values, begin with a number below it.
constexpr std::uint8_t with_values = 16;

void put(Packer& out, const Texts& texts) {
  out.num(texts.size());
  for (const auto& [name, text] : texts) out.str(name).str(text);
}
Texts read_texts(Unpacker& in) {
  Texts texts;
  for (std::uint64_t left = in.num(); left > 0; --left) {
    std::string name = in.text();
    texts.emplace_back(std::move(name), in.text());
  }
  return texts;
}

void put(Packer& out, const std::vector<std::string>& lines) {
  out.num(lines.size());
  for (const std::string& line : lines) out.str(line);
}
std::vector<std::string> read_lines(Unpacker& in) {
  std::vector<std::string> lines;
  for (std::uint64_t left = in.num(); left > 0; --left) lines.push_back(in.text());
  return lines;
}

void put(Packer& out, const std::vector<Member>& members) {
  out.num(members.size());
  for (const Member& m : members) out.num(m.id).str(m.address).str(m.name).word(m.delivery).time(m.joined);
}
std::vector<Member> read_members(Unpacker& in) {
  std::vector<Member> members;
  for (std::uint64_t left = in.num(); left > 0; --left) {
    Member& m = members.emplace_back();
    m.id = in.num();
    m.address = in.text();
    m.name = in.text();
    m.delivery = in.word(list::last_delivery);
    m.joined = in.time();
  }
  return members;
}

// One pair of functions for each change.

void put(Packer& out, const CreateList& c) {
  out.num(c.id).str(c.local).str(c.domain);
  put(out, c.settings);
}
void read(Unpacker& in, CreateList& c) {
  c.id = in.num32();
  c.local = in.text();
  c.domain = in.text();
  c.settings = read_texts(in);
}

void put(Packer& out, const SetList& c) {
  put(out.num(c.list), c.settings);
}
void read(Unpacker& in, SetList& c) {
  c.list = in.num32();
  c.settings = read_texts(in);
}

void put(Packer& out, const RemoveList& c) {
  out.num(c.list).num(c.leftover);
}
void read(Unpacker& in, RemoveList& c) {
  c.list = in.num32();
  c.leftover = in.num();
}

/// What stands in a member's row besides what put(members) writes.
std::string besides(const Member& member) {
  MemberRow row;
  row.moderation = member.moderation;
  row.one_copy = member.one_copy;
  row.preferences = member.preferences;
  row.person = member.person;
  return pack(row);
}
void read_besides(std::string_view record, Member& member) {
  const MemberRow row = unpack_member(record);
  member.moderation = row.moderation;
  member.one_copy = row.one_copy;
  member.preferences = row.preferences;
  member.person = row.person;
}

void put(Packer& out, const Subscribe& c) {
  put(out.num(c.list), c.members);
  put(out, c.unchanged);
  for (const Member& member : c.members) out.str(besides(member));
}
void read(Unpacker& in, Subscribe& c) {
  c.list = in.num32();
  c.members = read_members(in);
  c.unchanged = read_lines(in);
  if (!in.at_end())  // of a version that kept less of a member
    for (Member& member : c.members) read_besides(in.str(), member);
}

void put(Packer& out, const Unsubscribe& c) {
  put(out.num(c.list), c.addresses);
  put(out, c.unchanged);
  if (c.by) out.str(*c.by);
}
void read(Unpacker& in, Unsubscribe& c) {
  c.list = in.num32();
  c.addresses = read_lines(in);
  c.unchanged = read_lines(in);
  if (!in.at_end()) c.by = in.text();
}

constexpr std::uint8_t moderation_stays = 2, one_copy_stays = 2;

void put(Packer& out, const SetMember& c) {
  out.num(c.list).str(c.address).flag(c.name.has_value()).flag(c.delivery.has_value());
  if (c.name) out.str(*c.name);
  if (c.delivery) out.word(*c.delivery);
  if (!c.moderation && !c.one_copy && c.preferences.empty()) return;
  out.u8(!c.moderation ? moderation_stays : c.moderation->has_value() ? 1 : 0);
  if (c.moderation && *c.moderation) out.word(**c.moderation);
  if (c.one_copy || !c.preferences.empty()) out.u8(!c.one_copy ? one_copy_stays : *c.one_copy ? 1 : 0);
  if (!c.preferences.empty()) put(out, c.preferences);
}
void read(Unpacker& in, SetMember& c) {
  c.list = in.num32();
  c.address = in.text();
  const bool name = in.flag(), delivery = in.flag();
  if (name) c.name = in.text();
  if (delivery) c.delivery = in.word(list::last_delivery);
  if (in.at_end()) return;
  const std::uint8_t moderation = in.u8();
  if (moderation != moderation_stays) c.moderation.emplace();
  if (moderation == 1) c.moderation->emplace(in.word(list::Action::discard));
  if (in.at_end()) return;
  if (const std::uint8_t one_copy = in.u8(); one_copy != one_copy_stays) c.one_copy = one_copy != 0;
  if (!in.at_end()) c.preferences = read_texts(in);
}

void put(Packer& out, const BeginImport& c) {
  out.num(c.list).num(c.import);
}
void read(Unpacker& in, BeginImport& c) {
  c.list = in.num32();
  c.import = in.num();
}

void put(Packer& out, const ImportRows& c) {
  put(out.num(c.import), c.members);
  out.num(c.already);
}
void read(Unpacker& in, ImportRows& c) {
  c.import = in.num();
  c.members = read_members(in);
  c.already = in.num();
}

void put(Packer& out, const FinishImport& c) {
  out.num(c.import);
}
void read(Unpacker& in, FinishImport& c) {
  c.import = in.num();
}

void put(Packer& out, const CutImport& c) {
  out.num(c.import);
}
void read(Unpacker& in, CutImport& c) {
  c.import = in.num();
}

// Earlier versions logged each number that an acceptance took, without a count.
void put(Packer& out, const LeasePosts& c) {
  out.num(c.list).num(c.last).num(c.count);
}
void read(Unpacker& in, LeasePosts& c) {
  c.list = in.num32();
  c.last = in.num32();
  c.count = in.at_end() ? 1 : in.num32();
}

void put(Packer& out, const Verifiers& v) {
  out.str(v.crypt).str(v.salt).num(v.iterations).str(v.stored_key).str(v.server_key);
}
void read(Unpacker& in, Verifiers& v) {
  v.crypt = in.text();
  v.salt = in.text();
  v.iterations = in.num32();
  v.stored_key = in.text();
  v.server_key = in.text();
}

void put(Packer& out, const AddUser& c) {
  put(out.str(c.user.name), c.user.addresses);
  put(out, c.user.verifiers);
}
void read(Unpacker& in, AddUser& c) {
  c.user.name = in.text();
  c.user.addresses = read_lines(in);
  read(in, c.user.verifiers);
}

void put(Packer& out, const SetUser& c) {
  out.str(c.name).flag(c.addresses.has_value()).flag(c.verifiers.has_value());
  if (c.addresses) put(out, *c.addresses);
  if (c.verifiers) put(out, *c.verifiers);
}
void read(Unpacker& in, SetUser& c) {
  c.name = in.text();
  const bool addresses = in.flag(), verifiers = in.flag();
  if (addresses) c.addresses = read_lines(in);
  if (verifiers) read(in, c.verifiers.emplace());
}

void put(Packer& out, const RemoveUser& c) {
  out.str(c.name);
}
void read(Unpacker& in, RemoveUser& c) {
  c.name = in.text();
}

void put(Packer& out, const KnowNetwork& c) {
  out.str(c.name).str(c.known.network).num(c.known.day);
}
void read(Unpacker& in, KnowNetwork& c) {
  c.name = in.text();
  c.known.network = in.text();
  c.known.day = in.num32();
}

void put(Packer& out, const ScoreMember& c) {
  out.word(c.what).num(c.list).str(c.address);
  out.time(c.failure.at).flag(c.failure.soft).str(c.failure.cause);
  out.str(c.token).str(c.said).word(c.act).flag(c.counts).str(c.after);
  out.word(c.guarded).time(c.since);
}
void read(Unpacker& in, ScoreMember& c) {
  c.what = in.word(ScoreMember::What::tick);
  c.list = in.num32();
  c.address = in.text();
  c.failure.at = in.time();
  c.failure.soft = in.flag();
  c.failure.cause = in.text();
  c.token = in.text();
  c.said = in.text();
  c.act = in.word(bounce::Act::enable);
  c.counts = in.flag();
  c.after = in.text();
  if (in.at_end()) return;  // a version before this wrote no more
  c.guarded = in.word(ScoreMember::Guarded::spike);
  c.since = in.time();
}

void put(Packer& out, const UndoBounces& c) {
  out.num(c.list).str(c.address).str(c.cause).time(c.since);
}
void read(Unpacker& in, UndoBounces& c) {
  c.list = in.num32();
  c.address = in.text();
  c.cause = in.text();
  c.since = in.time();
}

void put_delivery(Packer& out, const std::optional<list::Delivery>& delivery) {
  out.flag(delivery.has_value()).word(delivery.value_or(list::Delivery::regular));
}
std::optional<list::Delivery> read_delivery(Unpacker& in) {
  const bool given = in.flag();
  const auto delivery = in.word(list::last_delivery);
  return given ? std::optional(delivery) : std::nullopt;
}

void put(Packer& out, const Ask& c) {
  out.num(c.list).word(c.what).str(c.address).str(c.name);
  put_delivery(out, c.delivery);
  out.str(c.words).word(c.answer).str(c.token).num(c.member).time(c.until);
  if (c.preferences.empty() && c.about.empty()) return;
  put(out, c.preferences);
  out.str(c.about);
}
void read(Unpacker& in, Ask& c) {
  c.list = in.num32();
  c.what = in.word(list::What::unknown);
  c.address = in.text();
  c.name = in.text();
  c.delivery = read_delivery(in);
  c.words = in.text();
  c.answer = in.word(list::Answer::refused);
  c.token = in.text();
  c.member = in.num();
  c.until = in.time();
  if (in.at_end()) return;
  c.preferences = read_texts(in);
  c.about = in.text();
}

void put(Packer& out, const Redeem& c) {
  out.str(c.token).flag(c.refuse).str(c.reason).word(c.answer).str(c.next).num(c.member).time(c.until);
}
void read(Unpacker& in, Redeem& c) {
  c.token = in.text();
  c.refuse = in.flag();
  c.reason = in.text();
  c.answer = in.word(list::Answer::refused);
  c.next = in.text();
  c.member = in.num();
  c.until = in.time();
}

void put(Packer& out, const ForgetAsked& c) {
  out.time(c.before).num(c.most);
}
void read(Unpacker& in, ForgetAsked& c) {
  c.before = in.time();
  c.most = in.num32();
}

void put(Packer& out, const AcceptSender& c) {
  out.num(c.list).str(c.address);
}
void read(Unpacker& in, AcceptSender& c) {
  c.list = in.num32();
  c.address = in.text();
}

void put(Packer& out, const MoveMember& c) {
  out.num(c.list).str(c.address).str(c.to).num(c.member);
}
void read(Unpacker& in, MoveMember& c) {
  c.list = in.num32();
  c.address = in.text();
  c.to = in.text();
  c.member = in.num();
}

void put(Packer& out, const AddAddress& c) {
  out.str(c.of).str(c.address).flag(c.verified).num(c.person).str(c.uuid);
}
void read(Unpacker& in, AddAddress& c) {
  c.of = in.text();
  c.address = in.text();
  c.verified = in.flag();
  c.person = in.num();
  c.uuid = in.text();
}

void put(Packer& out, const RemoveAddress& c) {
  out.str(c.address);
}
void read(Unpacker& in, RemoveAddress& c) {
  c.address = in.text();
}

void put(Packer& out, const SetPerson& c) {
  out.str(c.address).flag(c.name.has_value()).str(c.name.value_or(std::string()));
  put(out, c.preferences);
  out.flag(c.verified.has_value()).flag(c.verified.value_or(false)).flag(c.preferred);
}
void read(Unpacker& in, SetPerson& c) {
  c.address = in.text();
  const bool name = in.flag();
  std::string text = in.text();
  if (name) c.name = std::move(text);
  c.preferences = read_texts(in);
  const bool given = in.flag(), verified = in.flag();
  if (given) c.verified = verified;
  c.preferred = in.flag();
}

template <std::size_t I = 0>
Change read_change(Unpacker& in, std::size_t kind) {
  if constexpr (I == std::variant_size_v<Change>) {
    in.bad("holds an unknown change");
  } else {
    if (kind != I) return read_change<I + 1>(in, kind);
    std::variant_alternative_t<I, Change> change;
    read(in, change);
    return change;
  }
}

}  // namespace

Texts texts_of(const list::Settings& settings) {
  Texts texts;
  for (const auto& key : list::setting_keys()) texts.emplace_back(key.name, key.print(settings));
  return texts;
}

std::string new_operation_id() {
  static constexpr char digits[] = "0123456789abcdef";
  std::array<unsigned char, 16> octets{};
  if (::getrandom(octets.data(), octets.size(), 0) != static_cast<ssize_t>(octets.size()))
    throw Broken(Error::Kind::io, "the system gives no random octets");
  std::string id;
  for (const unsigned octet : octets) id.append(1, digits[octet >> 4]).append(1, digits[octet & 15]);
  return id;
}

std::string pack(const Operation& operation) {
  Packer out;
  out.str(operation.id).str(operation.who).u8(static_cast<std::uint8_t>(operation.change.index()));
  std::visit([&out](const auto& change) { put(out, change); }, operation.change);
  return out.take();
}

Operation unpack_operation(std::string_view record) {
  Unpacker in(record, "outbox");
  Operation operation;
  operation.id = in.text();
  operation.who = in.text();
  const std::size_t kind = in.u8();
  operation.change = read_change(in, kind);
  return operation;
}

std::string pack(const LoggedChange& logged) {
  Packer out;
  out.u8(with_values).num(logged.node).str(logged.operation).str(logged.who).time(logged.at);
  out.u8(static_cast<std::uint8_t>(logged.change.index()));
  std::visit([&out](const auto& change) { put(out, change); }, logged.change);
  return out.take();
}

std::optional<LoggedChange> unpack_change(std::uint64_t sequence, std::string_view record) {
  Unpacker in(record, "change", sequence);
  if (in.u8() < with_values) return std::nullopt;
  LoggedChange logged;
  logged.sequence = sequence;
  logged.node = static_cast<std::uint16_t>(in.num32());
  logged.operation = in.text();
  logged.who = in.text();
  logged.at = in.time();
  const std::size_t kind = in.u8();
  logged.change = read_change(in, kind);
  return logged;
}

std::string pack(const Applied& applied) {
  Packer out;
  out.num(applied.list.id).str(applied.list.id != 0 ? pack(applied.list) : std::string());
  put(out, applied.members);
  put(out, applied.unchanged);
  put(out, applied.events);
  out.num(applied.import).num(applied.added).num(applied.already);
  for (const Member& member : applied.members) out.str(besides(member));
  return out.take();
}

Applied unpack_applied(std::string_view record) {
  Unpacker in(record, "applied");
  Applied applied;
  const ListId id = in.num32();
  const std::string_view list = in.str();
  if (id != 0) applied.list = unpack_list(id, list);
  applied.members = read_members(in);
  applied.unchanged = read_lines(in);
  applied.events = read_lines(in);
  applied.import = in.num();
  applied.added = in.num();
  applied.already = in.num();
  if (!in.at_end())  // of a version that kept less of a member
    for (Member& member : applied.members) read_besides(in.str(), member);
  applied.repeated = true;
  return applied;
}

}  // namespace spoold::store::directory
