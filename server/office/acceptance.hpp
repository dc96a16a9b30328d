// From an envelope and a content to what the store keeps: one message for each list post, one for each other
// reverse path (aliases and owners expanded), bounce reports as history; and the fate of each recipient. Also
// used by `spoolctl post`.
//
// Guarantees: the content is not copied (drafts.hpp). Posts are judged by protocol/list/policy.hpp after the
// header. A recipient named twice, or by two ways, gets one copy of each message. Failures: fates with a 5xx
// reply. With SMTP (one reply for all) a post that its list refuses while others accept is recorded as failed
// and reported to the sender by a DSN that is stored in the same commit. A sender who asked for
// it (NOTIFY=SUCCESS) gets such a report for lists, owners and aliases with several targets too (RFC
// 3461 5.2.7); an alias with one target passes the request on. See also: address_book.hpp (what the
// recipients are), report.hpp, store/spool/acceptance.hpp.
#pragma once
#include <optional>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/smtp/reply.hpp"
#include "server/office/arrival.hpp"
#include "server/office/moderation.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

struct Fate {
  std::optional<smtp::Reply> refusal;
  /// In Disposition::acceptance.messages; none: refused, held, discarded, a bounce report, or a moderator's answer.
  std::optional<std::size_t> message;
  std::optional<std::size_t> held = {};  // in Disposition::acceptance.held
};

struct Disposition {
  /// One commit. Its events: bounce reports, refusals by some of several lists. Unless all are refused.
  store::Acceptance acceptance;
  std::vector<Fate> fates;  // one for each recipient of the transaction, in order
  bool all_refused() const;
  /// What moderators ask in this mail, each once: to be done first, as commits of their own (inbound/by_mail).
  std::vector<ModerationByMail> moderations = {};
  /// A post to this list found no number: await PostNumbers::lease() and dispose() again. Nothing else holds then.
  std::optional<list::ListId> unnumbered;
};

/// Lists and members are looked up in a Read of now. Takes the numbers of the posts, and the ids of the messages. Any
/// thread.
Disposition dispose(const conf::Settings& settings, store::Store& store, Arrival arrival);

}  // namespace spoold::server
