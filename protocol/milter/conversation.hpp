// One connection with one filter, from the negotiation to its end, as a pure machine: steps of a session and of its messages
// go in, frames come out; octets of the filter go in, answers come out.
//
// Each step appends what is to be sent to `out` and tells whether an answer must be awaited before the next one: not, where the
// filter leaves the step out, does not answer it, or has accepted the session or the message. Then:
//
//   feed(octets); next() -> more      read more, within the time that is left
//                           progress  read more, with new time for this answer
//                           answered  refusal(), discards(), and at the end of a message edits() tell what
//                           failed    fault() tells why: the connection is of no use any more
//
// Guarantees: the state of a message is fresh after mail(). Edits are collected until the final answer of a message; those of a message
// that is refused or discarded are forgotten. An answer that is not allowed at its step, an edit that was not agreed on, a frame that
// nobody waited for (stray()), and more than `most_edits` are faults. A reply of the filter's own is one of 4xx or 5xx with printable
// text, or a fault. See also: frame.hpp, options.hpp, edits.hpp; server/inbound/filters.hpp (sockets and time).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/milter/edits.hpp"
#include "protocol/milter/frame.hpp"
#include "protocol/milter/macros.hpp"
#include "protocol/milter/options.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::milter {

/// Of the step connect.
struct Client {
  std::string name;   // of its host; "[192.0.2.1]" where nobody looked for one
  char family = 'U';  // '4', '6', 'L' (unix socket), 'U'
  std::uint16_t port = 0;
  std::string address;
};

class Conversation {
 public:
  /// So many are made at once, in a few milliseconds even in the longest header.
  static constexpr std::size_t most_edits = 500, most_edit_octets = 1 << 20;
  enum class Got : std::uint8_t { more, progress, answered, failed };

  bool negotiate(std::string& out);
  bool connect(const Client&, const Macros&, std::string& out);
  bool helo(std::string_view name, const Macros&, std::string& out);
  /// `path`: with its angle brackets. `parameters`: as in the command, with blanks between them.
  bool mail(std::string_view path, std::string_view parameters, const Macros&, std::string& out);
  bool rcpt(std::string_view path, std::string_view parameters, const Macros&, std::string& out);
  bool data(const Macros&, std::string& out);
  bool field(const mail::Field&, std::string& out);
  bool end_of_header(const Macros&, std::string& out);
  bool body(std::string_view chunk, std::string& out);  // at most body_chunk octets
  bool end(const Macros&, std::string& out);
  void abort(std::string& out);  // of a message that has not come to its end; else nothing is sent
  static void quit(std::string& out);

  void feed(std::string_view octets) { reader_.feed(octets); }
  Got next();
  bool stray() const { return !reader_.empty(); }
  /// No buffer is kept, where nothing is in it.
  void rest() {
    if (reader_.empty()) reader_ = FrameReader();
  }
  const std::string& fault() const { return fault_; }

  /// Whether the filter looks at them, in this message.
  bool wants_fields() const { return listens() && !options_.has(no_header); }
  bool wants_body() const { return listens() && !skipping_ && !options_.has(no_body); }
  bool wants_end() const { return listens(); }
  const Options& options() const { return options_; }

  /// Of the step that was answered last.
  const std::optional<smtp::Reply>& refusal() const { return refusal_; }
  /// The message is to be accepted and forgotten.
  bool discards() const { return discards_; }
  bool accepts_session() const { return session_accepted_; }

  // Of a message that came to its end, in the order in which they came.
  const std::vector<Edit>& edits() const { return edits_; }
  bool new_body() const { return new_body_; }
  /// What has come of the new body since the last call, with CRLF; the last call is behind the answer.
  std::string take_body();
  const std::optional<std::string>& quarantine() const { return quarantine_; }

 private:
  enum class Step : std::uint8_t {
    none,
    negotiation,
    connect,
    helo,
    mail,
    rcpt,
    data,
    field,
    end_of_header,
    body,
    end
  };

  bool listens() const { return open_ && !message_accepted_ && !session_accepted_; }
  bool ask(Step step, Steps mute);
  Got failed(std::string why);
  Got answered(const Frame&);
  Got refused(smtp::Reply);
  Got edited(const Frame&);
  void fresh();

  FrameReader reader_;
  Options options_;
  Step step_ = Step::none;
  bool session_accepted_ = false;
  bool open_ = false;  // a message, from mail() to the answer to end()
  bool must_abort_ =
      false;  // it was refused or discarded before its end, and the filter may take it for open
  bool message_accepted_ = false, skipping_ = false, discards_ = false, new_body_ = false;
  bool return_before_ = false;  // the new body's last octet so far was a CR
  std::optional<smtp::Reply> refusal_;
  std::vector<Edit> edits_;
  std::size_t edit_octets_ = 0;
  std::string body_, fault_;
  std::optional<std::string> quarantine_;
};

/// "550 5.7.1 text", or several lines of that form with CRLF between them and '-' behind the code of all but the last.
std::optional<smtp::Reply> parse_reply(std::string_view text);

}  // namespace spoold::milter
