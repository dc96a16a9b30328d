// What a moderator's answer to the notice of a held post says: one word, in the first line that he wrote, or as the whole
// subject (a link of the notice makes such a message). What is quoted does not count. Pure.
//
//   accept | approve | approved | yes              the post goes out
//   accept remember                                and its sender may post from now on
//   reject [reason], reason also in the lines below    the poster is told
//   discard | drop | delete                        nobody is told
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "protocol/mail/header.hpp"

namespace spoold::list {

struct ModeratorReply {
  enum class What { accept, reject, discard } what = What::accept;
  bool remember = false;
  std::string reason;  // of reject: one line of UTF-8 text
};
/// `mail`: the message, or its begin. Nothing: it says none of these.
std::optional<ModeratorReply> moderator_reply(std::string_view mail);

/// A program wrote it, or a list passed it on: it is not obeyed and not answered (RFC 3834).
bool is_automatic(const mail::Header& header);

}  // namespace spoold::list
