// What verbs that judge take beside their words: who answers questions, and which time it is.
#pragma once
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "protocol/rfc3339.hpp"
#include "server/auth/asker.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

class Circumstances {
 public:
  explicit Circumstances(Verb& verb)
      : dns_(verb.optional_word("--dns",
                                "ask this master file instead of the DNS (RFC 1035, names are absolute; "
                                "$SERVFAIL NAME and $TIMEOUT NAME make questions for a name fail)",
                                "FILE")),
        now_(verb.optional_word("--now", "judge as if it were that time: 2026-11-22T10:31:07Z", "TIME")) {}

  /// Throws Usage when the file cannot be read, std::runtime_error when the DNS cannot be asked.
  std::unique_ptr<Asker> asker(const Console& console) const {
    auto asker = dns_->empty() ? dns_asker(console.access.settings().resolver) : file_asker(*dns_);
    if (!asker) throw std::runtime_error(asker.error());
    return std::move(*asker);
  }
  TimePoint now() const {
    if (now_->empty()) return std::chrono::floor<Duration>(std::chrono::system_clock::now());
    const auto time = parse_rfc3339(*now_);
    if (!time) throw Usage{"--now: '" + *now_ + "' is not a time like 2026-11-22T10:31:07Z"};
    return *time;
  }

 private:
  Given<std::string> dns_, now_;
};

}  // namespace spoold::server::admin
