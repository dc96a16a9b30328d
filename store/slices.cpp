#include <chrono>

#include "store/directory/directory.hpp"
#include "store/spool/content.hpp"
#include "store/spool/edit.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/host.hpp"
#include "store/spool/reroute.hpp"
#include "store/spool/settle.hpp"
#include "store/state.hpp"

namespace spoold::store {

Accepting::Enough Store::State::enough() const {
  return [this, began = Writer::Clock::now()] { return writer->enough(Writer::Clock::now() - began); };
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

void Store::State::accept_slice(std::shared_ptr<Accepting> accepting, Callback<Accepted> callback) {
  submit(job<bool>(
      Job::Kind::intake, [this, a = accepting.get()](Write& write) { return a->slice(write, enough()); },
      [this, accepting, callback = std::move(callback)](Result<bool> complete) mutable {
        if (complete) {
          accepting->advance();
          if (*complete) {
            Accepted accepted = accepting->take();
            accepted.spent = std::move(accepting);
            return callback(std::move(accepted));
          }
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

void Store::State::report_slice(TimePoint now, Callback<void> callback) {
  auto made = std::make_shared<std::vector<Reporting::Made>>();
  submit(job<bool>(
      Job::Kind::change,
      [this, now, made](Write& write) {
        made->clear();
        return reporting.slice(write, now, enough(), *made);
      },
      [this, now, made, callback = std::move(callback)](Result<bool> all) {
        if (all) tell(*made);
        if (all && !*all && !writer->stopping()) return report_slice(now, callback);
        if (callback) callback(all.map([](bool) {}));
      }));
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
        if (callback) callback(all.map([](bool) {}));
      }));
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
        if (callback) callback(all.map([](bool) {}));
      }));
}

}  // namespace spoold::store
