#pragma once
#include <future>
#include <utility>

#include "store/key.hpp"
#include "store/store.hpp"

namespace spoold::store {

/// A key of the test's own.
inline Key nth(std::size_t i) {
  return Key().str("test").u32(static_cast<std::uint32_t>(i));
}

/// Holds the writer in a job until the others have been submitted, so that they make one group.
class Gate {
 public:
  void close(Store& store) {
    store.submit({Job::Kind::change,
                  [this](Write&) -> Result<void> {
                    if (std::exchange(passed_, true))
                      return {};  // run again, alone, for one of its group failed
                    entered_.set_value();
                    opened_.get_future().wait();
                    return {};
                  },
                  [](Result<void>) {}});
    entered_.get_future().wait();
  }
  void open() { opened_.set_value(); }

 private:
  bool passed_ = false;
  std::promise<void> entered_, opened_;
};

}  // namespace spoold::store
