// At most so many transactions in a time (`[[destination]] rate`), spread evenly: a bucket that holds what
// one second brings (at least one) and never more, so that after a pause there is no burst. Pure: times come
// in.
#pragma once
#include <cstdint>

#include "protocol/time.hpp"

namespace spoold::delivery {

class Rate {
 public:
  Rate() = default;  // no limit
  /// `count` in `per`; count 0: no limit.
  Rate(std::uint64_t count, Duration per);

  /// Takes one; false: not before at().
  bool take(TimePoint now);
  /// The one just taken was not used.
  void give_back() { next_ -= each_; }
  bool ready(TimePoint now) const { return at(now) <= now; }
  /// When the next one may be taken: `now` or later.
  TimePoint at(TimePoint now) const;

 private:
  using Fine = std::chrono::nanoseconds;
  static Fine fine(TimePoint t) { return t.time_since_epoch(); }

  Fine each_{};   // between two
  Fine ahead_{};  // how far the bucket may be overdrawn at once
  Fine next_{};   // since 1970: when the bucket is full again, less what it holds
};

}  // namespace spoold::delivery
