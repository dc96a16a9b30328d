// Held posts: from the judgement to the row that holds one and the mail that tells of it, and from a moderator's decision to the
// commit that ends the wait. Each is a store::Acceptance, so what it changes, its history and its mail are one commit.
//
// The post is kept as it came. Accepted, it goes the way of every post (acceptance.hpp): numbered, cooked and expanded by the
// settings and members of then. Whoever decides second is told what was decided, by whom and when (Error::Kind::conflict).
//
// Who is told, each at most so often a day: the moderators (else the owners) of each held post, with an address that takes
// their answer (protocol/list/moderation_token.hpp, moderator_reply.hpp); a poster who is a member, or has logged in, that his post
// waits. Others are not told: their address is a stranger's word. See also: store/spool/moderation.hpp, notices.cpp.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/list/policy.hpp"
#include "server/office/address_book.hpp"
#include "server/office/arrival.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

class Drafts;
struct Disposition;

/// Held posts take at most a quarter of [spool] max_size, so that strangers who write to moderated lists do not use up the room of all
/// others: a reply for now, where this one beside those that `made` holds would be too much.
std::optional<smtp::Reply> too_much_held(const store::Read&, const conf::Settings&, const list::List&,
                                         const store::Acceptance& made, const Arrival&);

/// A post that is held or discarded: adds the line of history and, of a held one, the post and the notices. The answer: its
/// place in Acceptance::held; nothing: discarded. Without Arrival::addresses nobody is told.
std::optional<std::size_t> set_aside(store::Acceptance& into, const store::Read&, const list::List&,
                                     const list::Judgement&, const Arrival&, Drafts&);

/// A line of history.
store::HistoryEvent moderation_event(TimePoint at, list::ListId list, store::Id post, std::string who,
                                     std::string address, std::string what);

struct Moderation {
  enum class What { accept, reject, discard, forward } what = What::accept;
  store::Id post = 0;
  std::string who = {};
  std::string reason = {};   // reject: told to the poster
  bool remember = false;     // accept: its sender may post from now on (accept_these)
  std::string address = {};  // forward: to whom. The post goes on waiting
  bool dry_run = false;      // no number of a post is taken
};
struct Moderated {
  store::HeldPost post;
  store::Acceptance acceptance;
  /// As Disposition::unnumbered: lease one and ask again.
  std::optional<list::ListId> unnumbered = std::nullopt;
};
/// not_found, conflict: store/spool/moderation.hpp; not_found also: the list is gone.
store::Result<Moderated> moderate(const conf::Settings&, store::Store&, const Moderation&);

/// A moderator's answer, by the address of a held post.
struct ModerationByMail {
  store::Id post = 0;
  std::optional<Moderation> asked;  // nothing: it is not understood
  std::string answer_to;            // empty: nobody is answered
  std::string list_address, message_id;
};
/// Adds it to the disposition, once for each post, with a line of history. What a program wrote, or a list passed on, is
/// only recorded.
void answered_by_mail(Disposition& into, const store::Read&, const smtp::to::Moderation&, const mail::Header&,
                      std::string_view mail, const Arrival&);

/// Held posts whose time is over: what the list's held_expiry says of each, at most `most` of them. The discarding of a post
/// whose list is gone is among them.
std::vector<store::Acceptance> expired(const conf::Settings&, store::Store&, TimePoint now, std::size_t most);

/// The mail to those who moderate a list with posts that have waited since yesterday or longer: once a day (UTC).
std::vector<store::Acceptance> summaries(const AddressBook&, store::Store&, TimePoint now);

/// The answer to a moderator's mail; nothing: he is not answered (no address to answer, or too often today).
store::Acceptance answer_to_moderator(const conf::Settings&, const std::string& address,
                                      const std::string& list_address, const std::string& words,
                                      const std::string& in_reply_to, TimePoint now);

}  // namespace spoold::server
