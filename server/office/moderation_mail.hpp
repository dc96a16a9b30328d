// The mail that tells of held posts: to moderators, to the poster, and the answer to a moderator. Each is a message that the
// store accepts with what it tells of; where it shows the post, it refers to its content and copies nothing. Each has
// Auto-Submitted, so that nothing of ours and no well-behaved program answers it.
#pragma once
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/list/settings.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

class ModerationMail {
 public:
  /// All must live longer.
  ModerationMail(const conf::Settings& settings, const list::List& list, const store::HeldPost& post)
      : settings_(settings), list_(list), post_(post) {}

  /// With the post, or its begin. `answers`: the address that takes a moderator's answer.
  store::NewMessage to_moderators(std::vector<std::string> to, const std::string& answers) const;
  store::NewMessage to_poster() const;
  store::NewMessage rejection(const std::string& reason, TimePoint now) const;
  store::NewMessage forwarded(const std::string& to, const std::string& who, TimePoint now) const;

  static store::NewMessage summary(const conf::Settings&, const list::List&,
                                   const std::vector<store::HeldPost>& posts, std::uint64_t all,
                                   std::vector<std::string> to, TimePoint now);
  static store::TellingLimit summary_limit(const list::List&);
  static store::NewMessage answer(const conf::Settings&, const std::string& to,
                                  const std::string& list_address, const std::string& words,
                                  const std::string& in_reply_to, TimePoint now);

 private:
  /// A message whose text is followed by octets [0, length) of the content, as a part of this type.
  void attach(store::NewMessage& made, const std::string& text, const char* type, std::uint64_t length,
              bool eight_bit) const;
  std::string about_post() const;

  const conf::Settings& settings_;
  const list::List& list_;
  const store::HeldPost& post_;
};

}  // namespace spoold::server
