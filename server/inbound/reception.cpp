#include "server/inbound/reception.hpp"

#include "server/inbound/listener.hpp"
#include "server/inbound/session.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

std::unique_ptr<PasswordLine> line_for(const conf::Settings& settings, const store::Store& store) {
  for (const conf::Listen& listen : settings.listen)
    if (listen.protocol == conf::Listen::Protocol::submission)
      return std::make_unique<PasswordLine>(store.secret());
  return {};
}

}  // namespace

Reception::Reception(std::shared_ptr<const Rules> the_rules, store::Store& the_store, Threads& threads,
                     Stats& the_stats, Wake the_wake)
    : store(the_store),
      stats(the_stats),
      wake(std::move(the_wake)),
      passwords(line_for(*the_rules->settings, the_store)),
      threads_(threads),
      rules_(std::move(the_rules)) {}

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

// Sessions that need `passwords` come with these rules, so it is there before them.
void Reception::use(std::shared_ptr<const Rules> rules) {
  if (!passwords) passwords = line_for(*rules->settings, store);
  rules_.set(std::move(rules));
}

void Reception::start() {
  for (const auto& listener : listeners_)
    asio::co_spawn(threads_.context(0), Listener::serve(listener, *this, threads_), rethrow);
}

void Reception::stop() {
  census.stop();
  for (const auto& listener : listeners_) listener->close();
  for (const auto& session : census.all()) session->stop();
}

void Reception::cut_off() {
  for (const auto& session : census.all()) session->cut_off();
}

void Reception::join() {
  if (passwords) passwords->stop();
}

void Reception::hurry() {
  for (const auto& session : census.all()) session->hurry();
}

std::uint16_t Reception::port(std::size_t n) const {
  return listeners_[n]->port();
}

}  // namespace spoold::server
