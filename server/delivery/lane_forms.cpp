// Content of 8 bits to a next hop that does not offer 8BITMIME (RFC 6152 3): converted, or refused. The planner has
// handed out the transaction; it is begun when the converted copy is there, because MAIL and BDAT state its size.
#include <utility>

#include "server/delivery/lane.hpp"

namespace spoold::server {

bool Lane::needs_conversion(const OutboundSession& session, const smtp::ClientDialog::Mail& mail) {
  return mail.eight_bit && !session.offered().eight_bit;
}

void Lane::begin_conversion(OutboundSession& session, const store::Message& message,
                            smtp::ClientDialog::Mail mail) {
  session.unready = std::move(mail);
  session.form = context_.seven_bit.of(
      message, session.unready->copy,
      [io = &thread_.io, alive = alive_, waiting = std::weak_ptr(session.shared_from_this())] {
        asio::post(*io, [alive, waiting] {
          if (const auto open = waiting.lock(); *alive && open) open->pump();
        });
      });
}

std::optional<smtp::ClientDialog::Mail> Lane::take_converted(OutboundSession& session) {
  if (!may_begin() || !session.form->ready()) return std::nullopt;
  const auto form = std::exchange(session.form, nullptr);
  smtp::ClientDialog::Mail mail = std::move(*session.unready);
  session.unready.reset();
  // As from the read of any other content; the session ends, and the planner has the recipients again.
  if (form->failed) std::rethrow_exception(form->failed);
  mail.eight_bit = false;
  if (!form->why_not.empty()) {
    mail.refused = smtp::Reply{
        554,
        {5, 6, 3},
        "the next hop does not offer 8BITMIME, and this message cannot be converted: " + form->why_not};
    return mail;
  }
  mail.size = form->size;
  mail.copy = form->copy;
  return mail;
}

// To the planner it is a transaction of which nothing was written: its recipients are in hand again.
void Lane::give_back_unready(OutboundSession& session) {
  if (!session.unready) return;
  delivery::Observation nothing_sent;
  nothing_sent.message = session.unready->plan.message;
  nothing_sent.recipients = session.unready->plan.recipients;
  session.unready.reset();
  session.form.reset();
  heard(session, std::move(nothing_sent));
}

}  // namespace spoold::server
