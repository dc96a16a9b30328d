#include "server/office/dkim2.hpp"

#include "protocol/auth/dkim2_make.hpp"
#include "protocol/list/verp.hpp"
#include "server/office/signing.hpp"

namespace spoold::server {
namespace {

constexpr auto attempts = std::chrono::hours(24 * 5);  // how long a copy is tried

bool failed(const auth::Verified* found) {
  if (found == nullptr || !found->dkim2) return false;
  const auth::Dkim2Result result = found->dkim2->result;
  return result == auth::Dkim2Result::fail || result == auth::Dkim2Result::permerror;
}

}  // namespace

bool has_dkim2(const conf::Settings& settings, const list::List& list, list::Copies copies) {
  return list.settings.dkim2 && copies == list::Copies::each_verp && has_keys(settings, list.domain);
}

std::string dkim2_instance(mail::Draft& draft, const list::List& list, std::string_view content,
                           bool body_secret, const auth::Verified* found, TimePoint at) {
  const auth::Dkim2Came came = auth::dkim2_came(draft.received());
  auth::MadeRecipes recipes;
  if (!list.settings.anonymous) recipes = auth::recipes_of(draft, content, body_secret);
  const bool goes_on = came.any && !list.settings.anonymous && recipes.complete && !failed(found) &&
                       came.leads_to(list.domain, at + attempts);
  if (came.any && !goes_on)
    draft.remove(
        [](const mail::Field& field) { return auth::is_instance(field) || auth::is_signature(field); });
  return auth::instance_field(goes_on ? came.instances + 1 : 1, recipes.json);
}

std::optional<smtp::Reply> forbids_changes(const mail::Draft& trial, const list::List& list) {
  if (auth::only_adds(trial)) return std::nullopt;
  return smtp::Reply{550,
                     {5, 7, 1},
                     "the sender of the message asks that it is not changed (donotmodify, DKIM2), and " +
                         list.address() +
                         " changes what is posted to it. Help: " + list::owner_address(list)};
}

}  // namespace spoold::server
