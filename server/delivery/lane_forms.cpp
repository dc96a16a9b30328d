// Copies that are not the message as it is stored. The values of a personalised post are looked up at once. A conversion for a next
// hop that does not offer 8BITMIME (RFC 6152 3), or SMTPUTF8 for a list's post, and signatures are made on other threads: the planner has handed out the
// transaction; it is begun when its form is there, because MAIL and BDAT state the size.
#include <algorithm>
#include <utility>

#include "protocol/list/leave_token.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/delivery/lane.hpp"
#include "store/directory/directory.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

using Mail = smtp::ClientDialog::Mail;

void take(const Form& form, Mail& mail) {
  if (form.converted) mail.eight_bit = mail.utf8 = false;
  mail.size = form.size;
  mail.copy = form.copy;
}

}  // namespace

// The member's name is looked up now: it is not part of the row of a recipient. Who has left has none.
std::shared_ptr<const Copy> Lane::copy_for(Claims::Held& held, const store::Recipient& recipient) {
  if (held.copy) return held.copy;
  const store::Read read(context_.store);
  if (!held.blanks) held.blanks = store::spool::blanks(read, held.message.id);
  auto copy = std::make_shared<Copy>();
  if (!is_individual(*held.blanks)) {
    copy->values.resize(held.blanks->size());
    return held.copy = copy;
  }
  const auto found = store::directory::member_by_id(read, recipient.member);
  const bool member = found && found->list == held.message.list && !found->departed;
  std::string leave_url;
  if (std::ranges::find(*held.blanks, list::blank(list::Value::leave_url), &store::BlankAt::blank) !=
      held.blanks->end())
    leave_url = list::leave_url(list_of(held.message), member ? recipient.member : 0,
                                settings_->verp.delimiter, context_.hmac);
  const list::Reader reader{.address = member ? found->member.address : recipient.address,
                            .name = member ? std::string_view(found->member.name) : std::string_view(),
                            .delivered_to = recipient.address,
                            .leave_url = leave_url};
  for (const store::BlankAt& blank : *held.blanks) copy->values.push_back(list::written(blank.blank, reader));
  return copy;
}

// With the form that is being made, if it needs one.
OutboundSession::Unready Lane::formed(OutboundSession& session, Mail mail) {
  Claims::Held& held = *claims_.find(mail.plan.message);
  // A relay may not change the header of a message (RFC 6531 3.2); a list originates its posts, so it may.
  const bool foreign = mail.utf8 && !session.offered().utf8 && held.message.list == 0;
  if (foreign || mail.refused) return {std::move(mail), nullptr};  // the dialog refuses it
  const bool convert = !mail.binary && ((mail.eight_bit && !session.offered().eight_bit) ||
                                        (mail.utf8 && !session.offered().utf8));
  const bool sign = held.blanks && is_signed(*held.blanks);
  if (!convert && !sign) return {std::move(mail), nullptr};
  if (!convert && held.form && held.form->ready() && !held.form->failed) {
    take(*held.form, mail);
    return {std::move(mail), nullptr};
  }
  // Several forms of a connection become ready while its loop is busy: it looks once.
  auto on_ready = [io = &thread_.io, alive = alive_, waiting = std::weak_ptr(session.shared_from_this()),
                   asked = session.asked] {
    if (asked->exchange(true)) return;
    asio::post(*io, [alive, waiting, asked] {
      asked->store(false);
      if (const auto open = waiting.lock(); *alive && open) open->pump();
    });
  };
  const bool individual = held.blanks && is_individual(*held.blanks);
  Envelope envelope;
  if (held.blanks && has_dkim2(*held.blanks)) envelope = {mail.sender, mail.addresses.front()};
  if (convert) {
    auto form = context_.seven_bit.of(held.message, individual ? mail.copy : nullptr, std::move(on_ready),
                                      std::move(envelope));
    return {std::move(mail), std::move(form), true};
  }
  auto form =
      context_.signing.of(held.message, *held.blanks, mail.copy, std::move(on_ready), std::move(envelope));
  if (!individual) held.form = form;
  return {std::move(mail), std::move(form)};
}

std::optional<Mail> Lane::take_ready(OutboundSession& session) {
  if (session.unready.empty()) return std::nullopt;
  if (const auto& form = session.unready.front().form; form && !form->ready()) return std::nullopt;
  auto [mail, form, converted] = std::move(session.unready.front());
  session.unready.pop_front();
  if (!form) return std::move(mail);
  // As from the read of any other content; the session ends, and the planner has the recipients again.
  if (form->failed) std::rethrow_exception(form->failed);
  if (form->why_not.empty()) {
    take(*form, mail);
  } else if (mail.utf8 && !session.offered().utf8) {
    mail.refused = smtp::Reply{553,
                               {5, 6, 7},
                               "the header of the message needs SMTPUTF8, which the next hop does not offer, "
                               "and this message cannot be converted: " +
                                   form->why_not};
  } else {
    mail.eight_bit = false;
    mail.refused = smtp::Reply{
        554,
        {5, 6, 3},
        "the next hop does not offer 8BITMIME, and this message cannot be converted: " + form->why_not};
  }
  return mail;
}

// To the planner it is a transaction of which nothing was written: its recipients are in hand again.
void Lane::give_back(OutboundSession& session, delivery::Transaction unbegun) {
  delivery::Observation nothing_sent;
  nothing_sent.message = unbegun.message;
  nothing_sent.recipients = std::move(unbegun.recipients);
  heard(session, std::move(nothing_sent));
}

// The youngest first: each goes back to the front of its line.
void Lane::give_back_unready(OutboundSession& session) {
  while (!session.unready.empty()) {
    delivery::Transaction unbegun = std::move(session.unready.back().mail.plan);
    session.unready.pop_back();
    give_back(session, std::move(unbegun));
  }
}

}  // namespace spoold::server
