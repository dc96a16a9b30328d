// For threads that others wait for, beside threads that are busy all the time: the writer, and the loops that
// talk with clients.
#pragma once

namespace spoold::store {

/// How a thread that everybody waits for stands to the others (nice(2)); needs a limit that allows it
/// (RLIMIT_NICE; server/privileges, conf/spoold.service).
constexpr int first_of_all = -10;

/// Asks the scheduler to run the calling thread soon after it is woken, in short turns (0.1 ms), also where
/// all processors are busy. The turns need no privilege and Linux 6.12; `nice` needs its limit. A wish: what
/// is not granted is left out.
void be_prompt(int nice = 0);

}  // namespace spoold::store
