// The directory's rows: keys, records, visibility, ids. Only store/directory/ includes this. The formats, with
// their reasons: README.md beside this file.
//
//   list          list id                     -> local, domain, created, roster version, last post, members,
//                                                settings
//   list_name     domain, local               -> list id
//   member        list id, domain, local key  -> import, member id, delivery, joined, local as given, name, action, preferences
//   member_by_id  member id                   -> list id, domain, local key (stays when the member departs)
//   membership    domain, local key, list id  -> nothing
//   import        import id                   -> kind, list id, rows, where a sweep goes on
//   list_rules    list id, name of a setting  -> its text (settings that are kept apart)
//   change        sequence                    -> kind, list id, key (what a replica follows)
//
// Domain and local part are in lower case; a NUL ends each but the last, so that members come out in domain
// order. A member's row with an import that is still written down in `import` is invisible: one delete there
// makes all of an import's rows members at once.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/directory/changes.hpp"
#include "store/directory/persons.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "store/txn.hpp"

namespace spoold::store::directory {

/// A Mailbox key cut at its last '@': "domain NUL local", as in the keys of member and membership.
std::string place_of(std::string_view address_key);
std::string address_key_of(std::string_view place);

Key list_key(ListId);
Key rules_key(ListId, std::string_view name);
Key list_name_key(std::string_view local, std::string_view domain);
Key member_key(ListId, std::string_view place);
Key membership_key(std::string_view place, ListId);

/// `unread`: names and texts of settings that this version does not know or cannot read; they are kept as they came.
std::string pack(const List&, const Texts& unread = {});
/// `unread` gets name and text of each setting that this version does not know or cannot read.
List unpack_list(ListId, std::string_view record,
                 const std::function<void(std::string_view, std::string_view)>& unread = {});
std::uint64_t roster_version(ListId, std::string_view record);  // without the rest of the list
std::optional<List> load(const Read&, ListId);
/// The settings that this version does not know or cannot read stay as they are in the row; or become `unread`.
void save(Write&, const List&);
void save(Write&, const List&, const Texts& unread);
Texts unread_of(const Read&, ListId);
/// The texts of the settings that are kept apart (SettingKey::apart): load() leaves them empty, load_rules() reads them.
void save_rules(Write&, const List&);
void del_rules(Write&, ListId);

struct MemberRow {
  std::uint64_t import = 0;
  MemberId id = 0;
  list::Delivery delivery = list::Delivery::regular;
  TimePoint joined{};
  std::string_view local;  // as given; empty: as in the key
  std::string_view name;
  std::optional<list::Action> moderation = {};
  bool one_copy = false;
  list::Preferences preferences = {};
  PersonId person = 0;  // whose verified address it is (persons.hpp)
};
std::string pack(const MemberRow&);
MemberRow unpack_member(std::string_view record);
Member member_of(std::string_view place, const MemberRow&);

struct ImportRow {
  enum class Kind : std::uint8_t { active, cut_off, list_removed } kind = Kind::active;
  ListId list = 0;
  std::uint64_t rows = 0;  // invisible rows of this import
  std::string at;          // sweep: the place to go on with
};
std::string pack(const ImportRow&);
ImportRow unpack_import(std::string_view record);
/// The imports whose rows of this list are invisible.
std::vector<std::uint64_t> pending_imports(const Read&, ListId);
bool visible(const Read&, const MemberRow&);

/// Why this address must not become a member of this list, in one sentence; nothing: it may. The list itself
/// would get its own post again, an address such as test-bounces@ or test-owner@ what its members get. Another
/// list may be a member.
std::optional<std::string> own_address_fault(const Read&, ListId, std::string_view place);

/// Writes a member's row and both indexes.
void put_member(Write&, ListId, std::string_view place, const MemberRow&);
void del_member(Write&, ListId, std::string_view place, MemberId, bool forget_id);

// The directory's own ids: node and number. They throw Broken(full) when the node has given out all of them.
// `given`: an id that another store gave. It is the answer then, and this store, which may be a copy, does not give it again.
ListId next_list_id(Write&, ListId given = 0);
MemberId next_member_id(Write&, MemberId given = 0);
ImportId next_import_id(Write&, ImportId given = 0);
PersonId next_person_id(Write&, PersonId given = 0);

/// `text` as given when it differs from its own lower case, else empty: the local column of MemberRow.
std::string_view local_as_given(std::string_view address);

}  // namespace spoold::store::directory
