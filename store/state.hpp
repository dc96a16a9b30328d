// What a Store is made of.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/archive.hpp"
#include "store/job.hpp"
#include "store/post_numbers.hpp"
#include "store/reporting.hpp"
#include "store/room.hpp"
#include "store/slices.hpp"
#include "store/spool/accept.hpp"
#include "store/spool/claim.hpp"
#include "store/spool/work.hpp"
#include "store/store.hpp"
#include "store/writer.hpp"

namespace spoold::store {

/// Of meta: kept from a crash until something is claimed again (Store::claim).
inline constexpr const char* possible_duplicates_key = "possible_duplicates";

Env::Settings env_settings(const Options&);

struct Store::State {
  Options options;
  std::unique_ptr<Env> env;
  std::unique_ptr<Room> room;
  ReaderWatch reader_watch;   // of the thread that calls check_readers()
  spool::ClaimPlaces places;  // of the writer thread
  Reporting reporting{options, route_of()};
  std::uint64_t duplicates = 0;
  PostNumbers post_numbers{
      [this](list::ListId list, std::uint32_t count, bool urgent, Callback<PostNumbers::Block> done) {
        lease(list, count, urgent, std::move(done));
      }};
  spool::Backlog backlog;            // of the writer thread
  std::unique_ptr<Slices> slices;    // outlives the writer's last job
  std::unique_ptr<Writer> writer;    // its jobs use all of the above
  std::unique_ptr<Archive> archive;  // last: it hands on to the writer

  spool::RouteOf route_of() const {
    return [this](std::string_view domain) { return options.route_of(domain); };
  }
  void due(const std::vector<std::string>& routes) const {
    if (options.on_due)
      for (const std::string& r : routes) options.on_due(r);
  }
  void submit(Job j) {
    if (writer) return writer->submit(std::move(j));
    if (j.done) j.done(fail(Error::Kind::invalid, "the store was opened to be read only"));
  }

  /// Work over many commits; a read-only store does none.
  void begin(Slices::Work work) {
    if (slices) return slices->begin(std::move(work));
    if (work.done) work.done(fail(Error::Kind::invalid, "the store was opened to be read only"));
  }

  void start_writer();
  void lease(list::ListId, std::uint32_t count, bool urgent, Callback<PostNumbers::Block>);
  void tell(const std::vector<Reporting::Made>&) const;
  std::vector<std::string> odd() const;
  void report(Callback<void>);
  void abandon(std::shared_ptr<spool::Accepting>);
  Result<void> brake(Write&, const spool::Failures&, std::vector<std::string>& routes);
  struct Offered;
  void accept(std::shared_ptr<Offered>);
  Result<void> reclaim();
};

}  // namespace spoold::store
