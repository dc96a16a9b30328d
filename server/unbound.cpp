#include "server/unbound.hpp"

#include <unbound.h>

#include <unistd.h>

#include "protocol/mail/ascii.hpp"

namespace spoold::server::unbound {
namespace {

constexpr const char* system_anchor = "/usr/share/dns/root.key";

}  // namespace

std::string set_up(ub_ctx* context, const conf::Resolver& settings, const std::string& resolv_conf) {
  std::string fault;
  const auto must = [&fault](const std::string& what, int error) {
    if (error != 0 && fault.empty()) fault = what + ": " + ub_strerror(error);
  };
  const auto option = [&](const char* name, const char* value) {
    must(name, ub_ctx_set_option(context, name, value));
  };
  option("use-syslog:", "no");
  option("verbosity:", "0");
  // Above all that may run at once: a question that waits for a free port waits behind those to dead servers.
  option("outgoing-range:", "4096");
  option("num-queries-per-thread:", "4096");
  option("outgoing-num-tcp:", "16");
  option("msg-cache-size:", "8m");
  option("rrset-cache-size:", "16m");
  option("cache-max-negative-ttl:", "300");
  option("edns-buffer-size:", "1232");
  option("do-not-query-localhost:", "no");  // a resolver on this machine is a good one
  must("ub_ctx_async", ub_ctx_async(context, 1));
  if (settings.forward.empty()) {
    must(resolv_conf, ub_ctx_resolvconf(context, resolv_conf.c_str()));
  } else {
    for (const conf::NameServer& server : settings.forward)
      must("[resolver] forward " + server.text,
           ub_ctx_set_fwd(context, (server.host + "@" + std::to_string(server.port)).c_str()));
  }
  must("/etc/hosts", ub_ctx_hosts(context, nullptr));
  std::string anchor = settings.trust_anchor;
  if (anchor.empty() && access(system_anchor, R_OK) == 0) anchor = system_anchor;
  if (!anchor.empty() && anchor != "none") must(anchor, ub_ctx_add_ta_file(context, anchor.c_str()));
  if (!fault.empty()) return fault;
  // Zones that libunbound answers from itself, but that a network may have: RFC 6761 leaves them to its
  // operator. This reads the files named above, so it comes last.
  must("trust anchors or hosts file", ub_ctx_zone_remove(context, "test."));
  must("home.arpa", ub_ctx_zone_remove(context, "home.arpa."));
  return fault;
}

dns::Answer answer_of(int error, const ub_result* result) {
  using Status = dns::Answer::Status;
  dns::Answer answer;
  if (error != 0 || result == nullptr) {
    answer.why = ub_strerror(error);
    return answer;
  }
  answer.secure = result->secure != 0;
  answer.ttl = std::chrono::seconds(result->ttl);
  if (result->canonname != nullptr)
    if (auto name = dns::parse_name(result->canonname)) answer.canonical = std::move(*name);
  if (result->bogus != 0) {
    answer.status = Status::bogus;
    if (result->why_bogus != nullptr) answer.why = result->why_bogus;
  } else if (result->havedata != 0) {
    answer.status = Status::ok;
    for (int i = 0; result->data[i] != nullptr; ++i)
      answer.records.emplace_back(result->data[i], static_cast<std::size_t>(result->len[i]));
  } else if (result->nxdomain != 0) {
    answer.status = Status::nxdomain;
  } else if (result->rcode == 0) {
    answer.status = Status::nodata;
  } else {
    answer.why = result->rcode == 2 ? "SERVFAIL" : result->rcode == 5 ? "REFUSED" : "";
  }
  return answer;
}

std::string name_text(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (mail::is_alpha(c) || mail::is_digit(c) || c == '-' || c == '_' || c == '.') {
      out += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    out += '\\';
    for (const int unit : {100, 10, 1}) out += static_cast<char>('0' + octet / unit % 10);
  }
  return out;
}

}  // namespace spoold::server::unbound
