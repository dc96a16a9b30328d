// What senders asked of reports on single recipients (NOTIFY and ORCPT of RFC 3461): table `request`, a row
// for each page of 256 numbers that has some. A message without such recipients, and so every post of a list,
// has no row (Message::requests).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "protocol/smtp/dsn_request.hpp"
#include "store/spool/rows.hpp"

namespace spoold::store::spool {

/// Packs the requests of one page, in number order.
class RequestWriter {
 public:
  void add(std::uint32_t number, const smtp::DsnOfRecipient&);
  /// Writes what was added for the page of `number`, if anything was, and begins the next page.
  void put(Write&, Id message, std::uint32_t number);
  bool any() const { return any_; }  // of any page

 private:
  Packer packed_;
  bool any_ = false;
};

using RequestsOfPage = std::map<std::uint32_t, smtp::DsnOfRecipient>;  // by number
RequestsOfPage unpack_requests(std::string_view key, std::string_view value);

/// Answers for numbers in any order; cheap when they come in order.
class Requests {
 public:
  Requests(const Read& read, const Message& message) : read_(read), message_(message) {}
  const smtp::DsnOfRecipient& of(std::uint32_t number);

 private:
  const Read& read_;
  const Message& message_;
  std::optional<std::uint32_t> page_;
  RequestsOfPage loaded_;
  const smtp::DsnOfRecipient none_;
};

}  // namespace spoold::store::spool
