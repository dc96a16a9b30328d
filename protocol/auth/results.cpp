#include "protocol/auth/results.hpp"

#include <algorithm>

#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

/// A value (RFC 2045 5.1): as a token, else as a quoted string. What comes from others is made printable.
std::string value(std::string_view text) {
  std::string safe = printable(text);
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

std::string authentication_results(std::string_view authserv_id, const Verified& found) {
  constexpr const char* next = ";\r\n ";
  std::string out = "Authentication-Results: " + value(authserv_id);
  if (!found.spf && !found.iprev && found.listed.empty() && !found.dmarc) out += "; none";
  if (found.spf) {
    out += std::string(next) + "spf=" + text(found.spf->result);
    add_reason(out, found.spf->problem);
    add_property(out, found.helo ? "smtp.helo" : "smtp.mailfrom", found.spf->domain);
  }
  if (found.iprev) {
    out += std::string(next) + "iprev=" + text(*found.iprev);
    add_property(out, "policy.iprev", found.client);
  }
  // RFC 8601 2.7.6: no method of its own is registered for lists that say something bad.
  for (const std::string& zone : found.listed) {
    out += std::string(next) + "x-dnsbl=listed";
    add_property(out, "dns.zone", zone);
  }
  if (!found.dmarc) return out + "\r\n";
  if (found.dkim.empty()) out += std::string(next) + "dkim=none";
  for (const DkimVerdict& one : found.dkim) {
    out += std::string(next) + "dkim=" + text(one.result);
    add_reason(out, one.reason);
    add_property(out, "header.d", one.domain);
    add_property(out, "header.s", one.selector);
    add_property(out, "header.a", one.algorithm);
    add_property(out, "header.b", one.signature);
  }
  if (found.dkim2) {
    out += std::string(next) + "dkim2=" + text(found.dkim2->result);
    add_reason(out, found.dkim2->reason);
    if (!found.dkim2->signatures.empty()) {
      add_property(out, "header.d", found.dkim2->signatures.front().domain);
      add_property(out, "header.i", std::to_string(found.dkim2->signatures.front().number));
    }
  }
  const DmarcVerdict& dmarc = *found.dmarc;
  out += std::string(next) + "dmarc=" + text(dmarc.result);
  add_reason(out, dmarc.problem);
  add_property(out, "header.from", dmarc.domain);
  if (dmarc.policy) add_property(out, "polrec.p", text(*dmarc.policy));
  if (dmarc.record_domain != dmarc.domain) add_property(out, "polrec.domain", dmarc.record_domain);
  return out + "\r\n";
}

bool claims(const mail::Field& field, std::string_view authserv_id) {
  if (!mail::same(field.name, "Authentication-Results")) return false;
  const std::string_view text = field.value;
  std::size_t at = 0;
  int comments = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\\' && comments > 0)
      ++at;
    else if (c == '(')
      ++comments;
    else if (c == ')' && comments > 0)
      --comments;
    else if (comments == 0 && !mail::is_space(c))
      break;
  }
  std::string name;
  if (at < text.size() && text[at] == '"') {
    for (++at; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      if (text[at] != '\r' && text[at] != '\n') name += text[at];
    }
  } else {
    for (; at < text.size() && !mail::is_space(text[at]) && text[at] != ';' && text[at] != '('; ++at)
      name += text[at];
  }
  return mail::same(as_name(name), as_name(authserv_id));
}

}  // namespace spoold::auth
