#include "server/delivery/wire.hpp"

#include <algorithm>
#include <utility>

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
  std::vector<store::BlankAt> blanks;
  {
    const store::Read read(store_);
    bytes = store::spool::outgoing(read, message, 0, max_message + 1);
    if (message.personal) blanks = store::spool::blanks(read, message.id);
  }
  must_be_whole(message, bytes.size());
  smtp::DataWriter writer(message.leading_dots && !raw);
  WireForm form;
  std::size_t at = 0;
  std::string stuffed;
  for (const store::BlankAt& blank : blanks) {
    form.octets += writer.write(std::string_view(bytes).substr(at, blank.at - at), stuffed);
    form.blanks.push_back(form.octets.size());
    at = blank.at;
  }
  if (at == 0) {
    const std::string_view wire = writer.write(bytes, stuffed);
    form.octets = wire.data() == bytes.data() ? std::move(bytes) : std::move(stuffed);
  } else {
    form.octets += writer.write(std::string_view(bytes).substr(at), stuffed);
  }
  form.octets += writer.finish();

  size_ += form.octets.size();
  order_.push_front({message.id, raw, std::make_shared<const WireForm>(std::move(form))});
  kept_[raw][message.id] = order_.begin();
  while (size_ > budget_ && order_.size() > 1) {
    size_ -= order_.back().wire->octets.size();
    kept_[order_.back().raw].erase(order_.back().message);
    order_.pop_back();
  }
  return order_.front().wire;
}

WireStream::WireStream(store::Store& store, const store::Message& message, bool chunk,
                       std::shared_ptr<const Copy> copy)
    : store_(store),
      message_(message),
      chunk_(chunk),
      copy_(std::move(copy)),
      writer_(message.leading_dots && !chunk) {
  if (!message.personal) return;
  const store::Read read(store_);
  blanks_ = store::spool::blanks(read, message.id);
}

std::string_view WireStream::next() {
  if (ended_) return {};
  for (; blank_ < blanks_.size() && blanks_[blank_].at == offset_; ++blank_) {
    if (!copy_ || blank_ >= copy_->values.size() || copy_->values[blank_].empty()) continue;
    return writer_.write(copy_->values[blank_++], scratch_);
  }
  std::uint64_t most = slice;
  if (blank_ < blanks_.size()) most = std::min(most, blanks_[blank_].at - offset_);
  {
    const store::Read read(store_);
    slice_ = store::spool::outgoing(read, message_, offset_, most);
  }
  offset_ += slice_.size();
  if (!slice_.empty()) return writer_.write(slice_, scratch_);
  must_be_whole(message_, offset_);
  ended_ = true;
  return chunk_ ? std::string_view() : writer_.finish();
}

}  // namespace spoold::server
