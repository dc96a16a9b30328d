// The replies to the end of the data, from what became of the message. Pure.
#pragma once
#include <vector>

#include "protocol/smtp/reply.hpp"
#include "server/office/acceptance.hpp"
#include "store/store.hpp"

namespace spoold::server {

/// Of a store that did not take the message: 452 or 451. The client tries again.
smtp::Reply reply_of(const store::Error& error);
/// All sessions together hold more content than there is memory for.
smtp::Reply no_memory();
/// SMTP: one reply. LMTP: one for each recipient, in order.
std::vector<smtp::Reply> replies_of(const Disposition& disposition, const store::Accepted& accepted,
                                    bool lmtp);

}  // namespace spoold::server
