// spoold.toml as plain structs, with the defaults of conf/README.md. Loaded and checked by conf/load.hpp. Only keys
// that do something exist here.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/providers.hpp"
#include "conf/reply_rule.hpp"
#include "conf/templates.hpp"

namespace spoold::conf {

using Duration = std::chrono::milliseconds;

/// What is asked of TLS towards a next hop; protocol/delivery/tls_policy.hpp says what each means.
enum class Tls { none, opportunistic, required, verified, dane };

/// smtp://host[:port], smtps://host[:port], lmtp://host[:port], lmtp+unix:/path, smtp+unix:/path
struct NextHop {
  enum class Protocol { smtp, lmtp };
  Protocol protocol = Protocol::smtp;
  bool implicit_tls = false;  // smtps: TLS from the first octet (RFC 8314)
  std::string host;           // name or address literal without brackets; empty for a unix socket
  std::uint16_t port = 25;
  std::string path;  // of the unix socket
  std::string text;  // canonical form of the URL: the lane's and the route's name
  bool operator==(const NextHop&) const = default;
};

struct Listen {
  enum class Protocol { smtp, lmtp, submission };
  enum class Tls { none, starttls, implicit };
  Protocol protocol = Protocol::smtp;
  std::string host;  // empty for a unix socket
  std::uint16_t port = 0;
  std::string path;
  std::string text;  // as written in the file
  Tls tls = Tls::none;
  bool proxy_protocol = false;  // each connection begins with a PROXY header of one of [smtp] proxies
  bool xclient = false;         // offered to [smtp] proxies
  bool operator==(const Listen&) const = default;
};

/// Where something stands in the file: for faults that are found later than the file is read.
struct Place {
  unsigned line = 0, column = 0;
};

/// A certificate of this server and its private key, both PEM files. server/tls/certificates.hpp reads them.
struct Certificate {
  std::string certificate, key;
  Place certificate_at, key_at;
};

/// IPv4 addresses from the first to the last one: "127.0.0.2-127.0.0.11", or one address.
struct AddressRange {
  std::array<std::uint8_t, 4> first{}, last{};
  std::string text;
  bool operator==(const AddressRange&) const = default;
};

/// At most so many in a time.
struct Rate {
  std::uint64_t count = 0;
  Duration per{};
  bool operator==(const Rate&) const = default;
};

/// A DNS list of addresses (RFC 5782). What it answers beside `answers` is an error of the list, never a listing.
struct Dnsbl {
  enum class Action { reject, mark, weigh };
  std::string zone;
  std::vector<AddressRange> answers = {{{127, 0, 0, 2}, {127, 0, 0, 11}, "127.0.0.2-127.0.0.11"}};
  Action action = Action::reject;
  int weight = 1;  // of Action::weigh; below 0: a list of good clients
  bool operator==(const Dnsbl&) const = default;
};

/// A filter (milter protocol), asked about each message. protocol/milter/ speaks to it.
struct Milter {
  enum class WhenAway { tempfail, accept, reject };
  std::string host;  // an address; empty for a unix socket
  std::uint16_t port = 0;
  std::string path;
  std::string text;  // as written in the file
  WhenAway when_away = WhenAway::tempfail;
  Duration timeout = std::chrono::seconds(30);  // of one answer
  bool operator==(const Milter&) const = default;
};

/// A private key (a PEM file) for signatures of mail from `domain` (RFC 6376). server/auth/signing_keys.hpp reads it.
struct Dkim {
  std::string domain, selector, key;
  Place key_at;
};

struct Server {
  int threads = 0;  // 0: one per core
  std::string user;
  Duration grace = std::chrono::seconds(10);
  bool operator==(const Server&) const = default;
};

struct Spool {
  std::string path = "/var/lib/spoold";
  std::uint64_t max_size = 32ull << 30;
  std::uint64_t reserve = 512ull << 20;
  Duration history = std::chrono::hours(24 * 14);
  bool operator==(const Spool&) const = default;
};

/// "192.0.2.0/24", "2001:db8::/32", one address, or "unix": peers on unix sockets
struct Network {
  bool unix_socket = false;
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};
  int bits = 0;
  std::string text;
  bool operator==(const Network&) const = default;
};

struct Smtp {
  std::uint64_t max_message_size = 25ull << 20;
  int max_recipients = 1000;
  int max_connections = 1000;
  int max_connections_per_host = 20;
  std::vector<Network> trusted_networks;
  std::vector<Network> proxies;  // whose word about the client counts, on listeners that ask for it
  // Of clients without rights on smtp listeners (protocol/auth/verified.hpp).
  enum class Spf { off, mark, reject_fail } spf = Spf::mark;
  enum class Dmarc { off, mark, reject } dmarc = Dmarc::mark;
  enum class Dkim2 { mark, reject } dkim2 = Dkim2::mark;
  enum class Fcrdns { off, mark, reject } fcrdns = Fcrdns::off;
  enum class Helo { off, reject } helo = Helo::off;
  Duration greeting_delay{};  // a stranger who sends something meanwhile is refused
  int dnsbl_threshold = 3;    // of the weights of the lists that have the client
  Duration greylist{};        // so long a stranger who is not known waits; 0: nobody does
  std::optional<Rate> messages_per_host, recipients_per_host;  // of strangers on smtp listeners
};

/// Of listeners with Protocol::submission.
struct Submission {
  enum class Senders { own, domain, any };
  Senders senders = Senders::own;
  std::optional<Rate> messages_per_user, recipients_per_user;
};

struct RelayDomain {
  std::string name;
  std::vector<NextHop> deliver_to;  // in order of preference; empty: the way of [relay]
  std::optional<Tls> tls;           // absent: as [delivery] tls, and none on loopback and unix sockets
  bool operator==(const RelayDomain&) const = default;
};

struct Relay {
  std::vector<NextHop> smarthost;  // in order of preference; empty: by MX
  std::optional<Tls> tls;     // absent: verified with a username, none on loopback and unix sockets, else as
                              // [delivery] tls
  std::string username;       // of AUTH; empty: none
  std::string password_file;  // its first line
  bool operator==(const Relay&) const = default;
};

struct Timeouts {
  Duration connect = std::chrono::seconds(30), greeting = std::chrono::minutes(5),
           mail = std::chrono::minutes(5), rcpt = std::chrono::minutes(5), data = std::chrono::minutes(2),
           block = std::chrono::minutes(3), dot = std::chrono::minutes(10);
  bool operator==(const Timeouts&) const = default;
};

struct Delivery {
  std::string replies, providers;  // files; empty: what is built in
  Duration lifetime = std::chrono::hours(24 * 5);
  std::vector<Duration> retry = {std::chrono::minutes(5), std::chrono::minutes(15), std::chrono::minutes(30),
                                 std::chrono::hours(1),   std::chrono::hours(2),    std::chrono::hours(4)};
  int max_connections = 500;
  int connections_per_destination = 20;
  int recipients_per_transaction = 100;
  Duration delay_warning = std::chrono::hours(4), report_wait = std::chrono::minutes(1);
  std::vector<Duration> isolation_waits = {std::chrono::seconds(5), std::chrono::seconds(30),
                                           std::chrono::minutes(2)};
  int isolation_budget = 3;
  Duration isolation_window = std::chrono::minutes(10);
  Tls tls = Tls::opportunistic;
  std::string ca_file;              // certificates trusted beside the system's
  std::vector<std::string> source;  // addresses to send from; empty: the system chooses
  Timeouts timeouts;
  bool operator==(const Delivery&) const = default;
};

/// Overrides for one destination; `match` names a domain, a next hop's host, MX hosts ("mx:*.example.net") or
/// a network.
struct Destination {
  enum class Pipelining { none, transaction, connection };
  std::string match;
  std::optional<int> connections;
  std::optional<Pipelining> pipelining;
  std::optional<Tls> tls;
  std::optional<Rate> rate;  // of transactions
  std::optional<int> port;   // of MX hosts and address literals
  bool operator==(const Destination&) const = default;
};

struct NameServer {
  std::string host;  // an address
  std::uint16_t port = 53;
  std::string text;  // canonical: "192.0.2.1:53"
  bool operator==(const NameServer&) const = default;
};

struct Resolver {
  std::vector<NameServer> forward;  // empty: resolv.conf
  std::string trust_anchor;         // file; empty: the system's root key; "none": no DNSSEC
  bool operator==(const Resolver&) const = default;
};

struct Verp {
  char delimiter = '+';
  std::string secret_file;
  bool operator==(const Verp&) const = default;
};

struct Control {
  std::string socket = "/run/spoold/control.sock";
  int mode = 0660;
  bool operator==(const Control&) const = default;
};

struct Log {
  enum class Format { text, json };
  Format format = Format::text;
  std::string level = "info";
};

struct Lists {
  std::string templates;  // folder; empty: the texts that are built in
  std::string bans;       // addresses, domains, ^expressions: protocol/list/patterns.hpp
};

struct Settings {
  std::string hostname;
  Server server;
  Spool spool;
  std::vector<Listen> listen;
  std::vector<Certificate> certificates;  // [[tls]]
  std::vector<Milter> milters;            // in order
  std::vector<Dnsbl> dnsbls;
  std::vector<Dkim> dkim_keys;  // [[dkim]]
  Submission submission;
  Smtp smtp;
  std::map<std::string, std::vector<std::string>> aliases;
  std::vector<RelayDomain> domains;
  Relay relay;
  Delivery delivery;
  std::vector<Destination> destinations;
  Resolver resolver;
  Verp verp;
  Lists lists;
  Templates templates;                                     // those of lists.templates
  std::shared_ptr<const std::vector<ReplyRule>> replies;   // those of delivery.replies; null: none
  std::shared_ptr<const std::vector<Provider>> providers;  // those of delivery.providers; null: none
  Control control;
  Log log;
};

}  // namespace spoold::conf
