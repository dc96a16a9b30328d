#include "server/inbound/filter.hpp"

#include <algorithm>

namespace spoold::server {
namespace {

using Got = milter::Conversation::Got;
constexpr std::size_t block_size = 16 << 10;

asio::generic::stream_protocol::endpoint endpoint_of(const conf::Milter& milter) {
  if (!milter.path.empty()) return asio::local::stream_protocol::endpoint(milter.path);
  return asio::ip::tcp::endpoint(asio::ip::make_address(milter.host), milter.port);
}

}  // namespace

Filter::Filter(const conf::Milter& settings, asio::any_io_executor executor)
    : settings_(settings), executor_(std::move(executor)) {}

// A filter that hears of the end does not take it for a crash. Nobody waits for it.
Filter::~Filter() {
  if (!socket_ || !conversation_) return;
  std::string bye;
  milter::Conversation::quit(bye);
  std::error_code ignored;
  socket_->write_some(asio::buffer(bye), ignored);
}

void Filter::close() {
  closed_ = true;
  std::error_code ignored;
  if (socket_) socket_->close(ignored);
}

void Filter::rest() {
  out_ = std::string();
  block_ = std::string();
  if (conversation_) conversation_->rest();
}

bool Filter::fail(const char* step, std::string why) {
  trouble_ = std::string(step) + ": " + std::move(why);
  std::error_code ignored;
  if (socket_) socket_->close(ignored);
  conversation_.reset();
  out_.clear();
  return false;
}

bool Filter::lost(const char* step, const std::error_code& error) {
  if (late_) return fail(step, "no answer in time");
  if (closed_) return fail(step, "the session was ended");
  if (error == asio::error::eof) return fail(step, "the filter closed the connection");
  return fail(step, error.message());
}

// Also what has come and was not read: answers have no numbers, and one too many would be taken for that to the next question.
bool Filter::says_nothing(const char* step, std::error_code& error) {
  char octet = 0;
  if (!conversation_->stray()) {
    socket_->receive(asio::buffer(&octet, 1), asio::socket_base::message_peek, error);
    if (error) return error == asio::error::would_block;
  }
  return fail(step, "an answer that nobody waited for");
}

bool Filter::still_usable() {
  trouble_.clear();
  std::error_code error;
  if (says_nothing("between two messages", error)) return true;
  if (error) {  // it has ended, as filters do when they are started anew
    fail("idle", "closed");
    trouble_.clear();
  }
  return false;
}

void Filter::begin_wait() {
  waits_since_ = Clock::now();
  late_ = false;
  if (!watchdog_)
    watchdog_.emplace(executor_, [this] {
      late_ = true;
      std::error_code ignored;
      if (socket_) socket_->close(ignored);
    });
  watchdog_->limit(
      std::max(std::chrono::milliseconds(1), std::min<std::chrono::milliseconds>(settings_.timeout, left_)));
}

void Filter::end_wait() {
  watchdog_->rest();
  left_ -= std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - waits_since_);
}

Awaitable<bool> Filter::open() {
  trouble_.clear();
  out_.clear();
  if (closed_) co_return fail("connect", "the session was ended");
  const auto endpoint = endpoint_of(settings_);
  socket_.emplace(executor_);
  begin_wait();
  auto [error] = co_await socket_->async_connect(endpoint, use);
  end_wait();
  if (error) co_return lost("connect", error);
  std::error_code ignored;
  socket_->non_blocking(true, ignored);
  if (settings_.path.empty()) socket_->set_option(asio::ip::tcp::no_delay(true), ignored);
  conversation_.emplace();
  const bool answer = conversation_->negotiate(out_);
  const bool agreed = co_await exchange(answer, "negotiation");
  co_return agreed;
}

Awaitable<bool> Filter::send(const char* step) {
  if (out_.empty()) co_return true;
  std::error_code closed;
  if (!says_nothing(step, closed)) co_return closed ? lost(step, closed) : false;
  begin_wait();
  const auto buffer = asio::buffer(out_);
  auto [error, octets] = co_await asio::async_write(*socket_, buffer, use);
  end_wait();
  out_.clear();
  if (error) co_return lost(step, error);
  co_return true;
}

Awaitable<std::optional<Got>> Filter::hear(const char* step) {
  Got got = conversation_->next();
  if (got == Got::more) {
    if (left_.count() <= 0) late_ = true;
    if (late_) {
      fail(step, "no answer in time");
      co_return std::optional<Got>();
    }
    block_.resize(block_size);
    const auto buffer = asio::buffer(block_);
    auto [error, octets] = co_await socket_->async_read_some(buffer, use);
    if (error) {
      lost(step, error);
      co_return std::optional<Got>();
    }
    conversation_->feed(std::string_view(block_).substr(0, octets));
    got = conversation_->next();
  }
  if (got == Got::failed) {
    const std::string why = conversation_->fault();
    fail(step, why);
    co_return std::optional<Got>();
  }
  co_return got;
}

// The time of one answer begins when the question is sent; progress starts it anew, within what is left for the message.
Awaitable<bool> Filter::exchange(bool answer, const char* step) {
  const bool sent = co_await send(step);
  if (!sent) co_return false;
  if (!answer) co_return true;
  begin_wait();
  for (;;) {
    const std::optional<Got> got = co_await hear(step);
    if (!got || *got == Got::answered) {
      end_wait();
      co_return got.has_value();
    }
    if (*got == Got::progress) {
      end_wait();
      begin_wait();
    }
  }
}

}  // namespace spoold::server
