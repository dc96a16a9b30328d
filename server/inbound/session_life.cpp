// How a session begins, and the ends that come from elsewhere: an exception, the stop, its deadline.
#include "server/inbound/session.hpp"
#include "server/log.hpp"
#include "store/broken.hpp"

namespace spoold::server {
namespace {

smtp::ServerDialog::Client client_of(const Peer& peer, const conf::Settings& settings) {
  return {.trusted_network = peer.in(settings.smtp.trusted_networks),
          .local = peer.unix_socket && !peer.hidden,
          .proxy = peer.in(settings.smtp.proxies)};
}

}  // namespace

void Session::start(Reception& reception, std::size_t door, StreamSocket socket, Peer peer,
                    Threads::Seat seat) {
  const asio::any_io_executor executor = socket.get_executor();
  auto session =
      std::make_shared<Session>(reception, door, std::move(socket), std::move(peer), std::move(seat));
  reception.census.add(session.get(), session);
  auto ended = [session](const std::exception_ptr& thrown) { session->ended(thrown); };
  asio::co_spawn(executor, run(std::move(session)), std::move(ended));
}

// An exception is a bug, no memory, or a record that cannot be read. The client must not take the silence of
// a closed connection for one of the network, and tries again later.
void Session::ended(const std::exception_ptr& thrown) {
  if (!thrown) return;
  const std::string client = peer_.text();
  const auto drop = [&](const char* why) {
    log::event(log::Level::error, "refused",
               {{"client", client}, {"reply", "451 4.3.0, and the session was closed"}, {"bug", why}});
    if (!handshaking_) {
      out_ += "451 4.3.0 internal error; try again later\r\n";
      write_now();
    }
    channel_.close();
  };
  try {
    std::rethrow_exception(thrown);
  } catch (const store::Broken& broken) {
    drop(broken.what());
    throw;  // to the loop: the daemon decides whether it can go on
  } catch (const std::exception& bug) {
    drop(bug.what());
  }
}

Session::Session(Reception& reception, std::size_t door, StreamSocket socket, Peer peer, Threads::Seat seat)
    : reception_(reception),
      rules_(reception.rules()),
      door_(rules_->doors.at(door)),
      channel_(std::move(socket)),
      peer_(std::move(peer)),
      seat_(std::move(seat)),
      dialog_(door_.profile, client_of(peer_, *rules_->settings)),
      watchdog_(executor(), [this] { late(); }),
      deadline_(dialog_.profile().idle_limit, dialog_.profile().message_limit),
      log_(reception.stats, peer_, dialog_.stranger()),
      intake_(reception, *rules_, dialog_, peer_, screening_, filters_, log_, executor()) {
  deadline_.idle(Watchdog::Clock::now());
  ++reception_.stats.sessions_in;
  ++reception_.stats.open_in;
}

Session::~Session() {
  --reception_.stats.open_in;
  reception_.census.remove(this);
}

// A port of implicit TLS sends no plain text: a client that is refused there gets no reply, and its connection is closed.
Session::Action Session::turn_away(const char* reply) {
  const std::string client = peer_.text();
  out_.clear();
  log::event(log::Level::info, "refused", {{"client", client}, {"reply", reply}});
  return dialog_.refused(door_.implicit_tls ? std::string() : std::string(reply) + "\r\n", out_);
}

Session::Action Session::admit() {
  // A proxy brings the connections of many hosts: each is counted when it says which.
  const bool stranger = dialog_.stranger() && !dialog_.is_proxy();
  auto place = reception_.census.enter(peer_, stranger, rules_->settings->smtp);
  if (reception_.census.pressure_began()) reception_.hurry();
  if (place) {
    place_.emplace(*std::move(place));
    screen();
    take_filters();
    return door_.implicit_tls ? dialog_.implicit_tls() : dialog_.open(out_);
  }
  if (place.error() != Census::Refusal::stopping) ++reception_.stats.connections_refused;
  switch (place.error()) {
    case Census::Refusal::too_many:
      return turn_away("421 4.3.2 too many connections; try again later");
    case Census::Refusal::too_many_of_host:
      return turn_away("421 4.7.0 too many connections from your host");
    case Census::Refusal::stopping:
      break;
  }
  return door_.implicit_tls ? dialog_.refused({}, out_) : dialog_.stopping(out_);
}

// XCLIENT: what comes on this connection from now on is another session, of the client that the proxy names.
void Session::hand_over() {
  place_.reset();
  const auto door = static_cast<std::size_t>(&door_ - rules_->doors.data());
  start(reception_, door, std::move(channel_.socket()), Peer::behind(peer_, dialog_.xclient()),
        std::move(seat_));
}

void Session::stop() {
  asio::post(executor(), [self = shared_from_this()] {
    self->stopping_ = true;
    std::error_code error;
    if (self->reading_ && self->between_transactions()) self->channel_.socket().cancel(error);
    if (self->handshaking_) self->channel_.close();
  });
}

void Session::hurry() {
  asio::post(executor(), [self = shared_from_this()] {
    const auto limit = self->dialog_.profile().pressed_limit;
    const bool sooner = self->limit_ends_ > Watchdog::Clock::now() + limit;
    if (self->dialog_.stranger() && (self->reading_ || self->handshaking_) && sooner)
      self->watchdog_.limit(limit);
  });
}

// The watchdog's: closes, because a cancel does not reach an operation that has completed and was not handled.
void Session::late() {
  if (reading_) {
    dialog_.timed_out(out_);
    write_now();
  }
  channel_.close();
}

void Session::cut_off() {
  asio::post(executor(), [self = shared_from_this()] {
    self->channel_.close();
    if (self->pause_) self->pause_->cancel();
    if (self->filters_) self->filters_->close();
  });
}

}  // namespace spoold::server
