// What filters say about the sender and about each recipient that is accepted here.
#include "server/inbound/session.hpp"

namespace spoold::server {

void Session::take_filters() {
  if (!Filters::asked(*rules_->settings, door_)) return;
  filters_ = std::make_unique<Filters>(reception_, *rules_, door_, dialog_, peer_, log_, executor());
}

// What we refuse ourselves, filters do not hear of.
Awaitable<smtp::ServerDialog::Answer> Session::filtered(smtp::ServerDialog::Answer ours) {
  if (std::holds_alternative<smtp::Reply>(ours)) co_return ours;
  std::optional<smtp::Reply> refusal;
  if (const auto* mail = std::get_if<smtp::MailArgument>(&dialog_.asked()))
    refusal = co_await filters_->mail(*mail);
  else
    refusal = co_await filters_->rcpt(std::get<smtp::RcptArgument>(dialog_.asked()));
  if (refusal) co_return smtp::ServerDialog::Answer(*std::move(refusal));
  co_return ours;
}

}  // namespace spoold::server
