// A message as DATA carries it (dot-stuffed, final dot included), read once from the store and shared by all
// sessions of a thread. Messages up to 1 MiB are kept whole, least recently used out beyond the budget;
// larger ones are streamed by WireStream in slices, each read by a Read of its own. Guarantees: no read
// transaction outlives a call. Failures: a record that is not what was written throws store's Broken.
#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/smtp/data_writer.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

using Wire = std::shared_ptr<const std::string>;

class WireCache {
 public:
  static constexpr std::uint64_t max_message = 1 << 20;

  WireCache(store::Store& store, std::size_t budget) : store_(store), budget_(budget) {}

  /// The whole wire form; empty when the message is larger than max_message.
  Wire get(const store::Message& message);

 private:
  struct Kept {
    store::Id message;
    Wire wire;
  };
  store::Store& store_;
  std::size_t budget_, size_ = 0;
  std::list<Kept> order_;  // most recently used first
  std::unordered_map<store::Id, std::list<Kept>::iterator> kept_;
};

class WireStream {
 public:
  static constexpr std::size_t slice = 256 << 10;

  WireStream(store::Store& store, const store::Message& message)
      : store_(store), message_(message), writer_(message.leading_dots) {}

  /// The next octets on the wire, good until the next call; empty: that was all, the final dot included.
  std::string_view next();

 private:
  store::Store& store_;
  store::Message message_;
  smtp::DataWriter writer_;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
  std::string slice_, scratch_;
};

}  // namespace spoold::server
