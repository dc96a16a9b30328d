#include "conf/keys.hpp"

#include <algorithm>

#include "conf/own_rows.hpp"

namespace spoold::conf {

namespace {

using namespace std::chrono_literals;

std::vector<Row> make_rows() {
  using S = Settings&;
  const auto listen_protocols = std::vector<std::string>{"smtp", "lmtp", "submission"};
  std::vector<Row> rows;
  auto add = [&rows](Row row) { rows.push_back(std::move(row)); };
  auto required = [&rows](Row row) {
    row.key.required = true;
    rows.push_back(std::move(row));
  };

  add(text(
      "", "hostname", "host name",
      "this server's name in EHLO, banner and Received; default: the machine's name", "\"lists.example.org\"",
      [](S s) -> auto& { return s.hostname; }, host_fault));

  add(integer(
      "server", "threads", "threads for clients, and as many for deliveries; 0: one per core each", "2",
      [](S s) -> auto& { return s.server.threads; }, 0, 256));
  add(text(
      "server", "user", "string", "user to become after binding when started as root; default: stay",
      "\"spoold\"", [](S s) -> auto& { return s.server.user; }, any));
  add(duration(
      "server", "grace", "time for open transactions at a stop", "\"3s\"",
      [](S s) -> auto& { return s.server.grace; }, 0ms));

  add(text(
      "spool", "path", "path", "folder of the store", "\"/srv/spoold\"",
      [](S s) -> auto& { return s.spool.path; }, path_fault));
  add(size(
      "spool", "max_size", "intake stops at this much data", "\"1GiB\"",
      [](S s) -> auto& { return s.spool.max_size; }, 1 << 20));
  add(size(
      "spool", "reserve", "intake stops below this much free disk", "\"64MiB\"",
      [](S s) -> auto& { return s.spool.reserve; }, 0));
  add(duration(
      "spool", "history", "how long finished messages and events are kept", "\"2d\"",
      [](S s) -> auto& { return s.spool.history; }, 0ms));

  add(listen_address());
  add(word(
      "listen", "protocol", "protocol spoken there: smtp, lmtp, or submission (users log in by AUTH)",
      "\"lmtp\"", listen_protocols, {},
      [](S s, std::size_t n) { s.listen.back().protocol = static_cast<Listen::Protocol>(n); },
      [listen_protocols](Settings s) {
        return quote(
            listen_protocols[s.listen.empty() ? 0 : static_cast<std::size_t>(s.listen.back().protocol)]);
      }));
  const std::vector<std::string> listen_tls{"none", "starttls", "implicit"};
  add(word(
      "listen", "tls", "none, starttls (offered), or implicit (from the first octet, as on port 465)",
      "\"starttls\"", listen_tls, {},
      [](S s, std::size_t n) { s.listen.back().tls = static_cast<Listen::Tls>(n); },
      [listen_tls](Settings s) {
        return quote(listen_tls[s.listen.empty() ? 0 : static_cast<std::size_t>(s.listen.back().tls)]);
      }));
  add(boolean(
      "listen", "proxy_protocol",
      "each connection begins with a PROXY header (version 1 or 2) of one of [smtp] proxies",
      [](S s) -> auto& { return s.listen.back().proxy_protocol; },
      [](S s) { return !s.listen.empty() && s.listen.back().proxy_protocol; }));
  add(boolean(
      "listen", "xclient", "XCLIENT is offered to [smtp] proxies (smtp listeners only)",
      [](S s) -> auto& { return s.listen.back().xclient; },
      [](S s) { return !s.listen.empty() && s.listen.back().xclient; }));
  required(milter_address());
  add(milter_when_away());
  add(milter_timeout());

  required(certificate_file("certificate", "certificate and the chain behind it (PEM); read again at SIGHUP",
                            &Certificate::certificate));
  required(certificate_file("key", "its private key (PEM, without a passphrase)", &Certificate::key));

  const std::vector<std::string> dnsbl_actions{"reject", "mark", "weigh"};
  required(text(
      "dnsbl", "zone", "domain", "a DNS list of client addresses", "\"dnsbl.example.org\"",
      [](S s) -> auto& { return s.dnsbls.back().zone; }, host_fault));
  rows.back().key.field = "dnsbls";
  rows.back().key.write = [](Settings s) {
    return s.dnsbls.empty() ? std::string() : quote(s.dnsbls.back().zone);
  };
  add(several(
      "dnsbl", "answers", "array of ranges",
      "answers that mean \"listed\"; any other one is an error of the list",
      "[\"127.0.0.2\", \"127.0.1.0-127.0.1.255\"]", "a range of addresses such as \"127.0.0.2-127.0.0.11\"",
      true, [](S s) -> auto& { return s.dnsbls.back().answers; },
      [](const std::string& written) { return parse_address_range(written); },
      [](const AddressRange& range) { return range.text; }));
  rows.back().key.write = [](Settings s) {
    if (s.dnsbls.empty()) s.dnsbls.emplace_back();
    std::vector<std::string> items;
    for (const AddressRange& range : s.dnsbls.back().answers) items.push_back(quote(range.text));
    return join(items);
  };
  add(word(
      "dnsbl", "action", "what reception does with a client on it: reject, mark, or weigh (see weight)",
      "\"mark\"", dnsbl_actions, {},
      [](S s, std::size_t n) { s.dnsbls.back().action = static_cast<Dnsbl::Action>(n); },
      [dnsbl_actions](Settings s) {
        return quote(dnsbl_actions[s.dnsbls.empty() ? 0 : static_cast<std::size_t>(s.dnsbls.back().action)]);
      }));
  add(integer(
      "dnsbl", "weight", "of action = \"weigh\": what a client on it counts; below 0: a list of good clients",
      "-2", [](S s) -> auto& { return s.dnsbls.back().weight; }, -100, 100));
  rows.back().key.write = [](Settings s) {
    return std::to_string(s.dnsbls.empty() ? Dnsbl().weight : s.dnsbls.back().weight);
  };

  required(dkim_row("domain", "domain", "whose mail is signed: a list's domain, or that of an author",
                    "\"lists.example.org\"", &Dkim::domain, host_fault));
  required(dkim_row("selector", "string", "the name of the public key in the DNS: SELECTOR._domainkey.DOMAIN",
                    "\"s2026\"", &Dkim::selector, selector_fault));
  required(dkim_row("key", "path",
                    "the private key (PEM, rsa or ed25519), which only its owner and group may read",
                    "\"/dev/null\"", &Dkim::key, path_fault));

  const std::vector<std::string> senders{"own", "domain", "any"};
  add(word(
      "submission", "senders",
      "whom a user may send as, in MAIL FROM and in From: own (his addresses), domain (any address at a "
      "domain of "
      "them), or any",
      "\"domain\"", senders, {},
      [](S s, std::size_t n) { s.submission.senders = static_cast<Submission::Senders>(n); },
      [senders](const Settings& s) {
        return quote(senders[static_cast<std::size_t>(s.submission.senders)]);
      }));
  add(rate(
      "submission", "messages_per_user", "at most so many messages of one user in a time", "\"100/h\"",
      [](S s) -> auto& { return s.submission.messages_per_user; }));
  add(rate(
      "submission", "recipients_per_user", "at most so many recipients of one user in a time", "\"1000/h\"",
      [](S s) -> auto& { return s.submission.recipients_per_user; }));

  add(size(
      "smtp", "max_message_size", "largest message accepted (SIZE)", "\"10MiB\"",
      [](S s) -> auto& { return s.smtp.max_message_size; }, 64 << 10));
  add(integer(
      "smtp", "max_recipients", "recipients of one transaction", "200",
      [](S s) -> auto& { return s.smtp.max_recipients; }, 1, 100000));
  add(integer(
      "smtp", "max_connections",
      "inbound connections at a time; a tenth of them is kept for trusted networks and unix sockets", "50",
      [](S s) -> auto& { return s.smtp.max_connections; }, 1, 1000000));
  add(integer(
      "smtp", "max_connections_per_host", "of these, from one address, or one IPv6 /64", "5",
      [](S s) -> auto& { return s.smtp.max_connections_per_host; }, 1, 1000000));
  add(networks(
      "trusted_networks",
      "who may relay anywhere, through smtp listeners only: networks, addresses, \"unix\" for peers on "
      "unix sockets",
      &Smtp::trusted_networks));
  add(networks("proxies",
               "whose PROXY headers and XCLIENT are believed, where a [[listen]] takes them: networks, "
               "addresses, \"unix\"",
               &Smtp::proxies));
  add(rate(
      "smtp", "messages_per_host",
      "at most so many messages in a time from one address, or one IPv6 /64, that is not trusted",
      "\"600/h\"", [](S s) -> auto& { return s.smtp.messages_per_host; }));
  add(rate(
      "smtp", "recipients_per_host", "at most so many recipients in a time from it", "\"6000/h\"",
      [](S s) -> auto& { return s.smtp.recipients_per_host; }));
  add(duration(
      "smtp", "greylist",
      "how long a stranger who is not known must wait before he comes again; 0s: nobody must", "\"5m\"",
      [](S s) -> auto& { return s.smtp.greylist; }, 0ms));
  add(integer(
      "smtp", "dnsbl_threshold", "a client is refused when the weights of its DNS lists are so much together",
      "5", [](S s) -> auto& { return s.smtp.dnsbl_threshold; }, 1, 10000));
  add(choice(
      "smtp", "spf",
      "what SPF says of a client: off (not asked), mark (Authentication-Results), or reject_fail (result "
      "fail is refused)",
      "\"reject_fail\"", {"off", "mark", "reject_fail"}, [](S s) -> auto& { return s.smtp.spf; }));
  add(choice(
      "smtp", "dmarc",
      "what DKIM and DMARC say of a message: off (not verified), mark, or reject (as the author's domain "
      "wishes)",
      "\"reject\"", {"off", "mark", "reject"}, [](S s) -> auto& { return s.smtp.dmarc; }));
  add(choice(
      "smtp", "dkim2",
      "what DKIM2 says of a message whose signatures are verified (dmarc): mark, or reject (the chain is "
      "broken)",
      "\"reject\"", {"mark", "reject"}, [](S s) -> auto& { return s.smtp.dkim2; }));
  add(choice(
      "smtp", "fcrdns",
      "does a client's address have a name that has its address: off (not asked), mark, or reject",
      "\"mark\"", {"off", "mark", "reject"}, [](S s) -> auto& { return s.smtp.fcrdns; }));
  add(choice(
      "smtp", "helo",
      "the name in HELO or EHLO: off (anything), or reject (what is no full name, or not the client's)",
      "\"reject\"", {"off", "reject"}, [](S s) -> auto& { return s.smtp.helo; }));
  add(duration(
      "smtp", "greeting_delay",
      "how long strangers wait for the greeting; who sends something before it is refused", "\"2s\"",
      [](S s) -> auto& { return s.smtp.greeting_delay; }, 0ms));

  required(text(
      "domain", "name", "domain", "a domain this server relays for without lists", "\"example.net\"",
      [](S s) -> auto& { return s.domains.back().name; }, host_fault));
  rows.back().key.field = "domains";
  rows.back().key.write = [](Settings s) {
    return s.domains.empty() ? std::string() : quote(s.domains.back().name);
  };
  add(next_hops(
      "domain", "deliver_to", "its next hop, or several in order of preference; absent: the way of [relay]",
      "\"lmtp://[::1]:24\"", [](S s) -> auto& { return s.domains.back().deliver_to; }));
  rows.back().key.write = [](Settings s) {
    if (s.domains.empty() || s.domains.back().deliver_to.empty()) return std::string();
    return quote(s.domains.back().deliver_to.front().text);
  };

  add(tls_policy("domain", "TLS towards it; default: as [delivery], but none on loopback and unix sockets",
                 [](S s) { return s.domains.empty() ? nullptr : &s.domains.back().tls; }));

  add(next_hops(
      "relay", "smarthost", "the default way out, or several in order of preference; absent: by MX",
      "\"smtp://mail.example.org:587\"", [](S s) -> auto& { return s.relay.smarthost; }));
  add(tls_policy("relay",
                 "TLS towards the smarthost; default: verified with a username, none on loopback and unix "
                 "sockets, else as "
                 "[delivery]",
                 [](S s) { return &s.relay.tls; }));
  add(text(
      "relay", "username", "string", "AUTH towards the smarthost (PLAIN or LOGIN)", "\"spoold\"",
      [](S s) -> auto& { return s.relay.username; }, any));
  add(text(
      "relay", "password_file", "path", "file with the password of username; read for each connection",
      "\"/dev/null\"", [](S s) -> auto& { return s.relay.password_file; }, path_fault));

  add(duration(
      "delivery", "lifetime", "how long delivery of a recipient is tried", "\"2d\"",
      [](S s) -> auto& { return s.delivery.lifetime; }, 1s));
  add(durations(
      "delivery", "retry", "waits between attempts; the last one repeats", "[\"1m\", \"10m\"]",
      [](S s) -> auto& { return s.delivery.retry; }, 1ms));
  add(integer(
      "delivery", "max_connections", "outbound connections at a time", "100",
      [](S s) -> auto& { return s.delivery.max_connections; }, 1, 100000));
  add(integer(
      "delivery", "connections_per_destination", "of these, to one next hop", "5",
      [](S s) -> auto& { return s.delivery.connections_per_destination; }, 1, 10000));
  add(integer(
      "delivery", "recipients_per_transaction", "RCPTs of one bulk transaction", "50",
      [](S s) -> auto& { return s.delivery.recipients_per_transaction; }, 1, 10000));
  add(duration(
      "delivery", "delay_warning", "when a sender is told of a delay, once a message; 0: never", "\"2h\"",
      [](S s) -> auto& { return s.delivery.delay_warning; }, 0ms));
  add(duration(
      "delivery", "report_wait", "time to collect further failures of the same message into one report",
      "\"5s\"", [](S s) -> auto& { return s.delivery.report_wait; }, 0ms));
  add(durations(
      "delivery", "isolation_waits", "waits before suspects are offered again after a drop", "[\"1s\"]",
      [](S s) -> auto& { return s.delivery.isolation_waits; }, 0ms));
  add(integer(
      "delivery", "isolation_budget", "unproductive drops of a host in one isolation_window", "5",
      [](S s) -> auto& { return s.delivery.isolation_budget; }, 1, 1000));
  add(duration(
      "delivery", "isolation_window", "the time in which isolation_budget counts", "\"1m\"",
      [](S s) -> auto& { return s.delivery.isolation_window; }, 1ms));
  add(word(
      "delivery", "tls", "TLS towards other hosts", "\"required\"", tls_words, {},
      [](S s, std::size_t n) { s.delivery.tls = static_cast<Tls>(n); },
      [](const Settings& s) { return quote(tls_words[static_cast<std::size_t>(s.delivery.tls)]); }));
  add(text(
      "delivery", "replies", "path", "own table of what replies mean, asked before the one that is built in",
      "\"/dev/null\"", [](S s) -> auto& { return s.delivery.replies; }, path_fault));
  add(text(
      "delivery", "providers", "path", "own table of large providers, asked before the one that is built in",
      "\"/dev/null\"", [](S s) -> auto& { return s.delivery.providers; }, path_fault));
  add(text(
      "delivery", "ca_file", "path", "certificates (PEM) to trust beside those of the system",
      "\"/dev/null\"", [](S s) -> auto& { return s.delivery.ca_file; }, path_fault));
  add(several(
      "delivery", "source", "array of addresses",
      "addresses to send from, in turn; absent: the system chooses", "[\"192.0.2.25\", \"2001:db8::25\"]",
      "an address such as \"192.0.2.25\"", false, [](S s) -> auto& { return s.delivery.source; },
      [](const std::string& written) -> tl::expected<std::string, std::string> {
        const std::string address = canonical_address(written);
        if (address.empty())
          return tl::unexpected("'" + written +
                                "' is not an IP address: expected \"192.0.2.25\" or \"2001:db8::25\"");
        return address;
      },
      [](const std::string& address) { return address; }));

  const std::string_view timeouts = "delivery.timeouts";
  add(duration(
      timeouts, "connect", "TCP connection", "\"1s\"",
      [](S s) -> auto& { return s.delivery.timeouts.connect; }, 1ms));
  add(duration(
      timeouts, "greeting", "the 220 (RFC 5321 4.5.3.2)", "\"1s\"",
      [](S s) -> auto& { return s.delivery.timeouts.greeting; }, 1ms));
  add(duration(
      timeouts, "mail", "the reply to EHLO and MAIL", "\"1s\"",
      [](S s) -> auto& { return s.delivery.timeouts.mail; }, 1ms));
  add(duration(
      timeouts, "rcpt", "the reply to RCPT", "\"1s\"", [](S s) -> auto& { return s.delivery.timeouts.rcpt; },
      1ms));
  add(duration(
      timeouts, "data", "the 354", "\"1s\"", [](S s) -> auto& { return s.delivery.timeouts.data; }, 1ms));
  add(duration(
      timeouts, "block", "each block of content", "\"1s\"",
      [](S s) -> auto& { return s.delivery.timeouts.block; }, 1ms));
  add(duration(
      timeouts, "dot", "the reply to the end of data", "\"1s\"",
      [](S s) -> auto& { return s.delivery.timeouts.dot; }, 1ms));

  required(text(
      "destination", "match", "destination",
      "a domain, a next hop's host, MX hosts (mx:*.example.net), or a network of their addresses",
      "\"mx:*.example.net\"", [](S s) -> auto& { return s.destinations.back().match; },
      [](const std::string& value) { return match_fault(value); }));
  rows.back().key.write = [](Settings s) {
    return s.destinations.empty() ? std::string() : quote(s.destinations.back().match);
  };
  add({{"destination", "connections", "integer", "connections to it; absent: connections_per_destination",
        "3", "connections", false,
        [](Settings s) {
          return s.destinations.empty() || !s.destinations.back().connections
                     ? std::string()
                     : std::to_string(*s.destinations.back().connections);
        }},
       [](Reading& reading, const toml::node& node) {
         if (const auto value = reading.integer(node, 1, 10000))
           reading.settings.destinations.back().connections = static_cast<int>(*value);
       }});
  add({{"destination", "port", "integer", "where MX hosts listen; absent: 25", "2525", "port", false,
        [](Settings s) {
          return s.destinations.empty() || !s.destinations.back().port
                     ? std::string()
                     : std::to_string(*s.destinations.back().port);
        }},
       [](Reading& reading, const toml::node& node) {
         if (const auto value = reading.integer(node, 1, 65535))
           reading.settings.destinations.back().port = static_cast<int>(*value);
       }});
  const std::vector<std::string> pipelining{"none", "transaction", "connection"};
  add(word(
      "destination", "pipelining",
      "how far commands may run ahead of replies: none, transaction or connection", "\"none\"", pipelining,
      {},
      [](S s, std::size_t n) { s.destinations.back().pipelining = static_cast<Destination::Pipelining>(n); },
      [pipelining](Settings s) {
        if (s.destinations.empty() || !s.destinations.back().pipelining) return std::string();
        return quote(pipelining[static_cast<std::size_t>(*s.destinations.back().pipelining)]);
      }));
  add(tls_policy("destination", "TLS towards it, whatever the other tables say",
                 [](S s) { return s.destinations.empty() ? nullptr : &s.destinations.back().tls; }));
  add(rate(
      "destination", "rate", "at most so many transactions in a time", "\"600/min\"",
      [](S s) -> auto& { return s.destinations.back().rate; }));
  rows.back().key.write = [](Settings s) {
    return s.destinations.empty() || !s.destinations.back().rate
               ? std::string()
               : quote(rate_text(*s.destinations.back().rate));
  };

  add(several(
      "resolver", "forward", "array of addresses", "name servers to ask; absent: those of resolv.conf",
      "[\"127.0.0.1:5353\"]", "an address with port such as \"127.0.0.1:53\"", false,
      [](S s) -> auto& { return s.resolver.forward; },
      [](const std::string& written) { return parse_name_server(written); },
      [](const NameServer& server) { return server.text; }));
  add(text(
      "resolver", "trust_anchor", "path",
      "DNSSEC trust anchors; absent: /usr/share/dns/root.key, if it is there; \"none\": answers are not "
      "validated",
      "\"/dev/null\"", [](S s) -> auto& { return s.resolver.trust_anchor; }, path_fault));

  add(delimiter());
  add(text(
      "verp", "secret_file", "path",
      "file with the secret of signed addresses; default: made once, kept in the store", "\"/dev/null\"",
      [](S s) -> auto& { return s.verp.secret_file; }, path_fault));

  add(text(
      "lists", "templates", "path",
      "folder with texts of letters, as en/welcome.txt; they stand before those that are built in",
      "\"/dev\"", [](S s) -> auto& { return s.lists.templates; }, path_fault));
  add(text(
      "lists", "bans", "text",
      "senders who can neither post to a list nor join one: addresses, domains, ^expressions",
      "\"@spam.example\"", [](S s) -> auto& { return s.lists.bans; },
      [](const std::string&) { return std::string(); }));

  add(text(
      "control", "socket", "path", "unix socket for spoolctl", "\"/tmp/spoold.sock\"",
      [](S s) -> auto& { return s.control.socket; }, socket_fault));
  add(control_mode());

  add(word(
      "log", "format", "text (key=value) or json", "\"json\"", {"text", "json"}, {},
      [](S s, std::size_t n) { s.log.format = n ? Log::Format::json : Log::Format::text; },
      [](const Settings& s) {
        return std::string(s.log.format == Log::Format::json ? "\"json\"" : "\"text\"");
      }));
  const std::vector<std::string> levels{"debug", "info", "warning", "error"};
  add(word(
      "log", "level", "least level written: debug, info, warning or error", "\"debug\"", levels, {},
      [levels](S s, std::size_t n) { s.log.level = levels[n]; },
      [](const Settings& s) { return quote(s.log.level); }));
  return rows;
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all = make_rows();
  return all;
}

}  // namespace

const std::vector<Key>& keys() {
  static const std::vector<Key> all = [] {
    std::vector<Key> out;
    for (const Row& row : rows()) out.push_back(row.key);
    return out;
  }();
  return all;
}

const std::vector<Section>& sections() {
  using Kind = Section::Kind;
  static const std::vector<Section> all = {
      {"server", Kind::table, "the process"},
      {"spool", Kind::table, "the store"},
      {"listen", Kind::tables, "where mail comes in; one table each"},
      {"tls", Kind::tables,
       "certificates of this server; one table each. The name that a client asks for (SNI) chooses; an "
       "unknown name gets the first"},
      {"milter", Kind::tables, "filters; one table each"},
      {"dnsbl", Kind::tables, "DNS lists of client addresses; one table each"},
      {"dkim", Kind::tables,
       "keys of our own signatures; one table each. Several tables of a domain: several signatures"},
      {"submission", Kind::table, "of listeners with protocol = \"submission\""},
      {"smtp", Kind::table, "limits of reception"},
      {"aliases", Kind::addresses,
       "who gets mail for an address that is no list: \"address\" = [\"address\", ...]"},
      {"domain", Kind::tables, "domains relayed for without lists; one table each"},
      {"relay", Kind::table, "the default way out"},
      {"delivery", Kind::table, "how mail goes out"},
      {"delivery.timeouts", Kind::table, "limits of each step towards a next hop"},
      {"destination", Kind::tables, "overrides for some destinations; one table each"},
      {"resolver", Kind::table, "DNS"},
      {"verp", Kind::table, "individual envelope senders"},
      {"lists", Kind::table, "what all lists have in common"},
      {"control", Kind::table, "the door for spoolctl"},
      {"log", Kind::table, "log lines on standard error"},
  };
  return all;
}

void read_key(std::size_t index, Reading& reading, const toml::node& node) {
  rows()[index].read(reading, node);
}

}  // namespace spoold::conf
