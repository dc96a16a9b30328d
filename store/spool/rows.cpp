#include "store/spool/rows.hpp"

#include <initializer_list>
#include <utility>

#include "store/broken.hpp"
#include "store/spool/numbers.hpp"

namespace spoold::store::spool {
namespace {

enum Flag : std::uint8_t {  // of a message
  eight_bit = 1,
  leading_dots = 2,
  giving_up = 4,
  few = 8,
  asked = 16,
  unwarned = 32,
  personal = 64,
  more = 128  // a further octet of flags stands behind all else
};
enum MoreFlag : std::uint8_t { utf8 = 1, binary = 2, require_tls = 4 };
enum RecipientFlag : std::uint8_t {
  duplicate = 1,
  isolated = 2,
  own_address = 4,
  has_last = 8,
  unreported = 16
};

std::uint8_t flags_of(std::initializer_list<std::pair<bool, std::uint8_t>> flags) {
  unsigned out = 0;
  for (const auto& [set, flag] : flags)
    if (set) out |= flag;
  return static_cast<std::uint8_t>(out);
}

}  // namespace

void pack(Packer& p, const MessageRow& m) {
  const bool reports = m.dsn.given() || m.requests || m.report || m.report_at != TimePoint{};
  const std::uint8_t further = flags_of({{m.utf8, utf8}, {m.binary, binary}, {m.require_tls, require_tls}});
  p.word(m.state).num(m.content).str(m.reverse_path).num(m.list).str(m.list_address).num(m.post);
  p.word(m.copies).word(m.verp_format).num(m.roster_version).num(m.size);
  p.u8(flags_of({{m.eight_bit, eight_bit},
                 {m.leading_dots, leading_dots},
                 {m.giving_up, giving_up},
                 {m.few, few},
                 {reports, asked},
                 {m.unwarned, unwarned},
                 {m.personal, personal},
                 {further != 0, more}}));
  p.time(m.arrived).time(m.finished);
  const Counts& c = m.counts;
  for (const auto n : {c.queued, c.deferred, c.held, c.delivered, c.failed, c.expired, c.removed}) p.num(n);
  p.num(m.originals).num(m.added).num(m.generation).num(m.held_from);
  p.str(m.from).str(m.subject).str(m.message_id);
  if (m.few) p.num(m.few_done).str(m.page);
  if (reports) p.word(m.dsn.ret).str(m.dsn.envid).flag(m.requests).flag(m.report).time(m.report_at);
  if (further != 0) p.u8(further);
}

MessageRow unpack_message(Id id, std::string_view value) {
  Unpacker u(value, "message", id);
  MessageRow m;
  m.id = id;
  m.state = u.word(MessageState::removable);
  m.content = u.num();
  m.reverse_path = u.text();
  m.list = u.num32();
  m.list_address = u.text();
  m.post = u.num32();
  m.copies = u.word(list::Copies::each_verp);
  m.verp_format = u.word(list::VerpFormat::opaque);
  m.roster_version = u.num();
  m.size = u.num();
  const auto flags = u.u8();
  m.eight_bit = flags & eight_bit;
  m.leading_dots = flags & leading_dots;
  m.giving_up = flags & giving_up;
  m.few = flags & few;
  m.unwarned = flags & unwarned;
  m.personal = flags & personal;
  m.arrived = u.time();
  m.finished = u.time();
  Counts& c = m.counts;
  for (auto* n : {&c.queued, &c.deferred, &c.held, &c.delivered, &c.failed, &c.expired, &c.removed})
    *n = u.num32();
  m.originals = u.num32();
  m.added = u.num32();
  m.generation = u.num32();
  m.held_from = u.num32();
  m.from = u.text();
  m.subject = u.text();
  m.message_id = u.text();
  if (m.few) {
    m.few_done = u.num();
    m.page = u.text();
  }
  if (flags & asked) {
    m.dsn.ret = u.word(smtp::Ret::headers);
    m.dsn.envid = u.text();
    m.requests = u.flag();
    m.report = u.flag();
    m.report_at = u.time();
  }
  if (flags & more) {
    const auto further = u.u8();
    m.utf8 = further & utf8;
    m.binary = further & binary;
    m.require_tls = further & require_tls;
  }
  if (m.few && m.originals > few_recipients) u.bad("keeps more recipients in itself than there is room for");
  if (m.originals > ~m.added) u.bad("counts more recipients than there can be");
  return m;
}

bool came_now(MessageRow& message, TimePoint now) {
  if (message.arrived <= now + clock_slack) return false;
  message.arrived = now;
  return true;
}

std::optional<MessageRow> find_message(const Read& read, Id id) {
  const Key key = Key().u64(id);
  auto value = read.get(Table::message, key);
  if (!value) value = read.get(Table::finished, key);
  if (!value) return std::nullopt;
  return unpack_message(id, *value);
}

void put_message(Write& write, const MessageRow& m) {
  Packer p;
  p.reserve(128 + m.reverse_path.size() + m.list_address.size() + m.from.size() + m.subject.size() +
            m.message_id.size() + m.page.size());
  pack(p, m);
  write.put(m.state == MessageState::finished ? Table::finished : Table::message, Key().u64(m.id), p.bytes());
}

void pack(Packer& p, const LastReply& r) {
  p.num(static_cast<std::uint64_t>(r.reply.code)).u8(r.reply.enhanced.klass);
  p.num(r.reply.enhanced.subject)
      .num(r.reply.enhanced.detail)
      .str(r.reply.text)
      .str(r.remote)
      .time(r.at)
      .word(r.stage);
}

LastReply unpack_reply(Unpacker& u) {
  LastReply r;
  const auto code = u.num32();
  if (code > 999) u.bad("holds an impossible reply code");
  r.reply.code = static_cast<int>(code);
  r.reply.enhanced.klass = u.u8();
  r.reply.enhanced.subject = static_cast<std::uint16_t>(u.num());
  r.reply.enhanced.detail = static_cast<std::uint16_t>(u.num());
  r.reply.text = u.text();
  r.remote = u.text();
  r.at = u.time();
  r.stage = u.word(Stage::dns);
  return r;
}

void pack(Packer& p, const RecipientRow& r) {
  p.word(r.state).u8(flags_of({{r.possible_duplicate, duplicate},
                               {r.isolate, isolated},
                               {!r.address.empty(), own_address},
                               {r.last.has_value(), has_last},
                               {r.report != smtp::DsnAction::none, unreported}}));
  p.num(r.version).num(r.attempts).time(r.next);
  if (!r.address.empty()) p.str(r.address).num(r.member);
  if (r.last) pack(p, *r.last);
  if (r.report != smtp::DsnAction::none) p.word(r.report);
  if (r.last && !r.last->tls.empty()) p.str(r.last->tls);
}

RecipientRow unpack_recipient(std::string_view value, std::string_view key) {
  Unpacker u(value, "recipient", key);
  RecipientRow r;
  r.state = u.word(RecipientState::removed);
  const auto flags = u.u8();
  r.possible_duplicate = flags & duplicate;
  r.isolate = flags & isolated;
  r.version = u.num32();
  r.attempts = u.num32();
  r.next = u.time();
  if (flags & own_address) {
    r.address = u.text();
    r.member = u.num();
    if (r.address.empty()) u.bad("lacks its address");
  }
  if (flags & has_last) r.last = unpack_reply(u);
  if (flags & unreported) r.report = u.word(smtp::DsnAction::expanded);
  if (r.last && !u.at_end()) r.last->tls = u.text();
  return r;
}

void put_recipient(Write& write, Id message, std::uint32_t number, const RecipientRow& row) {
  Packer p;
  pack(p, row);
  write.put(Table::recipient, recipient_key(message, number), p.bytes());
}

ClaimRow unpack_claim(std::string_view key, std::string_view value) {
  ClaimRow c;
  KeyReader k(key);
  c.message = k.u64();
  c.first = k.u32();
  c.due = k.time();
  Unpacker u(value, "claim", key);
  c.count = u.num32();
  c.left = u.num32();
  c.since = u.time();
  c.route = u.text();
  if (c.count == 0 || c.count > longest_claim || c.first > ~c.count) u.bad("covers an impossible range");
  return c;
}

std::vector<ClaimRow> claims_from(const Read& read, Id message, std::uint32_t from, std::uint32_t to) {
  std::vector<ClaimRow> out;
  const Key prefix = Key().u64(message);
  Cursor c = read.cursor(Table::claim);
  for (bool more = c.seek(Key().u64(message).u32(from)); more && c.at(prefix); more = c.next()) {
    ClaimRow claim = unpack_claim(c.key(), c.value());
    if (claim.first > to) break;
    out.push_back(std::move(claim));
  }
  return out;
}

void each_claim_time(const Read& read, Id message, const std::function<void(TimePoint due)>& f) {
  read.each(Table::claim, Key().u64(message), [&](auto key, auto) {
    KeyReader k(key);
    k.u64();
    k.u32();
    f(k.time());
    return true;
  });
}

StageKind stage_kind(std::string_view key) {
  return static_cast<StageKind>(KeyReader(key).u8());
}

Id stage_id(std::string_view key) {
  KeyReader k(key);
  k.u8();
  return k.u64();
}

namespace {

Key claim_key(const ClaimRow& c) {
  return Key().u64(c.message).u32(c.first).time(c.due);
}

}  // namespace

void put_claim(Write& write, const ClaimRow& c) {
  if (c.left == 0) return del_claim(write, c);
  write.put(Table::claim, claim_key(c), Packer().num(c.count).num(c.left).time(c.since).str(c.route).bytes());
}

void del_claim(Write& write, const ClaimRow& c) {
  write.del(Table::claim, claim_key(c));
}

std::optional<HeadRow> find_head(const Read& read, Id message) {
  const auto value = read.get(Table::head, Key().u64(message));
  if (!value) return std::nullopt;
  Unpacker u(*value, "head", message);
  HeadRow row;
  row.head = u.text();
  while (!u.at_end()) {
    Splice& s = row.body.emplace_back();
    s.offset = u.num();
    s.length = u.num();
    s.own = u.text();
    if (s.length != 0 || !s.own.empty()) continue;
    s.blank = static_cast<mail::Blank>(s.offset & 0xff);
    s.offset = 0;
  }
  return row;
}

void put_head(Write& write, Id message, std::string_view head, const std::vector<Splice>& body) {
  Packer p;
  p.str(head);
  for (const Splice& s : body) {
    if (s.length != 0 || !s.own.empty()) p.num(s.offset).num(s.length).str(s.own);
    if (s.blank != 0) p.num(s.blank).num(0).str({});
  }
  write.put(Table::head, Key().u64(message), p.bytes());
}

std::uint32_t& count_of(Counts& counts, RecipientState state) {
  switch (state) {
    case RecipientState::queued:
      return counts.queued;
    case RecipientState::deferred:
      return counts.deferred;
    case RecipientState::held:
      return counts.held;
    case RecipientState::delivered:
      return counts.delivered;
    case RecipientState::failed:
      return counts.failed;
    case RecipientState::expired:
      return counts.expired;
    case RecipientState::removed:
      break;
  }
  return counts.removed;
}

void recount(MessageRow& message, RecipientState from, RecipientState to) {
  if (from == to) return;
  std::uint32_t& n = count_of(message.counts, from);
  if (n == 0)
    throw Broken(Error::Kind::corrupt,
                 "message " + id_text(message.id) + " of the store counts no recipient as " + text(from) +
                     ", but has one: run spoolctl check --repair while spoold does not run");
  --n;
  ++count_of(message.counts, to);
}

}  // namespace spoold::store::spool
