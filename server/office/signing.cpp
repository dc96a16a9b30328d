#include "server/office/signing.hpp"

#include <algorithm>
#include <utility>

#include "protocol/list/personal.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::server {

void place_signatures(const conf::Settings& settings, std::string_view domain, store::NewMessage& message) {
  const bool ours = std::ranges::any_of(
      settings.dkim_keys, [&](const conf::Dkim& key) { return mail::same(key.domain, domain); });
  if (!ours) return;
  // The head becomes a piece of the body: a blank stands behind what is before it.
  std::vector<store::Splice> body(1);
  body.front().blank = list::blank(list::Value::signatures);
  if (!message.head.empty()) body.push_back({.own = std::exchange(message.head, std::string())});
  std::ranges::move(message.body, std::back_inserter(body));
  message.body = std::move(body);
  message.message.personal = true;
}

}  // namespace spoold::server
