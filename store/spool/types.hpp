// The spool's vocabulary: messages, recipients, batches, as values copied out of the store.
// (On-disk form: store/README.md. Nothing here points into a transaction.)
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/delivery/memory.hpp"
#include "protocol/delivery/outcome.hpp"
#include "protocol/delivery/suspicion.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/smtp/dsn_request.hpp"
#include "protocol/time.hpp"
#include "store/id.hpp"

namespace spoold::store {

enum class MessageState : std::uint8_t { staged, held, queued, finished, removable };
enum class RecipientState : std::uint8_t {
  queued,
  deferred,
  held,
  delivered,
  failed,
  expired,
  removed
};  // "active" = queued or deferred, and claimed now
const char* text(MessageState);
const char* text(RecipientState);

/// It waits for an attempt, or one is being made: a due entry or a claim covers it.
constexpr bool is_waiting(RecipientState s) {
  return s == RecipientState::queued || s == RecipientState::deferred;
}
/// It has no outcome yet: it waits, or is held.
constexpr bool is_open(RecipientState s) {
  return is_waiting(s) || s == RecipientState::held;
}

using mail::Splice;  // one piece of the outgoing body

/// A blank of a personalised message, before this octet of what goes out.
struct BlankAt {
  std::uint64_t at = 0;
  mail::Blank blank = 0;
};

struct Counts {
  std::uint32_t queued = 0, deferred = 0, held = 0, delivered = 0, failed = 0, expired = 0, removed = 0;
  std::uint32_t waiting() const { return queued + deferred; }  // as is_waiting()
  std::uint32_t open() const { return waiting() + held; }      // as is_open()
  std::uint32_t total() const { return open() + delivered + failed + expired + removed; }
};

/// What `message` holds.
struct Message {
  Id id = 0, content = 0;
  MessageState state = MessageState::queued;
  std::string reverse_path;  // of mail that is not list mail, and of bulk list mail; empty: null path <>
  list::ListId list = 0;     // 0: not list mail
  std::string list_address;
  std::uint32_t post = 0;
  list::Copies copies = list::Copies::bulk;
  list::VerpFormat verp_format = list::VerpFormat::classic;
  std::uint64_t roster_version = 0;
  std::uint64_t size = 0;     // octets as it goes out: cooked head + body
  bool eight_bit = false;     // outgoing bytes hold octets above 127
  bool leading_dots = false;  // some line of them begins with '.' (else the bytes are their own wire form)
  bool personal = false;      // it has blanks: each copy has octets of its own besides `size`
  // What a next hop must offer, whatever the addresses are:
  bool utf8 = false;    // SMTPUTF8: it came with it, and its header as it goes out is not ASCII (RFC 6531)
  bool binary = false;  // BINARYMIME: not made of lines, so it goes by BDAT only (RFC 3030)
  bool require_tls = false;  // REQUIRETLS, under TLS whose certificate is verified (RFC 8689)
  TimePoint arrived{};
  TimePoint finished{};
  Counts counts;
  std::uint32_t originals = 0;  // recipients of the acceptance; numbers from here on were added by edits
  std::uint32_t added = 0;      // by edits
  smtp::DsnOfMessage dsn;       // of mail that is not list mail: RET and ENVID as they came (RFC 3461)
  bool requests = false;        // some recipients came with NOTIFY or ORCPT
  bool report = false;          // a report of ours: its failure is told to the postmaster, once
  std::string from, subject, message_id;  // for tables and trace: as heard, cut to 200 octets, unescaped
};

/// One recipient as `show` prints it and a claim hands it out.
struct Recipient {
  std::uint32_t number = 0;
  std::string address;
  list::MemberId member = 0;
  RecipientState state = RecipientState::queued;
  bool active = false;        // covered by a claim
  TimePoint claim{};          // when that claim was due, which names it
  std::uint32_t version = 0;  // raised by every edit
  std::uint32_t attempts = 0;
  TimePoint next_attempt{};
  bool possible_duplicate = false;
  bool isolate = false;  // asked for by an operator: alone, lock-step, last
  std::optional<LastReply> last;
  smtp::DsnOfRecipient dsn;  // not in find_recipients()
};

/// A batch that may be on the wire: `due` became `claim`, committed.
struct Claim {
  Id message = 0;
  std::uint32_t first = 0, count = 0;
  std::string route;
  TimePoint due{};
  std::vector<Recipient> recipients;  // the live ones of the range
};

/// Kept for (route, address) across messages and restarts.
struct Suspect : delivery::Suspicion {
  std::string route, address;
};

struct HostRow {
  std::string route;
  TimePoint written{};
  delivery::HostMemory memory;
};

/// Something that happened, for `trace` and `show`.
struct HistoryEvent {
  TimePoint at{};
  Id message = 0;
  std::string event;  // delivered deferred failed expired suspect released held edited bounce finished
  std::string route, who;
  std::vector<std::pair<std::uint32_t, std::string>>
      recipients;  // number, the peer's words to it when they differ from last's
  LastReply last;  // what they have in common
  std::string address, detail;
  list::ListId list = 0;
};

}  // namespace spoold::store
