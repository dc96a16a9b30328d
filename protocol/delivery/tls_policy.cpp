#include "protocol/delivery/tls_policy.hpp"

#include <algorithm>
#include <array>

namespace spoold::delivery {
namespace {

using conf::Tls;

const char* word_of(Tls tls) {
  constexpr std::array words{"none", "opportunistic", "required", "verified", "dane"};
  return words[static_cast<std::size_t>(tls)];
}

bool is_literal(std::string_view host) {
  return host.find(':') != std::string_view::npos ||
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

Tls policy_of(const TlsRules& rules, const TlsFacts& facts) {
  if (rules.asked) return *rules.asked;
  if (rules.configured && (facts.loopback || facts.unix_socket)) return Tls::none;
  return rules.credentials ? Tls::verified : rules.otherwise;
}

void add_name(std::vector<std::string>& names, std::string_view name) {
  if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
}

}  // namespace

TlsPlan plan_tls(const TlsRules& rules, const TlsFacts& facts) {
  using Use = TlsPlan::Use;
  using Trust = TlsPlan::Trust;
  TlsPlan plan;
  plan.plain_auth = facts.unix_socket || facts.loopback;
  if (facts.unix_socket) return plan;

  Tls policy = policy_of(rules, facts);
  plan.implicit = facts.implicit;
  const bool secrets = rules.credentials && !plan.plain_auth;
  const bool records = facts.tlsa != nullptr && !facts.tlsa->empty();
  if (policy == Tls::dane && !records && secrets)
    policy = Tls::verified;  // asked to know who it is, and there is another way to know
  else if ((secrets || facts.implicit) && (policy < Tls::required || (policy == Tls::dane && !records)))
    policy = Tls::required;
  if (rules.require_tls) policy = records && policy != Tls::verified ? Tls::dane : Tls::verified;
  plan.policy = word_of(policy);
  plan.server_name = is_literal(facts.host) ? "" : facts.host;
  if (policy == Tls::none) return plan;

  plan.use = policy == Tls::required || policy == Tls::verified ? Use::must : Use::offered;
  if (policy == Tls::verified) plan.trust = Trust::pkix;
  // RFC 7672 2.2: that there are records, though none may be usable, says that TLS is there.
  if (records && (policy == Tls::opportunistic || policy == Tls::dane)) {
    plan.policy = "dane";
    plan.use = Use::must;
    if (std::any_of(facts.tlsa->begin(), facts.tlsa->end(),
                    [](const dns::Tlsa& record) { return dns::usable(record); }))
      plan.trust = Trust::dane;
    else if (rules.require_tls)
      plan.trust = Trust::pkix;
  }
  const std::string_view base = facts.tlsa_base.empty() ? facts.host : facts.tlsa_base;
  if (plan.trust == Trust::dane) {  // RFC 7672 3.2.2: the base domain first
    plan.server_name = base;
    add_name(plan.names, base);
  }
  add_name(plan.names, facts.host);
  if (!rules.require_tls) add_name(plan.names, facts.domain);
  plan.may_fall_back = plan.use == Use::offered;
  if (plan.may_fall_back && facts.failed_lately) plan.use = Use::never;
  return plan;
}

void PlaintextHosts::add(const std::string& host, TimePoint now) {
  if (until_.size() >= most) {
    std::erase_if(until_, [&](const auto& one) { return one.second <= now; });
    if (until_.size() >= most) until_.erase(until_.begin());
  }
  until_[host] = now + std::chrono::hours(1);
}

bool PlaintextHosts::contains(const std::string& host, TimePoint now) const {
  const auto found = until_.find(host);
  return found != until_.end() && found->second > now;
}

}  // namespace spoold::delivery
