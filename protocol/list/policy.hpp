// Who may post (lists.md A5): judged after the header is known, answered at the end of data.
//
// The sender is the author in From, then the envelope sender with BATV's prvs= undone; never Reply-To or
// Sender, which a stranger can fill with a member's address. First match decides: null reverse path and
// automatic mail, loop, size, From, membership. Each refusal is a 5xx reply with a sentence that the poster
// can act on. Pure: whether somebody is a member is asked of a function.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/settings.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::list {

struct Post {
  const mail::Header& header;
  std::string_view reverse_path;  // Mailbox text; empty: <>
  std::uint64_t size = 0;         // octets of the content as received
};

struct Judgement {
  std::optional<smtp::Reply> refusal;  // nothing: accepted
  std::string poster;  // Mailbox key: the member that From or the envelope names, else the author
};

/// `is_member`: of this list, by Mailbox key, whatever the delivery mode.
Judgement judge(const List& list, const Post& post,
                const std::function<bool(const std::string& key)>& is_member);

/// The Mailbox keys that this post is not sent to although they are members (lists.md A3): the poster when
/// own_posts = false; To, Cc, Resent-To and Resent-Cc when avoid_duplicates = true.
std::vector<std::string> left_out(const List& list, const mail::Header& header, const std::string& poster);

/// `prvs=1234abcdef=anna@a.example` -> `anna@a.example` (draft-levine-smtp-batv); anything else stays as it
/// is.
std::string without_batv(std::string_view address);

constexpr std::size_t max_received = 100;

}  // namespace spoold::list
