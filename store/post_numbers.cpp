#include "store/post_numbers.hpp"

#include <algorithm>

#include "store/spool/post_blocks.hpp"

namespace spoold::store {
namespace {

constexpr std::uint32_t largest_block = 4096;

}  // namespace

std::optional<std::uint32_t> PostNumbers::take(const Read& read, list::ListId list) {
  std::uint32_t number = 0, wanted = 0;
  {
    const Lock lock(mutex_);
    const auto [at, first] = lists_.try_emplace(list);
    Numbers& numbers = at->second;
    // What an earlier process left. From here on the row lags behind: it knows of accepted posts only.
    if (first)
      if (auto kept = spool::post_blocks(read, list)) numbers.left = std::move(kept->left);
    if (numbers.left.empty()) return std::nullopt;
    Block& block = numbers.left.front();
    number = block.first++;
    if (number == block.second) numbers.left.erase(numbers.left.begin());
    const bool few = numbers.left.empty() ||
                     (numbers.left.size() == 1 &&
                      numbers.left.front().second - numbers.left.front().first < numbers.block_size / 2);
    if (few && !std::exchange(numbers.asked, true)) wanted = numbers.block_size;
  }
  if (wanted > 0) ask(list, wanted, false);
  return number;
}

void PostNumbers::lease(list::ListId list, Callback<void> done) {
  std::uint32_t wanted = 0;
  {
    const Lock lock(mutex_);
    Numbers& numbers = lists_[list];
    if (numbers.left.empty()) {
      numbers.waiting.push_back(std::exchange(done, nullptr));
      if (!std::exchange(numbers.asked, true)) wanted = numbers.block_size;
    }
  }
  if (done) done({});  // a block came meanwhile
  if (wanted > 0) ask(list, wanted, true);
}

// Not under the mutex: a store that is closed answers at once.
void PostNumbers::ask(list::ListId list, std::uint32_t count, bool urgent) {
  lease_(list, count, urgent, [this, list](const Result<Block>& block) { granted(list, block); });
}

void PostNumbers::granted(list::ListId list, const Result<Block>& block) {
  std::vector<Callback<void>> waiting;
  {
    const Lock lock(mutex_);
    Numbers& numbers = lists_[list];
    numbers.asked = false;
    waiting.swap(numbers.waiting);
    if (block) {
      if (!numbers.left.empty() && numbers.left.back().second + 1 == block->first)
        numbers.left.back().second = block->second;
      else
        numbers.left.push_back(*block);
      // Who waits for another block than the first one has met a burst that is faster than a lease.
      if (std::exchange(numbers.leased, true) && !waiting.empty())
        numbers.block_size = std::min(numbers.block_size * 2, largest_block);
    } else if (block.error().kind == Error::Kind::not_found) {
      lists_.erase(list);
    }
  }
  for (const Callback<void>& done : waiting) done(block ? Result<void>() : tl::unexpected(block.error()));
}

// A list that got no post since numbers are leased: its own row counts posts, not leased numbers.
std::uint32_t last_post(const Read& read, const list::List& list) {
  const auto blocks = spool::post_blocks(read, list.id);
  return blocks ? blocks->last : list.last_post;
}

}  // namespace spoold::store
