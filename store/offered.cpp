// Store::accept: an acceptance on its way through the archive, the commits, and the archive again.
#include <utility>

#include "store/handover.hpp"
#include "store/roster.hpp"
#include "store/state.hpp"

namespace spoold::store {

/// An acceptance on its way: what its slices and its answer need.
struct Store::State::Offered : std::enable_shared_from_this<Offered> {
  Offered(State& store, Acceptance acceptance, Callback<Accepted> answer)
      : state(store),
        accepting(std::move(acceptance), store.route_of(), directory_roster()),
        callback(std::move(answer)) {}

  Result<bool> slice(Write& write, const Enough& enough) {
    Result<bool> whole = accepting.slice(write, enough);
    if (!whole || !*whole || accepting.acceptance().operations.empty()) return whole;
    routes.clear();
    if (auto ok = HandOver(state.options.notices, state.route_of())
                      .drain(write, routes, accepting.acceptance().evidence);
        !ok)
      return tl::unexpected(ok.error());
    return true;
  }

  void committed(bool all) {
    state.due(routes);
    accepting.advance();
    if (!all && state.options.fault) state.options.fault("slice");
  }

  std::shared_ptr<const Acceptance> acceptance() { return {shared_from_this(), &accepting.acceptance()}; }

  void done(Result<void> end) {
    if (end) {
      if (!is_archived(accepting.acceptance())) return accepted();
      return state.archive->publish(acceptance(), [self = shared_from_this()] { self->accepted(); });
    }
    if (accepting.staged()) state.abandon({shared_from_this(), &accepting});
    // Whether a commit that failed on the disk was made is not known: the next start finds it out.
    const bool known = end.error().kind != Error::Kind::io && end.error().kind != Error::Kind::corrupt;
    if (known && is_archived(accepting.acceptance()))
      return state.archive->withdraw(acceptance(),
                                     [self = shared_from_this(), why = end.error()] { self->refused(why); });
    refused(std::move(end.error()));
  }

  void accepted() {
    const Callback<Accepted> answer = std::move(callback);
    Accepted made = accepting.take();
    made.acceptance = acceptance();
    answer(std::move(made));
  }
  void refused(Error why) {
    const Callback<Accepted> answer = std::move(callback);
    answer(tl::unexpected(std::move(why)));
  }

  State& state;
  spool::Accepting accepting;
  std::vector<std::string> routes;  // of the mail that follows from its operations
  Callback<Accepted> callback;
};

void Store::accept(Acceptance acceptance, Callback<Accepted> callback) {
  auto offered = std::make_shared<State::Offered>(*state_, std::move(acceptance), std::move(callback));
  if (!state_->archive || !is_archived(offered->accepting.acceptance()))
    return state_->accept(std::move(offered));
  state_->archive->stage(offered->acceptance(), [s = state_.get(), offered](Result<void> staged) {
    if (!staged) return offered->refused(std::move(staged.error()));
    s->accept(offered);
  });
}

void Store::State::accept(std::shared_ptr<Offered> offered) {
  Slices::Work work;
  work.kind = Job::Kind::intake;
  work.runs_to_its_end = true;
  work.slice = [o = offered.get()](Write& write, const Enough& enough) { return o->slice(write, enough); };
  work.committed = [o = offered.get()](bool all) { o->committed(all); };
  work.done = [o = offered.get()](Result<void> end) { o->done(std::move(end)); };
  work.owner = std::move(offered);
  begin(std::move(work));
}

/// What its slices wrote is dropped; a full disk only delays that.
void Store::State::abandon(std::shared_ptr<spool::Accepting> accepting) {
  Slices::Work work;
  work.waits_for_space = true;
  work.slice = [accepting = std::move(accepting)](Write& write, const Enough&) -> Result<bool> {
    accepting->abandon(write);
    return true;
  };
  begin(std::move(work));
}

}  // namespace spoold::store
