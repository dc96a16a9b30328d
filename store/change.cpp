// Store::change, and the lease of post numbers: here the directory (what changes) and the spool (the audit event; the numbers that this
// node has) meet.
#include "store/directory/apply.hpp"
#include "store/handover.hpp"
#include "store/spool/post_blocks.hpp"
#include "store/state.hpp"

namespace spoold::store {
namespace {

/// What adds rows without bound is refused when space is short; what undoes it, or is small, is not.
Job::Kind kind_of(const directory::Change& change) {
  const bool adds = std::holds_alternative<directory::BeginImport>(change) ||
                    std::holds_alternative<directory::ImportRows>(change) ||
                    std::holds_alternative<directory::FinishImport>(change);
  if (std::holds_alternative<directory::KnowNetwork>(change))
    return Job::Kind::patient;  // nobody waits for it
  return adds ? Job::Kind::intake : Job::Kind::change;
}

}  // namespace

void Store::change(directory::Operation operation, Callback<directory::Applied> callback) {
  State& s = *state_;
  if (!s.writer)
    return callback(fail(Error::Kind::unavailable,
                         "the store was opened to be read only: only the daemon changes the directory"));
  const Job::Kind kind = kind_of(operation.change);
  auto routes = std::make_shared<std::vector<std::string>>();  // of the mail that follows
  s.submit(job<directory::Applied>(
      kind,
      [&s, routes, operation = std::move(operation)](Write& write) -> Result<directory::Applied> {
        auto applied = directory::apply(write, operation);
        if (!applied || applied->repeated) return applied;
        if (std::holds_alternative<directory::RemoveList>(operation.change))
          spool::drop_post_blocks(write, applied->list.id);
        record_applied(write, operation, *applied);
        routes->clear();
        if (auto ok = HandOver(s.options.notices, s.route_of()).tell(write, *applied, *routes); !ok)
          return tl::unexpected(ok.error());
        return applied;
      },
      [&s, routes, callback = std::move(callback)](Result<directory::Applied> applied) {
        if (applied) s.due(*routes);
        callback(std::move(applied));
      }));
}

PostNumbers& Store::post_numbers() {
  return state_->post_numbers;
}

void Store::State::lease(list::ListId list, std::uint32_t count, bool urgent,
                         Callback<PostNumbers::Block> done) {
  submit(job<PostNumbers::Block>(
      urgent ? Job::Kind::change : Job::Kind::patient,
      [list, count](Write& write) -> Result<PostNumbers::Block> {
        const auto leased = directory::apply(write, {{}, {}, directory::LeasePosts{list, count}});
        if (!leased) return tl::unexpected(leased.error());
        const std::uint32_t last = leased->list.last_post, first = last - count + 1;
        spool::add_post_block(write, list, first, last);
        return PostNumbers::Block{first, last};
      },
      std::move(done)));
}

}  // namespace spoold::store
