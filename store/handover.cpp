#include "store/handover.hpp"

#include <iterator>
#include <utility>

#include "protocol/list/settings_table.hpp"
#include "store/directory/apply.hpp"
#include "store/directory/scores.hpp"
#include "store/roster.hpp"
#include "store/spool/accept.hpp"
#include "store/spool/history.hpp"
#include "store/spool/outbox.hpp"

namespace spoold::store {
namespace {

/// "no-such-user, 1 point: 3.0 of 5.0; 550 5.1.1 no such user"
std::string told(const directory::ScoreMember& c, const list::BounceRules& rules) {
  using What = directory::ScoreMember::What;
  std::string text;
  if (c.what == What::failure) {
    text = c.failure.cause;
    if (c.counts) {
      const std::uint32_t points = c.after.empty() ? 0 : directory::unpack_score(c.after).half_points();
      text += c.failure.soft ? ", half a point" : ", 1 point";
      text += ": " + list::points_text(points) + " of " + list::points_text(rules.threshold);
    } else {
      text += ", does not count";
      if (c.guarded == directory::ScoreMember::Guarded::suspended)
        text += ": so many members there failed alike that scoring is suspended";
      else if (c.guarded == directory::ScoreMember::Guarded::spike)
        text += ": so many members there failed alike within an hour that scoring is suspended for a day";
    }
  } else if (c.what == What::probe) {
    text = "the probe bounced";
  }
  const auto add = [&text](const char* what) { text.append(text.empty() ? "" : "; ").append(what); };
  switch (c.act) {
    case bounce::Act::probe:
      add("probe sent, the score begins again");
      break;
    case bounce::Act::disable:
      add("delivery disabled");
      break;
    case bounce::Act::warn:
      add("warned again");
      break;
    case bounce::Act::remove:
      add("removed from the list");
      break;
    case bounce::Act::enable:
    case bounce::Act::nothing:
      break;
  }
  if (!c.said.empty() && !text.empty()) text += "; " + c.said;
  return text;
}

}  // namespace

void record_applied(Write& write, const directory::Operation& operation, const directory::Applied& applied) {
  HistoryEvent event;
  event.at = write.now();
  event.event = "edited";
  event.who = operation.who;
  event.list = applied.list.id;
  for (const std::string& text : applied.events) {
    event.detail = text;
    spool::add_history(write, event);
  }
  if (applied.asked) {
    event.event = "asked";
    event.address = applied.asked->address;
    event.detail = std::string(list::text(applied.asked->what)) + ": " + list::text(applied.asked->answer);
    spool::add_history(write, event);
  }
  if (!applied.scored) return;
  event.event = "bounce";
  event.address = applied.scored->address;
  event.detail = told(*applied.scored, applied.list.settings.bounces);
  if (!event.detail.empty()) spool::add_history(write, event);
}

Result<void> HandOver::drain(Write& write, std::vector<std::string>& routes,
                             std::string_view evidence) const {
  while (const auto row = spool::take_outbox(write))
    if (auto ok = apply(write, directory::unpack_operation(row->operation), routes, evidence); !ok) return ok;
  return {};
}

Result<void> HandOver::apply(Write& write, const directory::Operation& operation,
                             std::vector<std::string>& routes, std::string_view evidence) const {
  const auto applied = directory::apply(write, operation);
  if (!applied) {
    // Nothing was written: what is handed over here looks for its list and member first.
    HistoryEvent event;
    event.at = write.now();
    event.event = "edited";
    event.who = operation.who;
    event.detail = "could not be done: " + applied.error().text;
    spool::add_history(write, event);
    return {};
  }
  if (applied->repeated) return {};
  record_applied(write, operation, *applied);
  return tell(write, *applied, routes, evidence);
}

Result<void> HandOver::tell(Write& write, const directory::Applied& applied, std::vector<std::string>& routes,
                            std::string_view evidence) const {
  if (!notices_) return {};
  Acceptance acceptance = notices_(write, applied, evidence);
  if (acceptance.messages.empty()) return {};
  return accept(write, std::move(acceptance), routes);
}

Result<void> HandOver::accept(Write& write, Acceptance acceptance, std::vector<std::string>& routes) const {
  const bool mail_follows = !acceptance.messages.empty();
  spool::Accepting mail(std::move(acceptance), route_, directory_roster());
  const auto whole = mail.slice(write, [] { return false; });
  if (!whole) return tl::unexpected(whole.error());
  if (!mail_follows) return {};
  mail.advance();
  Accepted accepted = mail.take();
  std::move(accepted.routes.begin(), accepted.routes.end(), std::back_inserter(routes));
  return {};
}

}  // namespace spoold::store
