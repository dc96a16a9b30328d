// Mail that a list itself sends: letters and notices. It is spooled as any other mail: message.list is set and message.post is 0, so
// nobody is sent a delivery report about it, and its own failures count against a member.
#pragma once
#include <string>
#include <string_view>

#include "conf/settings.hpp"
#include "protocol/list/settings.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

struct OwnMail {
  std::string to, from, subject;  // values of the fields
  TimePoint at{};
  std::string_view automatic = "auto-generated";  // RFC 3834 5: "auto-replied" where it answers somebody
};
/// Its fields up to MIME-Version: whoever asks adds Content-Type, the text, and recipients, then calls close().
store::NewMessage own_mail(const conf::Settings& settings, const list::List& list, const OwnMail& mail);
/// Adds a plain text and closes the message.
void add_text(store::NewMessage& made, std::string_view text);
/// Its size, and what delivery must know of its octets.
void close(store::NewMessage& made);

/// In the name of the list, to somebody who may be a member: then each failure counts against him.
void address_to(store::NewMessage& made, const list::List& list, const std::string& address,
                list::MemberId member);

}  // namespace spoold::server
