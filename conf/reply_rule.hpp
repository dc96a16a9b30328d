// One row of the table of replies (conf/replies.toml, which explains the fields). The matching is in
// protocol/smtp/reply_class.hpp, the reading in conf/replies.hpp.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spoold::conf {

enum class ReplyAction : std::uint8_t {
  score,
  soft,
  recipient_wait,
  lane_slow,
  lane_wait,
  fallback_bulk,
  post_fails,
  ours,
  retry_now,
  retry,
};

constexpr std::array<std::pair<std::string_view, ReplyAction>, 10> reply_actions = {{
    {"score", ReplyAction::score},
    {"soft", ReplyAction::soft},
    {"recipient_wait", ReplyAction::recipient_wait},
    {"lane_slow", ReplyAction::lane_slow},
    {"lane_wait", ReplyAction::lane_wait},
    {"fallback_bulk", ReplyAction::fallback_bulk},
    {"post_fails", ReplyAction::post_fails},
    {"ours", ReplyAction::ours},
    {"retry_now", ReplyAction::retry_now},
    {"retry", ReplyAction::retry},
}};

constexpr std::string_view text(ReplyAction action) {
  return reply_actions[static_cast<std::size_t>(action)].first;
}

/// 550: 550 to 550; "5xx": 500 to 599.
struct CodeRange {
  int first = 0, last = 0;
};

/// "x.7.23-x.7.32": any class, subject 7, details 23 to 32. Class 0, subject -1: any.
struct StatusRange {
  int klass = 0, subject = -1, first = 0, last = 999;
};

struct ReplyRule {
  std::string rule;
  ReplyAction action = ReplyAction::retry;
  std::vector<CodeRange> codes;
  std::vector<StatusRange> statuses;
  std::vector<std::string> texts, unless, mx;
  std::chrono::milliseconds wait{};  // 0: the usual times
};

}  // namespace spoold::conf
