// What a lane has in hand: recipients, grouped by message, each waiting in exactly one line or being part of
// one flight. Lines are intrusive lists and recipients live in a slab, so that adding, taking and giving back
// cost no allocation each (a fan-out moves a million recipients through here).
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/delivery/planner.hpp"

namespace spoold::delivery {

struct Work;
struct Line;

/// What is known against a recipient, or that it shall go alone and last for another reason.
struct Doubt {
  Suspicion suspicion;
  Suspicion explained;    // what it was before it was released
  bool recorded = false;  // `suspicion` is a row of the store (or will be with the next take_suspects)
  bool certain = false;   // seen in lock-step: no reason to open a connection only to make sure
  bool due = false;       // came back when its time was due: worth a connection of its own
  bool no_wait = false;   // explained by a limit or never at fault: isolation waits do not bind it
  bool struck = false;    // the last drop was a strike
  bool released = false;  // a limit explained its drop
  TimePoint since{};      // in line since
  LastReply last;
};

struct Recipient {
  Recipient* next = nullptr;
  Recipient* previous = nullptr;
  Line* line = nullptr;  // where it waits; null: in a flight
  Work* work = nullptr;
  std::uint32_t number = 0, attempts = 0;
  std::uint8_t returned = 0;  // came back from a transaction without an answer
  bool sent = false, withdrawn = false;
  bool possible_duplicate = false;  // was in doubt
  bool dropped = false;             // its RCPT was unanswered when a connection was lost
  TimePoint arrived{};
  std::string address;
  std::unique_ptr<Doubt> doubt;
};

struct Line {
  Recipient* first = nullptr;
  Recipient* last = nullptr;
  std::uint32_t size = 0;

  bool empty() const { return size == 0; }
  void push_back(Recipient&);
  void push_front(Recipient&);
  Recipient& pop_front();
  void remove(Recipient&);
};

/// One message in this lane.
struct Work {
  MessageId id = 0;
  bool one_each = false;
  Line ready;      // untainted
  Line vouched;    // answered 2xx before a drop, not delivered: first of all (section 3.2)
  Line unsent;     // of a dropped batch: in lock-step, in growing chunks
  Line ambiguous;  // one_each: MAIL and RCPT unanswered: alone in lock-step, behind something committed
  std::uint32_t slots = 0;  // recipients that point here, in lines, in flight or among the lane's suspects
  std::uint32_t chunk = 8;
  std::uint32_t vouched_limit = 0;              // bisecting the content's fault: at most so many; 0: no limit
  std::uint32_t transactions = 0;               // share in Hand::ready_transactions()
  std::uint32_t in_turn = 0, in_isolation = 0;  // entries in the queues of the hand
  bool counted_isolating = false;
  bool paused = false, probing = false;  // content in doubt: one probe at a time, not before probe_at
  TimePoint probe_at{};

  bool free() const { return !ready.empty() || !vouched.empty(); }
  bool isolating() const { return !unsent.empty() || !ambiguous.empty(); }
  /// Paused, and what is left to probe with is in the lines to isolate.
  bool isolation_waits(TimePoint now) const { return paused && (free() || probing || now < probe_at); }
};

class Hand {
 public:
  explicit Hand(std::uint32_t per_transaction) : per_transaction_(per_transaction) {}

  Work& work(MessageId, bool one_each);
  Work* find(MessageId);
  Recipient& create(Work&, Candidate&&);
  /// It has its outcome or was withdrawn: the slot is used again.
  void forget(Recipient&);
  /// Withdrawn while in a flight: no longer in hand, its slot is kept until the flight ends.
  void withdraw_in_flight(Recipient&);
  /// After any change to the lines of a work: queues it for its turn and counts its transactions.
  void touch(Work&, bool first = false);
  void pause(Work&, TimePoint probe_at);
  void resume(Work&);

  /// The next message with untainted recipients, fair between messages; the caller takes some and calls
  /// touch().
  Work* next_turn(TimePoint now);
  /// The next message with recipients to isolate; null when there is none that may go now.
  Work* next_isolation(bool may_be_ambiguous, TimePoint now);

  std::uint32_t ready_transactions(TimePoint now) const;
  bool anything_to_isolate(TimePoint now) const;
  bool anything_paused() const { return !paused_.empty(); }
  bool anything_isolated() const { return isolating_ > 0; }
  TimePoint next_probe() const;  // TimePoint::max(): none
  std::size_t size() const { return size_; }
  void shrink();  // when empty, gives back what it used

  template <typename F>
  void each_work(F&& f) {
    for (auto& [id, work] : works_) f(*work);
  }

 private:
  std::uint32_t count(const Work&) const;
  void drop_if_done(Work&);

  std::uint32_t per_transaction_;
  std::unordered_map<MessageId, std::unique_ptr<Work>> works_;
  std::deque<Recipient> slab_;
  Line spare_;
  std::deque<Work*> turns_, isolations_;
  std::vector<Work*> paused_;
  std::uint32_t ready_transactions_ = 0, isolating_ = 0;
  std::size_t size_ = 0;
};

}  // namespace spoold::delivery
