// The post numbers of this node: taken before a post is cooked, so that what names the number (a subject prefix, a
// signature over it) is final, and the accepting commit writes nothing of the directory.
//
//   if (const auto number = store.post_numbers().take(read, list)) ...    // at once
//   else store.post_numbers().lease(list, done);                          // then take() again
//
// The directory leases numbers to nodes in blocks (directory::LeasePosts). A block is asked for when half of the one
// before is used up, so only the first post to a list, and a burst, wait for one. Blocks grow with such waits.
//
// Guarantees: no number is given out twice: not by two nodes, not after a crash, not by a store that is a copy of another
// node's. A node's numbers increase. A number that was taken and not accepted is skipped. A list that is made again
// is another list: its numbers begin anew. Any thread; take() never waits for the disk.
// Failures of lease(): not_found (no such list), full (2^32 numbers), and those of a change.
// See also: spool/post_blocks.hpp (what outlives the process), directory/changes.hpp.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/list/settings.hpp"
#include "store/guarded.hpp"
#include "store/job.hpp"
#include "store/txn.hpp"

namespace spoold::store {

class PostNumbers {
 public:
  using Block = std::pair<std::uint32_t, std::uint32_t>;  // first and last number
  /// Leases `count` numbers of the list to this node, and calls back when a row of `post_blocks` holds them. Not urgent: nobody
  /// waits yet.
  using Lease = std::function<void(list::ListId, std::uint32_t count, bool urgent, Callback<Block>)>;
  explicit PostNumbers(Lease lease) : lease_(std::move(lease)) {}

  /// `read` is any of now. Nothing: await lease(), and take again (others may have been quicker).
  std::optional<std::uint32_t> take(const Read& read, list::ListId);
  void lease(list::ListId, Callback<void> done);

 private:
  struct Numbers {
    std::vector<Block> left;  // in order; rarely more than one
    std::uint32_t block_size = 8;
    bool asked = false, leased = false;
    std::vector<Callback<void>> waiting;
  };
  void ask(list::ListId, std::uint32_t count, bool urgent);
  void granted(list::ListId, const Result<Block>&);

  const Lease lease_;
  Mutex mutex_;
  std::unordered_map<list::ListId, Numbers> lists_ GUARDED_BY(mutex_);
};

/// For what operators see: the highest number of a post that was accepted by this node.
std::uint32_t last_post(const Read&, const list::List&);

}  // namespace spoold::store
