// TLS of an outbound session: what is asked of it at the address at hand, the handshake, and plain text where
// TLS was only an offer and did not work.
#include <utility>

#include "server/delivery/session.hpp"

namespace spoold::server {
namespace {

bool is_loopback(const Target& target) {
  if (target.local()) return false;
  asio::ip::tcp::endpoint endpoint;
  if (target.endpoint.size() > endpoint.capacity()) return false;
  std::memcpy(endpoint.data(), target.endpoint.data(), target.endpoint.size());
  return endpoint.address().is_loopback();
}

TimePoint clock_now() {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

}  // namespace

// Before the first octet: the dialog begins with what this address is to be asked for.
void OutboundSession::plan() {
  delivery::TlsFacts facts;
  facts.host = target().host;
  facts.domain = security_.domain;
  facts.tlsa_base = target().tlsa_base;
  facts.tlsa = &target().tlsa;
  facts.unix_socket = target().local();
  facts.loopback = is_loopback(target());
  facts.implicit = target().implicit_tls;
  facts.failed_lately =
      in_plain_ == &target() || security_.client->plaintext.contains(target().text, clock_now());
  options_.tls = delivery::plan_tls(security_.rules, facts);
  dialog_ = smtp::ClientDialog(options_);
  tls_used_.clear();
}

Awaitable<bool> OutboundSession::handshake() {
  watchdog_->limit(options_.timeouts.mail);
  auto stream = security_.client->begin(channel_.socket().native_handle(), target(), options_.tls);
  auto want = TlsStream::Want::failed;
  std::string why;
  if (!stream) {
    fail_here(stream.error());
    co_return false;
  }
  channel_.begin_tls(std::move(*stream));
  while (why.empty() && !over_ && !channel_.plain()) {
    want = channel_.tls()->handshake();
    if (want == TlsStream::Want::done) break;
    if (want == TlsStream::Want::failed) {
      why = channel_.tls()->failure();
      break;
    }
    const auto readiness = want == TlsStream::Want::read ? Socket::wait_read : Socket::wait_write;
    auto [error] = co_await channel_.socket().async_wait(readiness, use);
    if (error) why = watchdog_->fired() ? "timed out during the TLS handshake" : error.message();
  }
  if (over_) co_return false;
  if (!channel_.plain() && channel_.tls()->failed_here()) {
    fail_here(std::move(why));
    co_return false;
  }
  if (want != TlsStream::Want::done || channel_.plain()) {
    security_.client->forget(target(), options_.tls);
    dialog_.handshake_failed(std::move(why));
    over(asio::error::eof);
    co_return false;
  }
  tls_used_ = channel_.tls()->used();
  dialog_.secured();
  pump();
  step_limit();
  co_return !over_;
}

// TLS failed on this machine: the peer's TLS is as good as before. Neither plain text nor another target would
// mend it.
void OutboundSession::fail_here(std::string why) {
  failed_here_ = true;
  fault_ = "TLS with " + remote_ + ": " + std::move(why);
  over(asio::error::operation_aborted);
}

bool OutboundSession::may_fall_back() const {
  return !failed_here_ && !told_connected_ && !aborted_ && target_ > 0 && in_plain_ != &target() &&
         options_.tls.may_fall_back && options_.tls.use != delivery::TlsPlan::Use::never &&
         dialog_.tls_broke();
}

// Where TLS is only an offer: once more, in plain text, on a new connection.
bool OutboundSession::fall_back() {
  if (concluded_ || waiting_ || !may_fall_back()) return false;
  dialog_.end(how_);
  tls_failure_ = dialog_.drop().text;
  security_.client->plaintext.add(target().text, clock_now());
  tls_used_.clear();
  in_plain_ = &target();
  --target_;
  over_ = writing_ = broken_ = false;
  how_ = How::closed;
  return true;
}

}  // namespace spoold::server
