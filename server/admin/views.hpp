// What the store holds, as the JSON of the contract (snake_case names, times in RFC 3339 UTC, null for what
// is not there). Pure: from values copied out of the store.
#pragma once
#include "protocol/list/verp.hpp"
#include "server/admin/json.hpp"
#include "store/spool/types.hpp"

namespace spoold::server::admin {

Json time_json(TimePoint);  // null for the zero time
Json counts_json(const store::Counts&);
Json last_reply_json(const std::optional<LastReply>&);
/// A message without its recipients.
Json message_json(const store::Message&);
Json recipient_json(const store::Recipient&, const std::string& envelope_sender,
                    const std::optional<store::Suspect>& suspect);
Json history_json(const store::HistoryEvent&);
Json list_json(const list::List&);
Json member_json(const list::Member&);

/// The reverse path of each recipient of one message, as delivery makes it.
class EnvelopeSenders {
 public:
  EnvelopeSenders(const store::Message&, const std::optional<list::List>&, char delimiter, list::Hmac hmac);
  std::string operator()(const store::Recipient&) const;

 private:
  std::string plain_;
  std::optional<list::VerpEncoder> verp_;
};

}  // namespace spoold::server::admin
