// Changes of accepted messages as values: outcomes of a claim (Store::settle), edits of single recipients (Store::edit)
// and of whole messages (Store::whole). The rule of all of them is "facts beat wishes" (store/README.md): what a next hop
// answered is kept, and what a claim covers is not changed behind its lane's back.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/smtp/dsn.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {

/// Outcomes of one claim, in full or in part. Without outcomes it writes only suspects, forgotten and host,
/// and then may name no message (0). Facts beat wishes.
struct Settlement {
  Id message = 0;
  std::string route;
  std::uint32_t claim_first = 0;
  std::vector<Outcome> outcomes;        // Verdict::released: due again at next_attempt, not charged
  std::vector<std::uint32_t> versions;  // of each outcome's recipient as claimed
  std::vector<Suspect> suspects;        // written in the same commit (protocol/delivery/isolation.md, I3)
  std::vector<std::string> forgotten;   // addresses whose suspicion is deleted
  std::optional<delivery::HostMemory> host;  // of `route`, when it is worth a write
  bool hold = false;  // planner's take_held(): the open recipients of this message on this route become held
  /// Delivered to a next hop that reports nothing (no DSN), and how that is called: of these a sender who
  /// asked for it (NOTIFY=SUCCESS) is told.
  std::vector<std::uint32_t> untold;
  smtp::DsnAction untold_as = smtp::DsnAction::relayed;
  bool report_now = true;  // false: a report on a finished message is left to make_reports()
};

struct Settled {
  bool finished = false;    // it was the message's last open recipient
  bool report_due = false;  // its sender has yet to be told of failures (spool/report.hpp)
  TimePoint next_due{};     // earliest due of this route written by this settle; TimePoint{}: none
};

/// What an edit asks of one recipient.
struct Edit {
  // bounce: it fails for good, and its sender is told as of any other failure. remove: nobody is told.
  enum class What { remove, add, replace, isolate, hold, release, retry, bounce } what = What::remove;
  std::uint32_t number = 0;  // not for add
  std::string address;       // add, replace: the new one
  /// Its lane withdrew it from the claim that was due at this time (Edited::claim): it may be changed although that
  /// claim covers it. Not although another one does: that one's lane has not been asked.
  std::optional<TimePoint> withdrawn = {};
};

struct Edited {
  // claimed: ask its lane (again). held: it, or the message as a whole, is held: release that. exists: add,
  // replace: the address is an open recipient already (number says which).
  enum class How { done, claimed, finished, not_found, held, exists } how = How::done;
  RecipientState state = RecipientState::queued;  // what it is now
  std::uint32_t number = 0;                       // add, replace: the new recipient's number
  TimePoint claim{};  // claimed: when the claim that covers it was due, which names it
};

/// What an operator asks of a message as a whole.
enum class Whole { remove, hold, release, retry };

}  // namespace spoold::store
