// What the store holds, as the JSON of the contract (snake_case names, times in RFC 3339 UTC, null for what
// is not there). Pure: from values copied out of the store.
#pragma once
#include "protocol/list/settings.hpp"
#include "server/admin/json.hpp"
#include "store/directory/persons.hpp"
#include "store/directory/users.hpp"
#include "store/spool/held_post.hpp"
#include "store/spool/types.hpp"

namespace spoold::server::admin {

Json time_json(TimePoint);  // null for the zero time
Json counts_json(const store::Counts&);
Json last_reply_json(const std::optional<LastReply>&);
/// A message without its recipients.
Json message_json(const store::Message&);
Json recipient_json(const store::Recipient&, const std::string& envelope_sender,
                    const std::optional<store::Suspect>& suspect);
Json held_json(const store::HeldPost&);
Json history_json(const store::HistoryEvent&);
Json list_json(const list::List&);
Json member_json(const list::Member&);
/// What is not set is null: the next layer decides (protocol/list/preferences.hpp).
Json preferences_json(const list::Preferences&);
/// A person with his addresses, the preferred one first.
Json person_json(const store::directory::Person&);
/// Without anything of the password.
Json user_json(const store::directory::User&);
/// As the requests user-add and user-password have them.
Json verifiers_json(const store::directory::Verifiers&);

}  // namespace spoold::server::admin
