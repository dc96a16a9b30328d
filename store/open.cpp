// Store::open: what happens before the first job, and what the store's own work in slices is.
#include <utility>

#include "store/broken.hpp"
#include "store/directory/directory.hpp"
#include "store/key.hpp"
#include "store/state.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t claims_a_slice = 50, leftovers_a_step = 100;

}  // namespace

Env::Settings env_settings(const Options& options) {
  using Open = Env::Settings::Open;
  Env::Settings settings;
  settings.path = options.path;
  settings.max_size = options.max_size;
  settings.map_size = options.map_size;
  settings.open = options.open == Options::Open::create     ? Open::create
                  : options.open == Options::Open::existing ? Open::existing
                                                            : Open::read_only;
  return settings;
}

Result<std::unique_ptr<Store>> Store::open(Options options) {
  std::unique_ptr<Store> store(new Store);
  State& s = *store->state_;
  s.options = std::move(options);
  auto env = Env::open(env_settings(s.options));
  if (!env) return tl::unexpected(env.error());
  s.env = std::move(*env);
  s.room = std::make_unique<Room>(*s.env, s.options.max_size, s.options.reserve);
  if (s.env->read_only()) return store;
  s.backlog.first_new = s.env->first_new();
  s.backlog.longest_wait = s.options.longest_wait;
  if (auto ok = s.reclaim(); !ok) return tl::unexpected(ok.error());
  s.start_writer();
  s.slices->look();
  if (!s.options.on_warning) return store;
  try {
    for (const std::string& text : s.odd()) s.options.on_warning(text);
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
  return store;
}

void Store::State::start_writer() {
  Writer::Wiring wiring;
  wiring.clock = [this] { return options.now(); };
  wiring.on_stop = options.on_stop;
  wiring.fault = options.fault;
  wiring.on_work = [this] { slices->look(); };
  writer = std::make_unique<Writer>(*env, *room, std::move(wiring));
  slices = std::make_unique<Slices>(
      *writer, options.pause_when_full,
      [this](Write& write, const Enough& enough) -> Result<bool> {
        if (!spool::do_work(write, backlog, route_of(), enough)) return false;
        while (directory::sweep(write, leftovers_a_step))
          if (enough()) return false;
        return true;
      },
      [this](bool) {
        backlog.recalling = backlog.recalled;
        due(backlog.routes);
      });
  Archive::Wiring files;
  files.env = env.get();
  files.on_trouble = options.on_archive;
  files.fault = options.fault;
  files.published = [this](std::vector<Id> ids) {
    writer->submit({Job::Kind::patient,
                    [ids = std::move(ids)](Write& write) -> Result<void> {
                      for (const Id id : ids) write.del(Table::archive, Key().u64(id));
                      return {};
                    },
                    {}});
  };
  archive = std::make_unique<Archive>(std::move(files));
}

/// What an operator should know, although the store goes on with it.
std::vector<std::string> Store::State::odd() const {
  std::vector<std::string> out = directory::unread_settings(Read(*env));
  const auto ahead = std::chrono::milliseconds(backlog.first_new >> 22) - options.now().time_since_epoch();
  if (ahead > std::chrono::hours(24))
    out.push_back("the ids of the store are " +
                  std::to_string(std::chrono::duration_cast<std::chrono::hours>(ahead).count()) +
                  " hours ahead of the clock: the clock was ahead before, or is behind now. Queue ids will "
                  "not show when "
                  "a message came; nothing else follows");
  return out;
}

/// Before the writer starts: nobody can claim yet. The number is kept in meta until something is claimed
/// again: spoolctl may open the store between a crash and the daemon's start, which is what logs it.
Result<void> Store::State::reclaim() {
  try {
    for (bool all = false, tried_again = false; !all;) {
      auto write = env->begin(options.now());
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

}  // namespace spoold::store
