#include "store/spool/post_blocks.hpp"

#include <algorithm>

#include "store/key.hpp"
#include "store/record.hpp"

namespace spoold::store::spool {
namespace {

void put(Write& write, list::ListId list, std::uint16_t node, const PostBlocks& blocks) {
  Packer out;
  out.num(node).num(blocks.last).num(blocks.left.size());
  for (const auto& [first, last] : blocks.left) out.num(first).num(last);
  write.put(Table::post_blocks, Key().u32(list), out.bytes());
}

}  // namespace

std::pair<std::uint16_t, PostBlocks> unpack_post_blocks(std::string_view key, std::string_view record) {
  Unpacker in(record, "post_blocks", key);
  std::pair<std::uint16_t, PostBlocks> row;
  row.first = static_cast<std::uint16_t>(in.num32());
  row.second.last = in.num32();
  for (std::uint64_t left = in.num(); left > 0; --left) {
    const std::uint32_t first = in.num32(), last = in.num32();
    if (first <= row.second.last || last < first ||
        (!row.second.left.empty() && first <= row.second.left.back().second))
      in.bad("holds blocks that are not in order");
    row.second.left.emplace_back(first, last);
  }
  return row;
}

std::optional<PostBlocks> post_blocks(const Read& read, list::ListId list) {
  const Key key = Key().u32(list);
  const auto record = read.get(Table::post_blocks, key);
  if (!record) return std::nullopt;
  auto [node, blocks] = unpack_post_blocks(key, *record);
  if (node != own_node(read)) return std::nullopt;
  return std::move(blocks);
}

void add_post_block(Write& write, list::ListId list, std::uint32_t first, std::uint32_t last) {
  PostBlocks blocks = post_blocks(write, list).value_or(PostBlocks{first - 1, {}});
  if (!blocks.left.empty() && blocks.left.back().second + 1 == first)
    blocks.left.back().second = last;
  else
    blocks.left.emplace_back(first, last);
  put(write, list, own_node(write), blocks);
}

void use_post_number(Write& write, list::ListId list, std::uint32_t number) {
  const Key key = Key().u32(list);
  const auto record = write.get(Table::post_blocks, key);
  if (!record) return;
  auto [node, blocks] = unpack_post_blocks(key, *record);
  if (number <= blocks.last) return;  // a later one was accepted before it
  blocks.last = number;
  std::erase_if(blocks.left, [number](const auto& block) { return block.second <= number; });
  if (!blocks.left.empty()) blocks.left.front().first = std::max(blocks.left.front().first, number + 1);
  put(write, list, node, blocks);
}

void drop_post_blocks(Write& write, list::ListId list) {
  write.del(Table::post_blocks, Key().u32(list));
}

}  // namespace spoold::store::spool
