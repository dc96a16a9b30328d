#include "protocol/auth/dnsbl.hpp"

#include <algorithm>

namespace spoold::auth {

DnsblCheck::DnsblCheck(const conf::Dnsbl& list, const dns::Address& client)
    : expected_(list.answers), name_(dns::reversed(client) + "." + as_name(list.zone)) {
  verdict_.zone = list.zone;
  if (!is_name(name_)) {
    verdict_.error = "the zone is too long";
    done_ = true;
    return;
  }
  run();
}

void DnsblCheck::answered(const dns::Question& question, dns::Answer answer) {
  if (lookups_.answered(question, std::move(answer)) && !done_) run();
}

void DnsblCheck::run() {
  const dns::Answer* a = lookups_.find(name_, dns::Type::a);
  if (a == nullptr) return;
  verdict_.answers.clear();
  std::string odd;
  bool refused = false;
  for (const std::string& rdata : a->records) {
    const auto address = dns::parse_address(dns::Type::a, rdata);
    if (!address) continue;
    verdict_.answers.push_back(dns::text(*address));
    const auto& o = address->octets;
    refused = refused || (o[0] == 127 && o[1] == 255 && o[2] == 255);
    const std::array<std::uint8_t, 4> four{o[0], o[1], o[2], o[3]};
    const bool known = std::any_of(expected_.begin(), expected_.end(), [&](const conf::AddressRange& range) {
      return range.first <= four && four <= range.last;
    });
    if (known)
      verdict_.listed = true;
    else
      odd = verdict_.answers.back();
  }
  if (a->temporary()) verdict_.error = "DNS: " + printable(a->why);
  if (refused) verdict_.listed = false;
  if (!odd.empty() && !verdict_.listed) verdict_.error = "the list answers " + odd + ", which is no listing";
  if (verdict_.listed) {
    const dns::Answer* txt = lookups_.find(name_, dns::Type::txt);
    if (txt == nullptr) return;
    for (const std::string& rdata : txt->records)
      if (const auto text = dns::parse_txt(rdata); text && verdict_.text.empty())
        verdict_.text = printable(*text);
  }
  done_ = true;
}

std::pair<dns::Address, dns::Address> dnsbl_test_entries(bool v6) {
  dns::Address listed, not_listed;  // 127.0.0.2 and 127.0.0.1; of IPv6 these behind ::ffff: as IPv6 addresses
  listed.v6 = not_listed.v6 = v6;
  const std::size_t at = v6 ? 12 : 0;
  if (v6)
    for (dns::Address* address : {&listed, &not_listed}) address->octets[10] = address->octets[11] = 0xff;
  listed.octets[at] = not_listed.octets[at] = 127;
  listed.octets[at + 3] = 2;
  not_listed.octets[at + 3] = 1;
  return {listed, not_listed};
}

std::string dnsbl_fault(const DnsblVerdict& always, const DnsblVerdict& never) {
  for (const DnsblVerdict* one : {&always, &never})
    if (!one->error.empty()) return one->error;
  if (never.listed) return "the list has every address: its test entry 127.0.0.1 is on it";
  if (!always.listed) return "the list has no address: its test entry 127.0.0.2 is not on it";
  return {};
}

}  // namespace spoold::auth
