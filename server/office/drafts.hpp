// From an arrival to the messages that the store accepts of it, once it is decided which: each has an id before its
// draft is made, so that what names the id (Received, a signature over it) is final. The content is not copied.
#pragma once
#include <string>

#include "conf/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/mail/header.hpp"
#include "server/office/arrival.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::store {
class Read;
class Store;
}  // namespace spoold::store

namespace spoold::server {

class Drafts {
 public:
  /// All must live longer.
  Drafts(const conf::Settings& settings, store::Store& store, const Arrival& arrival,
         const mail::Header& header)
      : settings_(settings), store_(store), arrival_(arrival), header_(header) {}

  /// With an id, and what tables show of a message.
  store::NewMessage message();
  /// The arrival as it came in, behind a Received field with the message's id (RFC 5321 4.4). What a user submits gets Date
  /// and Message-ID where it has none (RFC 6409 8); a post's are the list's to add (own_id(), list/cook.hpp).
  /// What was verified stands above it, in Authentication-Results; a stranger's ones of our name are removed. `whence`: both say
  /// where the message came from.
  mail::Draft of(const store::NewMessage& message, bool whence = true) const;
  /// The Message-ID of an arrival that has none, with its angle brackets: the same for all that is made of it.
  const std::string& own_id() const;
  /// The message gets a place for our signatures where it is ours to sign (signing.hpp): behind put(), once.
  /// `author`: the domain of its From, where that signs a post too.
  /// `instance`: as of place_signatures().
  void sign(store::NewMessage& message, std::string_view author = {}, std::string instance = {}) const;
  /// From is still as it came in.
  bool keeps_from(const mail::Draft& draft) const;
  /// Its last octets, at most `most`: what is staged is read.
  std::string tail(const store::Read& read, const store::ContentSource& content, std::size_t most) const;
  /// What a table shows of From.
  std::string from() const;
  std::string subject() const;

 private:
  const conf::Settings& settings_;
  store::Store& store_;
  const Arrival& arrival_;
  const mail::Header& header_;
  mutable std::string own_id_;  // made when it is asked for
  bool id_used_ = false;        // that of the arrival
};

/// The octets of the message are these. Of one that came with SMTPUTF8 (Message::utf8) the header decides whether it needs it.
void put(mail::Outgoing outgoing, store::NewMessage& message);

/// Unique on this host: the time, and a number for those of one millisecond.
std::string unique_text(TimePoint at);

}  // namespace spoold::server
