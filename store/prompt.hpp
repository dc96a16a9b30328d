// For threads that others wait for, beside threads that are busy all the time: the writer, and the loops that
// talk with clients.
#pragma once

namespace spoold::store {

/// Asks the scheduler to run the calling thread soon after it is woken, in short turns (0.1 ms), also where
/// all processors are busy. Needs no privilege; takes nothing from others over time. A wish: Linux has it
/// since 6.12, older kernels ignore it.
void be_prompt();

}  // namespace spoold::store
