#include "protocol/list/patterns.hpp"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/domain.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::list {
namespace {

// A set is cut into parts of so many expressions: RE2 keeps the states of a part it has met in memory, within a limit.
constexpr std::size_t expressions_a_part = 500, most_octets = 1000;
constexpr std::int64_t memory_of_one = 256 << 10, memory_of_part = 8 << 20;

re2::RE2::Options options(std::int64_t memory) {
  re2::RE2::Options made;
  made.set_case_sensitive(false);
  made.set_log_errors(false);
  made.set_never_capture(true);
  made.set_max_mem(memory);
  return made;
}

/// RE2 stops at octets that are no UTF-8.
std::string valid(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t point = 0;
    const std::size_t length = mail::decode_utf8(text, point);
    out.append(length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace

std::optional<std::string> expression_fault(std::string_view expression) {
  if (expression.size() > most_octets) return "an expression has at most 1000 octets";
  if (!mail::is_utf8_text(expression)) return "an expression is one line of UTF-8 text";
  const re2::RE2 made(re2::StringPiece(expression.data(), expression.size()), options(memory_of_one));
  if (!made.ok()) return "'" + std::string(expression) + "' is no regular expression: " + made.error();
  return std::nullopt;
}

struct ExpressionSet::Parts {
  struct Part {
    std::unique_ptr<re2::RE2::Set> set;
    std::vector<std::size_t> numbers;      // of each expression of the set
    std::vector<std::string> expressions;  // the same, for when RE2 has too little memory for all at once
  };
  re2::RE2::Anchor anchor = re2::RE2::UNANCHORED;
  std::vector<Part> all;
};

ExpressionSet::ExpressionSet(Anchor anchor) : parts_(std::make_unique<Parts>()) {
  parts_->anchor = anchor == Anchor::start ? re2::RE2::ANCHOR_START : re2::RE2::UNANCHORED;
}
ExpressionSet::~ExpressionSet() = default;
ExpressionSet::ExpressionSet(ExpressionSet&&) noexcept = default;
ExpressionSet& ExpressionSet::operator=(ExpressionSet&&) noexcept = default;

void ExpressionSet::add(std::string_view expression, std::size_t number) {
  if (expression.size() > most_octets) return;
  auto& all = parts_->all;
  if (all.empty() || all.back().numbers.size() == expressions_a_part) {
    all.emplace_back();
    all.back().set = std::make_unique<re2::RE2::Set>(options(memory_of_part), parts_->anchor);
  }
  if (all.back().set->Add(re2::StringPiece(expression.data(), expression.size()), nullptr) < 0) return;
  all.back().numbers.push_back(number);
  all.back().expressions.emplace_back(expression);
}

void ExpressionSet::compile() {
  std::erase_if(parts_->all, [](const Parts::Part& part) { return part.numbers.empty(); });
  for (Parts::Part& part : parts_->all)
    if (!part.set->Compile()) part.set.reset();  // too large at once: they are looked for one by one
}

bool ExpressionSet::empty() const {
  return parts_->all.empty();
}

std::optional<std::size_t> ExpressionSet::first(std::string_view text) const {
  if (parts_->all.empty()) return std::nullopt;
  std::string mended;
  if (!mail::is_utf8(text)) text = mended = valid(text);
  const re2::StringPiece piece(text.data(), text.size());
  for (const Parts::Part& part : parts_->all) {
    std::vector<int> found;
    re2::RE2::Set::ErrorInfo error{re2::RE2::Set::kNoError};
    if (part.set && part.set->Match(piece, &found, &error))
      return part.numbers[static_cast<std::size_t>(*std::min_element(found.begin(), found.end()))];
    if (part.set && error.kind == re2::RE2::Set::kNoError) continue;
    for (std::size_t i = 0; i < part.expressions.size(); ++i) {
      const re2::RE2 one(part.expressions[i], options(memory_of_one));
      if (one.ok() && one.Match(piece, 0, piece.size(), parts_->anchor, nullptr, 0)) return part.numbers[i];
    }
  }
  return std::nullopt;
}

std::string AddressPattern::written() const {
  return kind == Kind::domain ? "@" + text : text;
}

std::vector<AddressPattern> read_address_patterns(std::string_view text, std::vector<std::string>& faults) {
  std::vector<AddressPattern> found;
  const auto add_word = [&](std::string_view word) {
    if (word.starts_with("*@")) word.remove_prefix(1);
    const bool domain = word.starts_with('@') || word.find('@') == std::string_view::npos;
    if (domain) {
      if (word.starts_with('@')) word.remove_prefix(1);
      std::string name = mail::lower(word);
      if (mail::domain_fault(name))
        faults.push_back("'" + std::string(word) + "' is no address, no domain and no ^expression");
      else
        found.push_back({AddressPattern::Kind::domain, std::move(name)});
      return;
    }
    const auto mailbox = Mailbox::parse(word, Mailbox::Allow::utf8);
    if (mailbox)
      found.push_back({AddressPattern::Kind::address, mailbox->key()});
    else
      faults.push_back("'" + std::string(word) + "': " + mailbox.error());
  };
  const auto skip = [](char c) { return c == ',' || mail::is_space(c); };
  for (std::size_t at = 0; at < text.size();) {
    if (skip(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    if (text[at] == '^') {
      end = std::min(text.find_first_of("\r\n", at), text.size());
      found.push_back({AddressPattern::Kind::expression, std::string(mail::trim(text.substr(at, end - at)))});
    } else {
      bool quoted = false;
      for (; end < text.size() && (quoted || !skip(text[end])); ++end)
        if (text[end] == '"') quoted = !quoted;
      add_word(text.substr(at, end - at));
    }
    at = end;
  }
  return found;
}

std::string print_address_patterns(const std::vector<AddressPattern>& patterns) {
  const bool lines = std::ranges::any_of(
      patterns, [](const AddressPattern& one) { return one.kind == AddressPattern::Kind::expression; });
  std::string text;
  for (const AddressPattern& one : patterns)
    text.append(text.empty() ? "" : lines ? "\n" : ", ").append(one.written());
  return text;
}

AddressPatterns::AddressPatterns(std::string_view text) : expressions_(ExpressionSet::Anchor::start) {
  std::vector<std::string> faults;
  patterns_ = read_address_patterns(text, faults);
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    const AddressPattern& one = patterns_[i];
    if (one.kind == AddressPattern::Kind::address) addresses_.emplace(one.text, i);
    if (one.kind == AddressPattern::Kind::domain) domains_.emplace(one.text, i);
    if (one.kind == AddressPattern::Kind::expression) expressions_.add(one.text, i);
  }
  expressions_.compile();
}

std::optional<std::string> AddressPatterns::match(std::string_view key) const {
  if (patterns_.empty() || key.empty()) return std::nullopt;
  if (const auto at = addresses_.find(std::string(key)); at != addresses_.end())
    return patterns_[at->second].written();
  if (const auto at = domains_.find(std::string(mail::Address(key).domain)); at != domains_.end())
    return patterns_[at->second].written();
  if (const auto number = expressions_.first(key)) return patterns_[*number].written();
  return std::nullopt;
}

}  // namespace spoold::list
