#include "store/roster.hpp"

#include <algorithm>

#include "protocol/mail/mailbox.hpp"
#include "store/directory/directory.hpp"
#include "store/directory/persons.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t members_a_page = 1024;

list::DigestForm usual_form(const Read& read, list::ListId list) {
  const auto found = directory::list(read, list);
  return found ? found->settings.digest.form : list::DigestForm::mime;
}

/// Of one message, while a page is made.
class Left {
 public:
  Left(const Read& read, list::ListId list, const Readers& readers)
      : read_(read),
        readers_(readers),
        usual_(readers.of == Readers::Of::posts ? list::DigestForm::mime : usual_form(read, list)) {}
  /// `of`: the list whose member this is.
  bool out(list::ListId of, const directory::MemberView& v) const {
    if (!gets(v.delivery)) return true;
    if (std::binary_search(readers_.except.begin(), readers_.except.end(), v.key)) return true;
    if (v.person != 0) {
      if (out_by_person(of, v)) return true;
    } else if (away(v) || (avoids(v.avoid_duplicates) && is_named(v.key))) {
      return true;
    }
    return gets_it_from(readers_.without, v.key) || (v.one_copy && gets_it_from(readers_.one_copy, v.key));
  }

 private:
  bool away(const directory::MemberView& v) const {
    return v.away_from <= readers_.at && readers_.at < v.away_until;
  }
  bool avoids(std::optional<bool> wish) const {
    return readers_.named != nullptr && wish.value_or(readers_.avoid_duplicates);
  }
  bool is_named(std::string_view key) const {
    return std::binary_search(readers_.named->begin(), readers_.named->end(), key);
  }
  /// What his preferences say, and whether another membership of his gets the copy: the first one in the order of his addresses.
  bool out_by_person(list::ListId of, const directory::MemberView& v) const {
    const auto person = directory::person(read_, v.person);
    const auto wishes = [&](const list::Preferences& own) {
      return person ? list::layered(own, person->preferences) : own;
    };
    const list::Preferences his = wishes({{}, v.avoid_duplicates, {}, v.away_from, v.away_until});
    if (his.away(readers_.at)) return true;
    if (!person) return avoids(his.avoid_duplicates) && is_named(v.key);
    bool first = true;
    for (const directory::PersonAddress& one : person->addresses) {
      if (!one.is_verified()) continue;
      const std::string key = key_of(one.address);
      if (avoids(his.avoid_duplicates) && is_named(key)) return true;
      if (key == v.key) first = false;
      if (!first) continue;
      const auto other = directory::find_member(read_, of, key);
      if (other && gets(other->delivery) && !wishes(other->preferences).away(readers_.at)) return true;
    }
    return false;
  }
  bool gets(list::Delivery delivery) const {
    using list::Delivery;
    if (readers_.of == Readers::Of::posts) return delivery == Delivery::regular;
    const bool mime = readers_.of == Readers::Of::mime_digests;
    if (delivery == Delivery::digest) return (usual_ == list::DigestForm::mime) == mime;
    return delivery == (mime ? Delivery::digest_mime : Delivery::digest_plain);
  }
  bool gets_it_from(const std::vector<list::ListId>& lists, std::string_view key) const {
    return std::ranges::any_of(lists, [&](list::ListId list) {
      const auto member = directory::find_member(read_, list, key);
      return member && member->delivery == list::Delivery::regular && !member->preferences.away(readers_.at);
    });
  }
  const Read& read_;
  const Readers& readers_;
  const list::DigestForm usual_;
};

class DirectoryRoster : public spool::Roster {
 public:
  Page page(const Read& read, list::ListId list, const Readers& readers,
            std::string_view after) const override {
    if (!readers.include.empty()) return merged(read, list, readers, after);
    Page page;
    std::size_t skipped = 0;
    const Left left(read, list, readers);
    page.after = directory::visit_members(read, list, after, [&](const directory::MemberView& v) {
      page.digests = page.digests || list::is_digest(v.delivery);
      if (left.out(list, v)) return ++skipped < members_a_page;
      page.addresses.append(v.address);
      page.members.emplace_back(v.id, page.addresses.size());
      return page.members.size() < members_a_page;
    });
    return page;
  }

  std::optional<std::uint64_t> version(const Read& read, list::ListId list) const override {
    return directory::roster_version(read, list);
  }

 private:
  /// Each roster is in the same order: a page holds the next members of all of them, up to where the first of them that was
  /// not read to its end stands. Of two memberships of an address that of the list itself counts, then in the order of
  /// include_lists.
  static Page merged(const Read& read, list::ListId list, const Readers& readers, std::string_view after) {
    struct Reader {
      std::string place, address;
      std::uint64_t id = 0;
      bool out = false;
    };
    std::vector<Reader> all;
    Page page;
    const Left left(read, list, readers);
    std::vector<list::ListId> lists{list};
    lists.insert(lists.end(), readers.include.begin(), readers.include.end());
    const std::size_t most = std::max<std::size_t>(members_a_page / lists.size(), 16);
    for (const list::ListId one : lists) {
      std::size_t count = 0;
      const std::string end = directory::visit_members(read, one, after, [&](const directory::MemberView& v) {
        page.digests = page.digests || (one == list && list::is_digest(v.delivery));
        all.push_back({directory::place_of(v.key), std::string(v.address), v.id, left.out(one, v)});
        return ++count < most;
      });
      if (!end.empty() && (page.after.empty() || end < page.after)) page.after = end;
    }
    std::ranges::stable_sort(all, {}, &Reader::place);
    std::string_view before;
    for (const Reader& one : all) {
      if (!page.after.empty() && page.after < one.place) break;
      if (one.place == before) continue;
      before = one.place;
      if (one.out) continue;
      page.addresses.append(one.address);
      page.members.emplace_back(one.id, page.addresses.size());
    }
    return page;
  }
};

}  // namespace

const spool::Roster& directory_roster() {
  static const DirectoryRoster roster;
  return roster;
}

}  // namespace spoold::store
