// One inbound connection: drives a ServerDialog over a socket. Thin: what is said is the dialog's, what an
// address means the address book's, what is stored the acceptance's.
//
// Guarantees: lives and dies on one thread. All replies of a pipelined group go out in one write. A reply 250
// to the end of data is written only after the store's commit. One deadline at a time (RFC 5321 4.5.3.2); an
// idle connection holds no buffer. A turn is bounded (octets read, replies, recipients looked up): however
// fast the client sends, the thread's other sessions get theirs after it. Failures: the peer leaves or is
// late: what was staged is abandoned, nothing was accepted. An exception: the client gets 451 and the
// connection is closed; one of a broken store goes on to the thread's loop.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/smtp/server_dialog.hpp"
#include "server/asio.hpp"
#include "server/inbound/acceptance.hpp"
#include "server/inbound/content.hpp"
#include "server/inbound/deadline.hpp"
#include "server/inbound/input.hpp"
#include "server/inbound/peer.hpp"
#include "server/inbound/reception.hpp"
#include "server/inbound/session_log.hpp"
#include "server/watchdog.hpp"

namespace spoold::server {

class Session : public std::enable_shared_from_this<Session> {
 public:
  /// Any thread: admits or refuses (421) the connection, then runs on the socket's thread.
  static void start(Reception& reception, const smtp::ServerProfile& profile, StreamSocket socket, Peer peer,
                    Threads::Seat seat);
  Session(Reception& reception, const smtp::ServerProfile& profile, StreamSocket socket, Peer peer,
          Threads::Seat seat);
  ~Session();

  void stop();     // any thread: 421 as soon as no transaction is open
  void cut_off();  // any thread
  void hurry();    // any thread: there are too many sessions for one of a stranger to wait long

 private:
  using Action = smtp::ServerDialog::Action;

  static Awaitable<> run(std::shared_ptr<Session> self);
  void ended(std::exception_ptr thrown);
  Action admit();
  void set_limit(const Action& action);
  bool stranger() const { return !trusted_ && !peer_.unix_socket; }
  void late();
  bool write_now();         // true: nothing is left in out_
  Awaitable<bool> write();  // false: the peer is gone
  Awaitable<bool> read();   // false: the peer is gone, late, or the server stops
  Awaitable<> wait(std::chrono::milliseconds pause);
  Awaitable<> hang_up();
  Action step(std::string_view& input);  // consumes until something must be awaited
  bool content_is_full();
  Awaitable<> make_room();
  void forget_content();
  Awaitable<std::vector<smtp::Reply>> commit();
  Disposition disposed(store::ContentSource source);
  std::vector<smtp::Reply> replies_of(const Disposition& disposition, const store::Accepted& accepted) const;
  void log_refused(std::string_view to, const smtp::Reply& reply);
  bool between_transactions() const;

  Reception& reception_;
  StreamSocket socket_;
  const Peer peer_;
  Threads::Seat seat_;
  smtp::ServerDialog dialog_;
  Watchdog watchdog_;
  Watchdog::Clock::time_point limit_ends_{};  // the end of the limit set last
  Deadline deadline_;
  Input input_;
  Content content_;
  store::Announcement announced_;  // of the job with this content
  std::string out_;
  std::optional<store::Error> staging_failed_;
  std::optional<asio::steady_timer> pause_;  // made when the session is slowed down
  int messages_ = 0;                         // that deadline_ knows of
  std::size_t turn_ = 0;                     // octets read since other sessions of the thread had their turn
  const bool trusted_, may_relay_;
  SessionLog log_;
  std::optional<Census::Place> place_;
  bool stopping_ = false, reading_ = false, more_is_there_ = false;
};

}  // namespace spoold::server
