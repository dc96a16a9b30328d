// The server side of SMTP (RFC 5321) and LMTP (RFC 2033) as a pure machine: octets in, replies and the next
// step out.
//
// The caller reads octets, calls consume() until it answers `more`, writes `out` in one go (RFC 2920
// pipelining), and does what else is asked:
//   ask     what is to be known before the next reply (asked()); answer() goes on. The caller may take its time. What
//           a client says to log in is such a question, too.
//   commit  the content is complete; committed() goes on, once the message is durable or refused.
//   handshake  write `out`, then begin TLS; secured() goes on.
//   close   write `out` and close.
//   enough, pause  bound what a client gets at a time: write before the next call; write, and wait.
//
// TLS is the caller's, STARTTLS the dialog's (RFC 3207): input behind STARTTLS ends the session, and after the
// handshake nothing is left of what the client said before it.
//
// Submission (RFC 6409): AUTH (RFC 4954, sasl_server.hpp) is offered under TLS only, and there is no MAIL before it.
//
// Guarantees: after the reply to the end of data (whatever it is), a refused DATA, RSET, EHLO, HELO and LHLO the
// transaction equals one fresh after EHLO (a refused BDAT too); after an error reply to any other command the state equals that before
// it. Failures of the client get the replies that RFC 5321 and 3463 name; 20 protocol errors end the session with
// 421. Refused recipients are not protocol errors: a transaction with many dead addresses goes on for the good
// ones, slower and slower (brake.hpp), until the client has no rights and has been refused too often. See also:
// command.hpp (syntax), data_reader.hpp (content), transaction.hpp, server/inbound/session.hpp (the socket).
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/smtp/brake.hpp"
#include "protocol/smtp/command.hpp"
#include "protocol/smtp/data_reader.hpp"
#include "protocol/smtp/proxied.hpp"
#include "protocol/smtp/sasl_server.hpp"
#include "protocol/smtp/transaction.hpp"

namespace spoold::smtp {

/// What all sessions of a listener have in common.
struct ServerProfile {
  std::string hostname = "localhost";
  bool lmtp = false;
  bool starttls = false;    // offered while there is no TLS
  bool submission = false;  // mail is taken from those only who log in
  bool xclient = false;     // XCLIENT is offered to proxies
  std::size_t max_recipients = 1000;
  int max_errors = 20;
  std::size_t max_line = 4096;            // of a command, CRLF included
  std::size_t max_replies = 16 << 10;     // octets of replies that are kept before they must be written
  std::uint64_t max_rejected = 10 << 20;  // octets of refused content read beyond the size limit
  Brake::Limits brake;
  DataLimits content;
  std::chrono::milliseconds command_limit = std::chrono::minutes(5);  // RFC 5321 4.5.3.2.7
  std::chrono::milliseconds block_limit = std::chrono::minutes(3);    // RFC 5321 4.5.3.2.5
  std::chrono::milliseconds handshake_limit = std::chrono::seconds(30);
  // Of clients without rights: to begin a message, and to finish it (server/inbound/deadline.hpp).
  std::chrono::milliseconds idle_limit = std::chrono::minutes(10), message_limit = std::chrono::minutes(10);
  std::chrono::milliseconds pressed_limit = std::chrono::seconds(10);  // a step, while places are short
};

class ServerDialog {
 public:
  // authenticating: a line is a response to a challenge. content: behind DATA. chunk: the octets of a BDAT. chunks: behind one that was not the last.
  enum class Phase : std::uint8_t {
    start,
    ready,
    mail,
    rcpt,
    asking,
    authenticating,
    content,
    chunk,
    chunks,
    committing,
    handshake,
    closed
  };

  struct Action {
    enum class What : std::uint8_t {
      more,       // write `out`, read more input (what consume() left of the last input comes first), within
                  // `limit`
      ask,        // answer() to asked()
      commit,     // answer committed() for transaction() and the content
      enough,     // write `out`, then call consume() again with what it left
      pause,      // the same, not before `limit` has passed
      handover,   // write `out`; the connection begins anew, as one of xclient()
      handshake,  // write `out`, do the TLS handshake within `limit`, then secured(); or close
      close,      // write `out` and close
    } what = What::more;
    std::chrono::milliseconds limit{0};  // 0: no peer is waited for
  };

  /// Who the client is, as far as it is known: its network decides.
  struct Client {
    bool trusted_network = false;
    bool local = false;  // on a unix socket
    bool proxy = false;  // its XCLIENT is believed
  };

  explicit ServerDialog(const ServerProfile& profile) : ServerDialog(profile, Client()) {}
  ServerDialog(const ServerProfile& profile, Client client);

  /// It may send to any address. LMTP is for delivery here, so its clients may not, whoever they are; on a port of
  /// submission its users may, and no network.
  bool may_relay() const {
    if (profile_.submission) return !user_.empty();
    return client_.trusted_network && !profile_.lmtp;
  }
  /// It has no rights: the brake and all limits for strangers are for it.
  bool stranger() const { return !client_.trusted_network && !client_.local && user_.empty(); }

  Action open(std::string& out);                            // the greeting
  Action implicit_tls();                                    // instead of it: the handshake comes first
  Action refused(std::string_view wire, std::string& out);  // instead of it: 421 and the end (RFC 5321 3.1)
  /// Takes commands, or content, from the front of `input`. Content is appended to `content`, which the
  /// caller may take away between calls. Refused content is emptied: what was taken before may be thrown
  /// away. A call makes little more than max_replies octets of replies.
  Action consume(std::string_view& input, std::string& out, std::string& content);

  /// A sender: may it send now? A recipient: what does it stand for? A login: sasl_server.hpp.
  using Question = std::variant<MailArgument, RcptArgument, sasl::Question>;
  struct Granted {};
  /// To a sender Granted, to a recipient what it stands for; or the reply that refuses it. To a login its answer.
  using Answer = std::variant<Granted, Recipient, Reply, sasl::Answer>;
  const Question& asked() const { return question_; }
  /// Whom the proxy speaks for from now on.
  const ProxiedClient& xclient() const { return xclient_; }
  bool is_proxy() const { return profile_.xclient && client_.proxy; }
  Action answer(Answer answer, std::string& out);

  /// SMTP: one reply. LMTP: one for each recipient of the transaction, in order.
  Action committed(std::span<const Reply> replies, std::string& out);

  /// TLS is in use; `tls` is not empty, and names version and cipher. All that the client said is forgotten; one
  /// that was not greeted yet is greeted.
  Action secured(std::string tls, std::string& out);

  Action timed_out(std::string& out);  // 421 4.4.2
  Action stopping(std::string& out);   // 421 4.3.2

  Phase phase() const { return phase_; }
  /// Content comes, or goes on with the next chunk: what was appended belongs to the message.
  bool receiving() const {
    return phase_ == Phase::content || phase_ == Phase::chunks || (phase_ == Phase::chunk && !chunk_.refusal);
  }
  const Transaction& transaction() const { return transaction_; }
  const DataReader& reader() const { return reader_; }
  const ServerProfile& profile() const { return profile_; }
  int messages() const { return messages_; }  // contents that have come to their end
  std::string_view hello() const { return hello_; }
  std::string_view tls() const { return tls_; }      // empty: plain text
  const std::string& user() const { return user_; }  // who logged in, in lower case; empty: nobody
  /// How the user logged in: "PLAIN".
  const std::string& mechanism() const { return mechanism_; }
  /// The `with` of Received (RFC 3848): "ESMTP", "ESMTPS", "ESMTPSA", "SMTP", "LMTP" or "LMTPS"; of a transaction with SMTPUTF8
  /// "UTF8SMTP" and so on (RFC 6531 4.3).
  const char* protocol() const;

 private:
  using Act = Action (ServerDialog::*)(const Command&, std::string& out);
  struct Row;
  static const Row rows[];

  Action command(std::string_view line, std::string& out);
  Action act(const Command&, std::string& out);
  Action hello(const Command&, std::string& out);
  Action mail(const Command&, std::string& out);
  Action mail_answered(MailArgument&& mail, Answer&& answer, std::string& out);
  Action rcpt(const Command&, std::string& out);
  Action rcpt_answered(RcptArgument&& rcpt, Answer&& answer, std::string& out);
  Action data(const Command&, std::string& out);
  Action rset(const Command&, std::string& out);
  Action noop(const Command&, std::string& out);
  Action vrfy(const Command&, std::string& out);
  Action help(const Command&, std::string& out);
  Action quit(const Command&, std::string& out);
  Action starttls(const Command&, std::string& out);
  Action xclient(const Command&, std::string& out);
  bool offers(Verb) const;
  PathRules path_rules() const { return {profile_.submission, !tls_.empty(), transaction_.utf8}; }
  // server_dialog_auth.cpp: AUTH
  Action auth(const Command&, std::string& out);
  Action response(std::string_view line, std::string& out);
  Action auth_step(sasl::Step step, std::string& out);
  std::size_t longest_line() const;
  Action bad_line(const char* why, std::string& out);
  Action too_long(std::string& out);
  // server_dialog_chunks.cpp: BDAT
  Action bdat(const Command&, std::string& out);
  Action read_chunk(std::string_view& input, std::string& out, std::string& content);
  Action chunk_ended(std::string& out, std::string& content);
  std::optional<Reply> refuse_chunk(const BdatArgument&) const;
  // server_dialog_content.cpp: what follows DATA
  Action read_content(std::string_view& input, std::string& out, std::string& content);
  Action content_ended(std::string& out);
  Action reject_rest(std::string& out);

  Action more() const;
  Action say(std::string_view wire, std::string& out) const;
  Action error(const Reply& reply, std::string& out, bool counts = true);
  Action close(std::string_view wire, std::string& out);
  void fresh();

  const ServerProfile& profile_;
  const Client client_;
  Transaction transaction_;
  DataReader reader_;
  struct Chunk {
    std::uint64_t left = 0, size = 0;
    bool last = false;
    std::optional<Reply> refusal;  // told when the octets have come
  };

  Question question_;
  Chunk chunk_;
  ProxiedClient xclient_;
  std::string hello_, tls_, user_, mechanism_;
  std::unique_ptr<SaslServer> sasl_;  // while a client logs in
  Phase phase_ = Phase::start, phase_before_chunk_ = Phase::start;
  bool greeted_ = false;
  bool extended_ = false;     // EHLO or LHLO, not HELO
  bool input_waits_ = false;  // octets behind the command that is looked at
  bool skipping_ = false;     // inside a line that is too long
  bool mail_refused_ =
      false;  // RCPT, DATA and BDAT pipelined behind a refused MAIL, or BDAT behind one, are not counted as errors
  int errors_ = 0, messages_ = 0;
  Brake brake_;
};

}  // namespace spoold::smtp
