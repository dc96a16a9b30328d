// What people ask of a list by mail: from a message to test-join@, test-leave@, test-confirm+TOKEN@ or test-request@ to operations on the
// directory (Ask, Redeem), and from what such an operation did to the letter that answers. Both are one commit with the message.
//
// Mail that a program sent by itself is refused: an autoresponder that answers a token must not confirm it, and two programs must not
// answer each other. What is asked: protocol/list/wish.hpp. The texts: conf/templates.
// Pure but for what it reads of the directory. See also: own_mail.hpp, acceptance.hpp.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/wish.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/smtp/reply.hpp"
#include "protocol/smtp/transaction.hpp"
#include "server/office/address_book.hpp"
#include "server/office/request_pace.hpp"
#include "store/directory/changes.hpp"
#include "store/spool/acceptance.hpp"
#include "store/txn.hpp"

namespace spoold::server {

/// A message to one of these addresses.
struct RequestMail {
  const mail::Header& header;
  std::string_view content;       // or its begin
  std::string_view reverse_path;  // Mailbox text; empty: <>
  RequestPace* pace = nullptr;    // absent: nothing is counted (a dry run)
  std::string_view network = {};  // of the client; empty: it speaks for others
  TimePoint at{};
};

struct RequestRead {
  std::optional<smtp::Reply> refusal;
  std::vector<store::directory::Operation> operations;
};
RequestRead read_request(const store::Read& read, const smtp::to::Command& to, const RequestMail& mail);

/// What a message would do, nothing stored: `spoolctl command`.
struct WouldDo {
  std::string command, address, outcome, reason;
};
std::vector<WouldDo> would_do(const store::Read& read, const smtp::to::Command& to, const RequestMail& mail,
                              TimePoint now);

/// What is wrong with a text of `[lists] templates`, in one sentence; nothing: they can be used.
std::optional<std::string> templates_fault(const conf::Settings& settings);

/// The letters that follow from Ask and Redeem.
store::Acceptance letters(const AddressBook& book, const store::Read& read,
                          const store::directory::Applied& applied);

}  // namespace spoold::server
