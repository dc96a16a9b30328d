// The questions of one check and their answers. A check runs until it needs an answer that is not there, queues that
// question, and runs again when every question has its answer; server/auth/ asks, and so do tests.
//
//   while (!check.done())
//     for (const dns::Question& q : check.ask()) check.answered(q, ...);
//
// Guarantees: no question is asked twice; an answer to what was not asked is ignored.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/dns/records.hpp"

namespace spoold::auth {

class Lookups {
 public:
  /// The answer, or nullptr: the question is queued now, or waits for its answer already.
  const dns::Answer* find(const std::string& name, dns::Type type) {
    const auto [at, added] = answers_.try_emplace({name, type});
    if (added) new_.push_back(at->first), ++owed_;
    return at->second ? &*at->second : nullptr;
  }
  std::vector<dns::Question> ask() { return std::exchange(new_, {}); }
  /// True: every question has its answer.
  bool answered(const dns::Question& question, dns::Answer answer) {
    const auto at = answers_.find(question);
    if (at == answers_.end() || at->second) return false;
    at->second = std::move(answer);
    return --owed_ == 0;
  }
  bool owed() const { return owed_ > 0; }

 private:
  std::map<dns::Question, std::optional<dns::Answer>> answers_;
  std::vector<dns::Question> new_;
  std::size_t owed_ = 0;
};

/// Can the DNS be asked for it? Labels of 1 to 63 octets, 253 in all; any octets.
bool is_name(std::string_view name);
/// In lower case, without the final dot.
std::string as_name(std::string_view domain);
/// Is `name` equal to `domain`, or a name below it? Both as as_name() writes them.
bool within(std::string_view name, std::string_view domain);
/// For logs and JSON: one line of printable ASCII, at most 200 octets.
std::string printable(std::string_view text);

}  // namespace spoold::auth
