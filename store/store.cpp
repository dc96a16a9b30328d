#include "store/store.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "store/accept.hpp"
#include "store/broken.hpp"
#include "store/directory/directory.hpp"
#include "store/key.hpp"
#include "store/reporting.hpp"
#include "store/spool/claim.hpp"
#include "store/spool/content.hpp"
#include "store/spool/edit.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/host.hpp"
#include "store/spool/reroute.hpp"
#include "store/spool/settle.hpp"
#include "store/upload.hpp"
#include "store/writer.hpp"

namespace spoold::store {
namespace {

using Kind = Error::Kind;
constexpr auto slice_time = std::chrono::milliseconds(10);
constexpr std::size_t claims_a_slice = 50;
constexpr const char* possible_duplicates_key = "possible_duplicates";

/// A job with a result: f makes it inside the transaction, the callback gets it after the commit.
template <class T, class F>
Job job(Job::Kind kind, F f, Callback<T> callback) {
  auto result = std::make_shared<std::optional<T>>();
  Job j;
  j.kind = kind;
  j.apply = [result, f = std::move(f)](Write& write) mutable -> Result<void> {
    Result<T> r = f(write);
    if (!r) return tl::unexpected(r.error());
    *result = std::move(*r);
    return {};
  };
  j.done = [result, callback = std::move(callback)](Result<void> r) {
    if (!callback) return;
    if (r)
      callback(std::move(**result));
    else
      callback(tl::unexpected(r.error()));
  };
  return j;
}

}  // namespace

struct Store::State {
  Options options;
  std::unique_ptr<Env> env;
  std::unique_ptr<Room> room;
  spool::ClaimPlaces places;  // of the writer thread
  Reporting reporting{options, [this](std::string_view domain) { return route(domain); }};
  std::uint64_t duplicates = 0;
  std::unique_ptr<Writer> writer;  // last: its jobs use all of the above

  std::string route(std::string_view domain) const {
    return options.route ? options.route(domain) : std::string("relay");
  }
  spool::RouteOf route_of() const {
    return [this](std::string_view domain) { return route(domain); };
  }
  TimePoint now() const {
    if (options.clock) return options.clock();
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
  void due(const std::vector<std::string>& routes) const {
    if (options.on_due)
      for (const std::string& r : routes) options.on_due(r);
  }
  void submit(Job j) {
    if (writer) return writer->submit(std::move(j));
    if (j.done) j.done(fail(Kind::invalid, "the store was opened to be read only"));
  }

  void tell(const std::vector<Reporting::Made>&) const;
  void report_slice(TimePoint now, Callback<void>);
  Result<void> reclaim();
  void accept_slice(std::shared_ptr<Accepting>, Callback<Accepted>);
  void sweep_stage(bool at_start);
  void sweep_directory();
  void go_on_rebuilding(Id);
  void go_on_holding(Id, std::string route, LastReply why);
  void reroute_slice(std::string route, std::string after, Callback<void>);
  void sweep_slice(TimePoint cutoff, Id after, Callback<void>);
  void sweep_hosts(std::string after, Callback<void>);
};

Store::Store() : state_(std::make_unique<State>()) {}
Store::~Store() = default;

Read::Read(const Store& store) : Read(*store.state_->env) {}

Result<std::unique_ptr<Store>> Store::open(Options options) {
  std::unique_ptr<Store> store(new Store);
  State& s = *store->state_;
  s.options = std::move(options);
  Env::Settings settings;
  settings.path = s.options.path;
  settings.max_size = s.options.max_size;
  settings.map_size = s.options.map_size;
  switch (s.options.open) {
    case Options::Open::create:
      settings.open = Env::Settings::Open::create;
      break;
    case Options::Open::existing:
      settings.open = Env::Settings::Open::existing;
      break;
    case Options::Open::read_only:
      settings.open = Env::Settings::Open::read_only;
      break;
  }
  auto env = Env::open(settings);
  if (!env) return tl::unexpected(env.error());
  s.env = std::move(*env);
  s.room = std::make_unique<Room>(*s.env, s.options.max_size, s.options.reserve);
  if (s.env->read_only()) return store;
  if (auto ok = s.reclaim(); !ok) return tl::unexpected(ok.error());
  Writer::Wiring wiring{[&s] { return s.now(); }, s.options.on_stop, s.options.fault};
  s.writer = std::make_unique<Writer>(*s.env, *s.room, std::move(wiring));
  s.sweep_stage(true);
  if (directory::has_leftovers(Read(*s.env))) s.sweep_directory();
  for (const Id id : spool::unfinished_rebuilds(Read(*s.env))) s.go_on_rebuilding(id);
  return store;
}

/// Before the writer starts: nobody can claim yet. The number is kept in meta until something is claimed
/// again: spoolctl may open the store between a crash and the daemon's start, which is what logs it.
Result<void> Store::State::reclaim() {
  try {
    for (bool all = false; !all;) {
      auto write = env->begin(now());
      directory::recover(*write);
      const auto kept = write->get(Table::meta, possible_duplicates_key);
      duplicates = kept ? KeyReader(*kept).u64() : 0;
      const spool::Reclaimed r = spool::reclaim(*write, claims_a_slice);
      all = r.all;
      duplicates += r.recipients;
      if (r.recipients > 0) write->put(Table::meta, possible_duplicates_key, Key().u64(duplicates));
      if (write->changes() == 0) break;
      if (const int code = env->commit(std::move(write)))
        return tl::unexpected(lmdb_error(code, "commit that what was on the wire is due again"));
    }
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
  return {};
}

void Store::State::sweep_stage(bool at_start) {
  submit(job<bool>(
      Job::Kind::change,
      [at_start](Write& write) -> Result<bool> { return spool::sweep_stage(write, at_start); },
      [this, at_start](Result<bool> all) {
        if (all && !*all && !writer->stopping()) sweep_stage(at_start);
      }));
}

void Store::State::sweep_directory() {
  submit(job<bool>(
      Job::Kind::change, [](Write& write) -> Result<bool> { return directory::sweep(write); },
      [this](Result<bool> more) {
        if (more && *more && !writer->stopping()) sweep_directory();
      }));
}

void Store::State::go_on_rebuilding(Id id) {
  auto routes = std::make_shared<std::vector<std::string>>();
  submit(job<bool>(
      Job::Kind::change,
      [this, id, routes](Write& write) -> Result<bool> {
        routes->clear();
        return spool::rebuild(write, id, route_of(), *routes);
      },
      [this, id, routes](Result<bool> done) {
        due(*routes);
        if (done && !*done && !writer->stopping()) go_on_rebuilding(id);
      }));
}

void Store::State::go_on_holding(Id id, std::string held_route, LastReply why) {
  submit(job<bool>(
      Job::Kind::change,
      [id, held_route, why](Write& write) -> Result<bool> {
        return spool::hold_route(write, id, held_route, why);
      },
      [this, id, held_route, why](Result<bool> done) {
        if (done && !*done && !writer->stopping()) go_on_holding(id, held_route, why);
      }));
}

void Store::submit(Job j) {
  state_->submit(std::move(j));
}

void Store::accept(Acceptance acceptance, Callback<Accepted> callback) {
  State& s = *state_;
  s.accept_slice(std::make_shared<Accepting>(std::move(acceptance), s.route_of()), std::move(callback));
}

void Store::State::accept_slice(std::shared_ptr<Accepting> accepting, Callback<Accepted> callback) {
  submit(job<bool>(
      Job::Kind::intake,
      [accepting](Write& write) { return accepting->slice(write, Accepting::Clock::now() + slice_time); },
      [this, accepting, callback = std::move(callback)](Result<bool> complete) {
        if (complete) {
          accepting->advance();
          if (*complete) return callback(accepting->accepted());
          if (options.fault) options.fault("slice");
          return accept_slice(accepting, callback);
        }
        if (accepting->staged())
          submit(job<bool>(
              Job::Kind::change,
              [accepting](Write& write) -> Result<bool> { return accepting->abandon(write), true; },
              [this](Result<bool>) { sweep_stage(false); }));
        callback(tl::unexpected(complete.error()));
      }));
}

void Store::stage_begin(Callback<Id> callback) {
  state_->submit(job<Id>(
      Job::Kind::intake, [](Write& write) -> Result<Id> { return begin_upload(write); },
      std::move(callback)));
}

void Store::stage_append(Id id, std::string bytes, Callback<void> callback) {
  auto shared = std::make_shared<const std::string>(std::move(bytes));
  state_->submit({Job::Kind::intake, [id, shared](Write& write) { return append_upload(write, id, *shared); },
                  std::move(callback)});
}

void Store::stage_abandon(Id id, Callback<void> callback) {
  State& s = *state_;
  s.submit({Job::Kind::change, [id](Write& write) { return abandon_upload(write, id); },
            [&s, callback = std::move(callback)](Result<void> r) {
              if (r) s.sweep_stage(false);
              if (callback) callback(std::move(r));
            }});
}

void Store::claim(std::string route, TimePoint now, std::uint32_t limit,
                  Callback<std::vector<Claim>> callback) {
  State& s = *state_;
  s.submit(job<std::vector<Claim>>(
      Job::Kind::change,
      [&s, route = std::move(route), now, limit](Write& write) -> Result<std::vector<Claim>> {
        if (s.duplicates > 0) write.del(Table::meta, possible_duplicates_key);
        return spool::claim(write, s.places, route, now, limit);
      },
      std::move(callback)));
}

void Store::settle(Settlement settlement, Callback<Settled> callback) {
  State& s = *state_;
  auto shared = std::make_shared<const Settlement>(std::move(settlement));
  auto made = std::make_shared<std::vector<Reporting::Made>>();
  s.submit(job<Settled>(
      Job::Kind::settle,
      [&s, shared, made](Write& write) -> Result<Settled> {
        made->clear();
        const Settled settled = spool::settle(write, *shared, s.options.report_wait);
        if (!settled.finished || !settled.report_due || !shared->report_now || !s.options.report)
          return settled;
        if (auto ok = s.reporting.one(write, shared->message, *made); !ok) return tl::unexpected(ok.error());
        return settled;
      },
      [&s, shared, made, callback = std::move(callback)](Result<Settled> r) {
        if (r) s.tell(*made);
        if (r && shared->hold && shared->message != 0)
          s.go_on_holding(shared->message, shared->route,
                          shared->outcomes.empty() ? LastReply{} : shared->outcomes.front().last);
        if (callback) callback(std::move(r));
      }));
}

void Store::State::tell(const std::vector<Reporting::Made>& made) const {
  for (const Reporting::Made& one : made) {
    due(one.routes);
    if (options.on_report) options.on_report(one.report);
  }
}

void Store::State::report_slice(TimePoint now, Callback<void> callback) {
  auto made = std::make_shared<std::vector<Reporting::Made>>();
  submit(job<bool>(
      Job::Kind::change,
      [this, now, made](Write& write) {
        made->clear();
        return reporting.slice(write, now, Accepting::Clock::now() + slice_time, *made);
      },
      [this, now, made, callback = std::move(callback)](Result<bool> all) {
        if (all) tell(*made);
        if (all && !*all && !writer->stopping()) return report_slice(now, callback);
        if (!callback) return;
        if (all)
          callback({});
        else
          callback(tl::unexpected(all.error()));
      }));
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
        auto result = spool::edit(write, id, edits, who, s.route_of());
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
        return spool::whole(write, id, what, who, s.route_of());
      },
      [&s, id, callback = std::move(callback)](Result<spool::WholeResult> r) {
        if (!r) return callback(tl::unexpected(r.error()));
        s.due(r->routes);
        if (r->rebuilding) s.go_on_rebuilding(id);
        callback(std::move(r->claimed));
      }));
}

void Store::reroute(std::string route, Callback<void> callback) {
  state_->reroute_slice(std::move(route), {}, std::move(callback));
}

void Store::State::reroute_slice(std::string old_route, std::string after, Callback<void> callback) {
  struct Slice {
    std::string after;
    std::vector<std::string> routes;
  };
  auto slice = std::make_shared<Slice>();
  submit(job<bool>(
      Job::Kind::change,
      [this, slice, old_route, after](Write& write) -> Result<bool> {
        *slice = {after, {}};
        return spool::reroute(write, old_route, slice->after, route_of(), slice->routes);
      },
      [this, slice, old_route, callback = std::move(callback)](Result<bool> all) {
        due(slice->routes);
        if (all && !*all && !writer->stopping()) return reroute_slice(old_route, slice->after, callback);
        if (!callback) return;
        if (all)
          callback({});
        else
          callback(tl::unexpected(all.error()));
      }));
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

void Store::make_reports(TimePoint now, Callback<void> callback) {
  Result<void> read;
  try {
    if (state_->reporting.due(Read(*state_->env), now)) return state_->report_slice(now, std::move(callback));
  } catch (const Broken& broken) {
    read = tl::unexpected(broken.error);
  }
  if (callback) callback(std::move(read));
}

void Store::sweep(TimePoint now, Callback<void> callback) {
  state_->sweep_slice(now - state_->options.history, 0, std::move(callback));
}

void Store::State::sweep_slice(TimePoint cutoff, Id after, Callback<void> callback) {
  auto place = std::make_shared<Id>(after);
  submit(job<bool>(
      Job::Kind::change,
      [cutoff, after, place](Write& write) -> Result<bool> {
        *place = after;
        return spool::sweep_history(write, cutoff, *place);
      },
      [this, cutoff, place, callback = std::move(callback)](Result<bool> all) {
        if (all && !*all && !writer->stopping()) return sweep_slice(cutoff, *place, callback);
        if (all) return sweep_hosts({}, callback);
        if (callback) callback(tl::unexpected(all.error()));
      }));
}

void Store::State::sweep_hosts(std::string after, Callback<void> callback) {
  auto place = std::make_shared<std::string>();
  submit(job<bool>(
      Job::Kind::change,
      [after, place, cutoff = now() - delivery::host_memory_lasts](Write& write) -> Result<bool> {
        *place = after;
        return spool::sweep_hosts(write, cutoff, *place);
      },
      [this, place, callback = std::move(callback)](Result<bool> all) {
        if (all && !*all && !writer->stopping()) return sweep_hosts(*place, callback);
        if (!callback) return;
        if (all)
          callback({});
        else
          callback(tl::unexpected(all.error()));
      }));
}

TimePoint Store::now() const {
  return state_->now();
}
std::uint64_t Store::possible_duplicates() const {
  return state_->duplicates;
}
bool Store::has_room() const {
  return state_->room->open();
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
