// The post numbers that this node may still give out: blocks that the directory leased to it (store/post_numbers.hpp).
// A row of `post_blocks` outlives the process, so a restart goes on where it was: only numbers that were taken by a post
// that was not accepted are skipped, and not even those when the process ended meanwhile.
//
// Guarantees: a number of a message that exists is in no row any more, as the accepting commit takes it out. A row of
// another node (the store is a copy of that node's) counts as none.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/ids.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

struct PostBlocks {
  std::uint32_t last = 0;  // the highest number of a post that was accepted here
  std::vector<std::pair<std::uint32_t, std::uint32_t>> left;  // first and last number of each block, in order
};
std::optional<PostBlocks> post_blocks(const Read&, list::ListId);
/// The directory leased these numbers to this node.
void add_post_block(Write&, list::ListId, std::uint32_t first, std::uint32_t last);
/// A post has this number, and no later one gets it or a lower one.
void use_post_number(Write&, list::ListId, std::uint32_t number);
/// The list is gone.
void drop_post_blocks(Write&, list::ListId);

/// A row's value, and the node that wrote it. Throws Broken(corrupt).
std::pair<std::uint16_t, PostBlocks> unpack_post_blocks(std::string_view key, std::string_view record);

}  // namespace spoold::store::spool
