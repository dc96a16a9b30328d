#include "protocol/auth/verified.hpp"

#include <algorithm>

namespace spoold::auth {
namespace {

// A receiver that refuses names the domain and what its sender can do; what strangers publish is printable here.
std::optional<smtp::Reply> by_spf(const Verified& found) {
  if (!found.spf) return {};
  const SpfVerdict& spf = *found.spf;
  const std::string domain = printable(spf.domain);
  if (spf.result == SpfResult::temperror)
    return smtp::Reply{
        451,
        {4, 7, 24},
        "SPF of " + domain + " cannot be checked now: " + printable(spf.problem) + "; try again later"};
  if (spf.result != SpfResult::fail) return {};
  std::string text =
      "SPF: " + domain + " does not allow " + found.client +
      " to send its mail; send it through a server of that domain, or add this one to its record";
  if (!spf.explanation.empty()) text += "\n" + domain + " explains: " + printable(spf.explanation);
  return smtp::Reply{550, {5, 7, 23}, std::move(text)};
}

bool in_doubt(const Verified& found) {
  return (found.spf && found.spf->result == SpfResult::temperror) ||
         std::ranges::any_of(found.dkim,
                             [](const DkimVerdict& one) { return one.result == DkimResult::temperror; });
}

std::optional<smtp::Reply> by_dmarc(const Verified& found) {
  const DmarcVerdict& dmarc = *found.dmarc;
  const std::string domain = printable(dmarc.domain);
  const auto later = [&](const std::string& why) {
    return smtp::Reply{
        451,
        {4, 7, 26},
        "DMARC of " + domain + " cannot be checked now: " + printable(why) + "; try again later"};
  };
  if (dmarc.result == DmarcResult::temperror) {
    if (dmarc.policy && *dmarc.policy != DmarcPolicy::reject) return {};
    return later(dmarc.problem);
  }
  if (dmarc.result != DmarcResult::fail || dmarc.disposition != DmarcPolicy::reject) return {};
  // A signature or SPF that could not be checked may be the one that is aligned.
  if (in_doubt(found)) return later("DNS did not answer for a signature or for SPF");
  const std::string spf =
      found.spf ? std::string(text(found.spf->result)) + " for " + printable(found.spf->domain) : "not asked";
  return smtp::Reply{550,
                     {5, 7, 26},
                     "DMARC: the policy of " + domain + " rejects this message: neither SPF (" + spf +
                         ") nor a DKIM signature passed for " + domain +
                         "; send it through a server of that domain, or sign it with DKIM"};
}

// Draft 10.4: the sentence of the verifier is part of the reply; only where no key can be had another attempt helps.
std::optional<smtp::Reply> by_dkim2(const Verified& found) {
  const Dkim2Verdict& dkim2 = *found.dkim2;
  if (dkim2.result == Dkim2Result::pass || dkim2.result == Dkim2Result::none) return {};
  if (dkim2.result == Dkim2Result::temperror)
    return smtp::Reply{451, {4, 7, 5}, "DKIM2: " + printable(dkim2.reason) + "; try again later"};
  return smtp::Reply{550, {5, 7, 20}, "DKIM2: " + printable(dkim2.reason)};
}

}  // namespace

std::vector<Identifier> identifiers(const std::optional<SpfVerdict>& spf,
                                    const std::vector<DkimVerdict>& dkim) {
  std::vector<Identifier> all;
  if (spf && spf->result == SpfResult::pass) all.push_back({Identifier::By::spf, spf->domain});
  for (const DkimVerdict& one : dkim)
    if (one.result == DkimResult::pass) all.push_back({Identifier::By::dkim, one.domain});
  return all;
}

std::optional<Refusal> refusal(const Verified& found, const conf::Smtp& policy) {
  // With reject_fail SPF alone decides, also for a message that DMARC passes: an operator has asked for it.
  if (policy.spf == conf::Smtp::Spf::reject_fail)
    if (auto reply = by_spf(found)) return Refusal{Refusal::By::spf, *std::move(reply)};
  if (policy.dmarc == conf::Smtp::Dmarc::reject && found.dmarc)
    if (auto reply = by_dmarc(found)) return Refusal{Refusal::By::dmarc, *std::move(reply)};
  if (policy.dkim2 == conf::Smtp::Dkim2::reject && found.dkim2)
    if (auto reply = by_dkim2(found)) return Refusal{Refusal::By::dkim2, *std::move(reply)};
  return {};
}

std::string summary(const Verified& found) {
  std::string out;
  if (found.spf) out.append(" spf=").append(text(found.spf->result));
  if (found.dmarc) {
    out += " dkim=";
    if (found.dkim.empty()) out += "none";
    for (std::size_t i = 0; i < found.dkim.size() && i < DkimCheck::most_signatures; ++i)
      out.append(i == 0 ? "" : ",").append(text(found.dkim[i].result));
    if (found.dkim2) out.append(" dkim2=").append(text(found.dkim2->result));
    // Without SPF a failure of DMARC says nothing.
    if (!found.handed_over) out.append(" dmarc=").append(text(found.dmarc->result));
  }
  if (found.iprev) out.append(" iprev=").append(text(*found.iprev));
  for (const std::string& zone : found.listed) out.append(" dnsbl=").append(zone);
  return out.substr(out.empty() ? 0 : 1);
}

}  // namespace spoold::auth
