#include "store/writer.hpp"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "store/broken.hpp"
#include "store/prompt.hpp"

namespace spoold::store {
namespace {

using Kind = Error::Kind;
constexpr auto patient_wait = std::chrono::milliseconds(5);
constexpr auto announced_wait = std::chrono::microseconds(300);
constexpr auto longest = std::chrono::milliseconds(20);
// Who comes meanwhile waits for the rest of one slice, and is in its commit.
constexpr auto slice_alone = std::chrono::microseconds(2000),
               slice_in_company = std::chrono::microseconds(300);

constexpr const char* unknown_outcome =
    "; whether the last changes are on the disk is unknown: start spoold again, what it answered before is "
    "there";

Error no_room() {
  return {Kind::full, "the store has no room for more mail: [spool] max_size or reserve is reached"};
}

}  // namespace

Writer::Writer(Env& env, Room& room, Wiring wiring)
    : env_(env),
      room_(room),
      wiring_(std::move(wiring)),
      announced_(std::make_shared<std::atomic<int>>()),
      announced_before_(std::make_shared<std::atomic<int>>()) {
  thread_ = std::thread([this] { run(); });
  writer_ = thread_.get_id();
  pthread_setname_np(thread_.native_handle(), "writer");
}

Writer::~Writer() {
  close();
}

// The thread first commits what is queued and what was to wait; only then may the environment be closed.
void Writer::close() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  const Lock lock(closing_);
  if (thread_.joinable()) thread_.join();
}

void Writer::submit(Job job, Clock::duration delay) {
  bool wake = true;
  {
    Lock lock(mutex_);
    // The writer thread itself may still submit: an acceptance in slices that has begun is finished. Any
    // other thread could keep the writer busy for ever, and after the join nobody would run its job.
    if (stopping_ && std::this_thread::get_id() != writer_) {
      lock.unlock();
      if (job.done) job.done(fail(Kind::stopped, "the store is closed: spoold is stopping"));
      return;
    }
    const bool patient = job.kind == Job::Kind::patient;
    if (delay > Clock::duration::zero()) {
      later_.push_back({Clock::now() + delay, std::move(job)});
    } else {
      // A busy writer looks at the queue before it sleeps. One that waits is woken by the first job of a kind only: it has
      // a time for the patient ones already.
      wake = !busy_ && (patient ? queue_.empty() : urgent_ == 0);
      enqueue(std::move(job));
    }
  }
  if (wake) wake_.notify_one();
}

void Writer::enqueue(Job job) {
  if (job.kind == Job::Kind::patient) {
    if (queue_.size() == urgent_) oldest_patient_ = Clock::now();
  } else {
    ++urgent_;
    ++owed_;
  }
  queue_.push_back({std::move(job), Clock::now(), {}, false});
}

/// Jobs that were to wait and whose time is there, or all of them at the end.
void Writer::admit() {
  const auto time = Clock::now();
  for (auto at = later_.begin(); at != later_.end();) {
    if (at->at > time && !stopping_) {
      ++at;
      continue;
    }
    enqueue(std::move(at->job));
    at = later_.erase(at);
  }
}

// Somebody has begun what will end in a job: a session that got the last octets of a message. A flush costs so much that
// the commit waits for those (gather()), but only for those that were announced before it began.
Announcement Writer::announce() {
  const Lock lock(mutex_);
  ++*announced_;
  return {nullptr, [this, among = announced_](void*) {
            if (--*among > 0) return;
            const Lock last(mutex_);
            wake_.notify_one();
          }};
}

int Writer::expected() const {
  const Lock lock(mutex_);
  return announced();
}

// `owed_`: jobs that somebody waits for, the one at work among them.
bool Writer::enough(Clock::duration worked) const {
  return worked >= (owed_ > 1 ? slice_in_company : slice_alone);
}

Writer::Clock::duration Writer::oldest_wait() const {
  const Clock::rep since = oldest_.load(std::memory_order_relaxed);
  return since == 0 ? Clock::duration::zero() : Clock::now() - Clock::time_point(Clock::duration(since));
}

std::string Writer::trouble() const {
  const Lock lock(mutex_);
  return trouble_;
}

void Writer::run() {
  be_prompt();
  std::vector<Waiting> batch;
  Lock lock(mutex_);
  for (;;) {
    const auto something = [this]() REQUIRES(mutex_) { return !queue_.empty() || stopping_; };
    const auto earlier = [](const Later& a, const Later& b) { return a.at < b.at; };
    if (const auto first = std::min_element(later_.begin(), later_.end(), earlier); first == later_.end())
      wake_.wait(lock.inner(), [&]() REQUIRES(mutex_) { return something() || !later_.empty(); });
    else
      wake_.wait_until(lock.inner(), Clock::time_point(first->at), something);
    admit();
    if (queue_.empty() && !stopping_) continue;
    // Patient jobs wait for company, together at most patient_wait from the first one on.
    if (urgent_ == 0 && !stopping_)
      wake_.wait_until(lock.inner(), oldest_patient_ + patient_wait,
                       [this]() REQUIRES(mutex_) { return urgent_ > 0 || stopping_; });
    if (queue_.empty() && stopping_) return;  // admit() took in all that was to wait
    busy_ = true;
    take(batch);
    lock.unlock();
    while (!batch.empty()) {
      oldest_.store(batch.front().since.time_since_epoch().count(), std::memory_order_relaxed);
      transact(batch, Try::first);
    }
    oldest_.store(0, std::memory_order_relaxed);
    lock.lock();
    busy_ = false;
  }
}

void Writer::take(std::vector<Waiting>& batch) {
  jobs_ += queue_.size();
  std::move(queue_.begin(), queue_.end(), std::back_inserter(batch));
  queue_.clear();
  urgent_ = 0;
}

/// What came meanwhile, and, until then, what was announced.
void Writer::gather(std::vector<Waiting>& batch, Clock::time_point until) {
  Lock lock(mutex_);
  wake_.wait_until(lock.inner(), until, [this]() REQUIRES(mutex_) { return announced() == 0 || stopping_; });
  announced_before_ = std::exchange(announced_, std::make_shared<std::atomic<int>>());
  take(batch);
}

/// One transaction: runs jobs from the front of the batch, as many as fit, and answers all of those; they leave the
/// batch. The second try of jobs whose first transaction was given up takes no others in.
void Writer::transact(std::vector<Waiting>& batch, Try which) {
  if (stopped_) {
    for (Waiting& w : batch) {
      w.result = tl::unexpected(dead_);
      answer(w);
    }
    return batch.clear();
  }
  const bool alone = which == Try::again && batch.size() == 1;
  const auto begin = Clock::now();
  std::unique_ptr<Write> write;
  try {
    write = begin_write();
  } catch (const Broken& broken) {
    return stop_for_good(broken.error);  // the next call answers the batch
  }
  std::size_t taken = 0;
  bool tainted = false;
  for (bool gathered = which == Try::again; !tainted && (taken == 0 || Clock::now() - begin < longest);
       ++taken) {
    // Those who are waited for are gathered when the first ones are done: that costs them no time.
    if (taken == batch.size() && !std::exchange(gathered, true)) gather(batch, begin + announced_wait);
    if (taken == batch.size()) break;
    Waiting& w = batch[taken];
    if (w.job.kind == Job::Kind::intake && !room_.open()) {
      w.result = tl::unexpected(no_room());
      continue;
    }
    const auto before = write->changes();
    w.result = apply(w, *write);
    if (stopped_) return;
    // What a failed job has written cannot be taken out again but with the whole transaction. One that failed before it
    // wrote anything is just answered.
    tainted = !w.result && write->changes() != before;
  }
  const auto applied = std::span(batch).first(taken);
  if (tainted) {
    write.reset();  // before the jobs are run again: there is one write transaction at a time
    aborted(applied, alone);
  } else if (const int code = write->changes() ? commit(std::move(write)) : 0) {
    commit_failed(applied, code, which);
  } else {
    // Without a change too: a transaction that is over before its answers are given holds nobody up.
    write.reset();
    for (Waiting& w : applied) answer(w);
  }
  batch.erase(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(taken));
}

/// The last of these jobs failed after it had changed something. Each is run again in a transaction of its own: so it
/// harms none of the others, and has the pages to itself of which there were too few.
void Writer::aborted(std::span<Waiting> applied, bool alone) {
  if (!alone) {
    for (Waiting& w : applied) again(std::span(&w, 1));
    return;
  }
  Waiting& w = applied.front();
  if (w.job.kind != Job::Kind::intake && w.result.error().kind == Kind::full) {
    const Lock lock(mutex_);
    trouble_ = w.result.error().text;
  }
  answer(w);
}

// This ends: a job that was tried alone is not tried a third time.
void Writer::again(std::span<Waiting> batch) {
  std::vector<Waiting> rest(std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
  while (!rest.empty()) transact(rest, Try::again);
}

Result<void> Writer::apply(Waiting& w, Write& write) {
  try {
    return w.job.apply(write);
  } catch (const Broken& broken) {
    if (broken.ends_the_store()) stop_for_good(broken.error);
    // Readers that were killed may pin what is missing: the job is run again alone, with their pages.
    if (broken.error.kind == Kind::full) env_.check_readers();
    return tl::unexpected(broken.error);
  }
}

/// After a commit that failed where LMDB could not undo it, LMDB begins nothing any more and calls that damage. It is
/// not: the file is as before, or has that commit; which of both, the next start finds.
std::unique_ptr<Write> Writer::begin_write() {
  try {
    if (wiring_.fault)
      if (const int code = wiring_.fault("begin")) throw_lmdb(code, "begin to write");
    return env_.begin(wiring_.clock());
  } catch (const Broken& broken) {
    if (lost_.empty() || !broken.ends_the_store()) throw;
    throw Broken(Kind::io, lost_ + unknown_outcome);
  }
}

int Writer::commit(std::unique_ptr<Write> write) {
  if (wiring_.fault)
    if (const int code = wiring_.fault("commit")) return code;
  const bool work = write->work_left();
  const int code = env_.commit(std::move(write));
  if (code) return code;
  lost_.clear();
  ++commits_;
  if (wiring_.fault) wiring_.fault("committed");
  {
    const Lock lock(mutex_);
    trouble_.clear();
  }
  if (work && wiring_.on_work) wiring_.on_work();
  return 0;
}

void Writer::commit_failed(std::span<Waiting> batch, int code, Try which) {
  const Error error = lmdb_error(code, "commit");
  lost_ = error.text;
  // Any other error but a lack of space: the pages may be on the disk or not, and nothing may be tried again.
  if (error.kind != Kind::full) {
    stop_for_good({Kind::io, error.text + unknown_outcome});
    for (Waiting& w : batch) {
      w.result = tl::unexpected(dead_);
      answer(w);
    }
    return;
  }
  // Readers that died may pin the pages that are missing.
  if (which == Try::first && env_.check_readers() > 0) return again(batch);
  room_.found_full();
  if (which == Try::again) {
    {
      const Lock lock(mutex_);
      trouble_ = error.text;
    }
    for (Waiting& w : batch) {
      if (w.result) w.result = tl::unexpected(error);
      answer(w);
    }
    return;
  }
  // New mail must wait; what was heard from the remotes and what people asked for may fit without it.
  std::vector<Waiting> rest;
  for (Waiting& w : batch) {
    if (w.job.kind == Job::Kind::intake) {
      w.result = tl::unexpected(error);
      answer(w);
    } else {
      rest.push_back(std::move(w));
    }
  }
  again(rest);
}

// Once: jobs of a batch that was tried twice come by here twice.
void Writer::answer(Waiting& w) {
  if (std::exchange(w.answered, true)) return;
  if (w.job.kind != Job::Kind::patient) --owed_;
  if (w.job.done) w.job.done(std::move(w.result));
}

// Nothing is accepted or claimed from here on; the daemon ends, and the next start finds what the disk holds.
void Writer::stop_for_good(const Error& why) {
  if (stopped_) return;
  stopped_ = true;
  dead_ = why;
  {
    const Lock lock(mutex_);
    trouble_ = why.text;
  }
  if (wiring_.on_stop) wiring_.on_stop(why.text);
}

}  // namespace spoold::store
