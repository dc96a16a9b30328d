// How long a client may hold its place without finishing a message. Each step has its own limit (RFC
// 5321 4.5.3.2), which a client that sends an octet a minute never passes; this is the limit of the whole.
//
// A session has `idle` from its start, and from the end of each message, to begin a message. A message has
// `message` from its MAIL, and more for what it brings: an octet 2 ms (a client of 500 octets a second is not
// too slow), a recipient a second. More than `message` is never ahead. A further MAIL without a message in
// between begins nothing. What we wait for ourselves does not count. Pure: the clock is an argument.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace spoold::server {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  Deadline(std::chrono::milliseconds idle, std::chrono::milliseconds message)
      : idle_(idle), message_(message) {}

  /// A session begins, or a message has ended.
  void idle(Clock::time_point now) {
    begun_ = false;
    at_ = now + idle_;
  }
  void mail(Clock::time_point now) {
    if (begun_) return;
    begun_ = true;
    octets_ = recipients_ = 0;
    at_ = now + message_;
  }
  /// Octets of content and recipients that the transaction has by now.
  void progress(std::uint64_t octets, std::uint64_t recipients, Clock::time_point now) {
    const auto earned =
        each_octet * gained(octets_, octets) + each_recipient * gained(recipients_, recipients);
    at_ = std::min<Clock::time_point>(at_ + earned, std::max(at_, now + message_));
  }
  void waited(Clock::duration ours) { at_ += ours; }

  std::chrono::milliseconds left(Clock::time_point now) const {
    return std::chrono::ceil<std::chrono::milliseconds>(std::max(at_ - now, Clock::duration::zero()));
  }

 private:
  static constexpr auto each_octet = std::chrono::milliseconds(2),
                        each_recipient = std::chrono::milliseconds(1000);

  // A transaction that starts over starts with nothing.
  static std::int64_t gained(std::uint64_t& before, std::uint64_t now) {
    const std::uint64_t last = std::exchange(before, now);
    return now > last ? static_cast<std::int64_t>(now - last) : 0;
  }

  const std::chrono::milliseconds idle_, message_;
  Clock::time_point at_{};
  std::uint64_t octets_ = 0, recipients_ = 0;
  bool begun_ = false;
};

}  // namespace spoold::server
