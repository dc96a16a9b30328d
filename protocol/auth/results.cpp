#include "protocol/auth/results.hpp"

#include <algorithm>

#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

/// A value (RFC 2045 5.1): as a token, else as a quoted string. What comes from others is made printable.
std::string value(std::string_view text) {
  const std::string safe = printable(text);
  const bool token = !safe.empty() && std::all_of(safe.begin(), safe.end(), [](char c) {
    return c > ' ' && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
  });
  if (token) return safe;
  std::string quoted = "\"";
  for (const char c : safe) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

void add_reason(std::string& out, const std::string& reason) {
  if (!reason.empty()) out += " reason=" + value(reason);
}

void add_property(std::string& out, const char* name, const std::string& text) {
  if (!text.empty()) out += std::string(" ") + name + "=" + value(text);
}

}  // namespace

std::string author_domain(const mail::Header& header) {
  std::string domain;
  for (const Mailbox& mailbox : mail::mailboxes(header, {"From"})) {
    if (!domain.empty() && domain != mailbox.domain()) return {};
    domain = mailbox.domain();
  }
  return domain;
}

std::vector<Identifier> identifiers(const SpfVerdict& spf, const std::vector<DkimVerdict>& dkim) {
  std::vector<Identifier> all;
  if (spf.result == SpfResult::pass) all.push_back({Identifier::By::spf, spf.domain});
  for (const DkimVerdict& one : dkim)
    if (one.result == DkimResult::pass) all.push_back({Identifier::By::dkim, one.domain});
  return all;
}

std::string authentication_results(std::string_view authserv_id, const SpfVerdict& spf, bool helo,
                                   const std::vector<DkimVerdict>& dkim, const DmarcVerdict& dmarc) {
  constexpr const char* next = ";\r\n ";
  std::string out = "Authentication-Results: " + value(authserv_id) + next + "spf=" + text(spf.result);
  add_reason(out, spf.problem);
  add_property(out, helo ? "smtp.helo" : "smtp.mailfrom", spf.domain);
  if (dkim.empty()) out += std::string(next) + "dkim=none";
  for (const DkimVerdict& one : dkim) {
    out += std::string(next) + "dkim=" + text(one.result);
    add_reason(out, one.reason);
    add_property(out, "header.d", one.domain);
    add_property(out, "header.s", one.selector);
    add_property(out, "header.a", one.algorithm);
    add_property(out, "header.b", one.signature);
  }
  out += std::string(next) + "dmarc=" + text(dmarc.result);
  add_reason(out, dmarc.problem);
  add_property(out, "header.from", dmarc.domain);
  if (dmarc.policy) add_property(out, "polrec.p", text(*dmarc.policy));
  if (dmarc.record_domain != dmarc.domain) add_property(out, "polrec.domain", dmarc.record_domain);
  return out + "\r\n";
}

}  // namespace spoold::auth
