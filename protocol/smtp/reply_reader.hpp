// Reads the replies of a server from bytes as they arrive (RFC 5321 4.2). Incremental; each octet is looked
// at once. Guarantees: bounded memory (a line of 4 KB, the words of the first 100 lines, 64 KB of them or what
// keep() allows: what is behind them up to 1 MB is read and dropped, the code counts); text without control
// characters. Tolerant of
// what real servers do: bare LF, a code without text, a tab for the space, blank lines before a reply, a last
// line with another code than the first ones (the last one counts). Failures: State::garbage, and then for
// ever; what() names the offending line.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

class ReplyReader {
 public:
  static constexpr std::size_t max_line = 4096, max_text = 65536, max_lines = 100, max_reply = 1 << 20;

  enum class State : std::uint8_t { more, reply, garbage };

  /// Takes octets off the front of `bytes` up to the end of one reply. `more`: all were taken and none is
  /// complete.
  State read(std::string_view& bytes, Reply& reply);
  /// From the next reply on, at most so many octets of words of each. Replies stay in memory until a whole
  /// transaction is reported, one for each recipient: a talkative peer must not fill it.
  void keep(std::size_t octets) { most_text_ = octets; }
  /// After garbage: why, with the line as far as it was read.
  const std::string& what() const { return what_; }
  /// The lines of a reply whose last line has not come. Code 0: none.
  const Reply& begun() const { return reply_; }

 private:
  enum class Line : std::uint8_t { more, last, garbage };
  Line take_line();
  void add_words(std::string_view text);
  State refuse(std::string why);

  std::string line_, what_;
  Reply reply_;
  std::size_t size_ = 0, lines_ = 0, most_text_ = max_text;
  bool broken_ = false, full_ = false;  // full_: this reply has all the words that are kept
};

}  // namespace spoold::smtp
