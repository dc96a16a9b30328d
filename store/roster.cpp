#include "store/roster.hpp"

#include <algorithm>

#include "store/directory/directory.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t members_a_page = 1024;

list::DigestForm usual_form(const Read& read, list::ListId list) {
  const auto found = directory::list(read, list);
  return found ? found->settings.digest.form : list::DigestForm::mime;
}

bool gets(list::Delivery delivery, Readers readers, list::DigestForm usual) {
  using list::Delivery;
  if (readers == Readers::of_posts) return delivery == Delivery::regular;
  if (delivery == Delivery::digest)
    return (usual == list::DigestForm::mime) == (readers == Readers::of_mime_digests);
  return delivery == (readers == Readers::of_mime_digests ? Delivery::digest_mime : Delivery::digest_plain);
}

class DirectoryRoster : public spool::Roster {
 public:
  Page page(const Read& read, list::ListId list, Readers readers, const std::vector<std::string>& except,
            std::string_view after) const override {
    Page page;
    std::size_t skipped = 0;
    const list::DigestForm usual =
        readers == Readers::of_posts ? list::DigestForm::mime : usual_form(read, list);
    page.after = directory::visit_members(read, list, after, [&](const directory::MemberView& v) {
      page.digests = page.digests || list::is_digest(v.delivery);
      const bool left_out = !gets(v.delivery, readers, usual) ||
                            (!except.empty() && std::binary_search(except.begin(), except.end(), v.key));
      if (left_out) return ++skipped < members_a_page;
      page.addresses.append(v.address);
      page.members.emplace_back(v.id, page.addresses.size());
      return page.members.size() < members_a_page;
    });
    return page;
  }

  std::optional<std::uint64_t> version(const Read& read, list::ListId list) const override {
    return directory::roster_version(read, list);
  }
};

}  // namespace

const spool::Roster& directory_roster() {
  static const DirectoryRoster roster;
  return roster;
}

}  // namespace spoold::store
