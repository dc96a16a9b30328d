// Acceptance: content, messages and their recipients come to exist in one commit (README,
// Durable states of a message). Who gets a list's post comes from a Roster; its number was taken before (store/post_numbers.hpp).
// What does not fit into a slice (Writer::enough()) is written in slices before,
// under ids that `stage` names and no message row makes visible; the last slice makes everything exist at
// once. A crash in between leaves nothing to be seen, and the next start removes it. Failures: full, io,
// stopped; not_found: the list, or the held post that was to be decided, is gone; conflict: that was decided before; invalid: nothing to accept, or a post without a number. Then nothing is kept.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "store/error.hpp"
#include "store/spool/acceptance.hpp"
#include "store/spool/roster.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

class Accepting {
 public:
  /// The roster must live longer.
  Accepting(Acceptance acceptance, std::function<std::string(std::string_view)> route, const Roster& roster);
  ~Accepting();

  /// One slice, from where the last committed one stopped: repeatable, as only advance() moves on. True: all
  /// exists.
  Result<bool> slice(Write&, const Enough&);
  void advance();  // the slice was committed
  bool staged() const;
  const Acceptance& acceptance() const { return acceptance_; }
  Accepted take();  // once all exists
  /// Gives up what slices wrote: leaves it to the backlog (spool/work.hpp).
  void abandon(Write&) const;

 private:
  struct Progress;
  struct Part;
  Result<void> expand(Write&, Progress&, std::size_t part, const Enough&) const;
  Result<void> make_exist(Write&, Progress&) const;
  /// Its size, once `users` more refer to it.
  Result<std::uint64_t> use_kept_content(Write&, std::uint32_t users) const;
  std::uint32_t waiting(const Progress&) const;
  Result<void> note(Write&) const;  // a decision, events, and operations for the outbox
  Acceptance acceptance_;
  std::function<std::string(std::string_view)> route_;
  const Roster& roster_;
  std::unique_ptr<Progress> progress_, next_;
};

}  // namespace spoold::store::spool
