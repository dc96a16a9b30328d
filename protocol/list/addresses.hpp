// The addresses that belong to a list (`test-owner@`, `test-bounces+...@`) and to every list domain
// (README.md of protocol/), all compared without regard to case; and the list names that would collide with them. sub_address() is
// pure syntax: whether the list exists is the caller's question to the directory.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace spoold::list {

enum class Role {
  post,        // test@
  join,        // test-join@, test-subscribe@
  leave,       // test-leave@, test-unsubscribe@
  confirm,     // test-confirm+TOKEN@; confirm+TOKEN@ (list empty)
  request,     // test-request@
  owner,       // test-owner@
  admin,       // test-admin@
  bounces,     // test-bounces@, test-bounces+DETAIL@; bounces+DETAIL@ (list empty)
  postmaster,  // of a list domain (list empty)
  abuse,       // of a list domain (list empty)
};
const char* text(Role);

struct SubAddress {
  Role role = Role::post;
  std::string list;    // local part of the list in lower case; empty: the address belongs to the domain
  std::string detail;  // behind the delimiter, case as written: VERP form or token
};

/// What `local` (unquoted, any case) means at a list domain. Nothing: it is no address of a list whatever
/// lists exist.
std::optional<SubAddress> sub_address(std::string_view local, char delimiter);

/// The address at this list that carries a token: "test-confirm+TOKEN@lists.example"; "confirm+TOKEN@lists.example" where that
/// would pass 64 octets. `role`: bounces or confirm.
std::string token_address(Role role, std::string_view list_address, std::string_view token, char delimiter);

/// Why a list must not be called so, in one sentence; nothing: it may. `local` in any case.
std::optional<std::string> name_fault(std::string_view local, char delimiter);

constexpr std::size_t max_name = 52;  // name, "-unsubscribe": 64 octets of local part

}  // namespace spoold::list
