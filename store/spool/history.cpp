#include "store/spool/history.hpp"

#include <algorithm>

#include "store/spool/spool.hpp"

namespace spoold::store::spool {
namespace {

// Words that differ (queue ids) mostly begin alike: what a recipient's words share with those before is not
// repeated.
void pack_event(Packer& p, const HistoryEvent& e) {
  p.str(e.event).str(e.route).str(e.who).str(e.address).str(e.detail).num(e.list);
  pack(p, e.last);
  p.num(e.recipients.size());
  std::string_view before = e.last.reply.text;
  std::uint32_t number = 0;
  for (const auto& [n, words] : e.recipients) {
    const auto shared =
        std::mismatch(before.begin(), before.end(), words.begin(), words.end()).first - before.begin();
    p.num(n - number)
        .num(static_cast<std::uint64_t>(shared))
        .str(std::string_view(words).substr(static_cast<std::size_t>(shared)));
    if (!words.empty()) before = words;  // none: those that all have in common
    number = n;
  }
  if (!e.last.tls.empty()) p.str(e.last.tls);
}

}  // namespace

HistoryEvent unpack_event(std::string_view key, std::string_view value) {
  HistoryEvent e;
  KeyReader k(key);
  e.at = k.time();
  e.message = k.u64();
  Unpacker u(value, "history", key);
  e.event = u.text();
  e.route = u.text();
  e.who = u.text();
  e.address = u.text();
  e.detail = u.text();
  e.list = u.num32();
  e.last = unpack_reply(u);
  const auto count = u.num();
  std::string_view before = e.last.reply.text;
  std::string previous;
  std::uint32_t number = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    number += u.num32();
    const auto shared = u.num();
    if (shared > before.size()) u.bad("repeats more than there was");
    std::string words(before.substr(0, shared));
    words += u.str();
    if (!words.empty()) {
      previous = words;
      before = previous;
    }
    e.recipients.emplace_back(number, std::move(words));
  }
  if (!u.at_end()) e.last.tls = u.text();
  return e;
}

void add_history(Write& write, const HistoryEvent& event) {
  std::uint16_t sequence = 0;
  {
    Cursor c = write.cursor(Table::history);
    const Key prefix = Key().time(event.at).u64(event.message);
    if (c.seek_before(Key().time(event.at).u64(event.message).u16(0xffff)) && c.at(prefix)) {
      KeyReader k(c.key());
      k.time();
      k.u64();
      sequence = static_cast<std::uint16_t>(k.u16() + 1);
    }
  }
  Packer p;
  pack_event(p, event);
  write.put(Table::history, Key().time(event.at).u64(event.message).u16(sequence), p.bytes());
}

HistoryPage history(const Read& read, TimePoint from, TimePoint to, Id message, std::size_t rows,
                    std::string_view after) {
  HistoryPage page;
  Cursor c = read.cursor(Table::history);
  bool more = after.empty() ? c.seek(Key().time(from)) : c.seek(after);
  if (more && !after.empty() && c.key() == after) more = c.next();
  for (std::size_t looked_at = 0; more; more = c.next()) {
    KeyReader k(c.key());
    if (k.time() > to) return page;
    if (looked_at++ == rows) {
      c.prev();
      page.after = c.key();
      return page;
    }
    if (message == 0 || k.u64() == message) page.events.push_back(unpack_event(c.key(), c.value()));
  }
  return page;
}

}  // namespace spoold::store::spool
