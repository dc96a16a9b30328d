// Content of 8 bits to a next hop that does not offer 8BITMIME (RFC 6152 3): converted, or refused.
#include "server/delivery/lane.hpp"

namespace spoold::server {

bool Lane::needs_conversion(const OutboundSession& session, const store::Message& message) {
  return message.eight_bit && !session.offered().eight_bit;
}

// What MAIL and BDAT state is the size of the converted copy.
void Lane::convert(const store::Message& message, smtp::ClientDialog::Mail& mail) {
  const SevenBit::Form& form = seven_bit_.of(message);
  mail.eight_bit = false;
  if (form.why_not.empty()) {
    mail.size = form.size;
    return;
  }
  mail.refused = smtp::Reply{
      554,
      {5, 6, 3},
      "the next hop does not offer 8BITMIME, and this message cannot be converted: " + form.why_not};
}

}  // namespace spoold::server
