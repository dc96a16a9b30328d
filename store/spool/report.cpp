#include "store/spool/report.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "store/spool/content.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/spool.hpp"

namespace spoold::store::spool {
namespace {

using Action = smtp::DsnAction;

constexpr std::size_t most_in_report = 1000, messages_at_once = 1000, most_of_header = 65536;
constexpr const char* delayed_key = "delay_warned";  // meta: messages up to this id were looked at

Key report_key(TimePoint at, Id message) {
  return Key().time(at).u64(message);
}

std::string address_of(const Read& read, const MessageRow& message, std::uint32_t number,
                       const RecipientRow& row) {
  std::string address = row.address;
  if (address.empty() && number < message.originals)
    each_original(read, message, number, 1,
                  [&](std::uint32_t, const PageReader& at) { address = at.address(); });
  return address;
}

smtp::Dsn begun(const Read& read, const MessageRow& message, bool whole) {
  smtp::Dsn report;
  report.to = message.reverse_path;
  report.queue_id = id_text(message.id);
  report.envid = message.dsn.envid;
  report.arrived = message.arrived;
  report.whole = whole;
  report.original = outgoing(read, message, 0, whole ? message.size : most_of_header);
  return report;
}

smtp::Dsn::Recipient recipient(const Read& read, const MessageRow& message, Requests& requests,
                               std::uint32_t number, const RecipientRow& row, Action action) {
  smtp::Dsn::Recipient r;
  r.address = address_of(read, message, number, row);
  r.orcpt = requests.of(number).orcpt;
  r.action = action;
  if (row.last) r.last = *row.last;
  r.expired = row.state == RecipientState::expired;
  return r;
}

bool may_warn(const MessageRow& message) {
  return has_reports(message) && !message.report && !message.giving_up;
}

void add_delayed(const Read& read, MessageRow& message, Requests& requests,
                 std::vector<smtp::Dsn::Recipient>& to) {
  for (std::uint32_t first = 0; first < message.numbers(); first += page_size) {
    const std::uint32_t count = std::min(page_size, message.numbers() - first);
    const Numbers numbers(read, message, first, count);
    for (std::uint32_t number = first; number < first + count && to.size() < most_in_report; ++number) {
      const RecipientRow row = numbers.row_or_new(number);
      if (numbers.finished(number) || !is_waiting(row.state) || !requests.of(number).wants_delay()) continue;
      to.push_back(recipient(read, message, requests, number, row, Action::delayed));
    }
  }
}

Id looked_at(const Read& read) {
  const auto value = read.get(Table::meta, delayed_key);
  return value ? KeyReader(*value).u64() : 0;
}

}  // namespace

bool has_reports(const Message& message) {
  return message.list == 0 && (!message.reverse_path.empty() || message.report);
}

Action to_report(const Message& message, const smtp::DsnOfRecipient& dsn, RecipientState state,
                 Action success) {
  if (!has_reports(message)) return Action::none;
  switch (state) {
    case RecipientState::failed:
    case RecipientState::expired:
      return dsn.wants_failure() ? Action::failed : Action::none;
    case RecipientState::delivered:
      return dsn.wants_success() ? success : Action::none;
    default:
      return Action::none;
  }
}

void report_by(Write& write, MessageRow& message, TimePoint at) {
  if (message.report_at != TimePoint{}) return;
  message.report_at = at;
  write.put(Table::report, report_key(at, message.id), {});
}

std::optional<DueReport> take_report(Write& write, Id id) {
  auto found = find_message(write, id);
  if (!found || found->report_at == TimePoint{}) return std::nullopt;
  MessageRow& message = *found;
  write.del(Table::report, report_key(message.report_at, id));
  message.report_at = {};
  std::vector<std::pair<std::uint32_t, RecipientRow>> rows;
  bool all = true;
  {
    const Key prefix = Key().u64(id);
    Cursor c = write.cursor(Table::recipient);
    for (bool more = c.seek(prefix); more && c.at(prefix); more = c.next()) {
      RecipientRow row = unpack_recipient(c.value(), c.key());
      if (row.report == Action::none) continue;
      if (!(all = rows.size() < most_in_report)) break;
      KeyReader key(c.key());
      key.u64();
      rows.emplace_back(key.u32(), std::move(row));
    }
  }
  const bool failures = std::any_of(rows.begin(), rows.end(),
                                    [](const auto& entry) { return entry.second.report == Action::failed; });
  DueReport due;
  // A report of a binary message must not be one; RFC 8689 5: as if RET=HDRS had been asked for.
  const bool whole = failures && !message.binary && !message.require_tls &&
                     smtp::returns_whole(message.dsn.ret, message.size);
  due.report = begun(write, message, whole);
  Requests requests(write, message);
  for (auto& [number, row] : rows) {
    const Action action = std::exchange(row.report, Action::none);
    due.report.recipients.push_back(recipient(write, message, requests, number, row, action));
    put_recipient(write, id, number, row);
  }
  if (message.unwarned && message.state == MessageState::queued) {  // released meanwhile
    message.unwarned = false;
    if (may_warn(message)) add_delayed(write, message, requests, due.report.recipients);
  }
  if (!all)
    report_by(write, message, write.now());
  else if (message.state == MessageState::finished)
    drop_content(write, message);
  put_message(write, message);
  if (due.report.recipients.empty()) return std::nullopt;
  due.message = std::move(message);
  return due;
}

void warn_if_owed(Write& write, MessageRow& message) {
  if (message.unwarned) report_by(write, message, write.now());
}

std::optional<Id> next_report(const Read& read, TimePoint now) {
  Cursor c = read.cursor(Table::report);
  if (!c.first()) return std::nullopt;
  KeyReader key(c.key());
  if (key.time() > now) return std::nullopt;
  return key.u64();
}

namespace {

/// The next live message that was not looked at yet, if it arrived before `before`. Ids are in the order of arrival;
/// one that arrived in the future (the clock was ahead then) is looked at as well, to be put right.
std::optional<MessageRow> not_looked_at(const Read& read, Id place, TimePoint now, TimePoint before) {
  Cursor c = read.cursor(Table::message);
  if (place == ~Id{0} || !c.seek(Key().u64(place + 1))) return std::nullopt;
  auto message = unpack_message(KeyReader(c.key()).u64(), c.value());
  if (message.arrived >= before && message.arrived <= now + clock_slack) return std::nullopt;
  return message;
}

}  // namespace

bool has_delayed(const Read& read, TimePoint now, TimePoint before) {
  return not_looked_at(read, looked_at(read), now, before).has_value();
}

namespace {

std::optional<DueReport> delayed(const Read& read, MessageRow& message) {
  if (!may_warn(message) || message.state != MessageState::queued) return std::nullopt;
  DueReport due;
  Requests requests(read, message);
  std::vector<smtp::Dsn::Recipient> recipients;
  add_delayed(read, message, requests, recipients);
  if (recipients.empty()) return std::nullopt;
  due.report = begun(read, message, false);
  due.report.recipients = std::move(recipients);
  due.message = message;
  return due;
}

}  // namespace

std::optional<DueReport> next_delayed(Write& write, TimePoint before) {
  const Id start = looked_at(write);
  Id place = start;
  std::optional<DueReport> due;
  for (std::size_t seen = 0; seen < messages_at_once && !due; ++seen) {
    auto message = not_looked_at(write, place, write.now(), before);
    if (!message) break;
    if (came_now(*message, write.now())) {
      put_message(write, *message);
      break;
    }
    place = message->id;
    due = delayed(write, *message);
    if (message->state == MessageState::held && may_warn(*message)) {
      message->unwarned = true;
      put_message(write, *message);
    }
  }
  if (place != start) write.put(Table::meta, delayed_key, Key().u64(place));
  return due;
}

}  // namespace spoold::store::spool
