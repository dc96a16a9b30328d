// Who is the envelope sender of each copy of one message. Decided when the message was accepted, and the same at each
// attempt, because greylisting and callouts remember it:
//
// - mail that is not list mail: the reverse path it came with;
// - a list's post with VERP: an address that names the recipient (protocol/list/verp.hpp), of the epoch in which the
//   post arrived;
// - any other post: the reverse path that was forced for it, else the list's -bounces address. A list that was
//   deleted meanwhile still sends under its name.
//
// Pure. Made once a message; no copy of the message is kept.
#pragma once
#include <optional>
#include <string>

#include "protocol/list/verp.hpp"
#include "store/spool/types.hpp"

namespace spoold::server {

/// The list of a message as its copies name it: id, name and domain.
list::List list_of(const store::Message& message);

class EnvelopeSender {
 public:
  /// `delimiter`: [verp] delimiter.
  EnvelopeSender(const store::Message& message, char delimiter, const list::Hmac& hmac);

  std::string of(const store::Recipient& recipient) const;

 private:
  std::string plain_;
  std::optional<list::VerpEncoder> verp_;
};

}  // namespace spoold::server
