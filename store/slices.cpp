#include "store/slices.hpp"

#include <utility>

namespace spoold::store {

Slices::Slices(Writer& writer, Duration pause, std::function<Result<bool>(Write&, const Enough&)> backlog,
               std::function<void(bool)> committed)
    : writer_(writer), pause_(pause) {
  backlog_.waits_for_space = true;
  backlog_.slice = std::move(backlog);
  backlog_.committed = std::move(committed);
  backlog_.done = [this](const Result<void>& r) {
    running_ = false;
    // A row that was written while the last slice ran, in its commit, was not seen by it.
    if (r && wanted_.exchange(false)) look();
  };
}

void Slices::begin(Work work) {
  next(std::make_shared<Work>(std::move(work)), {});
}

void Slices::look() {
  // Wanted first: the backlog that runs sees the wish when it ends, whichever of the two is first.
  wanted_ = true;
  if (running_.exchange(true)) return;
  wanted_ = false;
  begin(backlog_);
}

void Slices::next(std::shared_ptr<Work> work, Writer::Clock::duration delay) {
  // The job's callback owns the work, and lives as long as the job's slice.
  Work* const w = work.get();
  Job one;
  one.kind = w->kind;
  one.apply = [this, w](Write& write) -> Result<void> {
    const auto began = Writer::Clock::now();
    const Result<bool> all =
        w->slice(write, [this, began] { return writer_.enough(Writer::Clock::now() - began); });
    if (!all) return tl::unexpected(all.error());
    w->nothing_left = *all;
    return {};
  };
  one.done = [this, work = std::move(work)](Result<void> slice) { answer(work, std::move(slice)); };
  writer_.submit(std::move(one), delay);
}

void Slices::answer(const std::shared_ptr<Work>& work, Result<void> slice) {
  // Before the next slice is submitted: that one goes on from what this one left.
  if (slice && work->committed) work->committed(work->nothing_left);
  const bool wait = !slice && work->waits_for_space && slice.error().kind == Error::Kind::full;
  if ((slice && !work->nothing_left) || wait) {
    // A full disk may last: at a stop even work that runs to its end does not wait for it.
    if (!writer_.stopping() || (slice && work->runs_to_its_end))
      return next(work, wait ? Writer::Clock::duration(pause_) : Writer::Clock::duration{});
    slice =
        fail(Error::Kind::stopped, "the store was closed before this was done: it goes on at the next start");
  }
  if (work->done) work->done(std::move(slice));
}

}  // namespace spoold::store
