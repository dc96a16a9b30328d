#include "store/roster.hpp"

#include <algorithm>

#include "store/directory/directory.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t members_a_page = 1024;

class DirectoryRoster : public spool::Roster {
 public:
  Page page(const Read& read, list::ListId list, const std::vector<std::string>& except,
            std::string_view after) const override {
    Page page;
    std::size_t skipped = 0;
    page.after = directory::visit_members(read, list, after, [&](const directory::MemberView& v) {
      const bool left_out = v.delivery != list::Delivery::regular ||
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
