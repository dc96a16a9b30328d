// What no key can know alone: contradictions (errors), and what an operator should see before the daemon
// starts (review).
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "conf/addresses.hpp"
#include "conf/reading.hpp"
#include "conf/replies.hpp"

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
void check_next_hops(Reading& reading, const std::vector<NextHop>& hops, const std::string& key) {
  std::size_t size = 0;
  for (const NextHop& hop : hops) {
    for (const Listen& listen : reading.settings.listen)
      if (same_place(hop, listen))
        reading.complain_at(
            key,
            "'" + hop.text + "' is this server's own [[listen]] address: mail would go round in circles");
    if (hop.protocol != hops.front().protocol)
      reading.complain_at(key, "next hops of one destination speak one protocol: SMTP or LMTP");
    size += hop.text.size() + 1;
  }
  if (size > 256) reading.complain_at(key, "these next hops have more than 255 octets together");
}

/// What can be read now, by whoever starts the daemon.
void check_file(Reading& reading, const std::string& key, const std::string& path) {
  if (!path.empty() && access(path.c_str(), R_OK) != 0)
    reading.complain_at(key, "'" + path + "' cannot be read: " + std::strerror(errno));
}

const char* word_of(Tls tls) {
  constexpr std::array words{"none", "opportunistic", "required", "verified", "dane"};
  return words[static_cast<std::size_t>(tls)];
}

/// `key` names the tls of the table that the next hop is in.
void check_tls(Reading& reading, const NextHop& hop, const std::optional<Tls>& tls, const std::string& key) {
  if (!tls) return;
  const std::string wanted = std::string("tls = \"") + word_of(*tls) + "\"";
  if (!hop.path.empty() && *tls > Tls::opportunistic)
    reading.complain_at(key, wanted + ": no TLS is spoken on the unix socket " + hop.text);
  if (hop.implicit_tls && *tls == Tls::none)
    reading.complain_at(key, wanted + " contradicts " + hop.text + ", which is TLS from the first octet");
}

void check_credentials(Reading& reading) {
  const Relay& relay = reading.settings.relay;
  if (relay.username.empty() != relay.password_file.empty())
    reading.complain_at(
        relay.username.empty() ? "relay.password_file" : "relay.username",
        relay.username.empty() ? "password_file without username" : "username without password_file");
  check_file(reading, "relay.password_file", relay.password_file);
  if (relay.username.empty() || relay.tls != Tls::none) return;
  for (const NextHop& hop : relay.smarthost)
    if (!is_local(hop))
      reading.complain_at(
          "relay.tls", "tls = \"none\" with a username: a password is never sent without TLS to " + hop.text);
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
    if (listen.protocol == Listen::Protocol::submission && listen.tls == Listen::Tls::none)
      reading.complain_at(
          key,
          "protocol = \"submission\" needs tls = \"starttls\" or \"implicit\": no password comes in "
          "plain text");
    if (listen.xclient && listen.protocol != Listen::Protocol::smtp)
      reading.complain_at(entry("listen", i) + "xclient", "XCLIENT is for protocol = \"smtp\"");
    for (const char* named : {"proxy_protocol", "xclient"})
      if ((*named == 'p' ? listen.proxy_protocol : listen.xclient) && reading.settings.smtp.proxies.empty())
        reading.complain_at(entry("listen", i) + named,
                            std::string(named) + " without [smtp] proxies: nobody would be believed");
    if (listen.protocol == Listen::Protocol::lmtp && listen.path.empty() && listen.port == 25)
      reading.complain_at(key, "LMTP must not be spoken on port 25 (RFC 2033 section 5)");
    if (!listen.path.empty() && listen.path == reading.settings.control.socket)
      reading.complain_at(key, "'" + listen.path + "' is the control socket");
  }
}

Place place_of(const Reading& reading, const std::string& key) {
  const auto found = reading.where.find(key);
  return found == reading.where.end() ? Place{1, 1} : Place{found->second.line, found->second.column};
}

void check_weights(Reading& reading) {
  const auto& lists = reading.settings.dnsbls;
  for (std::size_t i = 0; i < lists.size(); ++i)
    if (lists[i].action != Dnsbl::Action::weigh && lists[i].weight != Dnsbl().weight)
      reading.complain_at(entry("dnsbl", i) + "weight", "weight is for action = \"weigh\"");
}

void check_dkim(Reading& reading) {
  std::set<std::string> seen;
  auto& keys = reading.settings.dkim_keys;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i].key_at = place_of(reading, entry("dkim", i) + "key");
    if (keys[i].selector.empty() || keys[i].domain.empty()) continue;
    const std::string name = keys[i].selector + "._domainkey." + keys[i].domain;
    if (!seen.insert(name).second)
      reading.complain_at(entry("dkim", i) + "selector", "the key '" + name + "' is given twice");
    if (name.size() > 253)
      reading.complain_at(entry("dkim", i) + "selector", "'" + name + "' has more than 253 octets");
  }
}

/// The files themselves are the daemon's to read: an operator with spoolctl may not see the key.
void check_certificates(Reading& reading) {
  Settings& s = reading.settings;
  for (std::size_t i = 0; i < s.certificates.size(); ++i) {
    Certificate& one = s.certificates[i];
    one.certificate_at = place_of(reading, entry("tls", i) + "certificate");
    one.key_at = place_of(reading, entry("tls", i) + "key");
  }
  for (std::size_t i = 0; i < s.listen.size(); ++i) {
    if (s.listen[i].tls == Listen::Tls::none) continue;
    const std::string key = entry("listen", i) + "tls";
    if (s.certificates.empty())
      reading.complain_at(key, "TLS needs a certificate: there is no [[tls]] with certificate and key");
    if (!s.listen[i].path.empty())
      reading.complain_at(key, "no TLS is spoken on the unix socket " + s.listen[i].text);
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

/// A table in a file of its own. Its faults are named by its own lines.
template <class Rows, class Load>
void take_table(Reading& reading, const std::string& key, const std::string& path, Load load,
                std::shared_ptr<const Rows>& into) {
  if (path.empty()) return;
  if (access(path.c_str(), R_OK) != 0) return check_file(reading, key, path);
  auto rows = load(path);
  if (!rows)
    reading.problems.insert(reading.problems.end(), rows.error().begin(), rows.error().end());
  else
    into = std::make_shared<const Rows>(std::move(*rows));
}

}  // namespace

void check_together(Reading& reading) {
  Settings& s = reading.settings;
  const auto written = [&](const std::string& key) { return reading.where.contains(key); };

  check_listeners(reading);
  check_certificates(reading);
  check_dkim(reading);
  check_weights(reading);
  check_next_hops(reading, s.relay.smarthost, "relay.smarthost");
  for (const NextHop& hop : s.relay.smarthost) check_tls(reading, hop, s.relay.tls, "relay.tls");
  check_credentials(reading);

  std::set<std::string> names;
  for (std::size_t i = 0; i < s.domains.size(); ++i) {
    check_next_hops(reading, s.domains[i].deliver_to, entry("domain", i) + "deliver_to");
    for (const NextHop& hop : s.domains[i].deliver_to)
      check_tls(reading, hop, s.domains[i].tls, entry("domain", i) + "tls");
    if (!s.domains[i].name.empty() && !names.insert(s.domains[i].name).second)
      reading.complain_at(entry("domain", i) + "name",
                          "the domain '" + s.domains[i].name + "' is given twice");
  }
  names.clear();
  for (std::size_t i = 0; i < s.dnsbls.size(); ++i)
    if (!s.dnsbls[i].zone.empty() && !names.insert(s.dnsbls[i].zone).second)
      reading.complain_at(entry("dnsbl", i) + "zone", "the list '" + s.dnsbls[i].zone + "' is given twice");
  names.clear();
  for (std::size_t i = 0; i < s.milters.size(); ++i)
    if (!s.milters[i].text.empty() && !names.insert(s.milters[i].text).second)
      reading.complain_at(entry("milter", i) + "address",
                          "the filter '" + s.milters[i].text + "' is given twice");
  names.clear();
  for (std::size_t i = 0; i < s.destinations.size(); ++i) {
    Destination& d = s.destinations[i];
    if (!d.match.empty() && !names.insert(d.match).second)
      reading.complain_at(entry("destination", i) + "match",
                          "the destination '" + d.match + "' is given twice");
    if (d.connections)
      check_part(reading, entry("destination", i) + "connections", *d.connections,
                 "[delivery] max_connections", s.delivery.max_connections);
    if (d.port && d.match.find('/') != std::string::npos)
      reading.complain_at(entry("destination", i) + "port",
                          "a port cannot depend on the address: match a domain or MX hosts");
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
  check_file(reading, "delivery.ca_file", s.delivery.ca_file);
  check_file(reading, "verp.secret_file", s.verp.secret_file);
  take_table(reading, "delivery.replies", s.delivery.replies, load_replies, s.replies);
  take_table(reading, "delivery.providers", s.delivery.providers, load_providers, s.providers);
  if (!s.lists.templates.empty()) {
    if (auto texts = read_templates(s.lists.templates))
      s.templates = std::move(*texts);
    else
      for (const std::string& fault : texts.error()) reading.complain_at("lists.templates", fault);
  }
  if (s.resolver.trust_anchor != "none")
    check_file(reading, "resolver.trust_anchor", s.resolver.trust_anchor);
}

namespace {

/// A program on this machine that forwards connections from elsewhere (for TLS, for instance) makes all of them
/// look local.
void review_loopback(const Settings& s, std::vector<std::string>& out) {
  for (const Listen& listen : s.listen) {
    if (listen.protocol != Listen::Protocol::smtp || !listen.path.empty()) continue;
    NextHop there;
    there.host = listen.host;
    if (!is_local(there)) continue;
    const auto peer = parse_network(listen.host);
    if (!peer) continue;
    for (const Network& network : s.smtp.trusted_networks)
      if (!network.unix_socket && network.v6 == peer->v6 && contains(network, peer->bytes))
        out.push_back(
            "warning: [[listen]] " + listen.text + " and [smtp] trusted_networks " + network.text +
            ": whoever forwards connections to it (stunnel, haproxy, nginx, ssh) makes an open relay "
            "of it");
  }
}

void review_tls(const Settings& s, std::vector<std::string>& out) {
  bool used = false;
  for (const Listen& listen : s.listen) {
    used = used || listen.tls != Listen::Tls::none;
    if (listen.tls == Listen::Tls::implicit && listen.port == 25)
      out.push_back(
          "warning: [[listen]] " + listen.text +
          " tls = \"implicit\": other mail servers begin with plain text on port 25, and use STARTTLS");
    if (listen.tls == Listen::Tls::starttls && listen.port == 465)
      out.push_back("warning: [[listen]] " + listen.text +
                    " tls = \"starttls\": clients expect TLS from the first octet on port 465 (RFC 8314)");
  }
  for (const Listen& listen : s.listen) {
    if (listen.protocol != Listen::Protocol::submission) continue;
    out.push_back("note: [[listen]] " + listen.text +
                  ": users who log in (spoolctl user list) may relay anywhere");
    if (listen.port == 25)
      out.push_back(
          "warning: [[listen]] " + listen.text +
          " protocol = \"submission\": other mail servers come to port 25, and none of them logs in");
  }
  if (!used && !s.certificates.empty())
    out.push_back("warning: no [[listen]] has tls = \"starttls\" or \"implicit\": [[tls]] is not used");
}

/// A [[destination]] match that every MX host, or every address of one family, fits.
bool fits_all(std::string_view match) {
  if (match.ends_with("/0")) return true;
  return match.starts_with("mx:") && match.find_first_not_of("*.", 3) == std::string_view::npos;
}

void review_start(const Settings& s, const Start& start, std::vector<std::string>& out) {
  if (!s.server.user.empty() && !start.user_exists)
    out.push_back("warning: [server] user \"" + s.server.user +
                  "\": this machine has no such user; make it with: adduser --system --group " +
                  s.server.user);
  if (start.root && s.server.user.empty())
    out.push_back(
        "warning: started as root without [server] user: spoold keeps all of root's rights; name a user of "
        "its "
        "own");
  // Beside the connections: the control socket, questions to name servers, listeners, the store.
  constexpr std::uint64_t others = 450;
  const auto needed = static_cast<std::uint64_t>(s.smtp.max_connections) +
                      static_cast<std::uint64_t>(s.delivery.max_connections);
  if (start.descriptors < needed + others)
    out.push_back("warning: [smtp] max_connections + [delivery] max_connections = " + std::to_string(needed) +
                  " connections need " + std::to_string(needed + others) +
                  " file descriptors, the limit of this process is " + std::to_string(start.descriptors) +
                  ": raise it (ulimit -n, LimitNOFILE=), or lower them");
}

}  // namespace

std::vector<std::string> review(const Settings& s, const Start& start) {
  std::vector<std::string> out;
  review_start(s, start, out);
  review_tls(s, out);
  review_loopback(s, out);
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
  constexpr std::size_t domains_named = 20;
  for (std::size_t i = 0; i < std::min(s.domains.size(), domains_named); ++i) {
    const RelayDomain& domain = s.domains[i];
    out.push_back("note: [[domain]] everybody may send to " + domain.name + " by way of " +
                  (!domain.deliver_to.empty()   ? route_to(domain.deliver_to)
                   : !s.relay.smarthost.empty() ? route_to(s.relay.smarthost)
                                                : "its MX hosts"));
  }
  if (s.domains.size() > domains_named)
    out.push_back("note: and to those of " + std::to_string(s.domains.size() - domains_named) +
                  " further [[domain]]s");
  if (s.relay.smarthost.empty()) out.push_back("note: there is no [relay] smarthost: mail goes out by MX");
  if (s.listen.empty()) out.push_back("warning: there is no [[listen]]: mail comes in only by spoolctl post");
  if (s.smtp.spf == Smtp::Spf::reject_fail)
    out.push_back(
        "note: [smtp] spf = \"reject_fail\": mail that others forward here from domains with -all is "
        "refused");
  if (s.smtp.dmarc == Smtp::Dmarc::reject)
    out.push_back(
        "note: [smtp] dmarc = \"reject\": mail that another list has changed is refused where its author's "
        "domain "
        "publishes p=reject");
  if (s.smtp.dkim2 == Smtp::Dkim2::reject && s.smtp.dmarc == Smtp::Dmarc::off)
    out.push_back(
        "warning: [smtp] dkim2 = \"reject\": no signature is verified, because dmarc = \"off\": nothing is "
        "refused");
  const bool by_smtp = std::any_of(s.listen.begin(), s.listen.end(), [](const Listen& listen) {
    return listen.protocol == Listen::Protocol::smtp && listen.path.empty();
  });
  if (!s.dnsbls.empty() && !by_smtp)
    out.push_back(
        "warning: [[dnsbl]]: no [[listen]] takes mail of strangers by SMTP: the lists are not asked");
  if (s.smtp.greeting_delay > std::chrono::seconds(30))
    out.push_back("warning: [smtp] greeting_delay = \"" + duration_text(s.smtp.greeting_delay) +
                  "\": some clients leave after 30 s without a greeting");
  for (const Destination& d : s.destinations) {
    const auto one_of = [&d](const std::vector<NextHop>& hops) {
      return std::any_of(hops.begin(), hops.end(), [&d](const NextHop& hop) { return hop.host == d.match; });
    };
    if (fits_all(d.match))
      out.push_back(
          "note: [[destination]] match = \"" + d.match +
          "\" makes one group of all domains that are delivered by MX: they share its connections and "
          "its rate");
    bool used = s.relay.smarthost.empty() || one_of(s.relay.smarthost) ||
                d.match.find('/') != std::string::npos;  // of addresses not known here
    for (const RelayDomain& domain : s.domains)
      used = used || domain.name == d.match || one_of(domain.deliver_to);
    if (!used)
      out.push_back("warning: [[destination]] match = \"" + d.match +
                    "\" matches no next hop and no [[domain]]");
  }
  if (!s.relay.username.empty() && s.relay.tls && *s.relay.tls > Tls::none && *s.relay.tls < Tls::verified)
    out.push_back(
        std::string("warning: [relay] tls = \"") + word_of(*s.relay.tls) +
        "\": the password goes to whoever answers at the smarthost's address; \"verified\" asks for its "
        "certificate");
  if (s.control.mode & 02)
    out.push_back("warning: [control] mode lets every user of this machine change the queue");
  return out;
}

}  // namespace spoold::conf
