// Persons: users who have several addresses. A post from any verified address of a person who is a member counts as the member's, his
// commands by mail work from each of them, and of several memberships on one list one gets the copy. In the REST API of Mailman such a
// person is a "user"; table `user` here holds those who log in to submit mail (users.hpp).
//
// A member's row names the person whose verified address it is (Member::person), so that an expansion asks only for those who have one.
// Whoever adds, takes away or verifies an address writes the rows of its memberships anew, in the same change.
// Changed by the operations AddAddress, RemoveAddress and SetPerson (changes.hpp) alone. See also: README.md (tables `person` and
// `person_address`).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/preferences.hpp"
#include "store/directory/directory.hpp"

namespace spoold::store::directory {

using list::PersonId;

struct PersonAddress {
  std::string address;   // Mailbox text, as given
  TimePoint verified{};  // when it was found to be his; 1970: it was not
  bool is_verified() const { return verified != TimePoint{}; }
  bool operator==(const PersonAddress&) const = default;
};

struct Person {
  PersonId id = 0;
  std::string uuid;  // 32 hexadecimal digits: his name outside
  std::string name;  // UTF-8; may be empty
  TimePoint created{};
  std::vector<PersonAddress> addresses;  // at least one; the first one is preferred
  list::Preferences preferences = {};
};

constexpr std::size_t most_addresses = 16;  // of one person

std::optional<Person> person(const Read&, PersonId);
/// Whose address this is, verified or not.
std::optional<Person> person_of(const Read&, std::string_view address_key);
/// Whose verified address this is; 0: nobody's.
PersonId verified_person(const Read&, std::string_view place);
/// By id, those behind `after`.
std::vector<Person> persons(const Read&, PersonId after, std::size_t limit);

/// The member with this address, else the member with another verified address of the same person: the first in the order of his
/// addresses whose membership delivers each post, else the first of all.
std::optional<Member> find_member_or_person(const Read&, ListId, std::string_view address_key);
/// What counts for a member: his preferences over those of his person.
list::Preferences preferences_of(const Read&, const Member&);
/// The keys of the verified addresses of a member's person, sorted; without one the member's own.
std::vector<std::string> address_keys_of(const Read&, const Member&);

// The steps of which apply() is made. They write the rows of memberships anew.
/// conflict: the address is somebody else's. `made`: 0, or the id and uuid of a person who is to be made for `of`.
struct AddedAddress {
  PersonId made = 0;
  std::string uuid = {};
};
Result<Person> add_address(Write&, std::string_view of, const std::string& address, bool verified,
                           TimePoint now, AddedAddress& made);
/// not_found: it is nobody's. With the last address the person is gone.
Result<Person> remove_address(Write&, std::string_view address_key);
Result<Person> set_person(Write&, const Person&);  // all but id, uuid and the addresses that he has

}  // namespace spoold::store::directory
