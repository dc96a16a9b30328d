// Who a stranger is, before he sends anything: DNS lists, reverse DNS, HELO, and whether he waits for the greeting.
#include "protocol/mail/ascii.hpp"
#include "server/delivery/ip.hpp"
#include "server/inbound/session.hpp"

namespace spoold::server {

void Session::screen() {
  const conf::Settings& settings = *rules_->settings;
  screens_ = dialog_.stranger() && !dialog_.is_proxy() && !dialog_.profile().lmtp &&
             !dialog_.profile().submission &&
             (Screening::asks(settings) || settings.smtp.helo != conf::Smtp::Helo::off ||
              settings.smtp.greeting_delay.count() > 0);
  if (!screens_ || !Screening::asks(settings)) return;
  screening_ = std::make_shared<Screening>(reception_.resolver, reception_.stats, executor(),
                                           reception_.blocklists, rules_->settings, octets(peer_.address));
  screening_->begin();
}

/// A login is looked up; the first recipient waits for what is asked about the client; filters judge senders and recipients.
bool Session::must_wait() const {
  if (filters_ || std::holds_alternative<smtp::sasl::Question>(dialog_.asked())) return true;
  return screening_ && !screening_->answered() && std::holds_alternative<smtp::RcptArgument>(dialog_.asked());
}

Awaitable<smtp::ServerDialog::Answer> Session::awaited() {
  if (std::holds_alternative<smtp::sasl::Question>(dialog_.asked())) {
    smtp::ServerDialog::Answer login = co_await log_in();
    co_return login;
  }
  const bool recipient = std::holds_alternative<smtp::RcptArgument>(dialog_.asked());
  if (recipient && screening_ && !screening_->answered()) co_await screening_->answers();
  std::optional<store::Read> read;
  smtp::ServerDialog::Answer ours = answer(read);
  read.reset();
  if (!filters_) co_return ours;
  smtp::ServerDialog::Answer all = co_await filtered(std::move(ours));
  co_return all;
}

// A client that sends before it is greeted does not read replies. The wait ends early when it does, or leaves.
Awaitable<bool> Session::talks_early() {
  asio::steady_timer delay(executor(), rules_->settings->smtp.greeting_delay);
  const auto waiting = std::make_shared<bool>(true);
  delay.async_wait([this, waiting](const std::error_code& error) {
    std::error_code ignored;
    if (!error && *waiting) channel_.socket().cancel(ignored);
  });
  auto [error] = co_await channel_.socket().async_wait(asio::socket_base::wait_read, use);
  *waiting = false;
  std::error_code failed;
  const bool early = !error && channel_.socket().available(failed) > 0;
  if (early) ++reception_.stats.early_talkers;
  co_return early;
}

std::optional<smtp::Reply> Session::screened(const smtp::RcptArgument& rcpt) {
  if (!rcpt.forward_path) return {};
  const std::string& local = rcpt.forward_path->local();
  if (mail::same(local, "postmaster") || mail::same(local, "abuse")) return {};
  if (rules_->settings->smtp.helo == conf::Smtp::Helo::reject) {
    if (const auto fault =
            auth::helo_fault(dialog_.hello(), octets(peer_.address), rules_->settings->hostname)) {
      if (!std::exchange(helo_counted_, true)) ++reception_.stats.helo_refused;
      return smtp::Reply{550, {5, 5, 4}, "HELO: " + *fault + "; say the full name of your host"};
    }
  }
  if (!screening_) return {};
  return screening_->refusal();
}

}  // namespace spoold::server
