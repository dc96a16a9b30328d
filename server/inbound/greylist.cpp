#include "server/inbound/greylist.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::server {

std::string Greylist::who(const auth::Verified* verified, const dns::Address& client) {
  if (verified != nullptr) {
    // The author's domain first: another signature may be of one of many services that sign for everybody.
    const auto all = auth::identifiers(verified->spf, verified->dkim);
    const auto of_author = [&](const auth::Identifier& one) {
      return verified->dmarc && mail::same(one.domain, verified->dmarc->domain);
    };
    const auto found = std::ranges::find_if(all, of_author);
    if (found != all.end()) return mail::lower(found->domain);
    const auto signed_by = std::ranges::find(all, auth::Identifier::By::dkim, &auth::Identifier::by);
    if (signed_by != all.end()) return mail::lower(signed_by->domain);
    if (!all.empty()) return mail::lower(all.front().domain);
  }
  dns::Address network = client;
  std::fill(network.octets.begin() + (client.v6 ? 8 : 3), network.octets.end(), std::uint8_t{0});
  return dns::text(network) + (client.v6 ? "/64" : "/24");
}

std::optional<Greylist::Clock::duration> Greylist::wait(const std::string& who, std::string_view sender,
                                                        std::string_view recipient, Clock::duration delay,
                                                        Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  const Clock::time_point* last = known_.find(who);
  if (last != nullptr && now - *last < known_for) {
    known_.touch(who) = now;
    return std::nullopt;
  }
  const std::string key = who + '\n' + mail::lower(sender) + '\n' + mail::lower(recipient);
  Clock::time_point& first = pending_.touch(key);
  if (first == Clock::time_point{} || now - first > window) first = now;
  if (now - first < delay) return first + delay - now;
  known_.touch(who) = now;
  pending_.forget(key);
  return std::nullopt;
}

}  // namespace spoold::server
