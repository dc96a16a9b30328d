#include "server/inbound/session.hpp"

#include <algorithm>
#include <array>

#include "server/inbound/pressure.hpp"
#include "server/office/senders.hpp"

namespace spoold::server {
namespace {

using What = smtp::ServerDialog::Action::What;
using Phase = smtp::ServerDialog::Phase;
using Dialog = smtp::ServerDialog;

// A turn of a session: so many octets read, so many questions answered. About a millisecond.
constexpr std::size_t turn_octets = 64 << 10, turn_questions = 64;

}  // namespace

bool Session::between_transactions() const {
  return dialog_.phase() == Phase::start || dialog_.phase() == Phase::ready ||
         dialog_.phase() == Phase::authenticating;
}

// `self` keeps the session alive in the coroutine's frame. Each round writes what is owed, does what the dialog asked for,
// and hands it the next octets; the dialog decides, this loop only waits.
Awaitable<> Session::run(std::shared_ptr<Session> self) {
  Session& s = *self;
  std::error_code error;
  s.channel_.socket().non_blocking(true, error);
  // Replies are small and awaited: never held back for company. Unix sockets do not know the option.
  s.channel_.socket().set_option(asio::ip::tcp::no_delay(true), error);
  Action action = s.admit();
  if (s.screens_ && !s.door_.implicit_tls && s.rules_->settings->smtp.greeting_delay.count() > 0) {
    const bool early = co_await s.talks_early();
    if (early)
      action = s.turn_away("554 5.5.0 you sent something before you were greeted; wait for the greeting");
  }
  bool progress = true;  // a client that dribbles a command octet by octet does not get more time for it
  for (;;) {
    if (progress) s.set_limit(action);
    // Before anything is waited for, and before a close: the client may wait for these replies.
    if (!s.write_now()) {
      const bool written = co_await s.write();
      if (!written) break;
    }
    if (action.what == What::close) {
      co_await s.hang_up();
      break;
    }
    if (action.what == What::handover) {
      s.hand_over();
      break;
    }
    if (action.what == What::handshake) {
      const bool secured = co_await s.handshake();
      if (!secured) break;
      action = s.dialog_.secured(s.channel_.tls()->used(), s.out_);
      progress = true;
      continue;
    }
    // `enough` and `pause` go on with the input at hand: nothing is read until it is used up.
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
    // Behind a message the input may hold the next one, to its end: so a loop. The replies to all of them go out
    // together. The client waits for us here, so its time stands still.
    while (action.what == What::commit || action.what == What::ask || s.intake_.is_full()) {
      s.watchdog_.rest();
      if (action.what == What::commit) {
        const std::vector<smtp::Reply> replies = co_await s.intake_.commit();
        action = s.dialog_.committed(replies, s.out_);
        s.intake_.forget();
      } else if (action.what == What::ask) {
        const auto asked = Watchdog::Clock::now();
        Dialog::Answer answer = co_await s.awaited();
        action = s.dialog_.answer(std::move(answer), s.out_);
        s.deadline_.waited(Watchdog::Clock::now() - asked);
      } else {
        const auto asked = Watchdog::Clock::now();
        co_await s.intake_.make_room();
        s.deadline_.waited(Watchdog::Clock::now() - asked);
      }
      if (action.what == What::more) action = s.step(input);
    }
    if (action.what == What::more || action.what == What::handshake)
      s.input_.keep(input);  // a partial line, or nothing: the block goes back to the pool
    else
      s.input_.hold(input);
  }
}

// Each step has its limit; a stranger's also ends with the deadline of the whole, and is short under pressure.
void Session::set_limit(const Action& action) {
  const bool for_peer = action.what == What::more || action.what == What::handshake;
  std::chrono::milliseconds limit = for_peer ? action.limit : dialog_.profile().block_limit;
  const auto now = Watchdog::Clock::now();
  if (dialog_.stranger()) {
    if (messages_ != dialog_.messages()) deadline_.idle(now);
    messages_ = dialog_.messages();
    if (!between_transactions()) {
      const bool content = dialog_.receiving();
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
    co_await asio::post(executor(), use);
    co_return;
  }
  watchdog_.rest();
  if (!pause_) pause_.emplace(executor());
  pause_->expires_after(pause);
  co_await pause_->async_wait(use);
  deadline_.waited(pause);
}

// What the kernel takes without waiting: nearly always all of it.
bool Session::write_now() {
  std::error_code error;
  while (!out_.empty()) {
    const std::array<asio::const_buffer, 1> buffer{asio::buffer(out_)};
    const std::size_t octets = channel_.write_some(buffer, error);
    if (error) return false;
    out_.erase(0, octets);
  }
  if (out_.capacity() > 2048) out_ = std::string();  // an idle client keeps no large buffer
  return true;
}

Awaitable<bool> Session::write() {
  for (;;) {
    auto [gone] = co_await channel_.socket().async_wait(asio::socket_base::wait_write, use);
    if (gone) co_return false;
    std::error_code error;
    const std::array<asio::const_buffer, 1> buffer = {asio::buffer(out_)};
    out_.erase(0, channel_.write_some(buffer, error));
    if (error && error != asio::error::would_block && error != asio::error::interrupted) co_return false;
    if (out_.empty()) co_return true;
  }
}

Awaitable<bool> Session::read() {
  for (;;) {
    // A client in the middle of a message may finish it, until the stop's own limit.
    if (stopping_ && between_transactions()) {
      dialog_.stopping(out_);
      write_now();
      co_return false;
    }
    std::error_code failed;
    std::size_t octets = 0;
    const bool content = dialog_.receiving();
    if (more_is_there_) {
      if (turn_ >= turn_octets) co_await wait(std::chrono::milliseconds::zero());
      octets = channel_.read_some(input_.space(content ? Input::large : Input::content), failed);
      if (failed == asio::error::would_block || failed == asio::error::interrupted) {
        more_is_there_ = false;
        input_.keep(input_.view());
        continue;
      }
    } else if (!channel_.plain()) {
      // An idle client holds no block: whether octets are there, only OpenSSL knows.
      reading_ = true;
      auto [error] = co_await channel_.socket().async_wait(asio::socket_base::wait_read, use);
      reading_ = false;
      turn_ = 0;
      if (watchdog_.fired()) co_return false;
      if (stopping_ && error == asio::error::operation_aborted && between_transactions()) continue;
      if (error) co_return false;
      more_is_there_ = true;
      continue;
    } else {
      // Not a wait and then a read: Asio's wait is a call of the kernel (epoll_ctl) each time.
      const asio::mutable_buffer space = input_.space(content ? Input::content : Input::command);
      reading_ = true;
      auto [error, got] = co_await channel_.socket().async_read_some(space, use);
      reading_ = false;
      turn_ = 0;
      if (watchdog_.fired()) co_return false;
      // The stop ends a read of an idle client only: what arrived just before it is still answered.
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
  StreamSocket& socket = channel_.socket();
  std::error_code error;
  if (!channel_.plain()) channel_.tls()->shut_down();
  socket.shutdown(asio::socket_base::shutdown_send, error);
  if (error || socket.available(error) == 0) co_return;
  watchdog_.limit(std::chrono::seconds(2));
  input_.keep({});
  for (std::size_t thrown_away = 0; thrown_away < (1u << 20);) {
    auto [waited] = co_await socket.async_wait(asio::socket_base::wait_read, use);
    if (waited) co_return;
    const std::size_t octets = socket.read_some(input_.space(Input::content), error);
    if (error && error != asio::error::would_block) co_return;
    thrown_away += octets;
  }
}

Session::Action Session::step(std::string_view& input) {
  std::optional<store::Read> read;  // one for a group of questions; gone before anything is awaited
  for (std::size_t questions = 0;; ++questions) {
    if (questions == turn_questions) return {What::enough, {}};
    Action action = dialog_.consume(input, out_, intake_.bytes());
    if (action.what != What::ask) {
      intake_.follow(action);
      return action;
    }
    // Behind a refused message, in one piece with its end: what was staged of it is not the next one's.
    if (intake_.must_forget()) intake_.follow(action);
    if (must_wait()) return action;
    action = dialog_.answer(answer(read), out_);
    if (action.what != What::more) return action;
  }
}

Dialog::Answer Session::answer(std::optional<store::Read>& read) {
  // From cheap to dear, and what concerns all mail before what concerns this recipient: a server without room looks up
  // nobody's address, and a rate is spent only by a recipient that exists.
  const auto* rcpt = std::get_if<smtp::RcptArgument>(&dialog_.asked());
  if (rcpt == nullptr) {
    intake_.new_sender();
    // A sender: nothing is asked of it but that there is room for its mail.
    const auto& mail = std::get<smtp::MailArgument>(dialog_.asked());
    if (auto later = refused_for_now(reception_, mail.size)) {
      log_.refused(mail.reverse_path ? mail.reverse_path->text() : std::string(), "", *later);
      return *std::move(later);
    }
    if (auto later = over_rate(false)) return *std::move(later);
    return may_send(mail, read);
  }
  const smtp::Transaction& transaction = dialog_.transaction();
  if (screens_) {
    if (auto refusal = screened(*rcpt)) {
      log_.refused(transaction.reverse_path, rcpt->forward_path ? rcpt->forward_path->text() : "postmaster",
                   *refusal);
      return *std::move(refusal);
    }
  }
  if (!read) read.emplace(reception_.store);
  AddressBook::Answer found = rules_->addresses.look_up(*read, rcpt->forward_path, transaction,
                                                        dialog_.may_relay(), reception_.store.now());
  if (found) {
    if (auto later = refused_for_now(reception_, transaction, *found)) {
      log_.refused(transaction.reverse_path, found->address, *later);
      return *std::move(later);
    }
    if (auto later = over_rate(true)) return *std::move(later);
    return std::move(*found);
  }
  log_.refused(transaction.reverse_path, rcpt->forward_path ? rcpt->forward_path->text() : "postmaster",
               found.error());
  return std::move(found.error());
}

Dialog::Answer Session::may_send(const smtp::MailArgument& mail, std::optional<store::Read>& read) {
  if (dialog_.user().empty()) return Dialog::Granted();
  if (!read) read.emplace(reception_.store);
  auto refusal =
      sender_refusal(*read, dialog_.user(), rules_->settings->submission.senders, mail.reverse_path);
  if (!refusal) return Dialog::Granted();
  log_.refused(mail.reverse_path ? mail.reverse_path->text() : std::string(), "", *refusal);
  return *std::move(refusal);
}

}  // namespace spoold::server
