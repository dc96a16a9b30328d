// Who is told of what becomes of mail that is not list mail (RFC 3464; protocol/smtp/dsn.hpp writes it), as
// something the store accepts in the commit of what it reports. Reports have the null reverse path. Rules:
// - A report goes to the reverse path of the original. Where that is an alias or an owners' address of ours,
//   the report goes to the addresses that the alias or the owners lead to.
// - A report of ours that cannot be delivered goes to the postmaster (<postmaster> as at RCPT), once. Failures
//   of that message are only logged. A report to an address of ours that is nobody's goes there too.
// What is reported, and when: store/spool/report.hpp. A report on what was refused while it came in: acceptance.hpp.
#pragma once
#include "protocol/smtp/dsn.hpp"
#include "server/current.hpp"
#include "server/office/address_book.hpp"
#include "store/directory/changes.hpp"
#include "store/spool/acceptance.hpp"
#include "store/store.hpp"

namespace spoold::server {

/// The one way from a report to a message. Its head is the whole text.
store::NewMessage report_message(const conf::Settings&, const smtp::Dsn&, std::vector<std::string> to);
/// With the keys of hostname (signing.hpp). A report of mail that has DKIM2 fields is signed so too, where it goes to one address
/// (draft-ietf-dkim-dkim2-spec-06 12.1). `original`: what it returns.
void sign_report(const conf::Settings&, std::string_view original, store::NewMessage& made);

class Reports {
 public:
  explicit Reports(std::shared_ptr<const AddressBook> book) : book_(std::move(book)) {}

  /// Any thread; of reports that are made from now on.
  void use(std::shared_ptr<const AddressBook> book) { book_.set(std::move(book)); }

  /// store::Options::report. No message: nobody can be told.
  store::Acceptance acceptance(const store::Read& read, const store::Message& about, smtp::Dsn report) const;
  /// store::Options::failed and ::notices: what failures mean for members of lists (bounces.hpp).
  std::vector<store::directory::Operation> failed(const store::Read& read,
                                                  const store::spool::Failures& failures) const;
  /// store::Options::brake (brake.hpp).
  std::optional<store::Acceptance> brake(const store::Read& read,
                                         const store::spool::Failures& failures) const;
  /// What is due of held posts (moderation.hpp): at most `most` that have expired, and the summaries of the day.
  std::vector<store::Acceptance> held(store::Store&, TimePoint now, std::size_t most) const;
  store::Acceptance notices(const store::Read& read, const store::directory::Applied& applied,
                            std::string_view evidence) const;

 private:
  Current<AddressBook> book_;
};

}  // namespace spoold::server
