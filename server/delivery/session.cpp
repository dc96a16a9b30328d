#include "server/delivery/session.hpp"

#include <cerrno>
#include <utility>

#include "server/crash_notes.hpp"

namespace spoold::server {
namespace {

// Of this machine, whatever the host: no descriptors, no memory, a source address that it does not have or that
// has no free port.
bool is_ours(const std::error_code& error) {
  for (const int one : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL})
    if (error.value() == one) return true;
  return false;
}

}  // namespace

OutboundSession::OutboundSession(Owner& owner, const asio::any_io_executor& executor,
                                 std::vector<Target> targets, smtp::ClientDialog::Options options,
                                 Security security)
    : owner_(owner),
      channel_(executor),
      targets_(std::move(targets)),
      options_(std::move(options)),
      security_(std::move(security)),
      dialog_(options_),
      sending_([this](delivery::MessageId message, std::uint32_t number) {
        return owner_.sending(*this, message, number);
      }),
      remote_(targets_.empty() ? "" : targets_.front().text),
      connect_error_("no address to connect to, of a family that [delivery] source has"),
      refused_by_all_(!targets_.empty()) {
  watch();
}

void OutboundSession::watch() {
  watchdog_.emplace(channel_.socket().get_executor(), [this] { channel_.close(); });
}

void OutboundSession::start() {
  const auto executor = channel_.socket().get_executor();
  asio::co_spawn(executor, run(shared_from_this()), [self = shared_from_this()](std::exception_ptr bug) {
    if (bug) self->threw(std::move(bug));
  });
}

// The connection is cut where it stands: a content that broke off in the middle must not be completed.
void OutboundSession::threw(std::exception_ptr why) {
  try {
    abort();
  } catch (...) {  // the owner finds out that nothing was reported
  }
  owner_.threw(*this, std::move(why));
}

Awaitable<> OutboundSession::run(std::shared_ptr<OutboundSession> self) {
  OutboundSession& s = *self;
  do {
    const bool connected = co_await s.connect();
    if (!connected && !s.over_ && s.security_.require_tls) continue;
    if (!connected || s.over_) {
      s.give_up(s.connect_error_);
      co_return;
    }
    s.step_limit();
    while (!s.over_) {
      if (s.dialog_.wants_handshake()) {
        const bool secured = co_await s.handshake();
        if (!secured) break;
      }
      std::error_code error;
      std::size_t n = 0;
      if (s.channel_.plain()) {
        auto [failed, got] = co_await s.channel_.socket().async_read_some(asio::buffer(s.in_), use);
        error = failed;
        n = got;
      } else {
        n = s.channel_.tls()->read_some(asio::buffer(s.in_), error);
        if (error == asio::error::would_block) {
          auto [failed] = co_await s.channel_.socket().async_wait(Socket::wait_read, use);
          if (!failed) continue;
          error = failed;
        }
      }
      if (error) {
        s.over(error);
        break;
      }
      s.took(n);
    }
  } while (s.fall_back() || s.another_target());
}

// ---- connecting

Awaitable<bool> OutboundSession::connect() {
  while (!over_ && target_ < targets_.size()) {
    const Target& target = targets_[target_++];
    const bool done = co_await try_target(target);
    if (done) co_return true;
  }
  co_return false;
}

Awaitable<bool> OutboundSession::try_target(const Target& target) {
  remote_ = target.text;
  // Whose name came by DNS that anybody can have written is no host to authenticate.
  if (security_.require_tls && !security_.domain.empty() && !target.secure) {
    unfit({550,
           {5, 7, 10},
           "REQUIRETLS: the MX records that lead to " + remote_ + " are not validated by DNSSEC"});
    co_return false;
  }
  watch();
  watchdog_->limit(options_.timeouts.connect);
  std::error_code error = open(target);
  if (!error) {
    auto [failed] = co_await channel_.socket().async_connect(target.endpoint, use);
    error = failed;
  }
  if (watchdog_->fired()) error = asio::error::timed_out;
  if (error && is_ours(error))
    fault_ = "cannot connect to " + remote_ + ": " + error.message() +
             (target.source ? " (from " + target.source->to_string() + ")" : std::string());
  else if (error)
    met_host_ = true;
  if (error || over_) {
    refused_by_all_ = false;
    connect_error_ = "cannot connect to " + remote_ + ": " + error.message();
    if (security_.require_tls) unfit({451, {4, 4, 1}, "REQUIRETLS: " + connect_error_});
    co_return false;
  }
  std::error_code ignored;
  if (!target.local()) channel_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  channel_.socket().non_blocking(true, ignored);
  plan();
  co_return true;
}

std::error_code OutboundSession::open(const Target& target) {
  std::error_code error, ignored;
  channel_.close();
  channel_.socket().open(target.endpoint.protocol(), error);
  if (!error && target.source) channel_.socket().bind(asio::ip::tcp::endpoint(*target.source, 0), error);
  return error;
}

// A connection that ended before EHLO was answered: begins anew with the next target, if there is one.
bool OutboundSession::another_target() {
  if (told_connected_ || aborted_ || failed_here_ || waiting_ || concluded_) return false;
  if (target_ == targets_.size() && !security_.require_tls) return false;
  ended_unfit();
  dialog_ = smtp::ClientDialog(options_);
  over_ = writing_ = broken_ = leaving_ = false;
  how_ = How::closed;
  met_host_ = true;
  return true;
}

void OutboundSession::give_up(std::string text) {
  if (std::exchange(concluded_, true)) return;
  over_ = true;
  watchdog_->stop();
  if (!fault_.empty() && !met_host_) return owner_.fault(*this, fault_);
  LastReply why;
  why.reply.text = std::move(text);
  why.remote = remote_;
  why.stage = Stage::connect;
  owner_.failed(*this, why);
}

// ---- reading

void OutboundSession::took(std::size_t n) {
  if (writing_) dialog_.partly_written(out_.commands_taken(), out_.contents_taken());
  const std::size_t replies = dialog_.received(std::string_view(in_.data(), n));
  if (dialog_.established() && !told_connected_ && !leaving_ && !dialog_.failed()) {
    leaving_ = !fit_for_require_tls();
    told_connected_ = !leaving_;
    if (leaving_)
      dialog_.quit();
    else
      owner_.connected(*this);
  }
  tell_heard();
  if (dialog_.failed() || dialog_.finished()) return over(asio::error::eof);
  if (replies > 0 && !writing_) step_limit();
  pump();
}

void OutboundSession::tell_heard() {
  for (delivery::Observation& seen : dialog_.take_finished()) owner_.heard(*this, std::move(seen));
}

// The time the peer has for what it owes us; a reply starts it anew, single octets do not.
void OutboundSession::step_limit() {
  if (writing_) return watchdog_->limit(dialog_.block_limit());
  const auto limit = dialog_.limit();
  if (limit) return watchdog_->limit(*limit);
  watchdog_->rest();
}

// ---- writing

void OutboundSession::pump() {
  guarded([this] { feed(); });
}

void OutboundSession::feed() {
  if (writing_ || over_ || broken_) return;
  for (;;) {
    bool begun = false;
    while (dialog_.wants_next()) {
      auto mail = owner_.next(*this);
      if (!mail || over_) break;
      dialog_.begin(std::move(*mail));
      begun = true;
    }
    const bool owed = dialog_.limit().has_value();
    const bool more = dialog_.output(out_.output, sending_);
    tell_heard();
    if (over_) return;
    if (!more) {
      if (!begun) return;
      continue;  // it was refused or withdrawn before a command was needed: perhaps there is another
    }
    if (!start_write()) return;
    if (!owed) step_limit();
  }
}

store::Id OutboundSession::in_output() const {
  return out_.output.contents.empty() ? 0 : out_.output.contents.front().message;
}

bool OutboundSession::start_write() {
  out_.begin();
  writing_ = true;  // before a content that may throw: nothing of this output is written then
  const crash::Handling handling(in_output());
  for (const auto& content : out_.output.contents) {
    if (content.copy && content.copy->data)
      out_.add(Gather::Rope{content.chunk ? content.copy->chunk : content.copy->data});
    else
      out_.add(owner_.content(*this, content.message, content.chunk, content.copy));
  }
  return write_on();
}

// True: all of the output is with the kernel. False: it waits, or the connection broke.
bool OutboundSession::write_on() {
  for (auto buffers = out_.next(); !buffers.empty(); buffers = out_.next()) {
    std::error_code error;
    const std::size_t n = channel_.write_some(buffers, error);
    if (error == asio::error::would_block || error == asio::error::try_again) {
      wait_writable();
      return false;
    }
    if (error) {
      write_failed(error);
      return false;
    }
    bytes_out_ += n;
    out_.took(n);
  }
  writing_ = false;
  out_.clear();
  dialog_.written();
  return true;
}

void OutboundSession::wait_writable() {
  waiting_ = true;
  watchdog_->limit(dialog_.block_limit());
  channel_.socket().async_wait(Socket::wait_write, [self = shared_from_this()](std::error_code error) {
    self->waiting_ = false;
    self->guarded([&s = *self, error] {
      if (s.over_) return s.conclude();
      if (error) return s.write_failed(error);
      {
        const crash::Handling handling(s.in_output());
        if (!s.write_on()) return;
      }
      s.step_limit();
      s.feed();
    });
  });
}

// The peer is gone or going: what it said before is still to be read, so only the reader ends the session.
void OutboundSession::write_failed(std::error_code) {
  broken_ = true;
  writing_ = false;
  dialog_.partly_written(out_.commands_taken(), out_.contents_taken());
  how_ = How::reset;
  watchdog_->limit(std::chrono::seconds(10));
}

// ---- the end

void OutboundSession::quit() {
  if (over_) return;
  if (!dialog_.established()) return abort();
  dialog_.quit();
}

void OutboundSession::abort() {
  aborted_ = true;
  channel_.close();
  if (!over_) over(asio::error::operation_aborted);
}

void OutboundSession::over(std::error_code error) {
  if (std::exchange(over_, true)) return;
  if (aborted_)
    how_ = How::ours;  // not the peer's doing, whatever it owed us
  else if (watchdog_->fired() && !broken_)
    how_ = How::timeout;
  else if (error == asio::error::connection_reset || error == asio::error::broken_pipe)
    how_ = How::reset;
  watchdog_->stop();
  channel_.close();
  refused_by_all_ = refused_by_all_ && dialog_.takes_no_mail();
  const bool next = !told_connected_ && !aborted_ && !failed_here_ && !waiting_ &&
                    (target_ < targets_.size() || security_.require_tls);
  // A write that waits is none that is pending: an abort concludes at once, its owner may end right behind it.
  if ((!waiting_ || aborted_) && !next && !may_fall_back()) conclude();
}

void OutboundSession::conclude() {
  if (std::exchange(concluded_, true)) return;
  if (writing_ && !broken_) {  // what the kernel took of it is known exactly: no write is pending
    dialog_.partly_written(out_.commands_taken(), out_.contents_taken());
    writing_ = false;
  }
  dialog_.end(how_);
  for (delivery::Observation& seen : dialog_.take_finished()) owner_.heard(*this, std::move(seen));
  const delivery::Drop& drop = dialog_.drop();
  if (failed_here_) return owner_.fault(*this, fault_);
  if (!told_connected_) {
    LastReply why;
    why.reply = drop.reply;
    if (why.reply.code == 0) why.reply.text = drop.text;
    why.remote = remote_;
    why.stage = drop.oldest == Stage::none ? Stage::ehlo : drop.oldest;
    return owner_.failed(*this, why);
  }
  owner_.gone(*this, dialog_.left_in_order(), drop, dialog_.take_open());
}

}  // namespace spoold::server
