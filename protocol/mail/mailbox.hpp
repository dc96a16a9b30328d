// A mailbox as RFC 5321 4.1.2 writes it: Local-part "@" Domain (or address literal).
// Guarantees: a Mailbox can only be made by parse(), so every one is well-formed, at most 64 octets of local
// part and 255 of domain, without control characters. The domain is kept in lower case; the local part as it
// was given, unquoted (text() quotes again where needed). Failures: parse() answers with one sentence that
// says what is wrong.
#pragma once
#include <compare>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace spoold {

class Mailbox {
 public:
  enum class Allow {
    ascii,
    utf8
  };  // utf8: as RFC 6531 writes them; the domain is kept as A-labels (idna.hpp)

  static tl::expected<Mailbox, std::string> parse(std::string_view text, Allow allow = Allow::ascii);

  const std::string& local() const { return local_; }    // unquoted
  const std::string& domain() const { return domain_; }  // lower case
  std::string text() const;                              // as it goes into RCPT TO:<...>
  std::string key() const;  // for comparing without regard to case: everything ASCII in lower case
  bool is_ascii() const;

  auto operator<=>(const Mailbox&) const = default;

 private:
  Mailbox(std::string local, std::string domain) : local_(std::move(local)), domain_(std::move(domain)) {}
  std::string local_, domain_;
};

namespace mail {

/// The parts of an address in text form, which are before and behind its last '@'; without one all of it is
/// local part. Views of the text: nothing is unquoted or checked.
struct Address {
  explicit constexpr Address(std::string_view text) : Address(text, text.rfind('@')) {}
  std::string_view local, domain;

 private:
  constexpr Address(std::string_view text, std::size_t at)
      : local(text.substr(0, at)), domain(at == text.npos ? std::string_view{} : text.substr(at + 1)) {}
};

}  // namespace mail

/// Mailbox::key() of an address; empty: it is none.
std::string key_of(std::string_view address);

constexpr std::string_view domain_of(std::string_view address) {
  return mail::Address(address).domain;
}

}  // namespace spoold
