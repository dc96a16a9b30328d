// What one lane has claimed: which claim of the store each recipient belongs to, and the outcomes that are not yet
// settled. Pure bookkeeping: no store, no planner.
//
// The planner's hand (protocol/delivery/hand.hpp) has the same recipients for another purpose: there each waits in
// a line for its next transaction, and leaves with its outcome. Here each belongs to the claim that its outcome
// settles. A recipient may be here twice, in a claim that is being settled and in the next one; the open one is
// meant. Guarantees: a recipient of a claim is open from add() until close(), and the planner gets it once in
// between; each outcome is in exactly one Settlement; a claim leaves when all its recipients are settled.
#pragma once
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/delivery/form.hpp"
#include "server/office/envelope_sender.hpp"
#include "store/spool/changes.hpp"
#include "store/store.hpp"

namespace spoold::server {

class Claims {
 public:
  struct Batch {
    store::Claim claim;
    std::size_t open = 0;                 // recipients without an outcome
    std::vector<Outcome> outcomes;        // to be settled
    std::vector<std::uint32_t> versions;  // of their recipients
    std::vector<bool> closed;             // by position in claim.recipients
    bool listed = false;                  // in dirty_
    bool hold = false;                    // what comes back of it becomes held
  };
  struct Held {
    store::Message message;
    std::optional<std::vector<store::BlankAt>> blanks;  // of a message that has some, once they are needed
    std::shared_ptr<const Copy> copy;                   // without signatures, where all copies are the same
    std::shared_ptr<const Form> form;                   // the same, signed
    std::optional<EnvelopeSender> sender;               // made with the first transaction
    std::multimap<std::uint32_t, Batch> batches;        // by claim.first
    std::set<std::uint32_t> withdrawn;  // taken from the planner for an edit, not yet given back
    std::set<std::uint32_t> told;       // last offered with their NOTIFY: the next hop reports
  };

  explicit Claims(std::string route) : route_(std::move(route)) {}

  Held* find(store::Id message);
  Held& hold(store::Message message);  // made known before its first claim
  /// `held`: the planner held the message after this claim was asked for and before it came.
  void add(store::Claim claim, bool held = false);
  /// The planner holds the message: what comes back of the claims in hand becomes held. Later claims, made
  /// after an operator released the message, are not concerned.
  void hold_claims(store::Id message);
  /// A claim that never came into the hand: the next take() releases all its recipients.
  void give_up(const store::Claim& claim, TimePoint next);
  const store::Recipient* recipient(store::Id message, std::uint32_t number);

  /// It may have got a copy without a reply: its outcome, whatever it is, makes it a possible duplicate.
  const store::Recipient* doubt(store::Id message, std::uint32_t number);

  /// The recipient of an outcome; nothing when it is not open here.
  const store::Recipient* close(store::Id message, Outcome outcome);

  /// Settlements of all outcomes.
  std::vector<store::Settlement> take();
  /// What was taken is needed no more: claims without open recipients leave.
  void forget_taken();
  bool unsettled() const { return !dirty_.empty() || !given_up_.empty(); }
  /// Recipients without an outcome.
  std::size_t open() const { return open_; }
  bool empty() const { return held_.empty(); }
  /// Some message in hand came with REQUIRETLS.
  bool require_tls() const {
    return std::ranges::any_of(held_, [](const auto& one) { return one.second.message.require_tls; });
  }
  /// Those; the recipients that were withdrawn for an edit only when asked for: the edit gives them back, and a
  /// claim made in between would be another one than the edit knows of.
  std::vector<std::pair<store::Id, std::uint32_t>> all_open(bool withdrawn_too) const;

 private:
  using Place = std::pair<store::Id, std::multimap<std::uint32_t, Batch>::iterator>;
  struct Found {
    Place place;
    std::size_t position;  // in claim.recipients
    Batch& batch() const { return place.second->second; }
    store::Recipient& recipient() const { return batch().claim.recipients[position]; }
  };
  std::optional<Found> found(store::Id message, std::uint32_t number);

  std::string route_;
  std::unordered_map<store::Id, Held> held_;
  std::vector<Place> dirty_, taken_;
  std::vector<store::Settlement> given_up_;
  std::size_t open_ = 0;
};

}  // namespace spoold::server
