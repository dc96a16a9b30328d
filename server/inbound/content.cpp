#include "server/inbound/content.hpp"

#include <algorithm>

#include "server/await_store.hpp"

namespace spoold::server {

void ContentMemory::add(std::int64_t octets) {
  const std::int64_t now = now_.fetch_add(octets, std::memory_order_relaxed) + octets;
  std::int64_t peak = peak_.load(std::memory_order_relaxed);
  if (now > peak) {
    peak_.store(now, std::memory_order_relaxed);
  } else if (peak > large && now < peak / 4 && peak_.compare_exchange_strong(peak, now)) {
    rest_ = now > large / 4;
    give_back_(0);
  } else if (now < large / 16 && rest_.load(std::memory_order_relaxed) && rest_.exchange(false)) {
    give_back_(0);
  }
}

void Content::count(std::size_t octets) {
  if (octets == counted_) return;
  memory_->add(static_cast<std::int64_t>(octets) - static_cast<std::int64_t>(counted_));
  counted_ = octets;
}

void Content::expect(std::uint64_t size) {
  if (*memory_ < all_sessions) bytes_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(size, slice)));
}

bool Content::full(std::uint64_t header_size) {
  count(bytes_.capacity());
  if (bytes_.size() >= slice) return true;
  // Memory is short: the header must be whole before the first slice goes; the smallest slice is 16 KiB.
  return *memory_ > all_sessions && bytes_.size() >= small_slice &&
         (staged_ != 0 || header_size < bytes_.size());
}

Awaitable<store::Result<void>> Content::wait_for(int slices) {
  while (flight_ && flight_->slices > slices) {
    flight_->landed.expires_at(asio::steady_timer::time_point::max());
    co_await flight_->landed.async_wait(use);
  }
  if (flight_ && flight_->error) co_return tl::unexpected<store::Error>(*flight_->error);
  co_return store::Result<void>();
}

Awaitable<store::Result<void>> Content::send(std::uint64_t header_size) {
  if (staged_ == 0) {
    header_ = bytes_.substr(0, static_cast<std::size_t>(header_size));
    memory_->add(static_cast<std::int64_t>(header_.size()));
    auto begin = [this](store::Callback<store::Id> done) { store_.stage_begin(std::move(done)); };
    store::Result<store::Id> id = co_await await_store<store::Id>(executor_, std::move(begin));
    if (!id) co_return tl::unexpected<store::Error>(id.error());
    staged_ = *id;
    flight_ = std::make_shared<Flight>(executor_);
  }
  std::string bytes = std::exchange(bytes_, std::string());
  const auto octets = static_cast<std::int64_t>(counted_);
  counted_ = 0;  // still in memory_, until the slice has landed
  ++flight_->slices;
  store_.stage_append(
      staged_, std::move(bytes),
      [flight = flight_, executor = executor_, memory = memory_, octets](store::Result<void> landed) {
        memory->add(-octets);
        asio::post(executor, [flight, landed = std::move(landed)] {
          --flight->slices;
          if (!landed && !flight->error) flight->error = landed.error();
          flight->landed.cancel();
        });
      });
  co_return store::Result<void>();
}

Awaitable<store::Result<void>> Content::room(std::uint64_t header_size) {
  store::Result<void> waited = co_await wait_for(1);
  if (!waited) co_return waited;
  co_return co_await send(header_size);
}

Awaitable<store::Result<store::ContentSource>> Content::finish(std::uint64_t size) {
  store::ContentSource source;
  source.size = size;
  if (staged_ == 0) {
    source.bytes = std::make_shared<const std::string>(std::exchange(bytes_, std::string()));
    co_return source;
  }
  if (!bytes_.empty()) {
    store::Result<void> sent = co_await send(0);
    if (!sent) co_return tl::unexpected<store::Error>(sent.error());
  }
  store::Result<void> landed = co_await wait_for(0);
  if (!landed) co_return tl::unexpected<store::Error>(landed.error());
  source.staged = staged_;
  co_return source;
}

std::string_view Content::header(const store::ContentSource& source) const {
  return source.bytes ? std::string_view(*source.bytes) : std::string_view(header_);
}

void Content::forget() {
  if (staged_ != 0) store_.stage_abandon(staged_, [](const store::Result<void>&) {});
  staged_ = 0;
  flight_.reset();
  bytes_ = std::string();
  memory_->add(-static_cast<std::int64_t>(header_.size()));
  header_ = std::string();
  count(0);
}

}  // namespace spoold::server
