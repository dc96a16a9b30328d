// A message as DATA carries it (dot-stuffed, final dot included) or as BDAT does (as it is), read once from
// the store and shared by all sessions of a thread; where no line begins with a dot one form serves both. The copies of a
// personalised post share it too: each is those octets with its member's values in the blanks (Copy).
// Messages up to 1 MiB are kept whole, least recently used out beyond the budget; larger ones are streamed by
// WireStream in slices, each read by a Read of its own. Guarantees: no read transaction outlives a call; the
// end of the content (the final dot of DATA) is handed out only when exactly message.size octets of the message
// precede it. Failures, all thrown as store::Broken: a damaged content (corrupt); a content that is gone because
// the message was finished meanwhile (not_found); a store that cannot be read now.
#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/smtp/client_dialog.hpp"
#include "protocol/smtp/data_writer.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

struct WireForm {
  std::string octets;
  std::vector<std::size_t> blanks = {};  // values go before octets[blanks[i]], ascending
};
using Wire = std::shared_ptr<const WireForm>;

/// Throws Broken unless `octets`, read to the end of the content, are all of the message.
void must_be_whole(const store::Message& message, std::uint64_t octets);

class WireCache {
 public:
  static constexpr std::uint64_t max_message = 1 << 20;

  WireCache(store::Store& store, std::size_t budget) : store_(store), budget_(budget) {}

  /// The whole wire form; for BDAT its first message.size octets are the message. Empty when it is larger
  /// than max_message.
  Wire get(const store::Message& message, bool chunk);

 private:
  struct Kept {
    store::Id message;
    bool raw;  // dots not stuffed, though there are some
    Wire wire;
  };
  store::Store& store_;
  std::size_t budget_, size_ = 0;
  std::list<Kept> order_;                                             // most recently used first
  std::unordered_map<store::Id, std::list<Kept>::iterator> kept_[2];  // by Kept::raw
};

using Copy = smtp::ClientDialog::Copy;

class WireStream {
 public:
  static constexpr std::size_t slice = 256 << 10;

  /// `copy`: of a personalised message, else nothing.
  WireStream(store::Store& store, const store::Message& message, bool chunk,
             std::shared_ptr<const Copy> copy = nullptr);

  /// The next octets on the wire, good until the next call; empty: that was all, the final dot of DATA
  /// included.
  std::string_view next();

 private:
  store::Store& store_;
  store::Message message_;
  bool chunk_;
  std::shared_ptr<const Copy> copy_;
  std::vector<store::BlankAt> blanks_;
  std::size_t blank_ = 0;  // the next one
  smtp::DataWriter writer_;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
  std::string slice_, scratch_;
};

}  // namespace spoold::server

/// Not the message as it is stored: whole forms of its own, or what stands in the blanks of the stored one.
struct spoold::smtp::ClientDialog::Copy {
  server::Wire data, chunk;         // absent: the stored one with `values`
  std::vector<std::string> values;  // by blank; none begins with a dot
  std::uint64_t size() const {
    std::uint64_t octets = 0;
    for (const std::string& value : values) octets += value.size();
    return octets;
  }
};
