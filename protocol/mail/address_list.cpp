#include "protocol/mail/address_list.hpp"

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {

namespace {

/// One element of the list while it is read: words outside angle brackets, and what stood inside them.
struct Element {
  std::string words;  // display name, or the address itself when there are no angle brackets
  std::string bare;   // the same without blanks next to '.' and '@': the address, if it is one
  std::string angle;
  bool in_angle = false, had_angle = false, blank = false, broken = false, any = false;

  void add(std::string_view raw, std::string_view plain) {
    any = true;
    if (in_angle) {
      angle += raw;
      return;
    }
    // a blank between two words can only be in a display name: kept, so that Mailbox::parse refuses it in an
    // address
    if (blank && !words.empty()) words += ' ';
    const bool glue = bare.empty() || bare.back() == '.' || bare.back() == '@' || raw == "." || raw == "@";
    if (blank && !glue) bare += ' ';
    words += plain;
    bare += raw;
    blank = false;
  }
};

class Reader {
 public:
  explicit Reader(std::string_view value) : value_(value) {}

  AddressList read() {
    while (at_ < value_.size()) step();
    finish();
    return std::move(list_);
  }

 private:
  void step() {
    char c = value_[at_];
    if (is_space(c)) {
      ++at_;
      element_.blank = true;
    } else if (c == '(') {
      comment();
    } else if (c == '"') {
      quoted();
    } else if (c == '[') {
      std::size_t end = value_.find(']', at_);
      if (end == std::string_view::npos) end = value_.size() - 1;
      take(end + 1 - at_);
    } else if (c == '<') {
      ++at_;
      if (element_.had_angle) element_.broken = true;
      element_.in_angle = element_.had_angle = element_.any = true;
    } else if (c == '>') {
      ++at_;
      if (!element_.in_angle) element_.broken = element_.any = true;
      element_.in_angle = false;
    } else if (c == ':') {
      ++at_;
      if (element_.in_angle) {
        element_.angle.clear();  // the route of <@a,@b:c@d> is of no use (RFC 5321 appendix C)
      } else {
        element_ = {};  // what stood before was a group's name
      }
    } else if (c == ',' && element_.in_angle) {
      ++at_;
      element_.angle += c;
    } else if (c == ',' || (c == ';' && !element_.in_angle)) {
      ++at_;
      finish();
    } else if (c == '.' || c == '@') {
      take(1);
    } else {
      std::size_t length = 1;
      while (at_ + length < value_.size() && !is_special(value_[at_ + length])) ++length;
      take(length);
    }
  }

  static bool is_special(char c) {
    return is_space(c) || std::string_view("()<>[]:;@,.\"").find(c) != std::string_view::npos;
  }

  void take(std::size_t length) {
    std::string_view word = value_.substr(at_, length);
    at_ += length;
    element_.add(word, word);
  }

  void comment() {
    int depth = 0;
    for (; at_ < value_.size(); ++at_) {
      if (value_[at_] == '\\')
        ++at_;
      else if (value_[at_] == '(')
        ++depth;
      else if (value_[at_] == ')' && --depth == 0)
        break;
    }
    if (at_ < value_.size()) ++at_;
    element_.blank = true;
  }

  void quoted() {
    std::size_t begin = at_++;
    std::string plain;
    for (; at_ < value_.size() && value_[at_] != '"'; ++at_) {
      if (value_[at_] == '\\' && at_ + 1 < value_.size()) ++at_;
      if (value_[at_] != '\r' && value_[at_] != '\n') plain += value_[at_];
    }
    if (at_ < value_.size())
      ++at_;
    else
      element_.broken = true;
    element_.add(value_.substr(begin, at_ - begin), plain);
  }

  void finish() {
    if (element_.any) {
      const std::string& text = element_.had_angle ? element_.angle : element_.bare;
      auto mailbox = Mailbox::parse(text, Mailbox::Allow::utf8);
      if (element_.broken || element_.in_angle)
        list_.faults.emplace_back("an address has unpaired quotes or angle brackets");
      else if (mailbox)
        list_.addresses.push_back({element_.had_angle ? element_.words : std::string(), std::move(*mailbox)});
      else
        list_.faults.push_back(mailbox.error());
    }
    element_ = {};
  }

  std::string_view value_;
  std::size_t at_ = 0;
  Element element_;
  AddressList list_;
};

}  // namespace

AddressList address_list(std::string_view value) {
  return Reader(value).read();
}

Author author(const Header& header) {
  const Field* from = header.find("From");
  if (!from) return {};
  if (header.count("From") > 1) return {Author::Kind::several_fields, {}};
  AddressList list = address_list(from->value);
  if (list.addresses.empty()) return {list.faults.empty() ? Author::Kind::none : Author::Kind::malformed, {}};
  if (list.addresses.size() > 1) return {Author::Kind::several_addresses, {}};
  if (!list.faults.empty()) return {Author::Kind::malformed, {}};
  return {Author::Kind::one, std::move(list.addresses.front())};
}

std::vector<Mailbox> mailboxes(const Header& header, const std::vector<std::string_view>& names) {
  std::vector<Mailbox> found;
  for (const Field& field : header.fields())
    for (std::string_view name : names)
      if (same(field.name, name))
        for (NameAddr& address : address_list(field.value).addresses)
          found.push_back(std::move(address.mailbox));
  return found;
}

}  // namespace spoold::mail
