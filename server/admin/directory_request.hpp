// What requests that change the directory share: each is one operation, submitted and awaited. A request may name its operation
// ("operation"): asked again after "unavailable" it is done once.
#pragma once
#include <string>

#include "protocol/mail/mailbox.hpp"
#include "server/admin/requests.hpp"
#include "store/directory/changes.hpp"

namespace spoold::server::admin {

struct Done {
  store::directory::Applied applied;
  Json failure;  // null: it was applied
};

/// Submits the change and waits for its commit, which holds the audit event too. `part`: names it among several of one request.
Done submit(const Request& request, store::directory::Change change, std::string_view part = {});

/// The list that the request names ("list"), with its rules. Throws as mailbox_of().
store::Result<list::List> find_list(const Request& request);

/// Throws std::invalid_argument.
Mailbox mailbox_of(const std::string& text, Mailbox::Allow allow = Mailbox::Allow::ascii);

}  // namespace spoold::server::admin
