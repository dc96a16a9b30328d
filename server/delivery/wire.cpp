#include "server/delivery/wire.hpp"

#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {

Wire WireCache::get(const store::Message& message, bool chunk) {
  if (message.size > max_message) return nullptr;
  const bool raw = chunk && message.leading_dots;
  if (const auto found = kept_[raw].find(message.id); found != kept_[raw].end()) {
    order_.splice(order_.begin(), order_, found->second);
    return found->second->wire;
  }
  std::string bytes;
  {
    const store::Read read(store_);
    bytes = store::spool::outgoing(read, message, 0, max_message + 1);
  }
  smtp::DataWriter writer(message.leading_dots && !raw);
  std::string stuffed;
  const std::string_view wire = writer.write(bytes, stuffed);
  if (wire.data() != bytes.data()) bytes = std::move(stuffed);
  bytes += writer.finish();

  size_ += bytes.size();
  order_.push_front({message.id, raw, std::make_shared<const std::string>(std::move(bytes))});
  kept_[raw][message.id] = order_.begin();
  while (size_ > budget_ && order_.size() > 1) {
    size_ -= order_.back().wire->size();
    kept_[order_.back().raw].erase(order_.back().message);
    order_.pop_back();
  }
  return order_.front().wire;
}

std::string_view WireStream::next() {
  if (ended_) return {};
  {
    const store::Read read(store_);
    slice_ = store::spool::outgoing(read, message_, offset_, slice);
  }
  offset_ += slice_.size();
  if (!slice_.empty()) return writer_.write(slice_, scratch_);
  ended_ = true;
  return chunk_ ? std::string_view() : writer_.finish();
}

}  // namespace spoold::server
