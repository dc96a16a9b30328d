// The inside of Planner, shared by its rooms: planner.cpp (the public calls), intake.cpp (what comes in
// hand), timing.cpp (when), plan.cpp (what a connection does next), conclude.cpp, outcomes.cpp and
// refusals.cpp (answered transactions), trouble.cpp and message_fault.cpp (drops), suspects.cpp (parking,
// strikes, release), unreachable.cpp (faults of the host). README.md says more of each.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/delivery/blame.hpp"
#include "protocol/delivery/group.hpp"
#include "protocol/delivery/hand.hpp"
#include "protocol/delivery/host.hpp"
#include "protocol/delivery/learned.hpp"
#include "protocol/delivery/planner.hpp"
#include "protocol/delivery/rate.hpp"
#include "protocol/delivery/retry.hpp"
#include "protocol/delivery/words.hpp"

namespace spoold::delivery {

/// A transaction handed out and not yet reported.
struct Flight {
  enum class Kind : std::uint8_t { plain, vouched, chunk, ambiguous, suspect, probe, again };
  Kind kind = Kind::plain;
  Work* work = nullptr;
  std::vector<Recipient*> recipients;
  std::size_t cursor = 0;  // the next one sending() is expected for
  std::uint32_t window = 1;
  bool overlap = false;
  Duration patience{};         // of its transaction
  TimePoint begun{}, moved{};  // moved: when its last RCPT was about to be written
};

struct Connection {
  ConnectionId id = 0;
  std::string remote, tls;
  TimePoint opened{}, idle_since{};
  PeerLimits limits;
  std::vector<Flight> flights;  // oldest first
  std::uint32_t transactions = 0, committed = 0, rcpts = 0;
  std::uint32_t rejects = 0;  // 4xx and 5xx to RCPT
  std::uint32_t errors = 0;   // refused commands: what a peer counts that ends a connection with too many
  double jitter = 1.0;
  TimePoint deferral_base{};   // recipients deferred in one session share their next attempt
  bool last_reject = false;    // the last thing heard was a 4xx/5xx to RCPT
  bool isolated_last = false;  // takes turns between isolation and untainted work
  bool quit = false;
  bool explained = false;  // the 421 that ends it is charged to the message whose content it answered
  // Refused for good after other refusals, and nothing was heard since: does the peer hang up with it?
  Recipient* parting = nullptr;
  LastReply parting_words;
  bool was_answered = false;
  std::shared_ptr<SharedGroup> group;  // that knows of it

  explicit Connection(std::shared_ptr<SharedGroup> with) : group(std::move(with)) {
    if (group) group->with([](Group& g) { g.connected(); });
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { part(); }
  LastReply words(smtp::Reply reply, Stage stage, TimePoint now) const {
    return {std::move(reply), remote, now, stage, tls};
  }
  LastReply words(const Drop&, Stage, TimePoint now) const;  // of its end
  void answered(TimePoint now) {
    if (std::exchange(was_answered, true) || !group) return;
    group->with([now](Group& g) { g.answered(now); });
  }
  void part() {
    if (const auto left = std::exchange(group, nullptr)) left->with([](Group& g) { g.parted(); });
  }
};

/// What is remembered of a message in trouble, until it commits something here.
struct Note {
  std::uint32_t in_doubt = 0, content = 0, sender = 0;
  std::uint64_t commits = 0;  // of the host, when the trouble began
  TimePoint last{}, doubted{};
  std::uint32_t refused = 0;     // transactions: 4xx to MAIL, DATA or the content
  std::uint64_t refused_at = 0;  // host.commits() then
  std::optional<std::uint64_t>
      ended;                   // host.commits() when words about the host answered its MAIL or content
  std::uint32_t failures = 0;  // refused for good at MAIL, DATA or the content, since:
  TimePoint failed_from{}, failed_last{};
};

struct Planner::State {
  State(Limits, std::uint64_t seed);

  // planner.cpp
  Connection* find(ConnectionId);
  void remove(ConnectionId);
  std::size_t in_flight() const { return flying; }

  // intake.cpp
  void add(Batch, TimePoint);
  void take_in(Work&, Candidate&, TimePoint);
  void retry_now(MessageId, TimePoint);
  Withdrawal withdraw(MessageId, std::uint32_t number);

  // timing.cpp
  std::uint32_t connections_wanted(std::uint32_t open, TimePoint) const;
  TimePoint wake_at() const;
  void tick(TimePoint);
  void seen(TimePoint);  // each call with a time: the system's clock may have been set back
  /// Has waited for one reply so long that it does not count as a connection.
  bool stuck(const Connection&, TimePoint) const;
  bool all_stuck(TimePoint) const;        // no flight makes progress
  void hand_over(TimePoint);              // what stuck connections have not written goes to others
  TimePoint reoffer_at(TimePoint) const;  // suspects: the host's waits and budget, and the group's
  TimePoint rate_at(TimePoint) const;
  bool take_rate(TimePoint);  // one transaction, used or given back
  void give_rate();

  // plan.cpp
  Next next(ConnectionId, TimePoint);
  bool must_quit(const Connection&, TimePoint) const;
  bool trusted(const Connection&, TimePoint) const;  // with more than a transaction at a time
  bool may_overlap(const Connection&, TimePoint) const;
  bool may_offer(TimePoint) const;                          // a suspect, now
  bool offers_overdue(const Connection&, TimePoint) const;  // before untainted work
  std::uint32_t most_recipients(const Connection&, TimePoint) const;
  bool take_turn(Connection&, Flight&, TimePoint);
  bool take_isolation(Connection&, Flight&, TimePoint);
  bool take_suspect(Flight&);
  bool take_again(Flight&);
  bool divert(Recipient&, TimePoint);  // became known as a suspect while it waited
  Transaction begin(Connection&, Flight, TimePoint);

  // conclude.cpp
  struct Reading;
  void report(Connection&, const Observation&, TimePoint);
  Flight take_flight(Connection&, const Observation&);
  void end_flight(Connection&, Flight&);
  /// Gives everybody who was answered the outcome; the others come back in `open`.
  struct Open {
    std::vector<Recipient*> accepted;  // RCPT 2xx, end of content not answered
    std::vector<Recipient*> silent;    // RCPT written, not answered
    std::vector<Recipient*> unsent;
    std::uint32_t answered = 0, refused = 0, delivered = 0;
  };
  /// `parting`: nothing was heard after this transaction, and the peer has hung up (without a Drop: may do
  /// so).
  Open conclude(Connection&, Flight&, const Observation&, const Drop*, bool parting, TimePoint);
  void conclude_rcpt(Reading&, std::size_t position, const smtp::Reply* mail_refused);
  void conclude_too_many(Reading&);
  void conclude_content(Reading&);
  void refuse_content(Reading&, Recipient&, const smtp::Reply&, Stage, bool alone);
  void no_reply(Connection&, const Flight&, Recipient&, Stage, bool doubtful, TimePoint);
  void committed(Connection&, Work&, std::uint32_t delivered, TimePoint);

  // outcomes.cpp
  void outcome(Recipient&, Verdict, bool charged, TimePoint next, LastReply);  // and out of the hand
  void defer(Recipient&, bool charged, TimePoint next, LastReply, TimePoint now);
  void deliver(Connection&, Recipient&, const smtp::Reply&, TimePoint);
  void refuse(Connection&, Recipient&, const smtp::Reply&, Stage, TimePoint);  // what it asks for is heeded
  void refused(Connection&, Recipient&, LastReply, TimePoint);                 // by its code alone
  void refuse_at_parting(Connection&, Recipient&, LastReply, bool hung_up, TimePoint);
  void settle_parting(Connection&, bool hung_up, TimePoint);
  void back(Recipient&, Flight::Kind);  // to the line it was taken from, uncharged
  void back(std::vector<Recipient*>&, Flight::Kind);
  TimePoint deferral(Connection&, std::uint32_t attempts, TimePoint now);

  // refusals.cpp
  bool smaller(Flight&, Open&, const smtp::Reply&, TimePoint);
  bool not_of_message(Connection&, const Work&, const Observation&, const smtp::Reply&, TimePoint);
  void greylisting(Connection&, const Observation&, const Open&, TimePoint);
  void whole_refused(Connection&, Work&, const Observation&, const Open&, TimePoint);

  // heed.cpp
  /// What a reply asks of the lane as a whole.
  struct Ask {
    conf::ReplyAction action = conf::ReplyAction::retry;
    std::string rule;
    Duration wait{};  // 0: the usual one
    LastReply last;
  };
  /// Replies of the transaction or drop at hand ask for this; done when it is concluded.
  struct Pending {
    bool any = false;
    bool again = false;     // recipients are to be asked again at once
    MessageId message = 0;  // it rests
    std::optional<Ask> ask;
  };
  /// A message that waits here as a whole, or was stopped.
  struct Resting {
    TimePoint until{};
    std::uint32_t times = 0;
    bool failed = false;  // no further copy is tried
    LastReply last;
  };
  enum class Concern : std::uint8_t { lane, message, theirs, unclear };
  const smtp::ReplyClass& meaning(const smtp::Reply&, const std::string& remote);
  Subject subject(const smtp::Reply&, std::string_view recipient, const std::string& remote);
  Concern concern(conf::ReplyAction, const Recipient&, Stage, TimePoint);
  /// True: the recipient has his outcome, or is in hand again. False: the reply's code decides.
  bool heed(Connection&, Recipient&, const LastReply&, TimePoint);
  void wait_for_recipient(Recipient&, const LastReply&, TimePoint);
  void refused_post(MessageId, const LastReply&, TimePoint);
  Resting& resting_of(MessageId, TimePoint);
  TimePoint rest(MessageId, Duration wait, const LastReply&, TimePoint);
  void settle_resting(Work&, TimePoint);
  void carry_out(Connection*, bool served, TimePoint);
  void slow_down(const Ask&, TimePoint);
  void keep_silence(const Ask&, TimePoint);
  bool ask_of_lane(const smtp::Reply&, const LastReply&, TimePoint);  // true: it keeps silence now
  bool take_paced(TimePoint);

  // trouble.cpp
  struct Loss;
  void dropped(ConnectionId, const Drop&, const std::vector<Observation>&, TimePoint);
  void look_at(const Connection&, Loss&, const std::vector<Observation>&);  // the drop as a whole
  void lose(Connection&, Loss&, const Observation&);                        // one transaction that was open
  void return_unbegun(Connection&);               // transactions handed out and not begun
  void complete(const Connection&, Loss&) const;  // the record of the drop
  void weigh(Connection&, Loss&);
  void excuse(Connection&, Loss&, bool by_limit);
  /// Everybody but the suspect goes to the line of section 2; answers the suspect, or null.
  Recipient* sort_out(Connection&, Flight&, const Finding&, Open&, const Drop&, Subject, TimePoint);
  void back_unblamed(Flight&, Open&);  // accepted ones to the vouched, the others to their lines
  void vouch(Work&, Open&);            // the accepted ones

  // message_fault.cpp
  void content_fault(Connection&, Flight&, const Finding&, Open&, const Drop&, TimePoint);
  void in_doubt(Connection&, Flight&, Open&, const Drop&, TimePoint);
  void in_doubt_behind(Connection&, Open&, const Drop&, TimePoint);  // an older command was not answered
  void name_in_doubt(MessageId, const Open&);
  void sender_fault(Connection&, Work&, const Drop&, TimePoint);
  bool known_sender(const DropRecord&) const;
  bool sender_in_trouble(MessageId) const;
  Note& note(MessageId, TimePoint);
  void rest_of_message(Work&, TimePoint next, const LastReply&);  // what waits goes back to the queue

  // unreachable.cpp
  void host_fault(const LastReply&, TimePoint);
  void connect_failed(Stage, const LastReply&, TimePoint);
  void give_back_all(TimePoint next, const LastReply&, bool failed, TimePoint now);
  void share_the_fault();
  void told(const HostFault&, TimePoint);
  void unreachable_for_good(const LastReply&, TimePoint);
  void no_host_takes_mail(const LastReply&, TimePoint);
  /// Everybody in hand who is not in a flight; `f` gives each an outcome.
  template <typename F>
  void each_waiting(F&& f) {
    const auto line = [&](Line& l) {
      while (!l.empty()) {
        Work& work = *l.first->work;
        ++work.slots;  // it outlives its last recipient's outcome
        f(*l.first);
        --work.slots;
        hand.touch(work);
      }
    };
    line(offered);
    line(parked);
    line(ask_again);
    std::vector<Work*> works;
    hand.each_work([&](Work& work) { works.push_back(&work); });
    for (Work* work : works) {
      ++work->slots;
      for (Line* l : {&work->ready, &work->vouched, &work->unsent, &work->ambiguous})
        while (!l->empty()) f(*l->first);
      hand.resume(*work);
      --work->slots;
      hand.touch(*work);
    }
  }

  // suspects.cpp
  void suspect_dropped(Connection&, const Flight&, Recipient&, const Finding&, const Drop&, bool certain,
                       TimePoint);
  void describe(Connection&, Doubt&, const Finding&, const Drop&, TimePoint);  // the drop, in its words
  void wait_as_suspect(Recipient&);
  void forget_suspicion(const std::string& address);
  void record(Recipient&);
  void remember(const std::string& address, const Suspicion&);  // in memory
  void release(const std::vector<std::string>& addresses);
  void disbelieve();                // one that was released dropped again, alone: no limit explains that
  void settle_suspects(TimePoint);  // those that will not be offered soon get their outcome
  void settle_suspect(Recipient&, TimePoint);
  Duration patience_with(const Recipient&) const;  // so long a suspect waits in hand to be offered

  Limits limits;
  Jitter jitter;
  Hand hand;
  Learned learned;
  Host host;
  Rate rate;
  std::shared_ptr<SharedGroup> group;
  bool group_paced = false;  // the group has a rate
  bool paced = false;        // so has the host a slower pace for now
  std::vector<std::unique_ptr<Connection>> connections;
  std::size_t flying = 0;  // flights of all connections
  ConnectionId last_connection = 0;
  ConnectionId isolating = 0;  // the one that isolates now
  Line offered;                // suspects worth a connection of their own
  Line parked;                 // certain ones: offered only when a connection has nothing else to do
  Line ask_again;              // refused when the peer hung up: asked as the first RCPT of a connection
  std::set<std::pair<MessageId, std::uint32_t>> asked_once;  // these recipients, until they have an outcome
  std::unordered_map<std::string, Suspicion> known;  // recorded suspicions of this lane's life, by address
  /// Recipients that were in flight when a connection was lost, and were given back because of the host: they
  /// go in lock-step when they return (I3).
  std::set<std::pair<MessageId, std::uint32_t>> lock_step;
  std::unordered_map<MessageId, Note> notes;
  std::vector<std::vector<Recipient*>> spare_vectors;
  std::vector<std::pair<MessageId, Outcome>> outcomes;
  std::vector<SuspectChange> changes;
  std::vector<InDoubt> named_in_doubt;
  std::vector<MessageId> held;
  std::uint64_t again_commits = 0;  // host.commits() at the last reply of action retry_now
  std::uint32_t again_in_a_row = 0;
  std::vector<HeldLane> alarms;
  Pending pending;
  std::unordered_map<MessageId, Resting> resting;
  std::unordered_map<std::string, std::uint64_t>
      asked_by;  // recipients: host.commits() when they first said so
  struct Witness {
    conf::ReplyAction action = conf::ReplyAction::retry;
    std::vector<MessageId> messages;  // of `ours`
    std::string address;              // of the first one
    std::uint64_t commits = 0;
  } witness;  // who heard, with nothing delivered in between, that we are refused, or should be slower
  struct {
    smtp::Reply reply;
    std::string remote;
    smtp::ReplyClass found;
  } meant;           // the last look at the table
  smtp::Reply grey;  // the last 4xx of a row of identical ones
  struct {
    LastReply last;
    MessageId message = 0;
  } refused_whole;          // the last temporary refusal of MAIL, DATA or a content, since the last delivery
  std::uint32_t rests = 0;  // that the host was given for such refusals, since the last delivery
  std::uint32_t grey_count = 0, grey_transactions = 0;
  TimePoint ticked{};
  std::optional<LastReply> last_fault;  // the failed attempt that made the host's clock wait
  bool expiring = false;                // it was the last one for somebody
};

}  // namespace spoold::delivery
