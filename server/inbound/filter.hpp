// The connection of one session with one filter ([[milter]]): a socket, and how long is waited, around a
// protocol/milter/conversation.
//
// Guarantees: lives on the session's thread. One operation at a time, each within the filter's `timeout` and what is left of the
// message's time; a connection that got into trouble is closed, and never used again: open() makes another one. Failures: false, and
// trouble() tells what happened at which step. See also: filters.hpp (which steps, and what follows from the answers).
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "conf/settings.hpp"
#include "protocol/milter/conversation.hpp"
#include "server/asio.hpp"
#include "server/watchdog.hpp"

namespace spoold::server {

class Filter {
 public:
  Filter(const conf::Milter& settings, asio::any_io_executor executor);
  ~Filter();
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  const conf::Milter& settings() const { return settings_; }
  milter::Conversation& conversation() { return *conversation_; }
  const milter::Conversation& conversation() const { return *conversation_; }
  std::string& out() { return out_; }  // what exchange() sends

  /// A message begins, or its content of so many octets: what may be waited for in all.
  void begin_message() { left_ = settings_.timeout * 4; }
  void content(std::uint64_t octets) { left_ += std::chrono::seconds(octets >> 20); }

  bool is_open() const { return conversation_.has_value(); }
  /// Nothing has come since the last answer. Else the connection is closed, with trouble() where the filter said something.
  bool still_usable();
  /// Connects, and agrees on options.
  Awaitable<bool> open();
  /// Sends; with `answer` it waits for one. `step`: for trouble().
  Awaitable<bool> exchange(bool answer, const char* step);
  /// The two halves of it, for answers that come in pieces. Between begin_wait() and end_wait() hear() reads once; nothing:
  /// trouble.
  Awaitable<bool> send(const char* step);
  Awaitable<std::optional<milter::Conversation::Got>> hear(const char* step);
  void begin_wait();
  void end_wait();

  bool fail(const char* step, std::string why);  // false
  const std::string& trouble() const { return trouble_; }
  void close();  // any time on the session's thread: what is waited for ends
  void rest();   // between two messages: no buffer is held

 private:
  using Clock = Watchdog::Clock;
  bool lost(const char* step, const std::error_code& error);
  bool says_nothing(const char* step, std::error_code& error);

  const conf::Milter& settings_;
  const asio::any_io_executor executor_;
  std::optional<asio::generic::stream_protocol::socket> socket_;
  std::optional<milter::Conversation> conversation_;
  std::optional<Watchdog> watchdog_;
  std::chrono::milliseconds left_{};
  Clock::time_point waits_since_{};
  bool late_ = false, closed_ = false;
  std::string out_, block_, trouble_;
};

}  // namespace spoold::server
