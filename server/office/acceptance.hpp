// From an envelope and a content to what the store keeps: one message for each list post, one for each other
// reverse path (aliases and owners expanded), bounce reports as history; and the fate of each recipient. Also
// used by `spoolctl post`.
//
// Guarantees: the content is not copied; each message goes out as its head (a Received field, and for posts
// the cooked header) and ranges of the content. Posts are judged by protocol/list/policy.hpp after the
// header. A recipient named twice, or by two ways, gets one copy of each message. Failures: fates with a 5xx
// reply. With SMTP (one reply for all) a post that its list refuses while others accept is recorded as failed
// and reported to the sender by a DSN that is stored in the same commit. A sender who asked for
// it (NOTIFY=SUCCESS) gets such a report for lists, owners and aliases with several targets too (RFC
// 3461 5.2.7); an alias with one target passes the request on. See also: address_book.hpp (what the
// recipients are), session.hpp, store/store.hpp (Acceptance).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/smtp/transaction.hpp"
#include "server/office/address_book.hpp"
#include "store/post_numbers.hpp"
#include "store/spool/acceptance.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {

struct Arrival {
  const smtp::Transaction& transaction;
  std::string_view header;       // the begin of the content: the whole header block at least
  store::ContentSource content;  // its size is right in any case
  bool eight_bit = false, leading_dots = false;
  std::string client;         // who sent it, for Received: "client.example ([192.0.2.1])"
  std::string_view protocol;  // the `with` of Received
  std::string_view tls = {};  // version and cipher: "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: none
  TimePoint at{};
  bool one_reply = true;                              // SMTP; false: each recipient hears its own (LMTP)
  bool by_operator = false;                           // `spoolctl post`: the lists' policies are not asked
  std::optional<list::Copies> copies = std::nullopt;  // forced for posts
  store::PostNumbers* numbers = nullptr;              // absent: nothing is to be accepted (a dry run)
  const AddressBook* addresses = nullptr;  // what aliases and owners are; absent: no recipient is one
  bool may_relay = true;  // false: a stranger, whose wish for success reports is not followed
};

struct Fate {
  std::optional<smtp::Reply> refusal;
  /// In Disposition::acceptance.messages; none: refused, or a bounce report.
  std::optional<std::size_t> message;
};

struct Disposition {
  /// One commit. Its events: bounce reports, refusals by some of several lists. Unless all are refused.
  store::Acceptance acceptance;
  std::vector<Fate> fates;  // one for each recipient of the transaction, in order
  bool all_refused() const;
  /// A post to this list found no number: await PostNumbers::lease() and dispose() again. Nothing else holds then.
  std::optional<list::ListId> unnumbered;
};

/// `read` must be of now: lists and members are looked up in it. Nothing of it is kept. Takes the numbers of the posts.
Disposition dispose(const conf::Settings& settings, const store::Read& read, Arrival arrival);

/// "client.example ([192.0.2.1])"; a name that is no host name is left out of the field.
std::string client_text(std::string_view hello, std::string_view literal);

}  // namespace spoold::server
