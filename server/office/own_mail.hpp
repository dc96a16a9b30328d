// Mail that a list itself sends: letters and notices. It is spooled as any other mail: message.list is set and message.post is 0, so
// nobody is sent a delivery report about it, and its own failures count against a member.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/list/letter.hpp"
#include "protocol/list/settings.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

struct OwnMail {
  std::string to, from, subject;  // values of the fields
  TimePoint at{};
  std::string_view automatic = "auto-generated";  // RFC 3834 5: "auto-replied" where it answers somebody
  std::string more = {};                          // further fields, each with its line end
};
/// The letter of this name, as the language and the site's templates have it; nothing: it is not to be sent. `language`: of the member
/// who gets it; empty: the list's.
std::optional<list::Letter> letter_named(const conf::Settings& settings, const list::List& list,
                                         std::string_view name, const list::LetterValues& values,
                                         std::string_view language = {});
/// Its fields up to MIME-Version: whoever asks adds recipients and a text.
store::NewMessage own_mail(const conf::Settings& settings, const list::List& list, const OwnMail& mail);
/// Adds a plain text and closes the message.
void add_text(const conf::Settings& settings, store::NewMessage& made, std::string_view text);
/// A message behind the text: octets of our own, or octets [0, length) of the content that comes with the acceptance.
struct Attached {
  std::string_view type = "message/rfc822", octets = {};
  std::uint64_t length = 0;
  mail::Octets found = {};  // in those of the content
};
/// Adds a plain text with a message behind it, and closes the message. `boundary` must not stand in either.
void add_text(const conf::Settings& settings, store::NewMessage& made, std::string_view text,
              const std::string& boundary, const Attached& attached);

/// In the name of the list, to somebody who may be a member: then each failure counts against him.
void address_to(store::NewMessage& made, const list::List& list, const std::string& address,
                list::MemberId member);

/// From the list to those who run it: what bounces comes back to the list.
void address_to_all(store::NewMessage& made, const list::List& list, std::vector<std::string> addresses);

}  // namespace spoold::server
