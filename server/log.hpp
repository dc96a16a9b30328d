// The log: events on standard error, one line each (server/log_line.hpp).
//
//   log::event(log::Level::info, "deferred", {{"qid", id}, {"to", address}, {"attempts", n}});
//
// Any thread. Event names and keys are those of the contract: ready accepted refused delivered deferred
// failed expired suspect released indoubt bounce held edited reload stopped; keys qid list from to relay
// stage reply dsn attempts delay tls client; more keys are welcome, other names for these things are not. An
// event below the configured level costs one load and a compare (the fields' values should be cheap: ask
// enabled() before building expensive ones). While a Buffering lives, lines below warning may wait up to
// 50 ms (log_buffer.hpp). Not on a statement with co_await (style.md section 2: the
// braces).
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
