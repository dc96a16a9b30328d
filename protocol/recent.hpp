// A table of bounded size: the entry that was touched longest ago is forgotten for a new one. Not for several threads.
#pragma once
#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace spoold {

template <class Value>
class Recent {
 public:
  explicit Recent(std::size_t most) : most_(most) {}

  /// Without touching it.
  Value* find(std::string_view key) {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : &found->second->second;
  }
  /// Found or made; it is the last one to be forgotten now.
  Value& touch(std::string_view key) {
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return entries_.front().second;
    }
    if (entries_.size() >= most_) {
      by_key_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(std::string(key), Value());
    by_key_.emplace(entries_.front().first, entries_.begin());
    return entries_.front().second;
  }
  void forget(std::string_view key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    const auto entry = found->second;
    by_key_.erase(found);
    entries_.erase(entry);
  }
  std::size_t size() const { return entries_.size(); }

 private:
  using Entry = std::pair<const std::string, Value>;
  const std::size_t most_;
  std::list<Entry> entries_;  // touched last: the first
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> by_key_;  // keys: of entries_
};

}  // namespace spoold
