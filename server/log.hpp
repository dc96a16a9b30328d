// The log: events on standard error, one line each (server/log_line.hpp).
//
//   log::event(log::Level::info, "deferred", {{"qid", id}, {"to", address}, {"attempts", n}});
//
// Any thread. The names of events and of their keys are fixed: the table in server/README.md has them. More keys
// are welcome, other names for these things are not. An event below the configured level costs one load and a
// compare (the fields' values should be cheap: ask enabled() before building expensive ones). While a Buffering
// lives, lines below warning may wait up to 50 ms (log_buffer.hpp). Not on a statement with co_await (g++ 12
// destroys the braces' temporaries twice: server/README.md).
#pragma once
#include <initializer_list>

#include "conf/settings.hpp"
#include "server/log_line.hpp"

namespace spoold::server::log {

/// Level and format; before the first call: text, info. Again at any time (SIGHUP).
void configure(const conf::Log&);
bool enabled(Level);
void event(Level, std::string_view name, std::initializer_list<Field>);
void event(Level, std::string_view name, std::span<const Field>);

/// The daemon's life: many lines, one write; a crash still writes what waits.
class Buffering {
 public:
  Buffering();
  ~Buffering();
  Buffering(const Buffering&) = delete;
  Buffering& operator=(const Buffering&) = delete;
};

}  // namespace spoold::server::log
