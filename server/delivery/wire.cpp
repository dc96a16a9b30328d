#include "server/delivery/wire.hpp"

#include "store/broken.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {

// A final dot behind fewer octets would make a whole message of a part: the peer would accept it.
void must_be_whole(const store::Message& message, std::uint64_t octets) {
  if (octets == message.size) return;
  throw store::Broken(store::Error::Kind::not_found,
                      "message " + store::id_text(message.id) + " has " + std::to_string(message.size) +
                          " octets, but only " + std::to_string(octets) +
                          " could be read: it was finished meanwhile; its transaction is not completed");
}

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
  must_be_whole(message, bytes.size());
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
  must_be_whole(message_, offset_);
  ended_ = true;
  return chunk_ ? std::string_view() : writer_.finish();
}

}  // namespace spoold::server
