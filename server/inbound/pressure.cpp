#include "server/inbound/pressure.hpp"

#include <string>

#include "server/inbound/replies.hpp"
#include "server/office/refusals.hpp"

namespace spoold::server {
namespace {

smtp::Reply later(std::string reason) {
  return {452, {4, 3, 1}, std::move(reason) + "; try again later"};
}

}  // namespace

std::optional<smtp::Reply> refused_for_now(Reception& reception, std::uint64_t size) {
  Stats& stats = reception.stats;
  if (!reception.store.has_room() || (size != 0 && size > reception.store.room_left())) {
    ++stats.room_refused;
    return later("no room for mail now");
  }
  if (const auto wait = reception.store.oldest_wait(); wait >= slow_disk) {
    ++stats.slow_disk_refused;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait).count();
    return later("the disk here is slow: mail has waited for it for " + std::to_string(seconds) + " s");
  }
  if (*reception.memory > Content::no_new_sender) {
    ++stats.memory_refused;
    return no_memory();
  }
  return {};
}

std::optional<smtp::Reply> refused_for_now(Reception& reception, const smtp::Transaction& transaction,
                                           const smtp::Recipient& found) {
  auto refusal = too_many_members(transaction, found, reception.store.room_left());
  if (refusal) ++reception.stats.room_refused;
  return refusal;
}

}  // namespace spoold::server
