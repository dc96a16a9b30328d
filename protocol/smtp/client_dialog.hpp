// The client's side of SMTP (RFC 5321) and LMTP (RFC 2033), pure: replies come in, commands go out.
//
// Theory of operation. The driver (server/delivery/session) pulls: after every event it calls wants_next()
// (and begin(), if its planner has a transaction), then output(), writes what that gives, and says written().
// Every command put out is remembered in one queue; each reply belongs to its head. So what the oldest
// unanswered command is, is always known: isolation.md section 2 judges by it. With PIPELINING the end of one
// content and MAIL, RCPT, DATA of the next transaction come out together (RFC 2920 3.1): a
// copy costs one round trip. With CHUNKING as well (RFC 3030) whole transactions go out together, MAIL, RCPT
// and BDAT with the content, many of them before any reply (client_dialog_bdat.cpp).
//
// Guarantees: a transaction begun ends up in take_finished() or, when the connection ended first, in
// take_open(), never in both, oldest first; commands that the kernel did not take whole were not sent. DATA
// is not written once every RCPT is known to be refused; if it was in flight and is answered 354, a lone dot
// follows. No command is written after QUIT or after a 421.
// Misuse by the driver asserts; misbehaviour of the peer is a Drop. See also: client_dialog_write.cpp (what
// goes out), client_dialog_end.cpp (what a lost connection means), reply_reader.hpp, data_writer.hpp.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/smtp/dsn_request.hpp"
#include "protocol/smtp/opening.hpp"
#include "protocol/smtp/reply_reader.hpp"
#include "protocol/smtp/transaction_plan.hpp"

namespace spoold::smtp {

class ClientDialog {
 public:
  using Pipelining = conf::Destination::Pipelining;

  struct Options {
    bool lmtp = false;
    std::string hostname;  // of EHLO
    Pipelining pipelining = Pipelining::connection;
    conf::Timeouts timeouts = {};
    TlsPlan tls = {};
    std::shared_ptr<const Credentials> credentials = {};  // absent: no AUTH
  };

  /// What is not the message as it is stored. The dialog only carries it: the driver that gave it gets it back with the
  /// Output.
  struct Copy;

  /// A planned transaction with what its commands say.
  struct Mail {
    TransactionPlan plan;
    std::string sender;                  // without <>; empty: the null path
    std::vector<std::string> addresses;  // of plan.recipients, by position
    std::uint64_t size = 0;              // octets of the content, exactly; 0: not known (then no BDAT)
    bool eight_bit = false;
    // Refused here where the host does not offer it:
    bool utf8 = false;         // its header is not ASCII: SMTPUTF8 (RFC 6531)
    bool binary = false;       // it is not made of lines: BINARYMIME and CHUNKING (RFC 3030)
    bool require_tls = false;  // REQUIRETLS (RFC 8689)
    // To hosts that offer DSN (RFC 3461):
    DsnOfMessage dsn;
    std::vector<DsnOfRecipient> requests;  // by position; empty: of nobody
    bool list_copies = false;              // instead: NOTIFY=FAILURE ORCPT=<its address> for everybody
    /// It cannot be sent to this host: nothing is written, and this is reported as if MAIL had been answered
    /// so.
    std::optional<Reply> refused = {};
    std::shared_ptr<const Copy> copy = {};  // absent: the message as it is stored
  };

  /// Octets to write, in one write where possible: commands, and contents in between.
  struct Output {
    struct Content {
      std::size_t at;  // before commands[at]
      MessageId message;
      bool chunk;          // as it is, `size` octets (BDAT); else with stuffed dots and the final one
      std::uint64_t size;  // of Mail
      std::shared_ptr<const Copy> copy = {};
    };
    std::string commands;
    std::vector<Content> contents;
  };

  /// Asked just before each RCPT is put out; false: the recipient was withdrawn.
  using Sending = std::function<bool(MessageId, std::uint32_t number)>;

  explicit ClientDialog(Options options);

  // Events. received() returns how many replies were completed.
  std::size_t received(std::string_view bytes);
  void begin(Mail mail);  // only when wants_next()
  void quit();            // when the open transactions are done

  // What to do.
  bool established() const { return established_; }
  const Capabilities& offered() const { return offered_; }
  /// TLS is to be begun now: neither received() nor output() before secured(). handshake_failed(): it was
  /// not.
  bool wants_handshake() const { return opening_.wants_handshake() && !dead_; }
  void secured();
  void handshake_failed(std::string text);
  /// TLS was offered and then did not work, without a word that the host is to be left alone (421).
  bool tls_broke() const;
  /// The greeting was 521: this host takes no mail at all (RFC 7504 3).
  bool takes_no_mail() const;
  bool wants_next() const;
  bool idle() const { return established_ && open_.empty() && !quitting_ && !dead_; }
  /// False: nothing to write now. The whole of an output must be written before the next is asked for.
  bool output(Output& out, const Sending& sending);
  void written() { written_ = generated_; }
  /// In the middle of an output, before received() and before end(): what of it the kernel has taken so far.
  void partly_written(std::size_t commands, std::size_t contents);
  /// How long the peer may take for what it owes us; nothing: nothing is owed.
  std::optional<Duration> limit() const;
  Duration block_limit() const { return options_.timeouts.block; }
  bool failed() const { return dead_; }        // 421 or garbage: close (after reading what is left)
  bool finished() const { return said_bye_; }  // QUIT was answered

  std::vector<Observation> take_finished();
  /// A command behind a content was answered 500, 501, 503 or 554, or BDAT itself was refused as a command:
  /// no more of that with this host.
  bool overlap_refused() const { return overlap_refused_; }

  // The connection is gone (or was given up): to be called once; then drop() and take_open().
  void end(Drop::How how);
  bool left_in_order() const { return left_in_order_; }  // after our QUIT, nothing open
  const Drop& drop() const { return drop_; }
  std::vector<Observation> take_open();

 private:
  enum class Command : std::uint8_t { opening, rset, mail, rcpt, data, dot, quit };

  struct Open {
    Mail mail;
    Observation seen;
    std::size_t next_rcpt = 0;  // position of the next RCPT to write
    std::uint32_t in_flight = 0, accepted = 0, rejects = 0, dots = 0;
    std::uint64_t content_at = 0;  // stream offset where the content starts
    bool behind_content = false;   // its MAIL went out while an older content was unanswered
    bool reset_first = false;      // the older one may have ended without an end: RSET before its MAIL
    bool go_ahead = false;         // 354 was heard
    bool written = false;          // nothing more to write for it
    bool done = false;
  };
  struct Expected {
    Command command;
    std::uint32_t position;  // rcpt, dot
    std::uint64_t end;       // stream offset behind the command
    Open* open;
  };

  // Inline: called for each command, from several files.
  void expect(Command command, Open* open, std::uint32_t position = 0) {
    expected_.push_back({command, position, generated_, open});
  }
  void put(std::string& out, std::string_view text) {
    out += text;
    generated_ += text.size();
  }
  bool lock_step(const Open& open) const {
    return open.mail.plan.window <= 1 || !offered_.pipelining || options_.pipelining == Pipelining::none;
  }
  bool all_offered(const Open& open) const {
    return open.next_rcpt == open.seen.recipients.size() || open.rejects >= open.mail.plan.rejects_allowed;
  }
  void take(const Reply& reply);
  void take_opening(const Reply& reply);
  void take_too_early(const Expected& expected, const Reply& reply);
  void take_rcpt(const Expected& expected, const Reply& reply);
  void take_data(Open& open, const Reply& reply);
  void take_dot(Open& open, const Reply& reply);
  void die(Drop::How how, const Reply& reply, std::string text);
  void take_chunk(Open& open, const Reply& reply);
  void check_done(Open& open);
  void finish_front();
  bool refused_locally(Open& open, std::size_t position);
  Duration shortened(Duration limit) const;  // by the planner's patience
  bool overlaps() const;
  bool chunks(const Open& open) const;
  bool whole(const Open& open) const;
  bool may_chunk(const Open& open) const;
  bool chunk_before_lacks_end(std::size_t open) const;
  bool write_mail(Open& open, std::string& out);
  void write_requests(const Mail& mail, std::size_t position, std::string& out);
  void write_rcpts(Open& open, std::string& out, const Sending& sending);
  void write_commands(Open& open, Output& out, const Sending& sending);
  void write_content(Open& open, Output& out);
  void write_chunk(Open& open, Output& out);

  Options options_;
  Opening opening_;
  ReplyReader reader_;
  Capabilities offered_;
  std::deque<Open> open_;  // oldest first; references stay good
  std::deque<Expected> expected_;
  std::vector<Observation> finished_;
  Drop drop_;
  // Offsets in the stream; a content counts as one octet of it.
  std::uint64_t generated_ = 0, written_ = 0, output_at_ = 0;
  std::uint64_t content_open_ = 0;  // octets of the contents of open transactions
  std::uint32_t begun_ = 0;
  std::string fault_;  // of the opening, in our words
  bool established_ = false, quitting_ = false, quit_written_ = false, said_bye_ = false, dead_ = false;
  bool needs_rset_ = false, overlap_refused_ = false, left_in_order_ = false;
};

}  // namespace spoold::smtp
