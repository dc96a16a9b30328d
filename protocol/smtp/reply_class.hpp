// What a reply means, by the table of replies (conf/replies.toml): whose fault it is and what to do. The first row that
// fits decides. A reply that no row fits is tried again when it is temporary, and fails the post when it is final.
//
// Guarantees: pure; linear in the words of the reply, of which the first 2,048 octets are looked at. A positive reply
// has no class: `retry`. See also: reply.hpp; delivery/heed.cpp, what delivery does; bounce/event.hpp, who is scored.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "conf/reply_rule.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

struct ReplyClass {
  conf::ReplyAction action = conf::ReplyAction::retry;
  std::string rule;
  std::chrono::milliseconds wait{};  // 0: the usual times
  /// Counts against the member, as a whole point.
  bool scores() const { return action == conf::ReplyAction::score; }
};

class ReplyTable {
 public:
  explicit ReplyTable(std::vector<conf::ReplyRule> rules);
  /// `mx`: the host that replied, in any case; empty: unknown, and rows with `mx` do not fit.
  ReplyClass classify(const Reply&, std::string_view mx = {}) const;

 private:
  struct Phrase {
    std::vector<std::string> words;  // behind the first one; "*": up to four words
    std::size_t rule;
    bool unless;
  };
  void add(std::size_t rule, std::string_view text, bool unless);

  std::vector<conf::ReplyRule> rules_;
  std::unordered_map<std::string, std::vector<Phrase>> phrases_;  // by their first word
};

/// The host of a LastReply's `remote`, "mx1.example.net[192.0.2.1]:25", or of a report's "dns; mx1.example.net".
std::string_view host_in(std::string_view remote);

/// A reply in one line, as logs and reports quote it: "550 5.1.1 no such user", "550-5.1.1 no 550 5.1.1 such user",
/// "smtp; 550 no such user (#5.1.1)", "4.7.32 not aligned". Code 0: the line has none, not even in a status.
Reply reply_in_line(std::string_view line);

}  // namespace spoold::smtp
