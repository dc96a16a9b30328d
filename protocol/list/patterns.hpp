// Texts that are looked for in other texts: regular expressions (RE2's syntax) and address patterns of a list's rules.
//
// Guarantees: a search takes time linear in the text, whatever the expressions are (RE2), and all expressions of a set are
// looked for at once. So what an operator, or whoever fooled him, writes holds nobody up. Case does not count. Made once, then
// read by any thread. Failures: fault() says what is wrong with an expression; a set leaves out what is not one.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spoold::list {

/// Why this is no regular expression here, in one sentence; nothing: it is.
std::optional<std::string> expression_fault(std::string_view expression);

class ExpressionSet {
 public:
  enum class Anchor { start, none };  // start: as Python's re.match; none: as its re.search
  explicit ExpressionSet(Anchor anchor);
  ~ExpressionSet();
  ExpressionSet(ExpressionSet&&) noexcept;
  ExpressionSet& operator=(ExpressionSet&&) noexcept;

  /// In order; what is no expression is left out. Not behind compile().
  void add(std::string_view expression, std::size_t number);
  void compile();
  /// The lowest number of those that are found in the text. Octets that are no UTF-8 are looked at as U+FFFD.
  std::optional<std::size_t> first(std::string_view text) const;
  bool empty() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// One entry of such a text.
struct AddressPattern {
  enum class Kind { address, domain, expression } kind = Kind::address;
  std::string text;             // a Mailbox key; a domain in lower case; an expression that begins with '^'
  std::string written() const;  // "anna@a.example", "@a.example", "^anna"
};
/// Addresses (`anna@a.example`) and domains (`@a.example`, `*@a.example`, `a.example`) with commas, blanks or line ends between
/// them; an expression begins with '^' and takes the rest of its line. Entries that are none come back in `faults`, a sentence
/// each.
std::vector<AddressPattern> read_address_patterns(std::string_view text, std::vector<std::string>& faults);
/// Reading it again gives the same entries.
std::string print_address_patterns(const std::vector<AddressPattern>& patterns);

class AddressPatterns {
 public:
  AddressPatterns() : expressions_(ExpressionSet::Anchor::start) {}
  explicit AddressPatterns(std::string_view text);
  /// The entry that fits, as it is written; `key`: a Mailbox key. An address before a domain before an expression.
  std::optional<std::string> match(std::string_view key) const;

 private:
  std::vector<AddressPattern> patterns_;
  std::unordered_map<std::string, std::size_t> addresses_, domains_;
  ExpressionSet expressions_;
};

}  // namespace spoold::list
