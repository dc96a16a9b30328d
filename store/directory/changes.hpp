// Changes of the directory as values. A change is submitted as an Operation (Store::change) and applied in one place
// (apply.hpp); the same values are the rows of table `change`, from which another store follows. So a change holds
// everything that its outcome depends on, and no function. What the store that applies an operation first decides (ids that
// are 0, who was a member already) is filled in by it: so a logged change has one outcome everywhere.
// See also: apply.hpp, README.md (tables `change` and `applied`).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/bounce/score.hpp"
#include "protocol/list/wish.hpp"
#include "store/directory/directory.hpp"
#include "store/directory/persons.hpp"
#include "store/directory/users.hpp"

namespace spoold::store::directory {

using ImportId = std::uint64_t;
/// Settings as texts (protocol/list/settings_table.hpp): a version that does not know a key can still hand it on.
using Texts = std::vector<std::pair<std::string, std::string>>;
Texts texts_of(const list::Settings&);

struct CreateList {
  std::string local, domain;
  Texts settings;  // on top of the defaults
  ListId id = 0;
};
/// The keys are set on what the list holds when the change is applied: two operators who change two keys both win.
struct SetList {
  ListId list = 0;
  Texts settings;
};
/// The list is gone at once, whatever its size; its members' rows go in slices (sweep()).
struct RemoveList {
  ListId list = 0;
  ImportId leftover = 0;  // names the rows that are to be swept
};
/// All of them or, at an error, none. An address that is a member already is no error.
struct Subscribe {
  ListId list = 0;
  std::vector<Member> members;
  std::vector<std::string> unchanged =
      {};  // filled in: who was a member already, and is not in `members` then
};
/// An address that is no member is no error.
struct Unsubscribe {
  ListId list = 0;
  std::vector<std::string> addresses;       // Mailbox keys
  std::vector<std::string> unchanged = {};  // filled in: who was none
  /// The goodbye letter is sent, and names whose mail did it: a reverse path, or "<>".
  std::optional<std::string> by = {};
};
struct SetMember {
  ListId list = 0;
  std::string address;  // Mailbox key
  std::optional<std::string> name;
  std::optional<list::Delivery> delivery;
  std::optional<std::optional<list::Action>> moderation =
      {};  // of his posts; within: nothing, as the list says
  std::optional<bool> one_copy = {};
  list::PreferenceTexts preferences = {};  // set on what he has when the change is applied
};
/// An import is a chain of operations (import.hpp).
struct BeginImport {
  ListId list = 0;
  ImportId import = 0;
};
struct ImportRows {
  ImportId import = 0;
  std::vector<Member> members;
  std::uint64_t already = 0;  // filled in: how many were members, and are not in `members` then
};
struct FinishImport {
  ImportId import = 0;
};
struct CutImport {
  ImportId import = 0;
};
/// The next `count` post numbers of a list, for one node to give out (store/post_numbers.hpp).
struct LeasePosts {
  ListId list = 0;
  std::uint32_t count = 1;
  std::uint32_t last = 0;  // filled in: the last of them
};

/// The times in `user` are those of the operation.
struct AddUser {
  User user;
};
/// What is given is replaced.
struct SetUser {
  std::string name;
  std::optional<std::vector<std::string>> addresses;
  std::optional<Verifiers> verifiers;
};
struct RemoveUser {
  std::string name;
};
/// A member's bounce score (protocol/bounce/score.hpp): a failure, a probe that bounced, or what is due by now. A member who has
/// departed, or whose delivery somebody else has disabled, is passed over.
struct ScoreMember {
  enum class What : std::uint8_t { failure, probe, tick } what = What::failure;
  ListId list = 0;
  std::string address;    // Mailbox key
  bounce::Event failure;  // of the others only its time counts
  std::string token;      // of a probe that bounced. Filled in: of the probe that is to be sent
  std::string said;       // for the audit event: what the other side said
  bounce::Act act = bounce::Act::nothing;  // filled in
  bool counts = false;                     // filled in: the score grew
  std::string after = {};                  // filled in: the row as it is then; empty: none
  /// Filled in by the list's spike guard (protocol/bounce/guard.hpp). spike: the failures of this cause at the member's domain
  /// since `since` are taken back, this one among them.
  enum class Guarded : std::uint8_t { no, suspended, spike } guarded = Guarded::no;
  TimePoint since{};
};
/// Failures of one cause that came at `since` or later did not happen: for all members of a list, or one.
struct UndoBounces {
  ListId list = 0;
  std::string address;  // Mailbox key; empty: all
  std::string cause;
  TimePoint since{};
};
/// Somebody asks something of a list by mail (protocol/list/wish.hpp).
struct Ask {
  ListId list = 0;
  list::What what = list::What::help;
  std::string address;  // Mailbox text, as given
  std::string name;
  std::optional<list::Delivery> delivery;       // of join and set
  list::PreferenceTexts preferences = {};       // of set
  std::string words;                            // of echo and unknown
  list::Answer answer = list::Answer::silence;  // filled in, as are:
  std::string token = {};                       // empty: there is none
  list::MemberId member = 0;                    // of who joined
  TimePoint until{};
  std::string about = {};  // filled in: the address of the member, when it is another one of the same person
};
/// A token came back: from the owner of an address, or from the owners of the list. not_found: it was used, or has expired.
struct Redeem {
  std::string token;
  bool refuse = false;
  std::string reason = {};                      // of a refusal
  list::Answer answer = list::Answer::silence;  // filled in, as are:
  std::string next = {};                        // the token for the owners of the list
  list::MemberId member = 0;                    // of who joined
  TimePoint until{};
};
/// What was asked and is over at this time is forgotten, so many rows at most.
struct ForgetAsked {
  TimePoint before{};
  std::uint32_t most = 1000;
};

/// A sender who is no member may post from now on (accept_these). Whoever is in there already is no error.
struct AcceptSender {
  ListId list = 0;
  std::string address;  // Mailbox key
};

/// A member has another address now. Name, delivery and the day he joined stay; what counted against the old address is forgotten, and
/// what still bounces there is about nobody: his id is a new one. conflict: `to` is a member already.
struct MoveMember {
  ListId list = 0;
  std::string address;        // Mailbox key
  std::string to;             // Mailbox text, as given
  list::MemberId member = 0;  // filled in: the new id
};

/// The address belongs to the person who has `of` (persons.hpp); without one a person is made, with `of` as his first address. An address
/// that is his already becomes verified. conflict: it is somebody else's.
struct AddAddress {
  std::string of, address;  // Mailbox texts
  bool verified = true;
  PersonId person = 0;    // filled in, where one was made
  std::string uuid = {};  // the same
};
/// The address is nobody's any more; its memberships stay. With the last one the person is gone.
struct RemoveAddress {
  std::string address;  // Mailbox key
};
/// What is given is changed, for the person who has this address.
struct SetPerson {
  std::string address;  // Mailbox key
  std::optional<std::string> name = {};
  list::PreferenceTexts preferences = {};
  std::optional<bool> verified = {};  // this address
  bool preferred = false;             // this address becomes the first one
};

/// A user has logged in from a network. Reception submits it once a day for a network, so that few logins cost a write.
struct KnowNetwork {
  std::string name;  // of the user
  KnownNetwork known;
};

/// The order is that of the numbers on the disk: a new change goes to the end.
using Change = std::variant<CreateList, SetList, RemoveList, Subscribe, Unsubscribe, SetMember, BeginImport,
                            ImportRows, FinishImport, CutImport, LeasePosts, AddUser, SetUser, RemoveUser,
                            ScoreMember, UndoBounces, AcceptSender, Ask, Redeem, ForgetAsked, MoveMember,
                            KnowNetwork, AddAddress, RemoveAddress, SetPerson>;

struct Operation {
  /// Whoever submits the operation makes the id (new_operation_id()), and submits the same id again when no answer came:
  /// an operation is applied once. At most 64 octets; empty: nobody will submit it again.
  std::string id;
  std::string who;  // for the audit event
  Change change;
};
std::string new_operation_id();  // 32 hexadecimal digits of chance

/// What an operation did.
struct Applied {
  List list;                    // after the change; of RemoveList: as it was before
  std::vector<Member> members;  // that were added, changed or removed; not those of an import
  std::vector<std::string>
      unchanged;  // addresses that were members already (Subscribe), or were none (Unsubscribe)
  std::vector<std::string> events;         // what to record, a sentence each
  ImportId import = 0;                     // of BeginImport
  std::uint64_t added = 0, already = 0;    // members of an import: FinishImport, ImportRows
  bool repeated = false;                   // it had been applied before: nothing was done now
  std::optional<ScoreMember> scored = {};  // as it was filled in; not of what is repeated
  std::optional<Person> person = {};       // AddAddress, RemoveAddress, SetPerson; not of what is repeated
  std::optional<list::Asked> asked = {};   // Ask, Redeem: with the answer; not of what is repeated
};

/// A row of `change`.
struct LoggedChange {
  std::uint64_t sequence = 0;
  std::uint16_t node = 0;  // that applied it first
  std::string operation;   // its id
  std::string who;
  TimePoint at{};
  Change change;
};

std::string pack(const Operation&);
Operation unpack_operation(std::string_view record);
std::string pack(const LoggedChange&);
/// Nothing: the row is of a version that logged no values. Throws Broken(corrupt).
std::optional<LoggedChange> unpack_change(std::uint64_t sequence, std::string_view record);
std::string pack(const Applied&);
Applied unpack_applied(std::string_view record);

}  // namespace spoold::store::directory
