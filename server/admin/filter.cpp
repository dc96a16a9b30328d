#include "server/admin/filter.hpp"

#include <algorithm>
#include <stdexcept>

#include "conf/load.hpp"
#include "protocol/mail/glob.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::server::admin {

const std::vector<std::string>& recipient_states() {
  static const std::vector<std::string> states{"queued",    "active", "deferred", "held",
                                               "delivered", "failed", "expired",  "removed"};
  return states;
}

std::string state_text(const store::Recipient& recipient) {
  const bool waits = store::is_waiting(recipient.state);
  return recipient.active && waits ? "active" : text(recipient.state);
}

bool Filter::matches(const store::Message& message, TimePoint now) const {
  if (!ids.empty() && std::find(ids.begin(), ids.end(), message.id) == ids.end()) return false;
  if (!list.empty() && !mail::glob(list, message.list_address)) return false;
  if (!sender.empty() && !mail::glob(sender, message.reverse_path) && !mail::glob(sender, message.from))
    return false;
  // A request may name any number: what is older than a century is older than all mail.
  constexpr Duration century = std::chrono::hours(24 * 36'525);
  return !older || message.arrived <= now - std::clamp(*older, Duration{}, century);
}

bool Filter::matches(const store::Recipient& one, const conf::Settings& settings) const {
  if (!recipient.empty() && !mail::glob(recipient, one.address)) return false;
  if (!states.empty() && std::find(states.begin(), states.end(), state_text(one)) == states.end())
    return false;
  if (destination.empty()) return true;
  const auto domain = domain_of(one.address);
  if (mail::glob(destination, domain)) return true;
  const auto route = conf::route_of(settings, domain);
  if (mail::glob(destination, route)) return true;
  const auto hops = conf::next_hops_of(settings, route);
  return std::any_of(hops.begin(), hops.end(), [this](const conf::NextHop& hop) {
    return mail::glob(destination, hop.host) || mail::glob(destination, hop.text);
  });
}

Json to_json(const Filter& filter) {
  Json json = Json::object();
  if (!filter.ids.empty()) {
    json["ids"] = Json::array();
    for (const store::Id id : filter.ids) json["ids"].push_back(store::id_text(id));
  }
  const auto text = [&json](const char* name, const std::string& value) {
    if (!value.empty()) json[name] = value;
  };
  text("recipient", filter.recipient);
  text("sender", filter.sender);
  text("list", filter.list);
  text("destination", filter.destination);
  if (!filter.states.empty()) json["states"] = filter.states;
  if (filter.older) json["older_ms"] = filter.older->count();
  if (filter.all) json["all"] = true;
  return json;
}

Filter filter_from_json(const Json& json) {
  Filter filter;
  if (json.contains("ids"))
    for (const Json& id : json.at("ids")) {
      const auto parsed = store::parse_id(id.get<std::string>());
      if (!parsed) throw std::invalid_argument("'" + id.get<std::string>() + "' is not a queue id");
      filter.ids.push_back(*parsed);
    }
  filter.recipient = json.value("recipient", "");
  filter.sender = json.value("sender", "");
  filter.list = json.value("list", "");
  filter.destination = json.value("destination", "");
  if (json.contains("states")) filter.states = json.at("states").get<std::vector<std::string>>();
  for (const auto& state : filter.states)
    if (std::find(recipient_states().begin(), recipient_states().end(), state) == recipient_states().end())
      throw std::invalid_argument("'" + state + "' is not a recipient state");
  if (json.contains("older_ms")) filter.older = Duration(json.at("older_ms").get<std::int64_t>());
  filter.all = json.value("all", false);
  return filter;
}

}  // namespace spoold::server::admin
