#include "store/readers.hpp"

namespace spoold::store {
namespace {

constexpr auto old = std::chrono::seconds(5);

}  // namespace

std::vector<OldReader> ReaderWatch::look(const std::vector<Reader>& readers, std::uint64_t last,
                                         Clock::time_point now) {
  std::vector<OldReader> named;
  std::map<std::pair<int, std::uint64_t>, Seen> behind;
  for (const Reader& reader : readers) {
    // A reader of the last state pins nothing, and cannot be told from a new one at the next look. One that is
    // behind can: whoever begins to read now gets a later transaction.
    if (reader.txn >= last) continue;
    const auto known = behind_.find({reader.pid, reader.txn});
    Seen seen = known == behind_.end() ? Seen{now} : known->second;
    if (!seen.named && now - seen.since >= old) {
      seen.named = true;
      named.push_back({reader.pid, std::chrono::duration_cast<std::chrono::milliseconds>(now - seen.since),
                       last - reader.txn});
    }
    behind.insert_or_assign({reader.pid, reader.txn}, seen);
  }
  behind_ = std::move(behind);
  return named;
}

}  // namespace spoold::store
