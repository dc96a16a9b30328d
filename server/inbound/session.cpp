#include "server/inbound/session.hpp"

#include <algorithm>

#include "server/await_store.hpp"
#include "server/log.hpp"
#include "store/broken.hpp"

namespace spoold::server {
namespace {

using What = smtp::ServerDialog::Action::What;
using Phase = smtp::ServerDialog::Phase;

// A turn of a session: so many octets read, so many recipients looked up. About a millisecond.
constexpr std::size_t turn_octets = 64 * 1024, turn_recipients = 64;

smtp::Reply reply_of(const store::Error& error) {
  if (error.kind == store::Error::Kind::full)
    return {452, {4, 3, 1}, "no room for mail now; try again later"};
  return {451, {4, 3, 0}, "the message could not be stored; try again later"};
}

}  // namespace

void Session::start(Reception& reception, const smtp::ServerProfile& profile, StreamSocket socket, Peer peer,
                    Threads::Seat seat) {
  const asio::any_io_executor executor = socket.get_executor();
  auto session =
      std::make_shared<Session>(reception, profile, std::move(socket), std::move(peer), std::move(seat));
  reception.census.add(session.get(), session);
  auto ended = [session](std::exception_ptr thrown) { session->ended(std::move(thrown)); };
  asio::co_spawn(executor, run(std::move(session)), std::move(ended));
}

// An exception is a bug, no memory, or a record that cannot be read. The client must not take the silence of
// a closed connection for one of the network, and tries again later.
void Session::ended(std::exception_ptr thrown) {
  if (!thrown) return;
  const std::string client = peer_.text();
  const auto drop = [&](const char* why) {
    log::event(log::Level::error, "refused",
               {{"client", client}, {"reply", "451 4.3.0, and the session was closed"}, {"bug", why}});
    out_ += "451 4.3.0 internal error; try again later\r\n";
    write_now();
    std::error_code error;
    socket_.close(error);
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

Session::Session(Reception& reception, const smtp::ServerProfile& profile, StreamSocket socket, Peer peer,
                 Threads::Seat seat)
    : reception_(reception),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      seat_(std::move(seat)),
      dialog_(profile),
      watchdog_(socket_.get_executor(), [this] { late(); }),
      deadline_(profile.idle_limit, profile.message_limit),
      content_(reception.store, socket_.get_executor(), reception.memory),
      trusted_(peer_.in(reception.settings.smtp.trusted_networks)),
      may_relay_(trusted_ && !profile.lmtp),
      log_(reception.stats, peer_, stranger()) {
  if (!stranger()) dialog_.trust();
  deadline_.idle(Watchdog::Clock::now());
  ++reception_.stats.sessions_in;
  ++reception_.stats.open_in;
}

Session::~Session() {
  --reception_.stats.open_in;
  reception_.census.remove(this);
}

bool Session::between_transactions() const {
  return dialog_.phase() == Phase::start || dialog_.phase() == Phase::ready;
}

void Session::stop() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->stopping_ = true;
    std::error_code error;
    if (self->reading_ && self->between_transactions()) self->socket_.cancel(error);
  });
}

void Session::hurry() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    const auto limit = self->dialog_.profile().pressed_limit;
    const bool sooner = self->limit_ends_ > Watchdog::Clock::now() + limit;
    if (self->stranger() && self->reading_ && sooner) self->watchdog_.limit(limit);
  });
}

// The watchdog's: closes, because a cancel does not reach an operation that has completed and was not handled.
void Session::late() {
  if (reading_) {
    dialog_.timed_out(out_);
    write_now();
  }
  std::error_code error;
  socket_.close(error);
}

void Session::cut_off() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    std::error_code error;
    self->socket_.close(error);
    if (self->pause_) self->pause_->cancel();
  });
}

Awaitable<> Session::run(std::shared_ptr<Session> self) {
  Session& s = *self;
  std::error_code error;
  s.socket_.non_blocking(true, error);
  // Replies are small and awaited: never held back for company. Unix sockets do not know the option.
  s.socket_.set_option(asio::ip::tcp::no_delay(true), error);
  Action action = s.admit();
  bool progress = true;  // a client that dribbles a command octet by octet does not get more time for it
  for (;;) {
    if (progress) s.set_limit(action);
    if (!s.write_now()) {
      const bool written = co_await s.write();
      if (!written) break;
    }
    if (action.what == What::close) {
      co_await s.hang_up();
      break;
    }
    const bool waited = action.what != What::more;
    if (waited) {
      co_await s.wait(action.limit);
    } else {
      const bool got = co_await s.read();
      if (!got) break;
    }
    std::string_view input = s.input_.view();
    const std::size_t before = input.size();
    action = s.step(input);
    progress = waited || input.size() != before || action.what != What::more;
    while (action.what == What::commit || s.content_is_full()) {
      s.watchdog_.rest();
      if (action.what == What::commit) {
        const std::vector<smtp::Reply> replies = co_await s.commit();
        action = s.dialog_.committed(replies, s.out_);
        s.forget_content();
      } else {
        const auto asked = Watchdog::Clock::now();
        co_await s.make_room();
        s.deadline_.waited(Watchdog::Clock::now() - asked);
      }
      if (action.what == What::more) action = s.step(input);
    }
    if (action.what == What::more)
      s.input_.keep(input);
    else
      s.input_.hold(input);
  }
}

// Each step has its limit; a stranger's also ends with the deadline of the whole, and is short under pressure.
void Session::set_limit(const Action& action) {
  std::chrono::milliseconds limit = action.what == What::more ? action.limit : dialog_.profile().block_limit;
  const auto now = Watchdog::Clock::now();
  if (stranger()) {
    if (messages_ != dialog_.messages()) deadline_.idle(now);
    messages_ = dialog_.messages();
    if (!between_transactions()) {
      const bool content = dialog_.phase() == Phase::content;
      deadline_.mail(now);
      deadline_.progress(content ? dialog_.reader().size() : 0, dialog_.transaction().recipients.size(), now);
    }
    limit = std::min(limit, deadline_.left(now));
    if (reception_.census.pressed()) limit = std::min(limit, dialog_.profile().pressed_limit);
  }
  limit_ends_ = now + limit;
  watchdog_.limit(limit);
}

// Until the thread's other sessions had their turn, and `pause` is over.
Awaitable<> Session::wait(std::chrono::milliseconds pause) {
  turn_ = 0;
  if (pause.count() == 0) {
    co_await asio::post(socket_.get_executor(), use);
    co_return;
  }
  watchdog_.rest();
  if (!pause_) pause_.emplace(socket_.get_executor());
  pause_->expires_after(pause);
  co_await pause_->async_wait(use);
  deadline_.waited(pause);
}

Session::Action Session::admit() {
  const auto turn_away = [this](const char* reply) {
    const std::string client = peer_.text();
    log::event(log::Level::info, "refused", {{"client", client}, {"reply", reply}});
    return dialog_.refused(std::string(reply) + "\r\n", out_);
  };
  auto place = reception_.census.enter(peer_, stranger(), reception_.settings.smtp);
  if (reception_.census.pressure_began()) reception_.hurry();
  if (place) {
    place_.emplace(*std::move(place));
    return dialog_.open(out_);
  }
  switch (place.error()) {
    case Census::Refusal::too_many:
      return turn_away("421 4.3.2 too many connections; try again later");
    case Census::Refusal::too_many_of_host:
      return turn_away("421 4.7.0 too many connections from your host");
    case Census::Refusal::stopping:
      break;
  }
  return dialog_.stopping(out_);
}

bool Session::write_now() {
  std::error_code error;
  while (!out_.empty()) {
    const std::size_t octets = socket_.write_some(asio::buffer(out_), error);
    if (error) return false;
    out_.erase(0, octets);
  }
  if (out_.capacity() > 2048) out_ = std::string();
  return true;
}

Awaitable<bool> Session::write() {
  auto [error, octets] = co_await asio::async_write(socket_, asio::buffer(out_), use);
  out_.clear();
  co_return !error;
}

Awaitable<bool> Session::read() {
  for (;;) {
    if (stopping_ && between_transactions()) {
      dialog_.stopping(out_);
      write_now();
      co_return false;
    }
    std::error_code failed;
    std::size_t octets = 0;
    const bool content = dialog_.phase() == Phase::content;
    if (more_is_there_) {
      if (turn_ >= turn_octets) co_await wait(std::chrono::milliseconds::zero());
      octets = socket_.read_some(input_.space(content ? Input::large : Input::content), failed);
      if (failed == asio::error::would_block || failed == asio::error::interrupted) {
        more_is_there_ = false;
        input_.keep(input_.view());
        continue;
      }
    } else {
      // Not a wait and then a read: Asio's wait is a call of the kernel (epoll_ctl) each time.
      const asio::mutable_buffer space = input_.space(content ? Input::content : Input::command);
      reading_ = true;
      auto [error, got] = co_await socket_.async_read_some(space, use);
      reading_ = false;
      turn_ = 0;
      if (watchdog_.fired()) co_return false;
      if (stopping_ && error == asio::error::operation_aborted && between_transactions()) continue;
      failed = error;
      octets = got;
    }
    reception_.stats.bytes_in += octets;
    turn_ += octets;
    more_is_there_ = input_.filled(octets);
    co_return !failed;
  }
}

// What the client sent and we did not read would make the kernel answer with a reset, which can overtake our
// last reply.
Awaitable<> Session::hang_up() {
  std::error_code error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  if (error || socket_.available(error) == 0) co_return;
  watchdog_.limit(std::chrono::seconds(2));
  input_.keep({});
  for (std::size_t thrown_away = 0; thrown_away < (1u << 20);) {
    auto [waited] = co_await socket_.async_wait(asio::socket_base::wait_read, use);
    if (waited) co_return;
    const std::size_t octets = socket_.read_some(input_.space(Input::content), error);
    if (error && error != asio::error::would_block) co_return;
    thrown_away += octets;
  }
}

Session::Action Session::step(std::string_view& input) {
  std::optional<store::Read> read;  // one for a group of RCPTs; gone before anything is awaited
  dialog_.set_room(reception_.store.has_room());
  for (std::size_t recipients = 0;; ++recipients) {
    if (recipients == turn_recipients) return {What::enough, {}};
    const Action action = dialog_.consume(input, out_, content_.bytes());
    if (action.what != What::resolve) {
      if (dialog_.phase() == Phase::content) {
        if (dialog_.reader().size() == 0) {
          content_.expect(dialog_.transaction().declared_size);
          if (!announced_) announced_ = reception_.store.announce();
        }
      } else if (action.what != What::commit) {
        forget_content();  // refused
        staging_failed_.reset();
      }
      return action;
    }
    if (!read) read.emplace(reception_.store);
    AddressBook::Answer answer = reception_.addresses.look_up(
        *read, dialog_.asked().forward_path, dialog_.transaction(), may_relay_, reception_.store.now());
    if (!answer)
      log_refused(dialog_.asked().forward_path ? dialog_.asked().forward_path->text() : "postmaster",
                  answer.error());
    const Action action_after = dialog_.resolved(std::move(answer), out_);
    if (action_after.what != What::more) return action_after;
  }
}

void Session::log_refused(std::string_view to, const smtp::Reply& reply) {
  log_.refused(dialog_.transaction().reverse_path, to, reply);
}

bool Session::content_is_full() {
  if (dialog_.phase() != Phase::content) return false;
  if (staging_failed_) {
    content_.bytes().clear();  // the rest of the message is only read to its end
    return false;
  }
  return content_.full(dialog_.reader().header_size());
}

void Session::forget_content() {
  content_.forget();
  announced_.reset();
}

Awaitable<> Session::make_room() {
  announced_.reset();  // it takes its time
  store::Result<void> room = co_await content_.room(dialog_.reader().header_size());
  if (!room) staging_failed_ = room.error();
}

Awaitable<std::vector<smtp::Reply>> Session::commit() {
  const smtp::Transaction& transaction = dialog_.transaction();
  const std::size_t wanted = dialog_.profile().lmtp ? transaction.recipients.size() : 1;
  std::optional<store::Error> failed = std::exchange(staging_failed_, std::nullopt);
  store::ContentSource source;
  if (!failed) {
    store::Result<store::ContentSource> finished = co_await content_.finish(dialog_.reader().size());
    if (finished) {
      source = std::move(*finished);
    } else {
      failed = finished.error();
    }
  }
  if (failed) {
    log_refused("", reply_of(*failed));
    co_return std::vector<smtp::Reply>(wanted, reply_of(*failed));
  }
  Disposition disposition = disposed(std::move(source));
  for (std::size_t i = 0; i < disposition.fates.size(); ++i)
    if (disposition.fates[i].refusal)
      log_refused(transaction.recipients[i].address, *disposition.fates[i].refusal);
  store::Accepted accepted;
  if (!disposition.all_refused()) {
    const std::vector<store::HistoryEvent> events = disposition.acceptance.events;
    const SessionLog::Summary summary(disposition.acceptance);
    auto start = [this, &disposition](store::Callback<store::Accepted> done) {
      reception_.store.accept(std::move(disposition.acceptance), std::move(done));
      announced_.reset();
    };
    store::Result<store::Accepted> stored =
        co_await await_store<store::Accepted>(socket_.get_executor(), std::move(start));
    if (!stored) {
      log_refused("", reply_of(stored.error()));
      co_return std::vector<smtp::Reply>(wanted, reply_of(stored.error()));
    }
    accepted = std::move(*stored);
    for (const store::HistoryEvent& event : events)
      if (event.event == "bounce") log_.bounce(event);
    if (!accepted.ids.empty()) {
      content_.accepted();
      log_.accepted(summary, accepted, transaction.reverse_path);
      reception_.wake(accepted.routes);
    }
  }
  co_return replies_of(disposition, accepted);
}

Disposition Session::disposed(store::ContentSource source) {
  const smtp::DataReader& reader = dialog_.reader();
  Arrival arrival{.transaction = dialog_.transaction(),
                  .header = content_.header(source).substr(0, static_cast<std::size_t>(reader.header_size())),
                  .content = std::move(source),
                  .eight_bit = reader.eight_bit(),
                  .leading_dots = reader.leading_dots(),
                  .client = client_text(dialog_.hello(), peer_.literal()),
                  .protocol = dialog_.protocol(),
                  .at = reception_.store.now(),
                  .one_reply = !dialog_.profile().lmtp,
                  .addresses = &reception_.addresses,
                  .may_relay = may_relay_};
  const store::Read read(reception_.store);
  return dispose(reception_.settings, read, std::move(arrival));
}

std::vector<smtp::Reply> Session::replies_of(const Disposition& disposition,
                                             const store::Accepted& accepted) const {
  std::vector<smtp::Reply> replies;
  const auto queued = [&](std::size_t message) {
    return smtp::Reply{250, {2, 0, 0}, "queued as " + store::id_text(accepted.ids[message])};
  };
  if (!dialog_.profile().lmtp) {
    const auto stored = std::find_if(disposition.fates.begin(), disposition.fates.end(),
                                     [](const Fate& fate) { return fate.message.has_value(); });
    if (disposition.all_refused()) {
      replies.push_back(*disposition.fates.front().refusal);
    } else {
      replies.push_back(stored == disposition.fates.end() ? smtp::Reply{250, {2, 0, 0}, "noted"}
                                                          : queued(*stored->message));
    }
    return replies;
  }
  for (const Fate& fate : disposition.fates) {
    if (fate.refusal) {
      replies.push_back(*fate.refusal);
    } else {
      replies.push_back(fate.message ? queued(*fate.message) : smtp::Reply{250, {2, 0, 0}, "noted"});
    }
  }
  return replies;
}

}  // namespace spoold::server
