// A post that is held for moderation, as a value: uncooked, with what its cooking will need. Not to be confused with a queued
// message that an operator holds (MessageState::held). The rows: moderation.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/time.hpp"
#include "store/id.hpp"

namespace spoold::store {

struct HeldPost {
  Id id = 0;  // its queue id, which the reply to its poster named
  list::ListId list = 0;
  std::uint32_t number = 0;  // of the list, given by the store: it rises, and none is given twice
  Id content = 0;            // given by the store
  std::string list_address;
  TimePoint at{}, until{};  // when it came; when nobody has decided by then, the list's held_expiry does
  std::string rule, reason;
  std::string reverse_path;               // Mailbox text; never empty: such mail is no post
  std::string poster;                     // Mailbox key
  bool told = false;                      // the poster was, that his post waits
  std::string from, subject, message_id;  // for tables, as of Message
  mail::Scanned scanned;
  std::string client, protocol, tls;       // for Received (server/office/arrival.hpp)
  bool utf8 = false, require_tls = false;  // of MAIL (smtp/transaction.hpp)
  bool vouched = false;                    // a user or a client of a trusted network handed it over
  std::string
      been_there;  // fields: the lists whose member this list is, through which it came; empty: its sender named this list
  std::vector<list::ListId> given_to;  // the other lists that accepted it: their members have it
};

/// What ends the wait of a held post. It is recorded with it, so that whoever decides after that is told.
struct Decision {
  enum class What : std::uint8_t { accept, reject, discard } what = What::accept;
  Id held = 0;
  std::string who;
  TimePoint at{};      // filled in
  Id message = 0;      // accept: the message that it became
  std::string reason;  // reject
};
const char* text(Decision::What);  // accepted, rejected, discarded

/// Mail that a server makes for an address is bounded: at most so many a day (UTC).
struct TellingLimit {
  std::string key;  // whom, and of what kind: "held anna@a.example"
  std::uint32_t most = 0;
};

}  // namespace spoold::store
