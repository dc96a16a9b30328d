// The packed rows of the spool's tables as structs: what the store keeps beyond what types.hpp shows to
// others. unpack_*() throws Broken(corrupt) on anything that pack() did not write. Formats with examples:
// store/README.md.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/smtp/dsn.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "store/spool/types.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// `message` (live) and `finished`. A whole message is held or given up without touching its recipients' rows:
/// - held (state): its open recipients from number held_from on that no claim covers count as held. Below
///   held_from a release has already made them due again.
/// - giving_up: its open recipients that no claim covers count as removed.
/// Due entries of another generation are void: so a hold, a removal or a release never has to find them.
struct MessageRow : Message {
  std::uint32_t generation = 0;
  std::uint32_t held_from = 0;
  bool giving_up = false;
  bool few = false;            // the originals are in `page`, not in table recipients
  std::string page;            // packed as a page of `recipients`
  std::uint64_t few_done = 0;  // and their bits of `done`
  bool unwarned = false;       // it was held when its warning of a delay was due
  TimePoint report_at{};       // a report is due then at the latest (report.hpp); TimePoint{}: none
  std::uint32_t numbers() const { return originals + added; }
};

void pack(Packer&, const MessageRow&);
MessageRow unpack_message(Id id, std::string_view value);

/// A time further ahead than this was given by a clock that was wrong.
inline constexpr Duration clock_slack = std::chrono::minutes(1);
/// A message that arrived in the future, by a clock that was ahead then, arrived now: what is counted from its arrival
/// (its lifetime, the warning of a delay) would not come else. False: it did not.
bool came_now(MessageRow&, TimePoint now);

/// Of a live or finished message.
std::optional<MessageRow> find_message(const Read&, Id);
void put_message(Write&, const MessageRow&);  // into the table of its state

/// `recipient`: only for one with something to tell.
struct RecipientRow {
  RecipientState state = RecipientState::queued;
  std::uint32_t version = 0, attempts = 0;
  TimePoint next{};
  bool possible_duplicate = false, isolate = false;
  std::string address;  // of an added one; empty: as in its page
  std::uint64_t member = 0;
  std::optional<LastReply> last;
  smtp::DsnAction report = smtp::DsnAction::none;  // not yet told to the sender
};

void pack(Packer&, const RecipientRow&);
RecipientRow unpack_recipient(std::string_view value, std::string_view key = {});
inline Key recipient_key(Id message, std::uint32_t number) {
  return Key().u64(message).u32(number);
}
void put_recipient(Write&, Id message, std::uint32_t number, const RecipientRow&);

/// `claim`: a batch of [first, first + count) that may be on the wire. Ranges may overlap, and two claims may
/// begin at one number; what a claim covers follows from its time (Numbers::covered_at), and no recipient is
/// covered twice.
struct ClaimRow {
  Id message = 0;
  std::uint32_t first = 0, count = 0;
  std::uint32_t left = 0;  // recipients it still covers
  TimePoint due{}, since{};
  std::string route;
};
inline constexpr std::uint32_t longest_claim = 2000;  // numbers, finished ones included
ClaimRow unpack_claim(std::string_view key, std::string_view value);
/// Claims of this message that begin in [from, to], in order.
std::vector<ClaimRow> claims_from(const Read&, Id message, std::uint32_t from, std::uint32_t to);
/// The times of all claims of this message, from their keys alone.
void each_claim_time(const Read&, Id message, const std::function<void(TimePoint due)>&);
/// A claim that covers nobody any more is deleted.
void put_claim(Write&, const ClaimRow&);
void del_claim(Write&, const ClaimRow&);

/// `head`: the cooked head and the splices of the body; absent: the content goes out as it came. A piece without octets
/// is a blank, and its offset says which.
struct HeadRow {
  std::string head;
  std::vector<Splice> body;
};
std::optional<HeadRow> find_head(const Read&, Id message);
void put_head(Write&, Id message, std::string_view head, const std::vector<Splice>& body);

void pack(Packer&,
          const LastReply&);  // without tls, which came later: at the end of the records that have one
LastReply unpack_reply(Unpacker&);

/// `stage`: work in slices (work.hpp). What a crash leaves of it is undone or done at the next start.
enum class StageKind : std::uint8_t {
  content = 1,
  accept = 2,
  drop = 3,
  rebuild = 4,
  abandoned = 5,
  hold = 6
};
inline Key stage_key(StageKind kind, Id id) {
  return Key().u8(static_cast<std::uint8_t>(kind)).u64(id);
}
/// Of the key of a row of `stage`.
StageKind stage_kind(std::string_view key);
Id stage_id(std::string_view key);

/// Moves one recipient from one count of its message to another.
void recount(MessageRow&, RecipientState from, RecipientState to);
std::uint32_t& count_of(Counts&, RecipientState);

}  // namespace spoold::store::spool
