// Which digests are due, and what they are: an acceptance each, whose commit ends the wait of the posts in it (store/spool/digest.hpp). What
// a digest looks like: protocol/list/digest.hpp. Posts are cooked anew, by the settings of now, from what came: a digest's From
// is the list, so DMARC asks nothing of them.
#pragma once
#include <optional>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/ids.hpp"
#include "server/office/arrival.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

/// The digest of what waits for this list; nothing: nothing waits. Of a list that is gone: what waits is given up. Reads posts
/// until they have half of `[smtp] max_message_size`: what is left waits for the next digest.
std::optional<store::Acceptance> digest_of(const conf::Settings&, store::Store&, list::ListId, TimePoint now);

/// Lists whose digest is due. Any thread.
std::vector<list::ListId> due_digests(store::Store&, TimePoint now);

/// A post that was accepted for a list with digests.
std::optional<store::DigestPost> for_digest(const list::Settings&, const Arrival&);

}  // namespace spoold::server
