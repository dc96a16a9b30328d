// The token of a held post, which makes an address for moderators: test-confirm+TOKEN@lists.example, or confirm+TOKEN@ where that
// passes 64 octets. Whoever knows it may decide about this post, and nothing else; it is good for nothing once the post is
// decided or has expired. Nothing of it is stored.
//
// 28 characters of base32: kind 1 octet, id of the held post 8, tag 8: the begin of HMAC-SHA-256(secret, "held post", list,
// the nine octets). Without regard to case, as mail gateways change it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/list/verp.hpp"

namespace spoold::list {

constexpr std::size_t moderation_token_length = 28;
std::string moderation_token(ListId list, std::uint64_t post, const Hmac& hmac);
std::string moderation_address(const List& list, const std::string& token, char delimiter);

/// The post that a token names, as yet without proof; nothing: it is no such token.
std::optional<std::uint64_t> post_of_token(std::string_view token);
/// In constant time.
bool proves(std::string_view token, ListId list, std::uint64_t post, const Hmac& hmac);

}  // namespace spoold::list
