#include "store/store.hpp"

#include <algorithm>
#include <utility>

#include "store/broken.hpp"
#include "store/directory/directory.hpp"
#include "store/key.hpp"
#include "store/spool/content.hpp"
#include "store/spool/edit.hpp"
#include "store/spool/history.hpp"
#include "store/spool/settle.hpp"
#include "store/state.hpp"
#include "store/upload.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t claims_a_slice = 50;
constexpr const char* possible_duplicates_key = "possible_duplicates";

}  // namespace

Store::Store() : state_(std::make_unique<State>()) {}
Store::~Store() = default;

void Store::close() {
  if (state_->writer) state_->writer->close();
}

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
  try {
    s.sweep_stage(true);
    if (directory::has_leftovers(Read(*s.env))) s.sweep_directory();
    for (const Id id : spool::unfinished_rebuilds(Read(*s.env))) s.go_on_rebuilding(id);
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
  return store;
}

/// Before the writer starts: nobody can claim yet. The number is kept in meta until something is claimed
/// again: spoolctl may open the store between a crash and the daemon's start, which is what logs it.
Result<void> Store::State::reclaim() {
  try {
    for (bool all = false, tried_again = false; !all;) {
      auto write = env->begin(now());
      directory::recover(*write);
      const auto kept = write->get(Table::meta, possible_duplicates_key);
      duplicates = kept ? KeyReader(*kept).u64() : 0;
      const spool::Reclaimed r = spool::reclaim(*write, claims_a_slice);
      all = r.all;
      duplicates += r.recipients;
      if (r.recipients > 0) write->put(Table::meta, possible_duplicates_key, Key().u64(duplicates));
      if (write->changes() == 0) break;
      const int code = env->commit(std::move(write));
      if (code == 0) continue;
      const Error error = lmdb_error(code, "commit that what was on the wire is due again");
      // On a full disk the failure has set free what is kept for this.
      if (error.kind != Error::Kind::full || std::exchange(tried_again, true)) return tl::unexpected(error);
      all = false;
    }
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
  return {};
}

void Store::submit(Job j) {
  state_->submit(std::move(j));
}

Announcement Store::announce() {
  return state_->writer ? state_->writer->announce() : nullptr;
}

void Store::accept(Acceptance acceptance, Callback<Accepted> callback) {
  State& s = *state_;
  s.accept_slice(std::make_shared<Accepting>(std::move(acceptance), s.route_of()), std::move(callback));
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
                  Callback<std::vector<Claim>> callback, Job::Kind kind) {
  State& s = *state_;
  s.submit(job<std::vector<Claim>>(
      kind,
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
      Job::Kind::patient,
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
