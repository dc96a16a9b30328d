// What the store holds, as the JSON of the contract (snake_case names, times in RFC 3339 UTC, null for what
// is not there). Pure: from values copied out of the store.
#pragma once
#include "protocol/list/settings.hpp"
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

}  // namespace spoold::server::admin
