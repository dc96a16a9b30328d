#include "store/reporting.hpp"

#include <utility>

#include "store/roster.hpp"
#include "store/spool/accept.hpp"

namespace spoold::store {

bool Reporting::due(const Read& read, TimePoint now) const {
  if (!options_.report) return false;
  return spool::next_report(read, now) ||
         (options_.delay_warning > Duration{} && spool::has_delayed(read, now, now - options_.delay_warning));
}

Result<bool> Reporting::slice(Write& write, const Enough& enough, std::vector<Made>& made) const {
  const TimePoint now = write.now();
  while (due(write, now)) {
    std::optional<spool::DueReport> next;
    if (const auto id = spool::next_report(write, now))
      next = spool::take_report(write, *id);
    else
      next = spool::next_delayed(write, now - options_.delay_warning);
    if (next)
      if (auto ok = send(write, std::move(*next), made); !ok) return tl::unexpected(ok.error());
    if (enough()) return false;
  }
  return true;
}

Result<void> Reporting::one(Write& write, Id message, std::vector<Made>& made) const {
  if (auto due = spool::take_report(write, message)) return send(write, std::move(*due), made);
  return {};
}

Result<void> Reporting::send(Write& write, spool::DueReport due, std::vector<Made>& made) const {
  Made one;
  one.report.about = due.message.id;
  one.report.subject = smtp::subject_of(due.report);
  due.report.now = write.now();
  Acceptance acceptance = options_.report(write, due.message, std::move(due.report));
  if (!acceptance.messages.empty()) {
    const auto& recipients = acceptance.messages.front().recipients;
    if (!recipients.empty()) one.report.to = recipients.front().address;
    spool::Accepting report(std::move(acceptance), route_, directory_roster());
    const auto whole = report.slice(write, [] { return false; });
    if (!whole) return tl::unexpected(whole.error());
    report.advance();
    Accepted accepted = report.take();
    one.report.id = accepted.ids.front();
    one.routes = std::move(accepted.routes);
  }
  made.push_back(std::move(one));
  return {};
}

}  // namespace spoold::store
