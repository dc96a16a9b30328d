// What goes through the store's writer in several jobs and waits for each: not for the writer thread, and not
// for a network thread.
#include <future>

#include "store/directory/import.hpp"
#include "store/store.hpp"

namespace spoold::store::directory {

namespace {

Run through(Store& store, Job::Kind kind) {
  return [&store, kind](const std::function<Result<void>(Write&)>& apply) {
    std::promise<Result<void>> promise;
    auto answer = promise.get_future();
    Job job;
    job.kind = kind;
    job.apply = apply;
    job.done = [&promise](Result<void> result) { promise.set_value(std::move(result)); };
    store.submit(std::move(job));
    return answer.get();
  };
}

}  // namespace

Result<Imported> import_members(Store& store, ListId list, std::vector<Member> members, TimePoint now) {
  auto imported = import_members(through(store, Job::Kind::intake), through(store, Job::Kind::change), list,
                                 std::move(members), now);
  if (!imported) (void)sweep_all(store);
  return imported;
}

Result<void> sweep_all(Store& store) {
  const Run run = through(store, Job::Kind::change);
  bool more = true;
  while (more) {
    auto done = run([&](Write& write) -> Result<void> {
      more = sweep(write);
      return {};
    });
    if (!done) return done;
  }
  return {};
}

}  // namespace spoold::store::directory
