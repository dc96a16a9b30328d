// What the fuzzer and the replay of its corpus run: any octets as the answers of the DNS. However they lie,
// the search for a domain's hosts ends, within its bounds, with hosts or a verdict; what is said about it is
// printable.
#pragma once
#include <algorithm>
#include <string_view>

#include "protocol/dns/resolution.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// First octet: by MX or not, with TLSA or not. Then, for each question: one octet of status and security,
/// one of the number of records, and each record behind its size; the rest of a question's octets may be
/// missing.
inline void fuzz_dns(std::string_view data) {
  Input in{data};
  const auto octet = [&in] { return in.octet(); };
  const auto piece = [&in] { return in.take(in.octet()); };
  const unsigned choice = octet();
  dns::Resolution::Options options;
  options.name = "x.test";
  options.by_mx = (choice & 1) != 0;
  options.tlsa = (choice & 2) != 0;
  options.own_name = "me.test";
  options.own_address = [](const dns::Address& a, std::uint16_t) { return a.octets[0] == 127; };
  options.seed = choice;
  dns::Resolution resolution(options);
  int rounds = 0;
  while (!resolution.done()) {
    must(++rounds <= 6);
    const auto questions = resolution.ask();
    must(!questions.empty() && questions.size() <= 2 * dns::Resolution::most_hosts);
    for (const dns::Question& question : questions) {
      dns::Answer answer;
      const unsigned how = octet();
      answer.status = static_cast<dns::Answer::Status>((how & 15) % 6);
      answer.secure = (how & 16) != 0;
      answer.ttl = std::chrono::seconds(how * 100);
      if ((how & 32) != 0) answer.canonical = dns::parse_name(piece()).value_or("");
      if ((how & 64) != 0) answer.why = piece();
      for (unsigned n = octet() % 40; n > 0; --n) answer.records.push_back(piece());
      resolution.answered(question, std::move(answer));
    }
  }
  const dns::Found found = resolution.take();
  must(found.hosts.empty() == found.verdict.has_value());
  must(found.ttl >= std::chrono::minutes(1) && found.ttl <= std::chrono::hours(1));
  must(found.hosts.size() <= dns::Resolution::most_hosts);
  for (const dns::Host& host : found.hosts) {
    must(!host.addresses.empty() && !host.name.empty() && host.name.size() <= 253);
    must(host.secure || host.tlsa.empty());
    for (const dns::Address& address : host.addresses) must(dns::usable(address));
  }
  must(dns::in_order(found, choice).size() <= 16);
  if (!found.verdict) return;
  must(options.by_mx || !found.verdict->final);
  must(std::all_of(found.verdict->text.begin(), found.verdict->text.end(),
                   [](char c) { return c >= ' ' && c <= '~'; }));
}

}  // namespace spoold::tests
