// An acceptance as a value: what a session hands to the store (Store::accept), and what it gets back after the commit.
// How it is written: accept.hpp.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/spool/digest.hpp"
#include "store/spool/held_post.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {

/// The bytes of a message as received. Small ones come in memory, larger ones were staged under `staged`.
struct ContentSource {
  std::shared_ptr<const std::string> bytes;
  Id staged = 0;
  Id kept = 0;  // the content of a post held for moderation: it is there already
  std::uint64_t size = 0;
};

struct PlainRecipient {
  std::string address;
  smtp::DsnOfRecipient dsn = {};
  list::MemberId member = 0;  // of mail that a list itself sends to a member: his VERP address
};

/// A copy of a post for the archive of its list (store/archive.hpp).
struct Archived {
  std::string place;  // of list::archive_place()
  std::string head;   // without the values of single members; empty, like body: as what goes out
  std::vector<Splice> body;
};

/// Who gets a post: the regular members of its list and of those it includes, each once, but for these. Or a digest: members by
/// form (list::Delivery).
struct Readers {
  enum class Of : std::uint8_t { posts, mime_digests, plain_digests };
  Of of = Of::posts;
  std::vector<std::string> except;  // Mailbox keys (own_posts, lists that get it themselves)
  std::vector<list::ListId> include;
  std::vector<list::ListId> without;   // regular members of these lists
  std::vector<list::ListId> one_copy;  // of these those whose own membership says one_copy
  /// Mailbox keys in To and Cc, sorted; absent: none. Whoever avoids duplicates gets nothing when one of his addresses is among them.
  std::shared_ptr<const std::vector<std::string>> named = {};
  bool avoid_duplicates = false;  // of members who say nothing about it
  TimePoint at{};                 // whose vacation it is; 1970: the time of the acceptance
};

/// One envelope of an accepted transaction: one list's post, or everything else.
struct NewMessage {
  /// id: of Store::new_id(), or 0: one is given. content, counts, roster_version are filled in by the store.
  Message message;
  std::string head;  // the cooked header block as it goes out, blank line included; empty: content as it is
                     // (one splice)
  std::vector<Splice> body;
  std::vector<PlainRecipient>
      recipients;  // of mail that is not a post; message.list may be set: mail that the
                   // list itself sends (post 0)
  std::optional<TellingLimit> limit = {};  // not accepted when it is used up; then its id stays unused
  std::optional<Archived> archive = {};    // posts: on the disk before the message exists. Needs message.id
  /// Posts: waits for the next digest, where the list has members who get it. The store fills in ids, list and number.
  std::optional<DigestPost> for_digest = {};
  Readers readers = {};  // of posts and digests
  // posts: message.list and message.post are set (store/post_numbers.hpp); the roster is expanded in the accepting commit(s)
  bool is_digest() const { return readers.of != Readers::Of::posts; }
};

struct Acceptance {
  ContentSource content;
  std::vector<NewMessage> messages;
  std::vector<HistoryEvent> events = {};  // recorded in the accepting commit; without messages: alone
  /// Packed directory::Operation, applied in the accepting commit (store/handover.hpp); without messages: alone.
  std::vector<std::string> operations = {};
  /// Posts that wait for a moderator, with ids of Store::new_id(): the content as it came.
  std::vector<HeldPost> held = {};
  /// Ends the wait of a held post, in this commit; conflict when it has ended before.
  std::optional<Decision> decision = {};
  /// The posts of a digest, which is among the messages, stop waiting, in this commit; conflict when another one went out.
  std::optional<DigestRotation> digest = {};
  std::string evidence = {};  // what they follow from: for the mail that follows from them (Options::notices)
  std::function<std::string(std::string_view domain)> route;  // absent: Options::route
};

struct Accepted {
  std::vector<Id> ids;                    // same order as Acceptance::messages; 0: the limit was used up
  std::vector<std::uint32_t> recipients;  // how many each got
  std::vector<Id> held;                   // same order as Acceptance::held
  std::vector<std::string> routes;        // routes with something due now: wake their lanes
  std::shared_ptr<const Acceptance>
      acceptance;  // what was accepted: its memory goes back to the thread it came from
};

}  // namespace spoold::store
