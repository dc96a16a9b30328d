// The mail that tells of held posts: to moderators, to the poster, and the answer to a moderator. Each is a message that the
// store accepts with what it tells of; where it shows the post, it refers to its content and copies nothing. Each has
// Auto-Submitted, so that nothing of ours and no well-behaved program answers it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/list/settings.hpp"
#include "server/office/own_mail.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

/// Each is nothing where the site has an empty text for it.
class ModerationMail {
 public:
  using Mail = std::optional<store::NewMessage>;
  /// All must live longer.
  ModerationMail(const conf::Settings& settings, const list::List& list, const store::HeldPost& post)
      : settings_(settings), list_(list), post_(post) {}

  /// With the post, or its begin. `answers`: the address that takes a moderator's answer.
  /// `authentication`: what was found of the sender (auth::summary()); empty: nothing was looked for.
  Mail to_moderators(std::vector<std::string> to, const std::string& answers,
                     const std::string& authentication) const;
  Mail to_poster() const;
  Mail rejection(const std::string& reason, TimePoint now) const;
  Mail forwarded(const std::string& to, const std::string& who, TimePoint now) const;

  static Mail summary(const conf::Settings&, const list::List&, const std::vector<store::HeldPost>& posts,
                      std::uint64_t all, std::vector<std::string> to, TimePoint now);
  static store::TellingLimit summary_limit(const list::List&);
  static Mail answer(const conf::Settings&, const std::string& to, const std::string& list_address,
                     const std::string& words, const std::string& in_reply_to, TimePoint now);

 private:
  list::LetterValues about_post(std::string_view reason) const;
  /// Octets [0, length) of the post.
  Attached begin_of_post(std::string_view type, std::uint64_t length) const;
  std::string boundary() const;

  const conf::Settings& settings_;
  const list::List& list_;
  const store::HeldPost& post_;
};

}  // namespace spoold::server
