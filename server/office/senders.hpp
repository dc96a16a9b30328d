// Whom a user may send as ([submission] senders), in the envelope and in From. The null reverse path is everybody's.
// Failures: 553 5.7.1 of the envelope, 550 5.7.1 of From, with a text that names the address and what he may do.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "conf/settings.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/smtp/reply.hpp"
#include "store/txn.hpp"

namespace spoold::server {

/// At MAIL. The user is looked up each time: who was removed sends no more, also where he is logged in.
std::optional<smtp::Reply> sender_refusal(const store::Read& read, std::string_view user,
                                          conf::Submission::Senders senders,
                                          const std::optional<Mailbox>& reverse_path);
/// At the end of the data: each address in From, and there is one; Sender too, where there is one.
std::optional<smtp::Reply> author_refusal(const store::Read& read, std::string_view user,
                                          conf::Submission::Senders senders, const mail::Header& header);

}  // namespace spoold::server
