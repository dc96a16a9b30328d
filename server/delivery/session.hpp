// One outbound connection: connects, drives a ClientDialog over the socket, reports observations to its lane.
//
// One coroutine reads; writing is a plain function, pump(): it takes the dialog's output and writes it at once.
// Only when the kernel takes no more octets the rest waits, and reading continues meanwhile (two full windows would
// deadlock otherwise). One watchdog bounds every wait. After a failed write the session still reads to the end:
// replies that arrived before a reset count (isolation.md I1). Guarantees: the
// owner gets exactly one of: failed() (no connection was made), fault() (none was made, for a reason of this
// machine), gone() (it ended), and nothing after it; heard() for each transaction that was answered in full. An
// exception cuts the connection, reports what was open as any cut does, and goes to the owner as threw(); a
// content that cannot be read to its end never gets its final dot. Lives and dies on one thread.
#pragma once
#include <array>
#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/delivery/planner.hpp"
#include "protocol/smtp/client_dialog.hpp"
#include "server/asio.hpp"
#include "server/delivery/form.hpp"
#include "server/delivery/gather.hpp"
#include "server/delivery/place.hpp"
#include "server/delivery/target.hpp"
#include "server/delivery/tls_client.hpp"
#include "server/tls/channel.hpp"
#include "server/watchdog.hpp"
#include "store/id.hpp"

namespace spoold::server {

class OutboundSession : public std::enable_shared_from_this<OutboundSession> {
 public:
  using Content = Gather::Content;

  class Owner {
   public:
    virtual ~Owner() = default;
    /// EHLO was answered.
    virtual void connected(OutboundSession&) = 0;
    /// No connection to any of the targets: `stage` connect, greeting or ehlo, of the last one.
    virtual void failed(OutboundSession&, const LastReply& why) = 0;
    /// The next transaction for it, if there is one now; also nothing while its content is being made: pump()
    /// when it is. May call quit() on the session.
    virtual std::optional<smtp::ClientDialog::Mail> next(OutboundSession&) = 0;
    virtual bool sending(OutboundSession&, delivery::MessageId, std::uint32_t number) = 0;
    /// Of the message as it is stored, with the values of `copy` where it has one.
    virtual Content content(OutboundSession&, delivery::MessageId, bool chunk,
                            const std::shared_ptr<const Copy>& copy) = 0;
    virtual void heard(OutboundSession&, delivery::Observation) = 0;
    /// The connection ended. `in_order`: after our QUIT, with nothing open.
    virtual void gone(OutboundSession&, bool in_order, const delivery::Drop&,
                      std::vector<delivery::Observation> open) = 0;
    /// No connection, and not for a reason of any target: nothing is known of the host.
    virtual void fault(OutboundSession&, const std::string& why) = 0;
    /// An exception left the session, or the owner while the session called it. The session has ended; gone()
    /// or failed() came before, unless they threw.
    virtual void threw(OutboundSession&, std::exception_ptr why) = 0;
  };

  struct Security {
    std::shared_ptr<TlsClient> client;
    delivery::TlsRules rules;
    std::string domain;  // by MX: what mail is for
    /// Mail with REQUIRETLS waits for it: targets that are not fit for that are passed over (RFC 8689 4.2.1), and tried again for
    /// other mail when no target is.
    bool require_tls = false;
  };

  /// `targets` are tried in this order; the next one when one cannot be reached or does not greet with 2xx.
  OutboundSession(Owner& owner, const asio::any_io_executor& executor, std::vector<Target> targets,
                  smtp::ClientDialog::Options options, Security security);
  void start();

  /// There may be work: asks the owner for it and writes. At any time.
  void pump();
  /// After the open transactions: QUIT.
  void quit();
  /// At once, whatever is open.
  void abort();

  bool established() const { return dialog_.established() && !over_; }
  bool idle() const { return !over_ && dialog_.idle(); }
  bool overlap_refused() const { return dialog_.overlap_refused(); }
  /// Tried in vain before the one that is connected.
  std::span<const Target> passed_over() const { return {targets_.data(), target_ - 1}; }
  const std::vector<Target>& targets() const { return targets_; }
  /// After failed(): each target greeted with 521 (RFC 7504).
  bool refused_by_all() const { return refused_by_all_; }
  const smtp::Capabilities& offered() const { return dialog_.offered(); }
  const std::string& remote() const { return remote_; }
  /// "TLSv1.3 TLS_AES_256_GCM_SHA384 verified"; empty: plain text.
  const std::string& tls() const { return tls_used_; }
  /// Why it is plain text though TLS was offered; empty: it is not so.
  const std::string& tls_failure() const { return tls_failure_; }
  std::uint64_t bytes_out() const { return bytes_out_; }
  /// Mail with REQUIRETLS may go here: the host is authenticated and offers it, or it keeps the mailboxes on this machine (LMTP).
  bool protects() const { return protects_ || mailboxes_here(); }
  /// What such mail is refused with, after each target was tried for it; nothing: they were not.
  const std::optional<smtp::Reply>& unprotected() const { return unprotected_; }

  // For the owner: its planner's name of this connection, and when the planner wants to be asked again.
  delivery::ConnectionId connection = 0;
  TimePoint ask_at = TimePoint::max();
  std::unique_ptr<Place::Ticket> ticket;  // what it has taken from other lanes
  /// Transactions that the planner has handed out for this connection and that are not begun, oldest first: the content of the first
  /// one was still being made.
  struct Unready {
    smtp::ClientDialog::Mail mail;
    std::shared_ptr<const Form> form;  // that content; null: as it is stored
    bool converted = false;            // to seven bits
  };
  std::deque<Unready> unready;
  /// pump() is on its way because a form became ready.
  const std::shared_ptr<std::atomic<bool>> asked = std::make_shared<std::atomic<bool>>(false);

 private:
  using Socket = Channel::Socket;
  using How = delivery::Drop::How;

  static Awaitable<> run(std::shared_ptr<OutboundSession> self);
  Awaitable<bool> connect();
  Awaitable<bool> try_target(const Target& target);
  bool another_target();
  void watch();
  std::error_code open(const Target& target);

  // session_tls.cpp
  const Target& target() const { return targets_[target_ - 1]; }
  bool mailboxes_here() const;
  bool fit_for_require_tls();
  void unfit(smtp::Reply why);
  void ended_unfit();
  smtp::Reply why_none_protects() const;
  void plan();
  Awaitable<bool> handshake();
  void fail_here(std::string why);
  bool may_fall_back() const;
  bool fall_back();

  /// All work that is not the reader's own; its own ends in start().
  template <class Work>
  void guarded(Work work) {
    try {
      work();
    } catch (...) {
      threw(std::current_exception());
    }
  }
  void threw(std::exception_ptr why);
  void took(std::size_t n);
  void feed();
  store::Id in_output() const;  // the message that is written; 0: none
  bool start_write();
  bool write_on();
  void wait_writable();
  void write_failed(std::error_code error);
  void tell_heard();
  void step_limit();
  void over(std::error_code error);
  void conclude();
  void give_up(std::string text);

  Owner& owner_;
  Channel channel_;
  const std::vector<Target> targets_;
  std::size_t target_ = 0;               // the one in use is before it
  smtp::ClientDialog::Options options_;  // tls: of the target in use
  Security security_;
  const Target* in_plain_ = nullptr;  // once more to this one, without TLS
  bool protects_ = false;
  std::vector<std::pair<const Target*, smtp::Reply>>
      unfit_;  // that were tried for mail with REQUIRETLS, and why not
  std::optional<smtp::Reply> unprotected_;
  bool leaving_ = false;  // QUIT was sent to an unfit target
  std::string tls_used_, tls_failure_;
  smtp::ClientDialog dialog_;
  smtp::ClientDialog::Sending sending_;
  std::optional<Watchdog> watchdog_;  // a new one for each target
  std::string remote_;
  std::string connect_error_;
  std::string fault_;         // of this machine, before EHLO was answered
  bool met_host_ = false;     // a target failed by itself
  bool failed_here_ = false;  // TLS did, on this machine
  bool refused_by_all_;       // so far, by those that were tried

  Gather out_;  // the output that is being written
  std::uint64_t bytes_out_ = 0;
  bool writing_ = false, waiting_ = false, broken_ = false;

  std::array<char, 4096> in_;
  bool over_ = false, concluded_ = false, told_connected_ = false, aborted_ = false;
  How how_ = How::closed;
};

}  // namespace spoold::server
