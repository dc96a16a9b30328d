// Which message a thread had in hand when a fatal signal ended the process: so a message whose content ends spoold whenever it
// is handled is found and held, and the others go on.
//
//   const crash::Handling handling(message.id);      // around what works on a message's octets
//
// The signal's handler appends (id, time) to `crashed` in the spool's folder; the next start reads it. A message that is noted
// twice within a day is to be held (reason `crashed`). SIGKILL leaves no note: that is not the message's fault.
// Guarantees: a Handling costs two stores of a thread's own word. Failures: a note that cannot be written is lost, and the
// message is tried once more.
#pragma once
#include <string>
#include <vector>

#include "protocol/time.hpp"
#include "store/id.hpp"

namespace spoold::server::crash {

class Handling {
 public:
  /// 0: no message.
  explicit Handling(store::Id message);
  ~Handling();
  Handling(const Handling&) = delete;
  Handling& operator=(const Handling&) = delete;

 private:
  store::Id before_;
};

struct Note {
  store::Id message = 0;
  int times = 0;  // within the last day
};
/// Reads the notes of earlier processes, and notes the crashes of this one from now on. To be called once.
std::vector<Note> watch(const std::string& spool, TimePoint now);
/// This message needs no note any more: it is held.
void forget(const std::string& spool, store::Id message);

}  // namespace spoold::server::crash
