#include "server/inbound/reception.hpp"

#include "server/inbound/listener.hpp"
#include "server/inbound/session.hpp"
#include "server/log.hpp"

namespace spoold::server {

Census::Entry Census::enter(const Peer& peer, bool trusted, const conf::Smtp& limits) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return Entry::stopping;
  if (total_ >= limits.max_connections) return Entry::too_many;
  if (!trusted && !peer.unix_socket) {
    int& of_host = by_host_[peer.host];
    if (of_host >= limits.max_connections_per_host) return Entry::too_many_of_host;
    ++of_host;
  }
  ++total_;
  return Entry::admitted;
}

void Census::leave(const Peer& peer, bool trusted) {
  const std::scoped_lock lock(mutex_);
  --total_;
  if (trusted || peer.unix_socket) return;
  const auto found = by_host_.find(peer.host);
  if (--found->second == 0) by_host_.erase(found);
}

void Census::add(Session* session, std::weak_ptr<Session> handle) {
  const std::scoped_lock lock(mutex_);
  sessions_.emplace(session, std::move(handle));
}

void Census::remove(Session* session) {
  const std::scoped_lock lock(mutex_);
  sessions_.erase(session);
}

void Census::stop() {
  const std::scoped_lock lock(mutex_);
  stopping_ = true;
}

std::vector<std::shared_ptr<Session>> Census::all() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::shared_ptr<Session>> living;
  for (const auto& [session, handle] : sessions_)
    if (auto alive = handle.lock()) living.push_back(std::move(alive));
  return living;
}

std::size_t Census::size() const {
  const std::scoped_lock lock(mutex_);
  return sessions_.size();
}

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

std::uint16_t Reception::port(std::size_t n) const {
  return listeners_[n]->port();
}

}  // namespace spoold::server
