#include "server/office/refusals.hpp"

#include <algorithm>

#include "protocol/list/policy.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::server {

namespace to = smtp::to;

std::optional<smtp::Reply> refusal(const smtp::Transaction& transaction, const mail::Header& header,
                                   std::size_t header_octets) {
  if (header.count("Received") > list::max_received)
    return smtp::Reply{554, {5, 4, 6}, "loop: the message has more than 100 Received fields"};
  // Each list's post has a header of its own. No header that a person reads is as long as this.
  const auto posts = static_cast<std::size_t>(std::ranges::count_if(
      transaction.recipients, [](const smtp::Recipient& recipient) { return recipient.is<to::Post>(); }));
  if (posts <= 20 || posts * header_octets <= (4u << 20)) return {};
  return smtp::Reply{552,
                     {5, 3, 4},
                     "a header of " + std::to_string(header_octets) + " octets is too long for " +
                         std::to_string(posts) + " lists in one transaction"};
}

smtp::Reply no_binary(const std::string& address) {
  return {554, {5, 6, 3}, address + " takes no BINARYMIME: send the message again as 8BITMIME"};
}

std::optional<smtp::Reply> too_many_members(const smtp::Transaction& transaction,
                                            const smtp::Recipient& found, std::uint64_t room) {
  constexpr std::uint64_t row = 32;  // of `recipients`: a local part, numbers, what a page wastes
  const auto* post = std::get_if<to::Post>(&found.to);
  if (post == nullptr) return {};
  std::uint64_t members = post->members;
  for (const smtp::Recipient& recipient : transaction.recipients)
    if (const auto* before = std::get_if<to::Post>(&recipient.to)) members += before->members;
  if (members * row + transaction.declared_size <= room) return {};
  return smtp::Reply{452,
                     {4, 3, 1},
                     "no room now for a post to the " + std::to_string(members) + " members of " +
                         (members == post->members ? found.address : "the lists of this transaction") +
                         "; try again later"};
}

std::string delivered_to(const std::string& address) {
  return "Delivered-To: " + address + "\r\n";
}

bool was_delivered_to(const mail::Header& header, std::string_view address) {
  return std::ranges::any_of(header.fields(), [&](const mail::Field& field) {
    return mail::same(field.name, "Delivered-To") && mail::same(mail::trim(field.value), address);
  });
}

smtp::Reply loop_at(const std::string& address) {
  return {554, {5, 4, 6}, "loop: the message has been delivered to " + address + " already"};
}

}  // namespace spoold::server
