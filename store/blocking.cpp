#include "store/blocking.hpp"

#include <future>
#include <memory>

#include "store/directory/import.hpp"
#include "store/store.hpp"

namespace spoold::store::directory {
namespace {

/// The callback may come after the caller has gone: it holds what it uses.
std::future<Result<Applied>> submit(Store& store, Operation operation) {
  auto promise = std::make_shared<std::promise<Result<Applied>>>();
  auto answer = promise->get_future();
  store.change(std::move(operation),
               [promise](Result<Applied> applied) { promise->set_value(std::move(applied)); });
  return answer;
}

}  // namespace

Result<Applied> change(Store& store, Operation operation, std::chrono::milliseconds limit) {
  auto answer = submit(store, std::move(operation));
  if (answer.wait_for(limit) == std::future_status::ready) return answer.get();
  return fail(Error::Kind::unavailable,
              "no answer within " + std::to_string(limit.count() / 1000) +
                  " s: the disk or the daemon is overloaded; whether it was done is not known");
}

Result<Imported> import_members(Store& store, ListId list, std::vector<Member> members,
                                const std::string& who) {
  const auto waiting = [&store](Operation operation) { return submit(store, std::move(operation)).get(); };
  return import_members(waiting, list, std::move(members), who);
}

}  // namespace spoold::store::directory
