// The store's front door: one LMDB environment, one writer thread, group commit (README, Rules).
//
// Guarantees: a callback with a value runs after the commit that holds the change reached the disk. A job is
// a pure, repeatable function of the transaction; when one of a group fails the others are run again without
// it. No write transaction is longer than about 20 ms: accept() and remove() go in slices, chained on the
// writer thread. Callbacks run on the writer thread: they must only hand the result on (asio::post) and never
// block. Reads: make a Read, copy out, destroy it; it must not live across a co_await (a forgotten
// reader grows the file). See also: spool/types.hpp (values), spool/*.hpp (what can be read and written),
// directory/*.hpp, README.md (format).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/time.hpp"
#include "store/backup.hpp"
#include "store/error.hpp"
#include "store/id.hpp"
#include "store/job.hpp"
#include "store/readers.hpp"

namespace spoold::smtp {
struct Dsn;
}
namespace spoold::conf {
struct Settings;
}

namespace spoold::store {

class PostNumbers;
class Read;   // a short read transaction (store/txn.hpp)
class Write;  // the writer's transaction, also readable

// Values (spool/types.hpp, spool/changes.hpp, spool/acceptance.hpp): included by those who use them.
struct Message;
struct Claim;
struct HistoryEvent;
struct Settlement;
struct Settled;
struct Edit;
struct Edited;
enum class Whole;
struct Acceptance;
struct Accepted;
namespace directory {
struct Operation;
struct Applied;
}  // namespace directory
namespace spool {
struct Failures;
}

/// A report that was accepted for delivery in the commit of what it reports.
struct MadeReport {
  Id about = 0;    // the message it reports on
  Id id = 0;       // its own; 0: there was nobody to tell
  std::string to;  // whom
  const char* subject = "";
};

struct Options {
  std::string path;
  std::uint64_t max_size = 32ull << 30;
  std::uint64_t reserve = 512ull << 20;
  Duration history = std::chrono::hours(24 * 14);                       // sweep() keeps what is younger
  std::function<TimePoint()> clock;                                     // absent: the system's
  enum class Open { create, existing, read_only } open = Open::create;  // spoolctl never creates
  /// The route of a recipient's domain (conf::route_of); pure; used for what edits and releases make due.
  /// Absent: "relay".
  std::function<std::string(std::string_view domain)> route;
  /// How a report on this message is sent (the store has filled in all it knows); without messages: nobody
  /// can be told. Writer thread, within the transaction: repeatable. Absent: what is to be reported waits.
  std::function<Acceptance(const Read&, const Message&, smtp::Dsn)> report;
  std::function<void(const MadeReport&)> on_report;  // writer thread, after the commit
  /// What final failures of list mail mean for the members, as operations with ids: applied in the commit of the settle
  /// (handover.hpp). Writer thread, within the transaction: repeatable. Absent: nothing is counted.
  std::function<std::vector<directory::Operation>(const Read&, const spool::Failures&)> failed;
  /// After such failures of a post: whether it is to be held, with the mail that tells of it, in the same commit. Nothing: it goes on.
  /// Writer thread, within the transaction: repeatable. Absent: no post is held.
  std::function<std::optional<Acceptance>(const Read&, const spool::Failures&)> brake;
  /// Mail that follows from an operation: a probe, a warning, a notice to the owners. As `report`. `evidence`: of an
  /// acceptance (Acceptance::evidence), else empty.
  std::function<Acceptance(const Read&, const directory::Applied&, std::string_view evidence)> notices;
  /// Time to collect further failures of the same message into one report.
  Duration report_wait = std::chrono::minutes(1);
  /// Nothing is scheduled further ahead than this: what is due later is so by a clock that was wrong, and is due now.
  Duration longest_wait = std::chrono::hours(24);
  Duration delay_warning{};  // senders are told of recipients still open so long after arrival; 0: never
  /// Writer thread, after the commit: an edit, a release or a retry made something due on this route; wake
  /// its lane.
  std::function<void(std::string route)> on_due;
  /// Within open(): what an operator should know, although the store goes on with it.
  std::function<void(std::string)> on_warning;
  /// A post cannot be archived now (archive.hpp), with the names of files. On a thread of its own.
  std::function<void(std::string)> on_archive;
  /// Writer thread, once: the store has stopped for good (the text says why); the daemon must end with it.
  std::function<void(std::string why)> on_stop;
  // Tests only: how long work waits for space until it tries again; the map's exact size; and a function whose
  // answer, an error number, takes the place of a commit ("commit"). It is called after each commit too
  // ("committed": its answer is ignored; the files can be copied there as a crash would leave them).
  Duration pause_when_full = std::chrono::seconds(1);
  std::uint64_t map_size = 0;
  std::function<int(const char* point)> fault;

  TimePoint now() const;
  std::string route_of(std::string_view domain) const;
};
/// As the daemon and spoolctl open it; each adds what it wants to be told.
Options options_of(const conf::Settings&);

/// What is to be mended: spool/repair.hpp, directory/check.hpp.
struct Repair {
  enum class What { message, content, list } what = What::message;
  std::uint64_t id = 0;
};

class Store {
 public:
  /// Takes the lock of the folder (except read_only), checks the format, starts the writer thread.
  /// Outstanding claims become due again and their recipients possible duplicates; possible_duplicates() is
  /// their number.
  static Result<std::unique_ptr<Store>> open(Options);
  ~Store();  // close()

  /// The end of all writing. Commits and answers every job that was submitted before, lets work in slices end
  /// with the slice that runs (it goes on at the next open()), and joins the writer thread. Afterwards no
  /// callback of the Options is called any more, and a change is answered `stopped` at once on the caller's
  /// thread; Reads go on. So what the callbacks use can be destroyed after close() and before the Store.
  /// Blocks as long as the disk does. Any thread but the writer's; a second call does nothing.
  void close();

  /// A change of the directory (directory/changes.hpp) and its audit event, in one commit. An operation that was applied
  /// before is answered as it was then. unavailable: this store cannot write.
  void change(directory::Operation, Callback<directory::Applied>);

  /// The numbers of posts, taken before they are cooked (post_numbers.hpp).
  PostNumbers& post_numbers();

  /// A change without a function of its own: for tests. Any thread, as all of these.
  void submit(Job);
  /// Said by a client that was told to send its message: those that wait for a commit meanwhile wait for it
  /// as well, for a moment, and one flush does for all. To be withdrawn when the job is submitted, or will
  /// not be.
  Announcement announce();

  /// The id of a message that is about to be accepted (NewMessage::message.id), so that what it says of itself is final
  /// before it is handed over. An id that is not used is skipped.
  Id new_id();
  void accept(Acceptance, Callback<Accepted>);
  /// Staging of a large message while it arrives: append slices of any size in order, then name it in a
  /// ContentSource.
  void stage_begin(Callback<Id>);
  void stage_append(Id, std::string bytes, Callback<void>);
  void stage_abandon(Id, Callback<void>);

  /// Turns what is due on `route` by `now` into claims: at most `limit` recipients in all, at most 500 a
  /// claim, fair between messages (a round of batches over all due messages; `after` continues behind the
  /// last one served). Patient: for who has enough in hand until then.
  void claim(std::string route, TimePoint now, std::uint32_t limit, Callback<std::vector<Claim>>,
             Job::Kind = Job::Kind::change);
  void settle(Settlement, Callback<Settled>);
  /// In one transaction. `all_or_nothing`: unless each of them is `done`, nothing is changed.
  void edit(Id, std::vector<Edit>, std::string who, Callback<std::vector<Edited>>,
            bool all_or_nothing = false);
  void edit_sender(Id, std::string reverse_path, std::string who, Callback<void>);
  /// All of a message at once. The answer: numbers that a claim covers, so unchanged yet: their lanes must be
  /// asked, then edit(). hold and remove are one small transaction whatever the size; release and retry make
  /// due in slices.
  using Whole = store::Whole;
  void whole(Id, Whole, std::string who, Callback<std::vector<std::uint32_t>>);
  /// A next hop is gone from the configuration: what is due on its route goes to the routes of now, in
  /// slices.
  void reroute(std::string route, Callback<void>);
  /// An operator's wish: the clocks of these next hops no longer wait.
  void clear_clocks(std::vector<std::string> routes, Callback<void>);
  /// Mends one finding of `spoolctl check`. The answer says what was changed; empty: nothing was wrong.
  void repair(Repair, Callback<std::string>);
  /// An event without a change, such as a bounce that came in (intake: refused when space is short).
  void record(HistoryEvent, Callback<void>);
  /// Makes the reports that are due by now: failures that waited, warnings of delays. A report on a message that a
  /// settle finishes is made in that commit. Throws what a Read throws, when it ends the store (Broken).
  void make_reports(TimePoint now, Callback<void>);
  /// What is due of members' bounce scores by now: warnings, removals, what is stale. In slices; each member's is one commit
  /// with its mail. Then what was asked of lists and is over is forgotten.
  void tick_scores(TimePoint now, Callback<void>);
  void sweep(TimePoint now, Callback<void>);  // history older than [spool] history, a slice at a time

  /// A consistent copy of the store (backup.hpp); any thread, also of a store that was opened read only.
  Result<BackupFigures> backup(int file, const std::function<void()>& between,
                               Duration one_state = std::chrono::seconds(1)) const;

  /// Frees the slots of readers that died and names those that have read one old state for more than 5 s: they
  /// pin pages. To be called every few seconds, by one thread.
  ReadersFound check_readers();

  TimePoint now() const;
  /// When the newest message came that the store knew of when it was opened; the epoch: it knew none.
  TimePoint newest_at_open() const;
  std::uint64_t possible_duplicates() const;
  bool has_room() const;            // intake is open
  std::uint64_t room_left() const;  // octets until intake is closed; looked at 10 times a second at most
  /// How long the oldest job has waited for the commit that is under way: seconds where the disk is slow.
  std::chrono::steady_clock::duration oldest_wait() const;
  std::string trouble()
      const;  // empty, or why the writer cannot commit now: lanes stop starting transactions
  const std::string& secret() const;  // 32 random octets, made with the store (VERP tags)
  const std::string& path() const;
  struct Figures {
    std::uint64_t commits = 0, jobs = 0, used = 0, max_size = 0;
  };
  Figures figures() const;

 private:
  friend class Read;
  Store();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spoold::store
