// Exceptions on a delivering thread. The lane or session that met one puts itself in order first; then the
// exception leaves the loop from a handler of its own, where nothing is left half done. Whoever runs the loop
// decides what it means for the daemon (server/threads.hpp).
#pragma once
#include <exception>
#include <string>

#include "server/asio.hpp"

namespace spoold::server {

/// Faults that pass by themselves (no free slot for a reader of the store, a message that was finished
/// meanwhile) are logged and do not leave the loop. `route`: for the log.
void raise(asio::io_context& io, const std::exception_ptr& why, const std::string& route);

/// The words of an exception.
std::string words_of(const std::exception_ptr& why);

}  // namespace spoold::server
