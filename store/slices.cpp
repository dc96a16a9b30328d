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
  writer_.submit(job<bool>(
                     w->kind,
                     [this, w](Write& write) {
                       const auto began = Writer::Clock::now();
                       return w->slice(
                           write, [this, began] { return writer_.enough(Writer::Clock::now() - began); });
                     },
                     [this, work = std::move(work)](Result<bool> all) { answer(work, std::move(all)); }),
                 delay);
}

void Slices::answer(const std::shared_ptr<Work>& work, Result<bool> all) {
  // Before the next slice is submitted: that one goes on from what this one left.
  if (all && work->committed) work->committed(*all);
  Result<void> end;
  if (!all) end = tl::unexpected(all.error());
  const bool wait = !all && work->waits_for_space && all.error().kind == Error::Kind::full;
  if ((all && !*all) || wait) {
    // A full disk may last: at a stop even work that runs to its end does not wait for it.
    if (!writer_.stopping() || (all && work->runs_to_its_end))
      return next(work, wait ? Writer::Clock::duration(pause_) : Writer::Clock::duration{});
    end =
        fail(Error::Kind::stopped, "the store was closed before this was done: it goes on at the next start");
  }
  if (work->done) work->done(std::move(end));
}

}  // namespace spoold::store
