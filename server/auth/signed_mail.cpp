#include "server/auth/signed_mail.hpp"

#include "protocol/auth/dkim2.hpp"
#include "server/auth/crypto.hpp"

namespace spoold::server {
namespace {

constexpr mail::HeaderLimits limits{512 << 10, 8192};

std::string hash_of(std::string_view body, bool relaxed) {
  auth::BodyHash hash(relaxed, std::nullopt, new_sha256);
  hash.update(body);
  return *hash.finish();
}

}  // namespace

std::string instance_value(const std::vector<mail::Field>& fields, std::string_view body_hash) {
  const auto digest = new_sha256();
  digest->update(auth::hashed_fields(fields));
  return auth::hash_value(digest->finish(), body_hash);
}

std::string signed_mail(const SigningKeys& keys, const SignMail& how, std::string mail) {
  const bool dkim2 = !how.instance.empty() && keys.has(how.domain);
  if (dkim2) mail.insert(0, how.instance + ";\r\n");
  const auto header = mail::Header::scan(mail, limits);
  if (!header) return mail;
  const std::string_view body = std::string_view(mail).substr(header->end());
  const std::string relaxed = hash_of(body, true);
  std::string fields = keys.signatures(how.domain, header->fields(), relaxed, how.at);
  if (!how.author.empty() && how.author != how.domain)
    fields.insert(0, keys.signatures(how.author, header->fields(), relaxed, how.at));
  if (dkim2) {
    const std::string value = instance_value(header->fields(), hash_of(body, false));
    fields += keys.dkim2_signature(
        how.domain, auth::dkim2_chain(header->fields()), value,
        {.domain = {}, .selector = {}, .mail_from = how.mail_from, .rcpt_to = how.rcpt_to, .at = how.now});
    mail.insert(how.instance.size(), value);
  }
  return fields + mail;
}

}  // namespace spoold::server
