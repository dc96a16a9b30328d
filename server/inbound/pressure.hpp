// When mail is not taken now because something is short here: room in the spool, the disk's answers, memory for contents.
//
// Guarantees: asked where a client has sent nothing of a message yet (MAIL), or nothing but its envelope (RCPT). What is under
// way gets its outcome. Each refusal is a 452 4.3.1 with the reason in its text, and counted in Stats; the next one is asked
// anew, so reception recovers by itself. Nothing waits here. See also: store/room.hpp, content.hpp, census.hpp (421, when
// places for connections are short).
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

#include "protocol/smtp/reply.hpp"
#include "protocol/smtp/transaction.hpp"
#include "server/inbound/reception.hpp"

namespace spoold::server {

/// A commit that has been waited for so long: who comes now would only wait behind those who wait already.
inline constexpr auto slow_disk = std::chrono::seconds(5);

/// At MAIL. `size`: what the client declares (RFC 1870); 0: nothing.
std::optional<smtp::Reply> refused_for_now(Reception& reception, std::uint64_t size);
/// At RCPT: `found` beside the recipients that `transaction` has already expands to more rows than there is room for.
std::optional<smtp::Reply> refused_for_now(Reception& reception, const smtp::Transaction& transaction,
                                           const smtp::Recipient& found);

}  // namespace spoold::server
