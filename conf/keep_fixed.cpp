// What a running process cannot change about itself.
#include <algorithm>

#include "conf/load.hpp"

namespace spoold::conf {
namespace {

/// The listeners stay; what is offered there is as the file says now.
void keep_listeners(Settings& next, const Settings& running, std::vector<std::string>& named) {
  const auto find = [](const std::vector<Listen>& all, const Listen& one) {
    return std::find_if(all.begin(), all.end(), [&](const Listen& other) { return other.text == one.text; });
  };
  std::vector<Listen> kept = running.listen;
  for (Listen& one : kept) {
    const auto found = find(next.listen, one);
    if (found != next.listen.end())
      one = *found;
    else
      named.push_back("[[listen]] " + one.text + " (no longer there)");
  }
  for (const Listen& one : next.listen)
    if (find(running.listen, one) == running.listen.end())
      named.push_back("[[listen]] " + one.text + " (new)");
  next.listen = std::move(kept);
}

}  // namespace

std::vector<std::string> keep_fixed(Settings& next, const Settings& running) {
  std::vector<std::string> named;
  const auto keep = [&](const char* what, auto& one, const auto& other) {
    if (one == other) return;
    one = other;
    named.emplace_back(what);
  };
  keep("[server]", next.server, running.server);
  keep("[spool]", next.spool, running.spool);
  keep_listeners(next, running, named);
  keep("[delivery] max_connections", next.delivery.max_connections, running.delivery.max_connections);
  keep("[delivery] delay_warning", next.delivery.delay_warning, running.delivery.delay_warning);
  keep("[delivery] report_wait", next.delivery.report_wait, running.delivery.report_wait);
  keep("[resolver]", next.resolver, running.resolver);
  keep("[verp]", next.verp, running.verp);
  keep("[control]", next.control, running.control);
  return named;
}

}  // namespace spoold::conf
