#include "protocol/bounce/event.hpp"

#include <utility>

namespace spoold::bounce {
namespace {

using conf::ReplyAction;

std::optional<Event> counted(TimePoint at, smtp::ReplyClass found) {
  if (found.action != ReplyAction::score && found.action != ReplyAction::soft) return std::nullopt;
  return Event{at, found.action == ReplyAction::soft, std::move(found.rule)};
}

bool about_domain(const smtp::EnhancedStatus& status) {
  return status.klass == 5 && status.subject == 1 && (status.detail == 2 || status.detail == 10);
}

}  // namespace

std::optional<Event> event_of(const LastReply& last, bool expired, bool alone,
                              const smtp::ReplyTable& table) {
  const smtp::Reply& reply = last.reply;
  if (last.stage == Stage::dns) {
    if (expired || !about_domain(reply.enhanced)) return std::nullopt;
    return Event{last.at, false, "dns"};
  }
  const bool own =
      last.stage == Stage::rcpt || (alone && (last.stage == Stage::data || last.stage == Stage::dot));
  if (!own || reply.code < 400) return std::nullopt;
  smtp::ReplyClass found = table.classify(reply, smtp::host_in(last.remote));
  if (expired) {
    if (found.action == ReplyAction::retry || found.action == ReplyAction::score)
      found.action = ReplyAction::soft;
    return counted(last.at, std::move(found));
  }
  if (!reply.permanent() || reply.enhanced.klass == 4) return std::nullopt;
  return counted(last.at, std::move(found));
}

std::optional<Event> event_of(const Failure& failure, const smtp::ReplyTable& table, TimePoint at) {
  if (!failure.permanent || failure.status.klass == 4) return std::nullopt;
  const bool vague = !failure.status.given() || (failure.status.subject == 0 && failure.status.detail == 0);
  if (failure.diagnostic.empty() && vague) return Event{at, true, "unexplained"};
  const smtp::Reply reply = reply_of(failure);
  if (!reply.permanent() || reply.enhanced.klass == 4) return std::nullopt;
  return counted(at, table.classify(reply, smtp::host_in(failure.remote)));
}

smtp::Reply reply_of(const Failure& failure) {
  smtp::Reply reply = smtp::reply_in_line(failure.diagnostic);
  if (!reply.enhanced.given()) reply.enhanced = failure.status;
  if (reply.code == 0) reply.code = failure.permanent ? 550 : 450;
  if (!failure.permanent && reply.permanent()) reply.code -= 100;
  return reply;
}

}  // namespace spoold::bounce
