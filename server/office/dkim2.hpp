// DKIM2 of a list's posts (draft-ietf-dkim-dkim2-spec-06), decided when a post is accepted: whether the copies have a signature, what
// their Message-Instance says, and whether what earlier hops ask forbids a copy. The hashes and the signatures are made when a
// copy goes out (server/delivery/signing.hpp).
//
//   the post came with a chain that ours can continue      the next Message-Instance, with recipes, and the next signature
//   it came without one                                    the first of both; the recipes lead back to the post as it came
//   its chain is broken, old, leads elsewhere, or the way  the fields of the chain are removed, and ours are the first
//   back would show what members must not have
//   an anonymous list                                      likewise, and without recipes: they would name the author
//
// "Broken": it failed on arrival. What was not verified, or was held since, is taken as it says it is. "Elsewhere": the last hop sent it to no address of the
// list's domain. "Old": it would be expired before the last attempt of a copy.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "conf/settings.hpp"
#include "protocol/auth/verified.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::server {

/// The copies of what the list sends are signed: it wants so, each copy has one recipient, and the domain has a key.
bool has_dkim2(const conf::Settings& settings, const list::List& list, list::Copies copies);

/// Of a cooked post: its Message-Instance up to the value of h= (auth::instance_field). `content`: all of it, as received.
/// `body_secret`: parts were removed that members do not get. `found`: on arrival; nullptr: nothing is known. `at`: when the post is
/// accepted.
std::string dkim2_instance(mail::Draft& draft, const list::List& list, std::string_view content,
                           bool body_secret, const auth::Verified* found, TimePoint at);

/// `donotmodify`: an earlier hop asks that nothing is changed, and the list would. `trial`: the post as it would be cooked.
std::optional<smtp::Reply> forbids_changes(const mail::Draft& trial, const list::List& list);

}  // namespace spoold::server
