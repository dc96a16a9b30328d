// What a Store is made of, and the work that goes over many commits: each slice is a job of its own, which
// asks for the next one when it is committed (slices.cpp), so that nobody waits longer than for one.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/accept.hpp"
#include "store/reporting.hpp"
#include "store/room.hpp"
#include "store/spool/claim.hpp"
#include "store/store.hpp"
#include "store/writer.hpp"

namespace spoold::store {

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

struct Store::State {
  Options options;
  std::unique_ptr<Env> env;
  std::unique_ptr<Room> room;
  ReaderWatch reader_watch;   // of the thread that calls check_readers()
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
    if (j.done) j.done(fail(Error::Kind::invalid, "the store was opened to be read only"));
  }

  Accepting::Enough enough() const;  // of a slice that begins now
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

}  // namespace spoold::store
