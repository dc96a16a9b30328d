#include "server/inbound/reception.hpp"

#include <algorithm>

#include "server/inbound/listener.hpp"
#include "server/inbound/session.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

bool has(const conf::Settings& settings, conf::Listen::Protocol protocol) {
  return std::ranges::any_of(settings.listen,
                             [&](const conf::Listen& listen) { return listen.protocol == protocol; });
}

}  // namespace

Reception::Reception(std::shared_ptr<const Rules> the_rules, store::Store& the_store, Threads& threads,
                     Stats& the_stats, Wake the_wake)
    : store(the_store),
      stats(the_stats),
      wake(std::move(the_wake)),
      census(the_stats.stress),
      threads_(threads),
      rules_(std::move(the_rules)),
      resolver(threads.context(0), rules()->settings->resolver),
      blocklists(threads.context(0), resolver, the_stats) {
  make_lines(*rules()->settings);
}

Reception::~Reception() = default;

tl::expected<void, std::string> Reception::bind(std::vector<int>& passed) {
  for (const conf::Listen& where : rules()->settings->listen) {
    auto made = Listener::bind(threads_.context(0), where, listeners_.size(), passed);
    if (!made) {
      listeners_.clear();
      return tl::unexpected<std::string>(made.error());
    }
    listeners_.push_back(*std::move(made));
  }
  return {};
}

void Reception::make_lines(const conf::Settings& settings) {
  if (!passwords && has(settings, conf::Listen::Protocol::submission))
    passwords = std::make_unique<PasswordLine>(store.secret());
  const bool verifies = settings.smtp.dmarc != conf::Smtp::Dmarc::off;
  if (!proofs && (verifies || !settings.dkim_keys.empty())) proofs = std::make_unique<WorkLine>(2, 256);
}

// Sessions that need a line come with these rules, so it is there before them.
void Reception::use(std::shared_ptr<const Rules> rules) {
  make_lines(*rules->settings);
  blocklists.use(rules->settings->dnsbls);
  rules_.set(std::move(rules));
}

void Reception::start() {
  blocklists.use(rules()->settings->dnsbls);
  for (const auto& listener : listeners_)
    asio::co_spawn(threads_.context(0), Listener::serve(listener, *this, threads_), rethrow);
}

void Reception::stop() {
  census.stop();
  blocklists.stop();
  for (const auto& listener : listeners_) listener->close();
  for (const auto& session : census.all()) session->stop();
}

void Reception::cut_off() {
  for (const auto& session : census.all()) session->cut_off();
}

void Reception::join() {
  if (passwords) passwords->stop();
  if (proofs) proofs->stop();
}

void Reception::hurry() {
  for (const auto& session : census.all()) session->hurry();
}

std::uint16_t Reception::port(std::size_t n) const {
  return listeners_[n]->port();
}

}  // namespace spoold::server
