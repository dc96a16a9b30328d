// One inbound connection: drives a ServerDialog over a socket. Thin: the dialog decides what is answered and what is
// done next, the address book what an address means, the intake what becomes of a message.
//
// run() does what the dialog's actions name, each in its place: `ask` and `enough` in step(), which never waits and
// whose store::Read ends with it; what may wait (read, pause, commit, room for a slice) in run() itself. A question
// whose answer must be waited for (AUTH, a filter, DNS) leaves step() as `commit` does, and is awaited there.
//
// TLS: the handshake takes its place (census) and its time limit from the session, and its turn among the handshakes of
// the thread (tls/handshake_line.hpp). Until it is done nothing is read or written in plain text.
//
// Guarantees: lives and dies on one thread, under the Rules that it began with. All replies of a pipelined group go out
// in one write. A reply 250 to the end of data is written only after the store's commit. One deadline at a time (RFC
// 5321 4.5.3.2); an idle connection holds no buffer. A turn is bounded (octets read, replies, questions answered):
// however fast the client sends, the thread's other sessions get theirs after it. Failures: the peer leaves or is
// late: what was staged is abandoned, nothing was accepted. An exception: the client gets 451 and the connection is
// closed; one of a broken store goes on to the thread's loop.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/smtp/server_dialog.hpp"
#include "server/asio.hpp"
#include "server/inbound/deadline.hpp"
#include "server/inbound/filters.hpp"
#include "server/inbound/input.hpp"
#include "server/inbound/intake.hpp"
#include "server/inbound/peer.hpp"
#include "server/inbound/reception.hpp"
#include "server/inbound/screening.hpp"
#include "server/inbound/session_log.hpp"
#include "server/tls/channel.hpp"
#include "server/watchdog.hpp"
#include "store/directory/users.hpp"
#include "store/txn.hpp"

namespace spoold::server {

class Session : public std::enable_shared_from_this<Session> {
 public:
  /// Any thread: admits or refuses (421) the connection, then runs on the socket's thread.
  static void start(Reception& reception, std::size_t door, StreamSocket socket, Peer peer,
                    Threads::Seat seat);
  Session(Reception& reception, std::size_t door, StreamSocket socket, Peer peer, Threads::Seat seat);
  ~Session();

  void stop();     // any thread: 421 as soon as no transaction is open
  void cut_off();  // any thread
  void hurry();    // any thread: there are too many sessions for one of a stranger to wait long

 private:
  using Action = smtp::ServerDialog::Action;

  static Awaitable<> run(std::shared_ptr<Session> self);
  void ended(const std::exception_ptr& thrown);
  Action admit();
  Action turn_away(const char* reply);
  void hand_over();
  void set_limit(const Action& action);
  void late();
  bool write_now();             // true: nothing is left in out_
  Awaitable<bool> write();      // false: the peer is gone
  Awaitable<bool> read();       // false: the peer is gone, late, or the server stops
  Awaitable<bool> handshake();  // false: there is no TLS, the connection is of no use any more
  Awaitable<> wait(std::chrono::milliseconds pause);
  Awaitable<> hang_up();
  Action step(std::string_view& input);  // consumes until something must be awaited
  smtp::ServerDialog::Answer answer(std::optional<store::Read>& read);
  smtp::ServerDialog::Answer may_send(const smtp::MailArgument& mail, std::optional<store::Read>& read);
  // session_auth.cpp
  Awaitable<smtp::ServerDialog::Answer> log_in();
  void know(const std::string& user, store::directory::KnownNetwork network);
  smtp::sasl::Answer login_failed(const std::string& user, smtp::Reply reply);
  // session_screening.cpp and session_filters.cpp
  void take_filters();
  Awaitable<smtp::ServerDialog::Answer> filtered(smtp::ServerDialog::Answer ours);
  void screen();
  bool must_wait() const;  // for the answer to the dialog's question
  Awaitable<smtp::ServerDialog::Answer> awaited();
  Awaitable<bool> talks_early();
  std::optional<smtp::Reply> screened(const smtp::RcptArgument& rcpt);
  bool between_transactions() const;
  std::optional<smtp::Reply> over_rate(bool recipient);  // session_rates.cpp
  auto executor() { return channel_.socket().get_executor(); }

  Reception& reception_;
  const std::shared_ptr<const Rules> rules_;
  const Door& door_;
  Channel channel_;
  const Peer peer_;
  Threads::Seat seat_;
  smtp::ServerDialog dialog_;
  Watchdog watchdog_;
  Watchdog::Clock::time_point limit_ends_{};  // the end of the limit set last
  Deadline deadline_;
  SessionLog log_;
  Input input_;
  std::shared_ptr<Screening> screening_;  // of a stranger by SMTP, where the configuration asks for it
  bool screens_ = false;                  // such a stranger
  bool helo_counted_ = false;
  std::string network_;               // what rates count it under; made where there are some
  std::unique_ptr<Filters> filters_;  // where there are some
  Intake intake_;
  std::string out_;
  std::optional<asio::steady_timer> pause_;  // made when the session is slowed down
  int messages_ = 0;                         // that deadline_ knows of
  std::size_t turn_ = 0;                     // octets read since other sessions of the thread had their turn
  std::optional<Census::Place> place_;
  bool stopping_ = false, reading_ = false, handshaking_ = false, more_is_there_ = false;
};

}  // namespace spoold::server
