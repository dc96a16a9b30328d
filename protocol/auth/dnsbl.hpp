// One DNS list of addresses (RFC 5782): is a client on it? A machine without sockets (lookups.hpp).
//
// Guarantees: only an answer that the operator expects is a listing. Lists answer 127.255.255.x when they refuse to answer
// (over quota, or asked through an open resolver), and a domain that was lost answers anything: that is an error of the list,
// and never a listing. A failure of DNS is an error, too.
#pragma once
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/auth/lookups.hpp"

namespace spoold::auth {

struct DnsblVerdict {
  std::string zone;
  bool listed = false;
  std::vector<std::string> answers;  // every address of the answer
  std::string text;                  // of a listing: what the list says about it, printable
  std::string error;                 // the list cannot be used, for people
};

class DnsblCheck {
 public:
  /// A client ::ffff:192.0.2.1 is given as 192.0.2.1 (dns::unmapped).
  DnsblCheck(const conf::Dnsbl& list, const dns::Address& client);

  std::vector<dns::Question> ask() { return lookups_.ask(); }
  void answered(const dns::Question&, dns::Answer);
  bool done() const { return done_; }
  const DnsblVerdict& verdict() const { return verdict_; }

 private:
  void run();

  std::vector<conf::AddressRange> expected_;
  std::string name_;
  Lookups lookups_;
  DnsblVerdict verdict_;
  bool done_ = false;
};

/// The entries with which a list is tested (RFC 5782 5): the first one is on every list, the second one on none.
std::pair<dns::Address, dns::Address> dnsbl_test_entries(bool v6);
/// What is wrong with a list that answers so for its test entries; empty: it works.
std::string dnsbl_fault(const DnsblVerdict& always, const DnsblVerdict& never);

}  // namespace spoold::auth
