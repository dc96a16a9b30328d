// The rules of lists, compiled once for each version of them and kept: a post to a list with ten thousand rules asks them in
// microseconds, and a list without rules costs nothing. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "conf/settings.hpp"
#include "protocol/list/policy.hpp"
#include "store/txn.hpp"

namespace spoold::server {

class RuleBook {
 public:
  std::shared_ptr<const list::Rules> of(const store::Read& read, const list::List& list) const;
  static std::shared_ptr<const list::Rules> compiled(const store::Read& read, const list::List& list);

 private:
  static constexpr std::size_t most_lists = 500;
  struct Entry {
    std::uint32_t version = 0;
    std::shared_ptr<const list::Rules> rules;
  };
  mutable std::mutex mutex_;
  mutable std::unordered_map<list::ListId, Entry> kept_;
};

/// What is wrong with [lists] bans, in one sentence; nothing: nothing is.
std::optional<std::string> bans_fault(const conf::Settings& settings);

/// What the rules ask about members. `read` must live longer.
list::MemberOf member_of(const store::Read& read, list::ListId list);

}  // namespace spoold::server
