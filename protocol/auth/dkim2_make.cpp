#include "protocol/auth/dkim2_make.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "protocol/auth/folded.hpp"
#include "protocol/auth/lookups.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::auth {
namespace {

constexpr auto oldest = std::chrono::hours(24 * 14);

}  // namespace

bool Dkim2Came::leads_to(std::string_view domain, TimePoint until) const {
  if (!whole || chain.empty()) return false;
  const auto first = std::chrono::floor<std::chrono::seconds>(until - oldest).time_since_epoch().count();
  for (const Dkim2Signature& one : chain)
    if (first > 0 && one.time < static_cast<std::uint64_t>(first)) return false;
  const Dkim2Signature& last = chain.back();
  if (!last.mail_from) return mail::same(last.next_domain, domain);
  return std::ranges::any_of(last.rcpt_to, [&](const std::string& path) {
    return within(as_name(domain), as_name(domain_of(std::string_view(path).substr(1, path.size() - 2))));
  });
}

Dkim2Came dkim2_came(const mail::Header& header) {
  Dkim2Came came;
  bool sound = true;
  std::map<std::uint64_t, Dkim2Signature> signatures;
  std::set<std::uint64_t> instances;
  for (const mail::Field& field : header.fields()) {
    if (is_instance(field)) {
      came.any = true;
      const auto one = MessageInstance::parse(field);
      sound = sound && one && instances.insert(one->number).second;
    } else if (is_signature(field)) {
      came.any = true;
      auto one = Dkim2Signature::parse(field);
      sound = sound && one;
      if (!sound) continue;
      const std::uint64_t number = one->number;
      sound = signatures.emplace(number, std::move(*one)).second;
    }
  }
  if (!came.any || !sound || instances.empty() || signatures.empty()) return came;
  came.instances = *instances.rbegin();
  came.signatures = signatures.rbegin()->first;
  came.whole = came.instances == instances.size() && came.signatures == signatures.size() &&
               signatures.rbegin()->second.instance == came.instances;
  for (auto& [number, one] : signatures) came.chain.push_back(std::move(one));
  return came;
}

Dkim2Requests dkim2_requests(const std::vector<mail::Field>& fields) {
  Dkim2Requests asked;
  for (const mail::Field& field : fields) {
    if (!is_signature(field)) continue;
    const auto one = Dkim2Signature::parse(field);
    if (!one) continue;
    asked.do_not_modify = asked.do_not_modify || one->has_flag("donotmodify");
    asked.do_not_explode = asked.do_not_explode || one->has_flag("donotexplode");
  }
  return asked;
}

std::optional<Dkim2Returned> dkim2_returned(const std::vector<mail::Field>& fields) {
  std::map<std::uint64_t, std::string> instances, signatures;
  std::optional<Dkim2Signature> last;
  std::string own;
  for (const mail::Field& field : fields) {
    const bool instance = is_instance(field);
    if (!instance && !is_signature(field)) continue;
    std::string text = dkim2_canonical(field, false);
    const auto number = dkim2_number(text, instance ? "m" : "i");
    if (!number) return std::nullopt;
    (instance ? instances : signatures)[*number] = std::move(text);
    if (instance || (last && *number < last->number)) continue;
    auto one = Dkim2Signature::parse(field);
    if (!one) return std::nullopt;
    last = std::move(*one);
    own = dkim2_canonical(field, true);
  }
  if (!last || !last->mail_from || last->rcpt_to.size() != 1 || last->values.size() != 1) return std::nullopt;
  const auto bare = [](const std::string& path) { return path.substr(1, path.size() - 2); };
  Dkim2Returned copy{
      last->domain, last->values.front().selector, bare(*last->mail_from), bare(last->rcpt_to.front()),
      {},           last->values.front().octets};
  for (const auto& [number, text] : instances)
    if (number <= last->instance) copy.octets += text;
  signatures.erase(last->number);
  for (const auto& [number, text] : signatures) copy.octets += text;
  copy.octets += own;
  return copy;
}

std::string instance_field(std::uint64_t number, std::string_view json) {
  Folded field;
  field.word("Message-Instance: m=" + std::to_string(number) + ";", false);
  if (!json.empty()) {
    field.word("r=", true);
    field.letters(mail::base64_encode(json), ";");
  }
  return field.take() + "\r\n h=";
}

std::string hash_value(std::string_view header_hash, std::string_view body_hash) {
  return "sha256:" + mail::base64_encode(header_hash) + ":\r\n " + mail::base64_encode(body_hash);
}

Dkim2Chain dkim2_chain(const std::vector<mail::Field>& fields) {
  constexpr std::string_view open = ";h=;\r\n";
  Dkim2Chain chain;
  std::map<std::uint64_t, std::string> instances, signatures;
  for (const mail::Field& field : fields) {
    const bool instance = is_instance(field);
    if (!instance && !is_signature(field)) continue;
    std::string text = dkim2_canonical(field, false);
    const auto number = dkim2_number(text, instance ? "m" : "i");
    if (number) (instance ? instances : signatures)[*number] = std::move(text);
  }
  for (auto& [number, text] : instances) {
    chain.instances = number;
    const bool last = number == instances.rbegin()->first && text.ends_with(open);
    if (last) text.resize(text.size() - (open.size() - open.find(";\r\n")));
    chain.before += text;
    if (last) chain.after = ";\r\n";
  }
  for (auto& [number, text] : signatures) {
    chain.signatures = number;
    chain.after += text;
  }
  return chain;
}

std::string Dkim2Chain::with(std::string_view value) const {
  std::string octets = before;
  octets.reserve(before.size() + value.size() + after.size());
  for (const char c : value)
    if (!mail::is_space(c) && c != '\r' && c != '\n') octets += c;
  return octets + after;
}

Dkim2ToSign dkim2_to_sign(const Dkim2Chain& chain, std::string_view value, const Dkim2SignAs& as) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(as.at).time_since_epoch().count();
  const auto path = [](std::string_view address) {
    return mail::base64_encode("<" + std::string(address) + ">");
  };
  Folded field;
  field.word("DKIM2-Signature: i=" + std::to_string(chain.signatures + 1) + ";", false);
  field.word("m=" + std::to_string(chain.instances) + ";", true);
  field.word("t=" + std::to_string(std::max<std::int64_t>(seconds, 0)) + ";", true);
  field.word("d=" + std::string(as.domain) + ";", true);
  if (!as.mail_from.empty()) field.word("f=exploded;", true);
  field.word("mf=", true);
  field.letters(path(as.mail_from), ";");
  field.word("rt=", true);
  field.letters(path(as.rcpt_to), ";");
  field.word(
      "s=" + std::string(as.selector) + (as.type == KeyType::rsa ? ":rsa-sha256:" : ":ed25519-sha256:"),
      true);
  Dkim2ToSign made{field.take(), chain.with(value)};
  const std::string own = made.field + ";\r\n";
  made.octets += dkim2_canonical(mail::Header::scan(own)->fields().front(), true);
  return made;
}

std::string dkim2_signed_field(const Dkim2ToSign& made, std::string_view signature) {
  Folded field(made.field);
  field.letters(mail::base64_encode(signature), ";\r\n");
  return field.take();
}

}  // namespace spoold::auth
