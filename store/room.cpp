#include "store/room.hpp"

#include <sys/statvfs.h>

#include <algorithm>

#include "store/env.hpp"

namespace spoold::store {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto interval = std::chrono::milliseconds(100);

}  // namespace

Room::Room(Env& env, std::uint64_t max_size, std::uint64_t reserve)
    : env_(env), max_size_(max_size), reserve_(reserve) {
  look();
}

bool Room::open() const {
  if (Clock::now().time_since_epoch().count() >= next_look_.load(std::memory_order_relaxed)) look();
  return open_.load(std::memory_order_relaxed);
}

std::uint64_t Room::used() const {
  open();
  return used_.load(std::memory_order_relaxed);
}

std::uint64_t Room::left() const {
  open();
  return left_.load(std::memory_order_relaxed);
}

void Room::found_full() {
  left_.store(0);
  open_.store(false);
  next_look_.store((Clock::now() + interval).time_since_epoch().count());
}

void Room::look() const {
  std::unique_lock lock(looking_, std::try_to_lock);
  if (!lock) return;  // another thread is at it: its last answer will do
  struct statvfs disk {};
  const auto begun = Clock::now();
  const bool known = ::statvfs(env_.path().c_str(), &disk) == 0;
  const std::uint64_t free = known ? std::uint64_t{disk.f_bavail} * disk.f_frsize : 0;
  if (!env_.read_only() && free >= reserve_ + 2 * Ballast::size) env_.keep_ballast();
  std::uint64_t used = env_.used(max_size_);
  // Pages that a killed reader pins count as used; they may be all that is missing.
  if (used >= max_size_ && env_.check_readers() > 0) used = env_.used(max_size_);
  used_.store(used, std::memory_order_relaxed);
  const bool room = known && free >= reserve_ && used < max_size_;
  left_.store(room ? std::min(free - reserve_, max_size_ - used) : 0, std::memory_order_relaxed);
  open_.store(room, std::memory_order_relaxed);
  // A file that has reached its size is looked at page list by page list: a twentieth of a thread at most.
  const auto ended = Clock::now();
  const auto next = ended + std::max<Clock::duration>(interval, 20 * (ended - begun));
  next_look_.store(next.time_since_epoch().count(), std::memory_order_relaxed);
}

}  // namespace spoold::store
