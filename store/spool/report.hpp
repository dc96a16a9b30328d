// Reports that are due (RFC 3464): which recipients of a message its sender has yet to be told of. A final
// failure is marked in the recipient's row, in the commit of its settle, and waits for those of the message's
// other recipients: until the last of them has an outcome, at most Options::report_wait. Table `report` has
// the time; until the report is made a finished message keeps its content. So a failure is reported once,
// whatever crashes in between. Delays need no mark: live messages are met in order of their arrival, and how
// far that has come is in `meta`. What a report looks like, and to whom it goes: server/office/report.hpp.
#pragma once
#include <optional>

#include "protocol/smtp/dsn.hpp"
#include "store/spool/request.hpp"
#include "store/spool/rows.hpp"

namespace spoold::store::spool {

/// Somebody hears of what becomes of this message: it is not list mail, and not from the null path unless it
/// is a report of ours.
bool has_reports(const Message&);

/// What is to be reported of a recipient with this final state (`success`: what a delivery is called; none:
/// the next hop reports it).
smtp::DsnAction to_report(const Message&, const smtp::DsnOfRecipient&, RecipientState,
                          smtp::DsnAction success);

/// A recipient of it has something to report: by `at` at the latest.
void report_by(Write&, MessageRow&, TimePoint at);

struct DueReport {
  Message message;
  smtp::Dsn report;  // what the store knows of it
};
/// What is to be reported of this message now; afterwards nothing is, and the content of a finished message
/// is gone. Of more than 1,000 recipients the rest is due at once.
std::optional<DueReport> take_report(Write&, Id);

/// Released: a warning of a delay that came due while it was held is due now.
void warn_if_owed(Write&, MessageRow&);

/// The next message whose report is due by `now`.
std::optional<Id> next_report(const Read&, TimePoint now);

/// Whether a message that arrived before `before` has not been looked at yet.
bool has_delayed(const Read&, TimePoint now, TimePoint before);
/// Goes on to the next live message that arrived before `before`, a thousand at most that need no report.
/// Nothing: there are no more now. Each message is looked at once;
/// one that is held then is marked, and warned of when it is released (warn_if_owed).
std::optional<DueReport> next_delayed(Write&, TimePoint before);

}  // namespace spoold::store::spool
