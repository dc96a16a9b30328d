#include "server/office/authors.hpp"

#include <algorithm>
#include <variant>

#include "server/office/address_book.hpp"

namespace spoold::server {

list::AsksOfAuthor asks_of_author(const store::Read& read, const AddressBook& addresses,
                                  const smtp::Transaction& transaction) {
  list::AsksOfAuthor asks = list::AsksOfAuthor::nothing;
  const auto add = [&](list::ListId id) {
    if (const auto list = store::directory::list(read, id))
      asks = std::max(asks, list::asks_of_author(list->settings));
  };
  for (const smtp::Recipient& recipient : transaction.recipients) {
    if (const auto* post = std::get_if<smtp::to::Post>(&recipient.to))
      add(post->list);
    else if (recipient.is<smtp::to::Alias>())
      for (const list::ListId id : addresses.targets(read, recipient).lists) add(id);
    if (asks == list::AsksOfAuthor::policy) break;  // nobody asks for more
  }
  return asks;
}

}  // namespace spoold::server
