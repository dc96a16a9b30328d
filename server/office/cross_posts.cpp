#include "server/office/cross_posts.hpp"

#include <algorithm>

#include "protocol/mail/mailbox.hpp"
#include "store/directory/directory.hpp"

namespace spoold::server {
namespace {

using Ids = std::vector<list::ListId>;

/// The lists of a setting that To and Cc name, or those that they do not name.
Ids lists_of(const store::Read& read, const std::vector<std::string>& setting,
             const std::vector<std::string>& addressed, bool named) {
  std::vector<std::string> wanted;
  for (const std::string& address : setting) {
    const auto mailbox = Mailbox::parse(address);
    if (mailbox && std::ranges::binary_search(addressed, mailbox->key()) == named) wanted.push_back(address);
  }
  return store::directory::list_ids(read, wanted);
}

void append(Ids& to, const Ids& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

void arrange_readers(const store::Read& read, const std::vector<Posted>& posts,
                     const std::vector<std::string>& addressed, const Ids& given_to,
                     store::Acceptance& into) {
  // Whose members have got a post already; of these the lists that the sender names.
  Ids before = given_to, named_before = given_to;
  for (const Posted& post : posts) {
    store::Readers& readers = into.messages[post.message].readers;
    readers.include = lists_of(read, post.list.settings.include_lists, addressed, false);
    std::erase_if(readers.include, [&](list::ListId id) {
      return std::ranges::any_of(posts, [&](const Posted& other) { return other.list.id == id; });
    });
    readers.without = lists_of(read, post.list.settings.exclude_lists, addressed, true);
    if (post.nested)
      append(readers.without, before);
    else
      readers.one_copy = named_before;
    std::erase(readers.without, post.list.id);
    before.push_back(post.list.id);
    append(before, readers.include);
    if (!post.nested) named_before = before;
  }
}

}  // namespace spoold::server
