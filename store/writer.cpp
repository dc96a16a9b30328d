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
  queue_.push_back({std::move(job), {}, false});
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

bool Writer::enough(Clock::duration worked) const {
  return worked >= (owed_ > 1 ? slice_in_company : slice_alone);
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
    if (urgent_ == 0 && !stopping_)
      wake_.wait_until(lock.inner(), oldest_patient_ + patient_wait,
                       [this]() REQUIRES(mutex_) { return urgent_ > 0 || stopping_; });
    if (queue_.empty() && stopping_) return;
    busy_ = true;
    take(batch);
    lock.unlock();
    while (!batch.empty()) group(batch);
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

/// Runs as many jobs from the front as fit into one transaction, and answers all of those; they leave the
/// batch.
void Writer::group(std::vector<Waiting>& batch) {
  if (stopped_) {
    for (Waiting& w : batch) w.result = tl::unexpected(dead_), answer(w);
    return batch.clear();
  }
  const auto leave = [&batch](std::size_t count) {
    batch.erase(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
  };
  const auto begin = Clock::now();
  std::unique_ptr<Write> write;
  try {
    write = begin_write();
  } catch (const Broken& broken) {
    return stop_for_good(broken.error);
  }
  std::size_t taken = 0;
  for (bool gathered = false; taken == 0 || Clock::now() - begin < longest; ++taken) {
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
    if (!w.result && write->changes() != before) {
      write.reset();
      for (std::size_t i = 0; i <= taken; ++i) alone(batch[i]);
      return leave(taken + 1);
    }
  }
  const auto applied = std::span(batch).first(taken);
  const int code = write->changes() ? commit(std::move(write)) : 0;
  write.reset();
  if (code)
    commit_failed(applied, code, true);
  else
    for (Waiting& w : applied) answer(w);
  leave(taken);
}

/// A transaction of its own for a job whose company failed.
void Writer::alone(Waiting& w) {
  together(std::span(&w, 1));
}

void Writer::together(std::span<Waiting> batch) {
  if (stopped_) {
    for (Waiting& w : batch) w.result = tl::unexpected(dead_), answer(w);
    return;
  }
  try {
    auto write = begin_write();
    for (Waiting& w : batch) {
      if (w.job.kind == Job::Kind::intake && !room_.open()) {
        w.result = tl::unexpected(no_room());
        continue;
      }
      const auto before = write->changes();
      w.result = apply(w, *write);
      if (stopped_) break;
      if (w.result || write->changes() == before) continue;
      write.reset();
      if (batch.size() > 1) {
        for (Waiting& again : batch) alone(again);
        return;
      }
      if (w.job.kind != Job::Kind::intake && w.result.error().kind == Kind::full) {
        const Lock lock(mutex_);
        trouble_ = w.result.error().text;
      }
      return answer(w);
    }
    if (!stopped_) {
      const int code = write->changes() ? commit(std::move(write)) : 0;
      if (code) return commit_failed(batch, code, false);
    }
  } catch (const Broken& broken) {
    stop_for_good(broken.error);
  }
  for (Waiting& w : batch) {
    if (stopped_) w.result = tl::unexpected(dead_);
    answer(w);
  }
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

void Writer::commit_failed(std::span<Waiting> batch, int code, bool again) {
  const Error error = lmdb_error(code, "commit");
  lost_ = error.text;
  if (error.kind != Kind::full) {
    stop_for_good({Kind::io, error.text + unknown_outcome});
    for (Waiting& w : batch) w.result = tl::unexpected(dead_), answer(w);
    return;
  }
  if (again && env_.check_readers() > 0) return together(batch);
  room_.found_full();
  if (!again) {
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
  if (!rest.empty()) together(rest);
}

void Writer::answer(Waiting& w) {
  if (std::exchange(w.answered, true)) return;
  if (w.job.kind != Job::Kind::patient) --owed_;
  if (w.job.done) w.job.done(std::move(w.result));
}

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
