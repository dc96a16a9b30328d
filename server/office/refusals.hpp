// What is refused whatever the list's rules say: too much work for one transaction, and mail that goes round in a circle.
//
// Loops of mail that is sent on to owners are impossible: what goes on says so (`Delivered-To: test-owner@...`, as other mail
// servers write and read it), and is not taken a second time; what came to -bounces goes on from the null path, which nobody
// answers; no message passes more than 100 servers (RFC 5321 6.3). Posts have a guard of their own (protocol/list/policy.hpp).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/mail/header.hpp"
#include "protocol/smtp/reply.hpp"
#include "protocol/smtp/transaction.hpp"

namespace spoold::server {

/// Of the whole transaction.
std::optional<smtp::Reply> refusal(const smtp::Transaction&, const mail::Header&, std::size_t header_octets);

/// BINARYMIME (RFC 3030) is passed on as it is, or not taken: lists, and addresses whose mail is read here, work on lines.
smtp::Reply no_binary(const std::string& address);

/// At RCPT: a post to a list expands to a row for each member. Where those of all lists of the transaction, with the content
/// that was declared, do not fit into `room` octets: 452 4.3.1.
std::optional<smtp::Reply> too_many_members(const smtp::Transaction&, const smtp::Recipient& found,
                                            std::uint64_t room);

/// The field that says where mail was sent on from, and whether a message has it.
std::string delivered_to(const std::string& address);
bool was_delivered_to(const mail::Header&, std::string_view address);
smtp::Reply loop_at(const std::string& address);

}  // namespace spoold::server
