// The options of a store, from the configuration.
#include <algorithm>

#include "conf/routes.hpp"
#include "store/store.hpp"

namespace spoold::store {

Options options_of(const conf::Settings& settings) {
  Options options;
  options.path = settings.spool.path;
  options.max_size = settings.spool.max_size;
  options.reserve = settings.spool.reserve;
  options.history = settings.spool.history;
  for (const Duration step : settings.delivery.retry)
    options.longest_wait = std::max(options.longest_wait, 2 * step);
  options.report_wait = settings.delivery.report_wait;
  options.delay_warning = settings.delivery.delay_warning;
  options.route = [routes = conf::Routes(settings)](std::string_view domain) { return routes.of(domain); };
  return options;
}

TimePoint Options::now() const {
  return clock ? clock() : std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

std::string Options::route_of(std::string_view domain) const {
  return route ? route(domain) : std::string("relay");
}

}  // namespace spoold::store
