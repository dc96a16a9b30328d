// The posts of one arrival: each list's judgement, filter, number and cooked message, once whatever names the list; then the lists
// among their members (cross_posts.hpp). What a list holds or discards is set aside (moderation.hpp).
#pragma once
#include <memory>

#include "protocol/mail/header.hpp"
#include "server/office/acceptance.hpp"
#include "server/office/drafts.hpp"
#include "store/txn.hpp"

namespace spoold::server {

class Posting {
 public:
  /// All must live longer. Messages, held posts and events are added to `made`; its content is that of the arrival.
  Posting(const conf::Settings& settings, const store::Read& read, const Arrival& arrival,
          const mail::Header& header, Drafts& drafts, Disposition& made);
  ~Posting();

  Fate post(list::ListId list);
  /// Behind the last post(): the lists that are members, and who gets which copy. Disposition::unnumbered, as of post().
  void finish();
  /// The poster is a member of this list.
  bool by_member(list::ListId list) const;

 private:
  class Inside;
  const std::unique_ptr<Inside> inside_;
};

}  // namespace spoold::server
