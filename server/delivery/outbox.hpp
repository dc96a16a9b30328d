// What is on its way from a lane to the store: outcomes, suspects of this route, and what is remembered of the
// host. One group of settlements at a time; the store makes one commit of it, and meanwhile the next group
// gathers. Pure bookkeeping: the lane sends what next() gives, and reports each answer.
//
// Guarantees: a group that cannot be committed now (a full disk) is kept and sent again each second, before
// anything else: no copy is sent twice because a disk was full. Suspects and the host's memory are written in
// the commit of the outcomes that they were learned from (isolation.md I3). Outcomes that the store refuses for
// another reason are an error that ends the daemon: they would be sent again after a restart without a word.
#pragma once
#include <exception>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/delivery/planner.hpp"
#include "server/delivery/claims.hpp"
#include "store/store.hpp"

namespace spoold::server {

class Outbox {
 public:
  /// `written`, `suspects`: what the store has of this route.
  Outbox(std::string route, delivery::HostMemory written, std::vector<store::Suspect> suspects);

  // Facts.
  const delivery::HostMemory& written() const { return written_; }
  std::optional<delivery::Suspicion> suspicion(const std::string& address) const;
  void suspect(delivery::SuspectChange change);
  /// The planner's memory of the host may be worth a write although there is no outcome.
  void look_at_memory() { look_at_memory_ = true; }

  /// The next group, or the last one again when its time has come; empty: nothing is to be sent now.
  const std::vector<store::Settlement>& next(Claims& claims, const delivery::Planner& planner, bool lmtp,
                                             TimePoint now);
  /// What the store answered to settlement `i` of the group.
  struct Answer {
    store::Id message = 0;       // of the settlement
    bool complete = false;       // all of the group are answered
    std::exception_ptr refused;  // the daemon cannot go on
  };
  Answer answered(std::size_t i, const store::Result<store::Settled>& result, TimePoint now);

  bool waits() const { return !group_.empty(); }  // for the store
  /// The last group is not committed.
  bool failed() const { return failed_; }
  /// When it is sent again; the zero time: there is none.
  TimePoint again_at() const { return again_at_; }
  bool empty() const {
    return group_.empty() && changed_.empty() && forgotten_.empty() && !memory_ && !look_at_memory_;
  }

 private:
  void take_memory(const delivery::Planner& planner);

  const std::string route_;
  std::unordered_map<std::string, store::Suspect> suspects_;  // by address key: the rows of the store
  std::vector<store::Suspect> changed_;                       // of them, to be written
  std::vector<std::string> forgotten_;                        // to be deleted
  delivery::HostMemory written_;
  std::optional<delivery::HostMemory> memory_;  // to be written
  bool look_at_memory_ = false;
  std::vector<store::Settlement> group_;  // sent to the store, kept until it answers
  std::size_t owed_ = 0;                  // answers
  bool failed_ = false;
  TimePoint again_at_{};
};

}  // namespace spoold::server
