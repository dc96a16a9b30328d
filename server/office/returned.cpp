#include "server/office/returned.hpp"

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::server {

std::optional<smtp::Reply> forged(const Returned& returned, const std::string& to, std::string& member) {
  const auto refused = [](std::string why) { return smtp::Reply{550, {5, 7, 1}, std::move(why)}; };
  const auth::Dkim2Returned& copy = returned.copy;
  if (!returned.holds)
    return refused("the message that is returned was not sent from here: its DKIM2-Signature of " +
                   copy.domain + " does not hold");
  if (!mail::same(copy.mail_from, to))
    return refused("the message that is returned was sent by another address than " + to);
  // An address that names a member names the right one, whatever his address is by now.
  if (const auto reader = Mailbox::parse(copy.rcpt_to, Mailbox::Allow::utf8); reader && member.empty())
    member = reader->key();
  return std::nullopt;
}

void note_authentic(ReportRead& report) {
  for (store::directory::Operation& one : report.operations)
    if (auto* score = std::get_if<store::directory::ScoreMember>(&one.change))
      score->said += "; authentic: it returns our DKIM2 signature";
}

}  // namespace spoold::server
