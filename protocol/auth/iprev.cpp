#include "protocol/auth/iprev.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/domain.hpp"

namespace spoold::auth {

const char* text(Iprev result) {
  constexpr const char* names[] = {"pass", "fail", "temperror"};
  return names[static_cast<std::size_t>(result)];
}

IprevCheck::IprevCheck(const dns::Address& client) : client_(dns::unmapped(client)) {
  run();
}

void IprevCheck::answered(const dns::Question& question, dns::Answer answer) {
  if (lookups_.answered(question, std::move(answer)) && !done_) run();
}

void IprevCheck::finish(Iprev result, std::string problem) {
  result_ = result;
  problem_ = std::move(problem);
  done_ = true;
}

void IprevCheck::run() {
  const std::string client = dns::text(client_);
  const dns::Answer* names = lookups_.find(dns::reverse_name(client_), dns::Type::ptr);
  if (names == nullptr) return;
  if (names->temporary())
    return finish(Iprev::temperror, "DNS: the name of " + client + ": " + printable(names->why));
  const dns::Type type = client_.v6 ? dns::Type::aaaa : dns::Type::a;
  bool waits = false;
  std::string failure, seen;
  for (std::size_t i = 0; i < std::min(names->records.size(), most_names); ++i) {
    const auto name = dns::parse_ptr(names->records[i]);
    if (!name || !is_name(*name)) continue;
    const dns::Answer* there = lookups_.find(as_name(*name), type);
    if (there == nullptr) {
      waits = true;
      continue;
    }
    if (there->temporary())
      failure = "DNS: the address of " + printable(*name) + ": " + printable(there->why);
    for (const std::string& rdata : there->records)
      if (dns::parse_address(type, rdata) == client_) return finish(Iprev::pass);
    if (seen.empty()) seen = printable(*name);
  }
  if (waits) return;
  if (!failure.empty()) return finish(Iprev::temperror, std::move(failure));
  finish(Iprev::fail,
         seen.empty() ? client + " has no name (PTR)" : seen + " does not have the address " + client);
}

std::optional<std::string> helo_fault(std::string_view hello, const dns::Address& client,
                                      std::string_view own) {
  const std::string name = printable(hello);
  if (hello.starts_with('[')) {
    std::string_view literal = hello.substr(1, hello.size() - std::min<std::size_t>(hello.size(), 2));
    if (!hello.ends_with(']') || mail::address_literal_fault(hello))
      return name + " is not an address literal";
    if (mail::starts_with(literal, "IPv6:")) literal.remove_prefix(5);
    const auto address = dns::parse_ip(literal);
    if (!address || dns::unmapped(*address) != dns::unmapped(client)) return name + " is not your address";
    return {};
  }
  const std::string domain = as_name(hello);
  if (mail::same(domain, as_name(own))) return name + " is the name of this server, not yours";
  if (mail::mail_domain_fault(domain) || domain.find('.') == std::string::npos || dns::parse_ip(domain))
    return name + " is not a full domain name";
  return {};
}

}  // namespace spoold::auth
