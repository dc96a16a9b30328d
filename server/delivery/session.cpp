#include "server/delivery/session.hpp"

#include <utility>

namespace spoold::server {
namespace {

Target target_of(const asio::ip::tcp::endpoint& endpoint, const std::string& host) {
  Target target;
  target.endpoint = endpoint;
  target.host = host;
  target.text = host + "[" + endpoint.address().to_string() + "]:" + std::to_string(endpoint.port());
  return target;
}

}  // namespace

OutboundSession::OutboundSession(Owner& owner, asio::any_io_executor executor,
                                 std::optional<conf::NextHop> hop, smtp::ClientDialog::Options options)
    : owner_(owner),
      socket_(executor),
      resolver_(executor),
      hop_(std::move(hop)),
      timeouts_(options.timeouts),
      dialog_(std::move(options)),
      sending_([this](delivery::MessageId message, std::uint32_t number) {
        return owner_.sending(*this, message, number);
      }),
      watchdog_(executor,
                [this] {
                  std::error_code ignored;
                  resolver_.cancel();
                  socket_.close(ignored);
                }),
      remote_(hop_ ? hop_->text : "") {}

void OutboundSession::start() {
  const auto executor = socket_.get_executor();
  asio::co_spawn(executor, run(shared_from_this()), [self = shared_from_this()](std::exception_ptr bug) {
    if (!bug) return;
    self->abort();
    std::rethrow_exception(bug);
  });
}

Awaitable<> OutboundSession::run(std::shared_ptr<OutboundSession> self) {
  OutboundSession& s = *self;
  const bool connected = co_await s.connect();
  if (!connected || s.over_) {
    s.give_up(s.connect_error_);
    co_return;
  }
  s.step_limit();
  while (!s.over_) {
    auto [error, n] = co_await s.socket_.async_read_some(asio::buffer(s.in_), use);
    if (error) {
      s.over(error);
      break;
    }
    s.took(n);
  }
}

// ---- connecting

Awaitable<bool> OutboundSession::connect() {
  if (!hop_) {
    connect_error_ = "no next hop is configured for this route";
    co_return false;
  }
  const conf::NextHop hop = *hop_;
  if (!hop.path.empty()) {
    Target target;
    target.endpoint = asio::local::stream_protocol::endpoint(hop.path);
    target.text = "unix:" + hop.path;
    const bool done = co_await try_target(std::move(target));
    co_return done;
  }
  std::error_code not_literal;
  const auto literal = asio::ip::make_address(hop.host, not_literal);
  if (!not_literal) {
    Target target = target_of({literal, hop.port}, hop.host);
    const bool done = co_await try_target(std::move(target));
    co_return done;
  }
  watchdog_.limit(timeouts_.connect);
  const std::string port = std::to_string(hop.port);
  auto [error, found] = co_await resolver_.async_resolve(hop.host, port, use);
  if (error || watchdog_.fired()) {
    connect_error_ =
        "cannot resolve " + hop.host + ": " + (watchdog_.fired() ? "timed out" : error.message());
    co_return false;
  }
  for (const auto& entry : found) {
    if (over_) co_return false;
    Target target = target_of(entry.endpoint(), hop.host);
    const bool done = co_await try_target(std::move(target));
    if (done) co_return true;
    if (watchdog_.fired()) co_return false;
  }
  co_return false;
}

Awaitable<bool> OutboundSession::try_target(Target target) {
  std::error_code ignored;
  socket_.close(ignored);
  remote_ = target.text;
  watchdog_.limit(timeouts_.connect);
  auto [error] = co_await socket_.async_connect(target.endpoint, use);
  if (watchdog_.fired()) error = asio::error::timed_out;
  if (error || over_) {
    connect_error_ = "cannot connect to " + remote_ + ": " + error.message();
    co_return false;
  }
  if (!target.local()) socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  co_return true;
}

void OutboundSession::give_up(std::string text) {
  if (std::exchange(concluded_, true)) return;
  over_ = true;
  watchdog_.stop();
  LastReply why;
  why.reply.text = std::move(text);
  why.remote = remote_;
  why.stage = Stage::connect;
  owner_.failed(*this, why);
}

// ---- reading

void OutboundSession::took(std::size_t n) {
  const std::size_t replies = dialog_.received(std::string_view(in_.data(), n));
  if (dialog_.established() && !told_connected_ && !dialog_.failed()) {
    told_connected_ = true;
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
  if (writing_) return watchdog_.limit(dialog_.block_limit());
  const auto limit = dialog_.limit();
  if (limit) return watchdog_.limit(*limit);
  watchdog_.rest();
}

// ---- writing

void OutboundSession::pump() {
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

bool OutboundSession::start_write() {
  out_.begin();
  for (const auto& content : out_.output.contents) out_.add(owner_.content(content.message, content.chunk));
  writing_ = true;
  return write_on();
}

// True: all of the output is with the kernel. False: it waits, or the connection broke.
bool OutboundSession::write_on() {
  for (auto buffers = out_.next(); !buffers.empty(); buffers = out_.next()) {
    std::error_code error;
    const std::size_t n = socket_.write_some(buffers, error);
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
  watchdog_.limit(dialog_.block_limit());
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](std::error_code error) {
    OutboundSession& s = *self;
    s.waiting_ = false;
    if (s.over_) return s.conclude();
    if (error) return s.write_failed(error);
    if (!s.write_on()) return;
    s.step_limit();
    s.pump();
  });
}

// The peer is gone or going: what it said before is still to be read, so only the reader ends the session.
void OutboundSession::write_failed(std::error_code) {
  broken_ = true;
  writing_ = false;
  dialog_.partly_written(out_.commands_taken(), out_.contents_taken());
  how_ = How::reset;
  watchdog_.limit(std::chrono::seconds(10));
}

// ---- the end

void OutboundSession::quit() {
  if (over_) return;
  if (!dialog_.established()) return abort();
  dialog_.quit();
}

void OutboundSession::abort() {
  std::error_code ignored;
  resolver_.cancel();
  socket_.close(ignored);
  if (!over_) over(asio::error::operation_aborted);
}

void OutboundSession::over(std::error_code error) {
  if (std::exchange(over_, true)) return;
  if (watchdog_.fired() && !broken_)
    how_ = How::timeout;
  else if (error == asio::error::connection_reset || error == asio::error::broken_pipe)
    how_ = How::reset;
  watchdog_.stop();
  std::error_code ignored;
  socket_.close(ignored);
  if (!waiting_) conclude();
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
