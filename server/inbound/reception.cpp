#include "server/inbound/reception.hpp"

#include "server/inbound/listener.hpp"
#include "server/inbound/session.hpp"
#include "server/log.hpp"

namespace spoold::server {

Reception::Reception(const conf::Settings& settings_, store::Store& store_, Threads& threads, Stats& stats_,
                     list::Hmac hmac, Wake wake_)
    : settings(settings_),
      store(store_),
      stats(stats_),
      addresses(settings_, std::move(hmac)),
      wake(std::move(wake_)),
      threads_(threads) {
  smtp_.hostname = settings.hostname;
  smtp_.max_recipients = static_cast<std::size_t>(settings.smtp.max_recipients);
  smtp_.content.size = settings.smtp.max_message_size;
  lmtp_ = smtp_;
  lmtp_.lmtp = true;
}

Reception::~Reception() = default;

tl::expected<void, std::string> Reception::bind() {
  for (const conf::Listen& where : settings.listen) {
    auto made = Listener::bind(threads_.context(0), where);
    if (!made) {
      listeners_.clear();
      return tl::unexpected<std::string>(made.error());
    }
    listeners_.push_back(*std::move(made));
  }
  return {};
}

void Reception::start() {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    const bool lmtp = settings.listen[i].protocol == conf::Listen::Protocol::lmtp;
    asio::co_spawn(threads_.context(0), Listener::serve(listeners_[i], *this, lmtp ? lmtp_ : smtp_, threads_),
                   rethrow);
  }
}

void Reception::stop() {
  census.stop();
  for (const auto& listener : listeners_) listener->close();
  for (const auto& session : census.all()) session->stop();
}

void Reception::cut_off() {
  for (const auto& session : census.all()) session->cut_off();
}

void Reception::hurry() {
  for (const auto& session : census.all()) session->hurry();
}

std::uint16_t Reception::port(std::size_t n) const {
  return listeners_[n]->port();
}

}  // namespace spoold::server
