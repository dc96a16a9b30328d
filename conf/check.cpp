// What no key can know alone: contradictions (errors), and what an operator should see before the daemon
// starts (review).
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "conf/addresses.hpp"
#include "conf/reading.hpp"

namespace spoold::conf {

namespace {

std::string entry(const char* section, std::size_t index) {
  return std::string(section) + "." + std::to_string(index) + ".";
}

bool same_place(const NextHop& hop, const Listen& listen) {
  if (!hop.path.empty() || !listen.path.empty()) return hop.path == listen.path;
  return listen.port != 0 && hop.port == listen.port && hop.host == listen.host;
}

/// Mail for a next hop that is one of our own listeners would come back for ever.
void check_next_hop(Reading& reading, const std::optional<NextHop>& hop, const std::string& key) {
  if (!hop) return;
  for (const Listen& listen : reading.settings.listen)
    if (same_place(*hop, listen))
      reading.complain_at(
          key, "'" + hop->text + "' is this server's own [[listen]] address: mail would go round in circles");
}

void check_listeners(Reading& reading) {
  std::set<std::string> seen;
  const auto& listeners = reading.settings.listen;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const Listen& listen = listeners[i];
    if (listen.text.empty()) continue;
    const std::string key = entry("listen", i) + "address";
    const bool fixed = !listen.path.empty() || listen.port != 0;
    const std::string place =
        listen.path.empty() ? listen.host + " " + std::to_string(listen.port) : listen.path;
    if (fixed && !seen.insert(place).second)
      reading.complain_at(key, "'" + listen.text + "' is listened on twice");
    if (listen.protocol == Listen::Protocol::lmtp && listen.path.empty() && listen.port == 25)
      reading.complain_at(key, "LMTP must not be spoken on port 25 (RFC 2033 section 5)");
    if (!listen.path.empty() && listen.path == reading.settings.control.socket)
      reading.complain_at(key, "'" + listen.path + "' is the control socket");
  }
}

void check_aliases(Reading& reading) {
  const auto& aliases = reading.settings.aliases;
  // A walk from each alias; `path` holds the way back to it.
  for (const auto& [start, targets] : aliases) {
    std::set<std::string> seen;
    std::vector<std::string> open(targets.begin(), targets.end());
    while (!open.empty()) {
      const std::string address = lower(open.back());
      open.pop_back();
      if (address == start) {
        reading.complain_at("aliases." + start, "the alias '" + start + "' leads back to itself");
        break;
      }
      const auto next = aliases.find(address);
      if (next != aliases.end() && seen.insert(address).second)
        open.insert(open.end(), next->second.begin(), next->second.end());
    }
  }
}

/// A part that was written may not pass the whole; a default part shrinks to fit the whole.
void check_part(Reading& reading, const std::string& part_key, int& part, const std::string& whole_key,
                int whole) {
  if (part <= whole) return;
  if (reading.where.contains(part_key))
    reading.complain_at(part_key,
                        std::to_string(part) + " is more than " + whole_key + " = " + std::to_string(whole));
  else
    part = whole;
}

}  // namespace

void check_together(Reading& reading) {
  Settings& s = reading.settings;
  const auto written = [&](const std::string& key) { return reading.where.contains(key); };

  if (!s.relay.smarthost && !written("relay.smarthost"))
    reading.complain_at(
        "relay.smarthost",
        "[relay] smarthost is missing: delivery by MX is not built yet in this version, so every spoold "
        "needs a next hop, such as smarthost = \"smtp://mail.example.org:587\"");
  check_listeners(reading);
  check_next_hop(reading, s.relay.smarthost, "relay.smarthost");

  std::set<std::string> names;
  for (std::size_t i = 0; i < s.domains.size(); ++i) {
    check_next_hop(reading, s.domains[i].deliver_to, entry("domain", i) + "deliver_to");
    if (!s.domains[i].name.empty() && !names.insert(s.domains[i].name).second)
      reading.complain_at(entry("domain", i) + "name",
                          "the domain '" + s.domains[i].name + "' is given twice");
  }
  names.clear();
  for (std::size_t i = 0; i < s.destinations.size(); ++i) {
    Destination& d = s.destinations[i];
    if (!d.match.empty() && !names.insert(d.match).second)
      reading.complain_at(entry("destination", i) + "match",
                          "the destination '" + d.match + "' is given twice");
    if (d.connections)
      check_part(reading, entry("destination", i) + "connections", *d.connections,
                 "[delivery] max_connections", s.delivery.max_connections);
  }
  check_aliases(reading);

  check_part(reading, "delivery.connections_per_destination", s.delivery.connections_per_destination,
             "max_connections", s.delivery.max_connections);
  check_part(reading, "smtp.max_connections_per_host", s.smtp.max_connections_per_host, "max_connections",
             s.smtp.max_connections);
  if (written("delivery.lifetime") && written("delivery.retry") &&
      s.delivery.lifetime < s.delivery.retry.front())
    reading.complain_at("delivery.lifetime", "lifetime = \"" + duration_text(s.delivery.lifetime) +
                                                 "\" is shorter than the first wait of retry, \"" +
                                                 duration_text(s.delivery.retry.front()) + "\"");
  if (s.smtp.max_message_size > s.spool.max_size) {
    if (written("smtp.max_message_size"))
      reading.complain_at("smtp.max_message_size", "\"" + size_text(s.smtp.max_message_size) +
                                                       "\" is more than [spool] max_size = \"" +
                                                       size_text(s.spool.max_size) + "\"");
    else
      s.smtp.max_message_size = s.spool.max_size;
  }
  if (s.control.socket.size() > 107)
    reading.complain_at("control.socket",
                        "'" + s.control.socket + "': the path of a unix socket has at most 107 octets");
  if (!s.verp.secret_file.empty() && access(s.verp.secret_file.c_str(), R_OK) != 0)
    reading.complain_at("verp.secret_file",
                        "'" + s.verp.secret_file + "' cannot be read: " + std::strerror(errno));
}

std::vector<std::string> review(const Settings& s) {
  std::vector<std::string> out;
  for (const Network& network : s.smtp.trusted_networks) {
    const bool everybody = !network.unix_socket && network.bits == 0;
    const bool wide = !network.unix_socket && network.bits < (network.v6 ? 16 : 8);
    const std::string who =
        network.unix_socket ? "every process that can open a unix listener" : network.text;
    if (everybody)
      out.push_back("warning: [smtp] trusted_networks: " + who + " makes this server an open relay");
    else if (wide)
      out.push_back("warning: [smtp] trusted_networks: " + who +
                    " may relay anywhere: that is a large part of the Internet");
    else
      out.push_back("note: [smtp] trusted_networks: " + who + " may relay anywhere");
  }
  for (const RelayDomain& domain : s.domains)
    out.push_back("note: [[domain]] everybody may send to " + domain.name + " by way of " +
                  (domain.deliver_to   ? domain.deliver_to->text
                   : s.relay.smarthost ? s.relay.smarthost->text
                                       : "[relay]"));
  if (s.listen.empty()) out.push_back("warning: there is no [[listen]]: mail comes in only by spoolctl post");
  for (const Destination& d : s.destinations) {
    bool used = s.relay.smarthost && s.relay.smarthost->host == d.match;
    for (const RelayDomain& domain : s.domains)
      used = used || domain.name == d.match || (domain.deliver_to && domain.deliver_to->host == d.match);
    if (!used)
      out.push_back("warning: [[destination]] match = \"" + d.match +
                    "\" matches no next hop and no [[domain]]");
  }
  if (s.control.mode & 02)
    out.push_back("warning: [control] mode lets every user of this machine change the queue");
  return out;
}

}  // namespace spoold::conf
