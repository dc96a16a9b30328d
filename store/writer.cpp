#include "store/writer.hpp"

#include <pthread.h>

#include <cerrno>
#include <utility>

#include "store/broken.hpp"
#include "store/prompt.hpp"

namespace spoold::store {
namespace {

using Kind = Error::Kind;
constexpr auto patient_wait = std::chrono::milliseconds(5);
constexpr auto announced_wait = std::chrono::microseconds(300);
constexpr auto longest = std::chrono::milliseconds(20);
// Who comes meanwhile waits for one slice and its commit, and for the next one, which is in his own commit.
// While a million were expanded, 500 others a second had their 250 after 5.6 ms (median) with slices of 2 ms,
// after 2.2 ms with these.
constexpr auto slice_alone = std::chrono::microseconds(2000),
               slice_in_company = std::chrono::microseconds(300);

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
  pthread_setname_np(thread_.native_handle(), "writer");
}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Writer::submit(Job job) {
  bool first = false;
  if (job.kind != Job::Kind::patient) ++owed_;
  {
    const std::lock_guard lock(mutex_);
    if (job.kind == Job::Kind::patient) {
      if (queue_.size() == urgent_) oldest_patient_ = Clock::now();
      first = queue_.empty();
    } else {
      first = urgent_++ == 0;
    }
    queue_.push_back({std::move(job), {}, false});
  }
  if (first) wake_.notify_one();
}

Announcement Writer::announce() {
  const std::lock_guard lock(mutex_);
  ++*announced_;
  return {nullptr, [this, among = announced_](void*) {
            if (--*among > 0) return;
            const std::lock_guard last(mutex_);
            wake_.notify_one();
          }};
}

int Writer::expected() const {
  const std::lock_guard lock(mutex_);
  return announced();
}

bool Writer::enough(Clock::duration worked) const {
  return worked >= (owed_ > 1 ? slice_in_company : slice_alone);
}

std::string Writer::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Writer::run() {
  be_prompt();
  std::vector<Waiting> batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !queue_.empty() || stopping_; });
    if (urgent_ == 0 && !stopping_)
      wake_.wait_until(lock, oldest_patient_ + patient_wait, [this] { return urgent_ > 0 || stopping_; });
    if (queue_.empty() && stopping_) return;
    if (announced() > 0)
      wake_.wait_until(lock, Clock::now() + announced_wait, [this] { return announced() == 0 || stopping_; });
    announced_before_ = std::exchange(announced_, std::make_shared<std::atomic<int>>());
    batch.clear();
    std::swap(batch, queue_);
    urgent_ = 0;
    lock.unlock();
    process(batch);
    batch.clear();  // the jobs' captures die outside the lock
    lock.lock();
  }
}

void Writer::process(std::span<Waiting> batch) {
  jobs_ += batch.size();
  while (!batch.empty()) batch = batch.subspan(group(batch));
}

/// Runs as many jobs from the front as fit into one transaction; all of those are answered when it returns.
std::size_t Writer::group(std::span<Waiting> batch) {
  if (stopped_) {
    for (Waiting& w : batch) w.result = tl::unexpected(dead_), answer(w);
    return batch.size();
  }
  const auto begin = Clock::now();
  std::unique_ptr<Write> write;
  try {
    write = env_.begin(wiring_.clock());
  } catch (const Broken& broken) {
    stop_for_good(broken.error);
    return 0;
  }
  std::size_t taken = 0;
  for (; taken < batch.size() && (taken == 0 || Clock::now() - begin < longest); ++taken) {
    Waiting& w = batch[taken];
    if (w.job.kind == Job::Kind::intake && !room_.open()) {
      w.result = tl::unexpected(no_room());
      continue;
    }
    const auto before = write->changes();
    w.result = apply(w, *write);
    if (stopped_) break;
    if (!w.result && write->changes() != before) {
      write.reset();
      for (Waiting& again : batch.first(taken + 1)) alone(again);
      return taken + 1;
    }
  }
  if (stopped_) return 0;
  const auto applied = batch.first(taken);
  const int code = write->changes() ? commit(std::move(write)) : 0;
  write.reset();
  if (code)
    commit_failed(applied, code, true);
  else
    for (Waiting& w : applied) answer(w);
  return taken;
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
    auto write = env_.begin(wiring_.clock());
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
        const std::lock_guard lock(mutex_);
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
    if (broken.error.kind == Kind::corrupt || broken.error.kind == Kind::io) stop_for_good(broken.error);
    return tl::unexpected(broken.error);
  }
}

int Writer::commit(std::unique_ptr<Write> write) {
  if (wiring_.fault)
    if (const int code = wiring_.fault("commit")) return code;
  const int code = env_.commit(std::move(write));
  if (code) return code;
  ++commits_;
  if (wiring_.fault) wiring_.fault("committed");
  const std::lock_guard lock(mutex_);
  trouble_.clear();
  return 0;
}

void Writer::commit_failed(std::span<Waiting> batch, int code, bool again) {
  const Error error = lmdb_error(code, "commit");
  if (error.kind != Kind::full) {
    stop_for_good({Kind::io, error.text + "; whether the last changes are on the disk is unknown"});
    for (Waiting& w : batch) w.result = tl::unexpected(dead_), answer(w);
    return;
  }
  room_.found_full();
  if (!again) {
    {
      const std::lock_guard lock(mutex_);
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
    const std::lock_guard lock(mutex_);
    trouble_ = why.text;
  }
  if (wiring_.on_stop) wiring_.on_stop(why.text);
}

}  // namespace spoold::store
