// What moderators decide by answering the notice of a held post (server/office/moderation.hpp): each decision is a commit of its own,
// made before the answer itself is acknowledged. So a client that gets no 250 sends the answer again, and is told then what
// was decided. Failures: of the store. That the post was decided before, or is gone, is none: the moderator is told by mail.
#pragma once
#include <vector>

#include "server/inbound/reception.hpp"
#include "server/office/moderation.hpp"

namespace spoold::server {

/// On the session's thread. All must live longer.
Awaitable<store::Result<void>> moderate_by_mail(asio::any_io_executor executor, Reception& reception,
                                                const conf::Settings& settings,
                                                const std::vector<ModerationByMail>& answers);

}  // namespace spoold::server
