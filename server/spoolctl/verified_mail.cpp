#include "server/spoolctl/verified_mail.hpp"

#include <stdexcept>

#include "protocol/auth/results.hpp"
#include "server/auth/crypto.hpp"
#include "server/idna.hpp"

namespace spoold::server::admin {

mail::Header header_of(std::string_view mail) {
  auto header = mail::Header::scan(mail);
  if (!header) throw std::runtime_error(std::string("bad header: ") + mail::text(header.error()));
  return std::move(*header);
}

std::string dns_domain(const std::string& written) {
  return auth::as_name(ascii_domains("@" + written).substr(1));
}

std::vector<auth::DkimVerdict> verified_signatures(const std::string& mail, const mail::Header& header,
                                                   TimePoint now, Asker& asker) {
  auth::DkimCheck check(header, now, new_sha256);
  check.body(std::string_view(mail).substr(header.end()));
  check.body_end();
  asker.answer(check);
  prove(check);
  return check.verdicts();
}

void judge_author(auth::Verified& found, const mail::Header& header, Asker& asker) {
  auth::DmarcCheck check({dns_domain(auth::author_domain(header)), auth::identifiers(found.spf, found.dkim)});
  found.dmarc = asker.answer(check).verdict();
}

}  // namespace spoold::server::admin
