// From a domain to the hosts that take its mail (RFC 5321 5.1, 7505, 7672 section 2), or a verdict why there
// are none. A machine without sockets: ask() says what is to be looked up now, answered() takes each answer,
// until done(). server/delivery/resolver drives it.
//
//   MX of the domain -> A and AAAA of the hosts -> TLSA of those that DNSSEC vouches for
//
// Guarantees: it ends after at most five rounds of questions, at most most_hosts hosts are looked at,
// whatever the answers say; NXDOMAIN and "there is nothing" are final, whatever may be different in a moment
// (SERVFAIL, bogus signatures, time-outs, nonsense) is temporary; our own host and everything behind it is
// cut. A configured next hop (by_mx = false) is never refused for good: its name is an operator's.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/dns/records.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::dns {

/// A host that takes the mail, with what was found about it.
struct Host {
  std::string name;
  std::uint16_t preference = 0, port = 25;
  bool secure = false;  // the names that led here were validated
  std::vector<Address> addresses;
  std::vector<Tlsa> tlsa;  // of _port._tcp.; only with secure
  std::string tlsa_base;   // the name that they were found at
};

/// Why there is no host. final: for good.
struct Verdict {
  bool final = false;
  smtp::EnhancedStatus status;
  std::string text;  // "DNS: example.net does not exist (NXDOMAIN)"
};

struct Found {
  std::vector<Host> hosts;         // by preference; empty: see verdict
  std::optional<Verdict> verdict;  // exactly when there are no hosts
  bool whole = true;               // false: there are more hosts, or what was asked of one failed
  Duration ttl{};                  // how long this may be used: 1 min to 1 h
};

class Resolution {
 public:
  static constexpr std::size_t most_hosts = 10;

  struct Options {
    std::string name;      // lower-case A-labels, no final dot
    bool by_mx = true;     // false: a configured next hop; its addresses are all that is asked for
    bool tlsa = true;      // ask for TLSA records where they would count
    std::string own_name;  // this server's, lower case
    std::function<std::uint16_t(const std::string& host)> port;           // to connect to
    std::function<bool(const Address&, std::uint16_t port)> own_address;  // is that one of our own listeners?
    std::uint64_t seed = 0;  // which of many equal hosts are looked at
  };

  explicit Resolution(Options options);

  /// Questions not asked before.
  std::vector<Question> ask();
  void answered(const Question&, Answer);
  bool done() const { return found_.has_value(); }
  Found take() { return std::move(*found_); }

 private:
  struct Candidate {
    Host host;
    std::vector<std::string> tlsa_names;  // in order; RFC 7672 2.2.2
    bool dead = false;                    // what was found out about it is no use
  };

  bool owed() const;  // questions without an answer
  void add(std::string name, std::uint16_t preference);
  void want(std::string name, Type type);
  const Answer& answer(const std::string& name, Type type) const;
  void note(const Answer&);
  void next_round();
  void take_mx();
  void cut_ourselves();
  void take_addresses();
  void take_aliases();
  bool want_tlsa();
  void finish();
  void refuse(bool final, smtp::EnhancedStatus status, std::string text);
  void refuse_for(const Answer&, const Question&);

  enum class Round : std::uint8_t { mx, addresses, aliases, tlsa } round_ = Round::mx;
  Options options_;
  bool implicit_ = false, mx_secure_ = false;
  std::map<Question, std::optional<Answer>> answers_;
  std::vector<Question> new_questions_;
  std::vector<Candidate> candidates_;
  std::optional<Question> failed_;  // the first one with a temporary answer
  Duration ttl_;
  bool whole_ = true;
  std::optional<Found> found_;
};

/// One address to connect to.
struct Place {
  const Host* host = nullptr;
  Address address;
};

/// The addresses in the order to try them now: by preference, equal ones shuffled, IPv6 and IPv4 in turn, not
/// more than 4 of a host and 16 in all. Points into `found`.
std::vector<Place> in_order(const Found& found, std::uint64_t seed);

}  // namespace spoold::dns
