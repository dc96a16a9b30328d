// Store::change: here the directory (what changes) and the spool (history, which keeps the audit event) meet.
#include "store/directory/apply.hpp"
#include "store/spool/history.hpp"
#include "store/state.hpp"

namespace spoold::store {
namespace {

/// What adds rows without bound is refused when space is short; what undoes it, or is small, is not.
Job::Kind kind_of(const directory::Change& change) {
  const bool adds = std::holds_alternative<directory::BeginImport>(change) ||
                    std::holds_alternative<directory::ImportRows>(change) ||
                    std::holds_alternative<directory::FinishImport>(change);
  return adds ? Job::Kind::intake : Job::Kind::change;
}

}  // namespace

void Store::change(directory::Operation operation, Callback<directory::Applied> callback) {
  State& s = *state_;
  if (!s.writer)
    return callback(fail(Error::Kind::unavailable,
                         "the store was opened to be read only: only the daemon changes the directory"));
  const Job::Kind kind = kind_of(operation.change);
  s.submit(job<directory::Applied>(
      kind,
      [operation = std::move(operation)](Write& write) -> Result<directory::Applied> {
        auto applied = directory::apply(write, operation);
        if (!applied || applied->repeated) return applied;
        HistoryEvent event;
        event.at = write.now();
        event.event = "edited";
        event.who = operation.who;
        event.list = applied->list.id;
        for (const std::string& text : applied->events) {
          event.detail = text;
          spool::add_history(write, event);
        }
        return applied;
      },
      std::move(callback)));
}

}  // namespace spoold::store
