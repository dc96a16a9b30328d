// Octets read from a client and not yet consumed. A 64 KiB block of the thread's pool is held only while
// there is something in it or a read is about to fill it, so that an idle connection costs no buffer; a
// partial command line is kept aside in a small string.
//
//   while (...) { n = socket.read_some(input.space()); input.filled(n); rest = input.view(); ...;
//   input.keep(rest); }
//
// Lives on one thread (the pool is that thread's). Not to be shared by two pending reads.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/asio.hpp"

namespace spoold::server {

class Input {
 public:
  static constexpr std::size_t block_size = 64 * 1024;

  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() { give_back(); }

  /// Room for the next read, behind what is there.
  asio::mutable_buffer space() {
    if (!block_) {
      block_ = take();
      kept_.copy(block_.get(), kept_.size());
      size_ = kept_.size();
      kept_.clear();
    }
    return {block_.get() + size_, block_size - size_};
  }
  void filled(std::size_t octets) { size_ += octets; }
  std::string_view view() const {
    return block_ ? std::string_view(block_.get(), size_) : std::string_view(kept_);
  }

  /// `rest`, the end of view(), is what was not consumed.
  void keep(std::string_view rest) {
    kept_.assign(rest);
    give_back();
  }

 private:
  using Block = std::unique_ptr<char[]>;
  static std::vector<Block>& pool() {
    static thread_local std::vector<Block> blocks;
    return blocks;
  }
  static Block take() {
    if (pool().empty()) return Block(new char[block_size]);
    Block block = std::move(pool().back());
    pool().pop_back();
    return block;
  }
  void give_back() {
    if (block_ && pool().size() < 16) pool().push_back(std::move(block_));
    block_.reset();
    size_ = 0;
  }

  Block block_;
  std::size_t size_ = 0;
  std::string kept_;
};

}  // namespace spoold::server
