#include "store/store.hpp"

#include <algorithm>
#include <utility>

#include "store/broken.hpp"
#include "store/directory/apply.hpp"
#include "store/directory/asked.hpp"
#include "store/directory/check.hpp"
#include "store/directory/scores.hpp"
#include "store/handover.hpp"
#include "store/roster.hpp"
#include "store/spool/changes.hpp"
#include "store/spool/content.hpp"
#include "store/spool/edit.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/host.hpp"
#include "store/spool/moderation.hpp"
#include "store/spool/outbox.hpp"
#include "store/spool/repair.hpp"
#include "store/spool/reroute.hpp"
#include "store/spool/settle.hpp"
#include "store/spool/suspect.hpp"
#include "store/state.hpp"
#include "store/upload.hpp"

namespace spoold::store {
Store::Store() : state_(std::make_unique<State>()) {}
Store::~Store() {
  close();
}

void Store::close() {
  if (!state_->writer) return;
  state_->archive->stop_staging();
  state_->writer->close();
  state_->archive->close();
}

Read::Read(const Store& store) : Read(*store.state_->env) {}

void Store::submit(Job j) {
  state_->submit(std::move(j));
}

Announcement Store::announce() {
  return state_->writer ? state_->writer->announce() : nullptr;
}

void Store::stage_begin(Callback<Id> callback) {
  state_->submit(job<Id>(
      Job::Kind::intake, [](Write& write) -> Result<Id> { return begin_upload(write); },
      std::move(callback)));
}

void Store::stage_append(Id id, std::string bytes, Callback<void> callback) {
  auto slice = std::make_shared<std::string>(std::move(bytes));
  state_->submit({Job::Kind::intake, [id, slice](Write& write) { return append_upload(write, id, *slice); },
                  [slice, callback = std::move(callback)](Result<void> result) {
                    std::string().swap(*slice);  // now: jobs that were committed together go together
                    if (callback) callback(std::move(result));
                  }});
}

void Store::stage_abandon(Id id, Callback<void> callback) {
  Slices::Work work;
  work.waits_for_space = true;
  work.slice = [id](Write& write, const Enough&) -> Result<bool> {
    return abandon_upload(write, id).map([] { return true; });
  };
  work.done = std::move(callback);
  state_->begin(std::move(work));
}

void Store::claim(std::string route, TimePoint now, std::uint32_t limit,
                  Callback<std::vector<Claim>> callback, Job::Kind kind) {
  State& s = *state_;
  s.submit(job<std::vector<Claim>>(
      kind,
      [&s, route = std::move(route), now, limit](Write& write) -> Result<std::vector<Claim>> {
        if (s.duplicates > 0) write.del(Table::meta, possible_duplicates_key);
        if (spool::due_behind(write, route, now + s.backlog.longest_wait) && !s.backlog.recall.exchange(true))
          s.slices->look();
        return spool::claim(write, s.places, route, now, limit);
      },
      std::move(callback)));
}

void Store::settle(Settlement settlement, Callback<Settled> callback) {
  State& s = *state_;
  auto shared = std::make_shared<const Settlement>(std::move(settlement));
  auto made = std::make_shared<std::vector<Reporting::Made>>();
  auto routes = std::make_shared<std::vector<std::string>>();
  s.submit(job<Settled>(
      Job::Kind::patient,
      [&s, shared, made, routes](Write& write) -> Result<Settled> {
        made->clear();
        routes->clear();
        spool::Failures failures;
        const Settled settled = spool::settle(write, *shared, s.options.report_wait,
                                              s.options.failed || s.options.brake ? &failures : nullptr);
        if (!failures.all.empty() && s.options.brake) {
          if (auto ok = s.brake(write, failures, *routes); !ok) return tl::unexpected(ok.error());
        }
        if (!failures.all.empty() && s.options.failed) {
          const auto operations = s.options.failed(write, failures);
          for (const directory::Operation& one : operations) spool::put_outbox(write, directory::pack(one));
          if (!operations.empty())
            if (auto ok = HandOver(s.options.notices, s.route_of()).drain(write, *routes); !ok)
              return tl::unexpected(ok.error());
        }
        if (!settled.finished || !settled.report_due || !shared->report_now || !s.options.report)
          return settled;
        if (auto ok = s.reporting.one(write, shared->message, *made); !ok) return tl::unexpected(ok.error());
        return settled;
      },
      [&s, shared, made, routes, callback = std::move(callback)](Result<Settled> r) {
        if (r) s.tell(*made);
        if (r) s.due(*routes);
        if (callback) callback(std::move(r));
      }));
}

Result<void> Store::State::brake(Write& write, const spool::Failures& failures,
                                 std::vector<std::string>& routes) {
  auto told = options.brake(write, failures);
  if (!told) return {};
  const auto held =
      spool::whole(write, failures.message.id, Whole::hold, "brake", route_of(), [] { return true; });
  if (!held) return {};  // finished, or given up: nothing is left to hold
  return HandOver(options.notices, route_of()).accept(write, std::move(*told), routes);
}

void Store::State::tell(const std::vector<Reporting::Made>& made) const {
  for (const Reporting::Made& one : made) {
    due(one.routes);
    if (options.on_report) options.on_report(one.report);
  }
}

void Store::edit(Id id, std::vector<Edit> edits, std::string who, Callback<std::vector<Edited>> callback,
                 bool all_or_nothing) {
  State& s = *state_;
  // Of a transaction that is given up because one of them was not done: why.
  auto refused = std::make_shared<std::vector<Edited>>();
  s.submit(job<spool::EditResult>(
      Job::Kind::change,
      [&s, id, edits = std::move(edits), who = std::move(who), all_or_nothing,
       refused](Write& write) -> Result<spool::EditResult> {
        refused->clear();
        auto result = spool::edit(write, id, edits, who, s.route_of(), s.options.report_wait);
        const auto done = [](const Edited& e) { return e.how == Edited::How::done; };
        if (!result || !all_or_nothing || std::all_of(result->edited.begin(), result->edited.end(), done))
          return result;
        *refused = std::move(result->edited);
        return fail(Error::Kind::conflict, "not all of them can be changed");
      },
      [&s, refused, callback = std::move(callback)](Result<spool::EditResult> r) {
        if (!r && !refused->empty()) return callback(std::move(*refused));
        if (!r) return callback(tl::unexpected(r.error()));
        s.due(r->routes);
        callback(std::move(r->edited));
      }));
}

void Store::edit_sender(Id id, std::string reverse_path, std::string who, Callback<void> callback) {
  state_->submit({Job::Kind::change,
                  [id, reverse_path = std::move(reverse_path), who = std::move(who)](Write& write) {
                    return spool::edit_sender(write, id, reverse_path, who);
                  },
                  std::move(callback)});
}

void Store::whole(Id id, Whole what, std::string who, Callback<std::vector<std::uint32_t>> callback) {
  State& s = *state_;
  s.submit(job<spool::WholeResult>(
      Job::Kind::change,
      [&s, id, what, who = std::move(who)](Write& write) {
        const auto began = Writer::Clock::now();
        return spool::whole(write, id, what, who, s.route_of(),
                            [&s, began] { return s.writer->enough(Writer::Clock::now() - began); });
      },
      [&s, callback = std::move(callback)](Result<spool::WholeResult> r) {
        if (!r) return callback(tl::unexpected(r.error()));
        s.due(r->routes);
        callback(std::move(r->claimed));
      }));
}

void Store::reroute(std::string route, Callback<void> callback) {
  State& s = *state_;
  struct Place {
    std::string after, next;  // committed, and of the slice that runs
    std::vector<std::string> routes;
  };
  auto place = std::make_shared<Place>();
  Slices::Work work;
  work.waits_for_space = true;
  work.slice = [&s, place, route = std::move(route)](Write& write, const Enough& enough) -> Result<bool> {
    place->next = place->after;
    place->routes.clear();
    return spool::reroute(write, route, place->next, s.route_of(), place->routes, enough);
  };
  work.committed = [&s, place](bool) {
    place->after = place->next;
    s.due(place->routes);
  };
  work.done = std::move(callback);
  s.begin(std::move(work));
}

void Store::clear_clocks(std::vector<std::string> routes, Callback<void> callback) {
  state_->submit({Job::Kind::change,
                  [routes = std::move(routes)](Write& write) -> Result<void> {
                    for (const std::string& route : routes) spool::clear_host(write, route);
                    return {};
                  },
                  std::move(callback)});
}

void Store::repair(Repair repair, Callback<std::string> callback) {
  state_->submit(job<std::string>(
      Job::Kind::change,
      [repair](Write& write) -> Result<std::string> {
        switch (repair.what) {
          case Repair::What::message:
            return spool::repair_message(write, repair.id);
          case Repair::What::content:
            return spool::repair_content(write, repair.id);
          case Repair::What::list:
            return directory::repair_list(write, static_cast<list::ListId>(repair.id));
        }
        return std::string();
      },
      std::move(callback)));
}

void Store::record(HistoryEvent event, Callback<void> callback) {
  if (event.at == TimePoint{}) event.at = now();
  state_->submit({Job::Kind::intake,
                  [event = std::move(event)](Write& write) -> Result<void> {
                    spool::add_history(write, event);
                    return {};
                  },
                  std::move(callback)});
}

void Store::State::report(Callback<void> callback) {
  auto made = std::make_shared<std::vector<Reporting::Made>>();
  Slices::Work work;
  work.slice = [this, made](Write& write, const Enough& enough) {
    made->clear();
    return reporting.slice(write, enough, *made);
  };
  work.committed = [this, made](bool) { tell(*made); };
  work.done = std::move(callback);
  begin(std::move(work));
}

void Store::make_reports(TimePoint now, Callback<void> callback) {
  Result<void> read;
  try {
    if (state_->reporting.due(Read(*state_->env), now)) return state_->report(std::move(callback));
  } catch (const Broken& broken) {
    if (broken.ends_the_store()) throw;
    read = tl::unexpected(broken.error);
  }
  if (callback) callback(std::move(read));
}

void Store::tick_scores(TimePoint now, Callback<void> callback) {
  State& s = *state_;
  struct Place {
    std::string after;  // key of the last row that was looked at; empty: the first is next
    bool scores_done = false;
    std::string asked;
    std::vector<std::string> routes;
  };
  auto place = std::make_shared<Place>(), next = std::make_shared<Place>();
  Slices::Work work;
  work.slice = [&s, now, place, next](Write& write, const Enough& enough) -> Result<bool> {
    *next = {place->after, place->scores_done, place->asked, {}};
    const HandOver hand_over(s.options.notices, s.route_of());
    if (auto ok = hand_over.drain(write, next->routes); !ok) return tl::unexpected(ok.error());
    for (;;) {
      if (next->scores_done) {
        bool over = false;
        const bool more = directory::visit_asked(write, next->asked, 1000, [&](const auto& row) {
          over = over || row.asked.until <= now;
          return true;
        });
        if (over)
          if (auto ok = hand_over.apply(write, {{}, "spoold", directory::ForgetAsked{now}}, next->routes);
              !ok)
            return tl::unexpected(ok.error());
        if (!more) return true;
        if (enough()) return false;
        continue;
      }
      auto due = directory::next_due_score(write, next->after, now);
      if (due) {
        directory::ScoreMember tick{
            directory::ScoreMember::What::tick, due->list, std::move(due->address), {}, {}, {}};
        if (auto ok = hand_over.apply(write, {{}, "spoold", std::move(tick)}, next->routes); !ok)
          return tl::unexpected(ok.error());
      } else if (next->after.empty()) {
        next->scores_done = true;
      }
      if (enough()) return false;
    }
  };
  work.committed = [&s, place, next](bool) {
    s.due(next->routes);
    *place = *next;
  };
  work.done = std::move(callback);
  s.begin(std::move(work));
}

void Store::sweep(TimePoint now, Callback<void> callback) {
  State& s = *state_;
  s.backlog.recall = true;
  if (s.slices) s.slices->look();
  struct Place {
    Id finished = 0;
    std::string host, suspect;
    spool::SweptModeration moderation;
  };
  auto place = std::make_shared<Place>(), next = std::make_shared<Place>();
  const TimePoint cutoff = now - s.options.history, forgotten = now - delivery::host_memory_lasts;
  Slices::Work work;
  work.slice = [cutoff, forgotten, place, next](Write& write, const Enough& enough) -> Result<bool> {
    *next = *place;
    return spool::sweep_history(write, cutoff, enough) &&
           spool::sweep_finished(write, cutoff, next->finished, enough) &&
           spool::sweep_hosts(write, forgotten, next->host, enough) &&
           spool::sweep_suspects(write, forgotten, next->suspect, enough) &&
           spool::sweep_moderation(write, cutoff, next->moderation, enough) &&
           directory::trim_changes(write, cutoff, enough);
  };
  work.committed = [place, next](bool) { *place = *next; };
  work.done = std::move(callback);
  s.begin(std::move(work));
}

Result<BackupFigures> Store::backup(int file, const std::function<void()>& between,
                                    Duration one_state) const {
  return store::backup(*state_->env, file, between, one_state);
}

ReadersFound Store::check_readers() {
  State& s = *state_;
  const int dead = s.env->check_readers();
  const std::uint64_t last = s.env->last_txn();
  return {dead, s.reader_watch.look(s.env->readers(), last, ReaderWatch::Clock::now())};
}

Id Store::new_id() {
  return state_->env->new_id(now());
}

TimePoint Store::now() const {
  return state_->options.now();
}
TimePoint Store::newest_at_open() const {
  return TimePoint(std::chrono::milliseconds(state_->backlog.first_new >> 22));
}
std::uint64_t Store::possible_duplicates() const {
  return state_->duplicates;
}
bool Store::has_room() const {
  return state_->room->open();
}
std::uint64_t Store::room_left() const {
  return state_->room->left();
}
std::chrono::steady_clock::duration Store::oldest_wait() const {
  return state_->writer ? state_->writer->oldest_wait() : std::chrono::steady_clock::duration::zero();
}
std::string Store::trouble() const {
  return state_->writer ? state_->writer->trouble() : std::string();
}
const std::string& Store::secret() const {
  return state_->env->secret();
}
const std::string& Store::path() const {
  return state_->env->path();
}

Store::Figures Store::figures() const {
  const State& s = *state_;
  return {s.writer ? s.writer->commits() : 0, s.writer ? s.writer->jobs() : 0, s.room->used(),
          s.options.max_size};
}

}  // namespace spoold::store
