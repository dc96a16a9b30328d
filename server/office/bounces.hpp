// What failures mean for members: from the final outcome of a copy, or from a report that came in, to operations on the
// directory (ScoreMember), and from what such an operation did to the mail that follows: a probe, a warning, a notice to the
// owners. All of it becomes one commit with the failure or the report (store/handover.hpp).
//
// Which replies count: protocol/bounce/event.hpp, by the table of replies. What a score leads to: protocol/bounce/score.hpp.
// The mail is the list's own: message.list is set, message.post is 0. So nobody is sent a delivery report about it, and its own
// failures count against the member, or make the probe a bounced one. Pure but for what it reads of the directory.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/bounce/scan.hpp"
#include "server/current.hpp"
#include "server/office/address_book.hpp"
#include "store/directory/changes.hpp"
#include "store/spool/acceptance.hpp"
#include "store/spool/settle.hpp"

namespace spoold::server {

/// store::Options::failed: of final failures of mail with a list. Each operation's id names message and recipient.
std::vector<store::directory::Operation> scores_of(const conf::Settings&, const store::Read&,
                                                   const store::spool::Failures&);

/// What a report to an address of a list's bounces means.
struct ReportRead {
  std::vector<store::directory::Operation> operations;
  std::string what;        // for the history, where there is no operation
  bool to_owners = false;  // nobody here can tell what it says
};
/// `mail`: the content, or its begin. `member`: whom the address names (a key); empty: the report itself must say it.
ReportRead read_report(const conf::Settings&, const store::Read&, list::ListId, const std::string& member,
                       std::string_view mail, TimePoint at);
/// A report to the address of a probe.
ReportRead read_probe_report(const store::Read&, const std::string& token, std::string_view mail,
                             TimePoint at);

/// A complaint of a member of a list here about his copy of a post (ARF, RFC 5965). The member is named by an address with a tag of
/// this server in the copy that it returns (his own List-Unsubscribe, or an opaque envelope sender), which only who has the
/// copy knows: that is proof, and the list's setting `complaint` acts on it. Else by the envelope sender, which anybody can write.
/// Nothing: it is no complaint, or names no member here.
struct ComplaintRead {
  list::ListId list = 0;
  std::string member;                                         // key
  std::string what;                                           // "abuse"
  std::optional<store::directory::Operation> operation = {};  // he leaves, or gets no mail
};
std::optional<ComplaintRead> read_complaint(const AddressBook&, const store::Read&, std::string_view mail,
                                            TimePoint now);

/// Mail that follows from an operation: none, or to the member, to the owners. `evidence`: the report or reply that it
/// followed from, as a message; empty: what the operation says is quoted.
store::Acceptance notices(const AddressBook&, const store::Read&, const store::directory::Applied&,
                          std::string_view evidence);

}  // namespace spoold::server
