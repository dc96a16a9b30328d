// Octets read from a client and not yet consumed. What is waited for comes into a block as small as a command
// line, or as most messages; where it fills that, there is more, which is read into a large one. Blocks are
// of the thread's pools, and held only until what is in them is consumed; a partial line is kept aside. An
// idle connection holds one of 512 octets.
//
//   for (bool more = false;;) {
//     const asio::mutable_buffer space = input.space(more ? Input::large : Input::command);
//     octets = more ? socket.read_some(space) : co_await socket.async_read_some(space);
//     more = input.filled(octets);
//     rest = input.view(); ...; input.keep(rest);    // or, to go on with it later: input.hold(rest);
//   }
//
// Lives on one thread (the pool is that thread's). Not to be shared by two pending reads.
#pragma once
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/asio.hpp"

namespace spoold::server {

class Input {
 public:
  static constexpr std::size_t command = 512, content = 8 << 10, large = 64 << 10;

  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() { give_back(); }

  /// Room for the next read, about `size` octets (one of those above), behind the partial line.
  asio::mutable_buffer space(std::size_t size) {
    if (!block_) {
      room_ = kept_.size() > content / 2   ? large
              : kept_.size() > command / 2 ? std::max(size, content)
                                           : size;
      block_ = take();
      size_ = kept_.copy(block_.get(), kept_.size());
      kept_.clear();
    }
    return {block_.get() + size_, room_ - size_};
  }
  /// So many came; true: as many as there was room for, there may be more.
  bool filled(std::size_t octets) {
    size_ += octets;
    return size_ == room_;
  }
  std::string_view view() const { return {block_.get() + from_, size_ - from_}; }

  /// `rest`, the end of view(), is consumed later, before anything else is read. Nothing is copied.
  void hold(std::string_view rest) { from_ = size_ - rest.size(); }

  /// `rest`, the end of view(), is what was not consumed.
  void keep(std::string_view rest) {
    kept_.assign(rest);
    give_back();
  }

 private:
  using Block = std::unique_ptr<char[]>;
  std::vector<Block>& pool() {
    static thread_local std::array<std::vector<Block>, 3> pools;
    return pools.at(room_ == command ? 0 : room_ == content ? 1 : 2);
  }
  Block take() {
    if (pool().empty()) return Block(new char[room_]);
    Block block = std::move(pool().back());
    pool().pop_back();
    return block;
  }
  void give_back() {
    if (block_ && pool().size() < 16) pool().push_back(std::move(block_));
    block_.reset();
    size_ = from_ = 0;
  }

  Block block_;
  std::size_t room_ = 0;
  std::size_t size_ = 0, from_ = 0;  // of the block: octets read, octets consumed
  std::string kept_;
};

}  // namespace spoold::server
