// What came in, as a value: an envelope, what is known of its content, and who sent it. What becomes of it: acceptance.hpp.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/verified.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/smtp/transaction.hpp"
#include "protocol/time.hpp"
#include "store/post_numbers.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

class AddressBook;
class RequestPace;
struct Returned;

struct Arrival {
  const smtp::Transaction& transaction;
  std::string_view header;  // the begin of the content: the whole header block at least
  store::ContentSource content;
  mail::Scanned scanned;      // what was found of the content
  std::string client;         // who sent it, for Received: "client.example ([192.0.2.1])"
  std::string_view protocol;  // the `with` of Received
  std::string_view tls = {};  // version and cipher: "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: none
  TimePoint at{};
  bool one_reply = true;                              // SMTP; false: each recipient hears its own (LMTP)
  bool by_operator = false;                           // `spoolctl post`: the lists' policies are not asked
  std::optional<list::Copies> copies = std::nullopt;  // forced for posts
  store::PostNumbers* numbers = nullptr;              // absent: nothing is to be accepted (a dry run)
  const AddressBook* addresses = nullptr;  // what aliases and owners are; absent: no recipient is one
  bool may_relay = true;       // false: a stranger, whose wish for success reports is not followed
  std::string_view user = {};  // who submits it (RFC 6409); empty: it comes from elsewhere
  const auth::Verified* verified = nullptr;  // what was found out about the message; absent: nothing
  bool vouched =
      false;  // by a user or a client of a trusted network: what we have keys for is signed as its author's
  RequestPace* pace = nullptr;    // of what is asked by mail; absent: it is not counted
  std::string_view network = {};  // of the client, for `pace`; empty: it speaks for others
  // What filters left: the id of the first message, which they were told (0: a new one); why what is made of it is held; the header is not
  // the one that came, and has lost what strangers said in our name; what of `verified` still holds (absent: all).
  store::Id id = 0;
  std::string quarantine = {};
  bool rewritten = false;
  const auth::Verified* holds = nullptr;
  // Of a held post (store::HeldPost) that is accepted now.
  std::string_view been_there = {};
  const std::vector<list::ListId>* given_to = nullptr;
  const Returned* returned = nullptr;  // of a bounce that returns a copy signed by us (returned.hpp)
};

/// "client.example ([192.0.2.1])"; a name that is no host name is left out of the field.
std::string client_text(std::string_view hello, std::string_view literal);

}  // namespace spoold::server
