// TLS of an outbound session: what is asked of it at the address at hand, the handshake, and plain text where
// TLS was only an offer and did not work.
#include <algorithm>
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
  delivery::TlsRules rules = security_.rules;
  rules.require_tls = security_.require_tls && !mailboxes_here();
  options_.tls = delivery::plan_tls(rules, facts);
  dialog_ = smtp::ClientDialog(options_);
  tls_used_.clear();
}

// A host that keeps mailboxes passes nothing on, and nothing of the way to it leaves this machine.
bool OutboundSession::mailboxes_here() const {
  return options_.lmtp && target_ > 0 && (target().local() || is_loopback(target()));
}

// EHLO was answered, and TLS is as it was planned.
bool OutboundSession::fit_for_require_tls() {
  if (!security_.require_tls || mailboxes_here()) return true;
  protects_ = dialog_.offered().require_tls && !tls_used_.empty();
  if (!protects_) unfit({550, {5, 7, 30}, "REQUIRETLS is needed, and not offered by " + remote_});
  return protects_;
}

void OutboundSession::unfit(smtp::Reply why) {
  unfit_.emplace_back(&target(), std::move(why));
}

// What may pass goes before what will not, but for a further address of a host that was met at another one. A host that was
// authenticated goes before those that were not.
smtp::Reply OutboundSession::why_none_protects() const {
  const auto met = [this](const std::string& host) {
    return std::ranges::any_of(
        unfit_, [&](const auto& one) { return one.first->host == host && one.second.code >= 500; });
  };
  const smtp::Reply* worst = nullptr;
  const auto rank = [](const smtp::Reply& reply) {
    return reply.code < 500 ? 2 : reply.enhanced.detail == 30 ? 1 : 0;
  };
  for (const auto& [target, why] : unfit_) {
    if (why.code < 500 && met(target->host)) continue;
    if (worst == nullptr || rank(*worst) < rank(why)) worst = &why;
  }
  return worst != nullptr ? *worst : smtp::Reply{451, {4, 4, 1}, "REQUIRETLS: there is no host to try"};
}

// A connection ended before EHLO was answered. Behind the last target all are tried once more, for mail without REQUIRETLS.
void OutboundSession::ended_unfit() {
  if (!security_.require_tls) return;
  if (!leaving_ && over_) {
    dialog_.end(how_);
    const delivery::Drop& drop = dialog_.drop();
    const bool may_pass = drop.oldest == Stage::greeting || drop.how == How::timeout ||
                          drop.how == How::reset || drop.reply.code / 100 == 4;
    const std::string text = "REQUIRETLS: " + remote_ + ": " + drop.text;
    unfit(may_pass ? smtp::Reply{451, {4, 7, 10}, text} : smtp::Reply{550, {5, 7, 10}, text});
  }
  if (target_ < targets_.size()) return;
  security_.require_tls = false;
  unprotected_ = why_none_protects();
  target_ = 0;
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
