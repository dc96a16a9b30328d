#include "protocol/list/align.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/glob.hpp"
#include "protocol/mail/phrase.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

constexpr std::size_t most_name = 120;  // octets of a display name that go on

/// Text that is safe to show: no control characters and no marks that turn its direction, single blanks.
std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t point = 0;
    const std::size_t size = mail::decode_utf8(text, point);
    if (size == 0) {
      out += '?';
      text.remove_prefix(1);
      continue;
    }
    const bool blank = point == ' ' || mail::obeyed_by_terminals(point);
    if (!blank)
      out.append(text.substr(0, size));
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
    text.remove_prefix(size);
  }
  return std::string(mail::trim(mail::utf8_front(out, most_name)));
}

/// Nothing but encoded words (RFC 2047 2) and blanks, so that it says nothing else whoever reads it.
bool is_encoded_words(std::string_view name) {
  bool any = false;
  while (!(name = mail::trim(name)).empty()) {
    const std::size_t end = std::min(name.find(' '), name.size());
    const std::string_view word = name.substr(0, end);
    name.remove_prefix(end);
    const bool form = word.size() <= 75 && word.starts_with("=?") && word.ends_with("?=") &&
                      std::ranges::count(word, '?') == 4 && std::ranges::all_of(word, [](char c) {
                        return mail::is_alpha(c) || mail::is_digit(c) ||
                               std::string_view("=?!*+-/_").find(c) != std::string_view::npos;
                      });
    if (!form) return false;
    any = true;
  }
  return any;
}

/// A name that looks like an address would be taken for the sender's by readers that show nothing else.
std::string without_at(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '@')
      out += " at ";
    else
      out += c;
  }
  return shown(out);
}

/// "Anna via Test", as a phrase.
std::string name_of_list_mail(const mail::NameAddr* author, std::string_view poster_name, const List& list) {
  std::string of_list = list.local;
  if (!of_list.empty() && of_list.front() >= 'a' && of_list.front() <= 'z')
    of_list.front() = static_cast<char>(of_list.front() - 'a' + 'A');
  if (author == nullptr) return mail::phrase(of_list);
  const std::string via = " via " + of_list, decoded = mime::decoded_words(author->name, 4 * most_name);
  if (!mail::is_utf8(decoded) && is_encoded_words(author->name)) {  // another charset: its words stay
    std::string words = author->name;
    for (std::size_t at = 0; (at = words.find("?= ", at)) != words.npos; at += 3)
      words.replace(at, 3, "?=\r\n ");
    return words + "\r\n " + mail::phrase(via);
  }
  std::string name = without_at(decoded);
  if (name.empty()) name = without_at(poster_name);
  if (name.empty()) name = without_at(author->mailbox.local());
  return mail::phrase(name + via);
}

}  // namespace

std::string phrase_of(std::string_view display_name) {
  const std::string decoded = mime::decoded_words(display_name, 4 * most_name);
  const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
  if (is_encoded_words(display_name) && std::ranges::none_of(decoded, is_control))
    return std::string(display_name);
  return mail::phrase(shown(decoded));
}

std::string written(const mail::NameAddr& one) {
  const std::string name = phrase_of(one.name);
  return name.empty() ? one.mailbox.text() : name + " <" + one.mailbox.text() + ">";
}

AsksOfAuthor asks_of_author(const Settings& settings) {
  const AlignRules& rules = settings.align;
  if (settings.anonymous) return AsksOfAuthor::nothing;
  // DKIM2 continues a chain that verified on arrival.
  const AsksOfAuthor at_least = settings.dkim2 ? AsksOfAuthor::signatures : AsksOfAuthor::nothing;
  if (rules.transparent && rules.dmarc != Dmarc::reject) return at_least;
  const bool asks = rules.dmarc != Dmarc::accept && rules.when != DmarcWhen::always;
  if (asks && rules.when != DmarcWhen::unaligned) return AsksOfAuthor::policy;
  return asks || rules.signatures != AuthorSignatures::keep ? AsksOfAuthor::signatures : at_least;
}

bool is_unaligned(const Settings& settings, const Authenticity& authenticity, const mail::Draft& draft) {
  const AlignRules& rules = settings.align;
  const auto named = [&](const std::vector<std::string>& patterns) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) {
      return mail::glob(pattern, authenticity.author_domain());
    });
  };
  if (rules.dmarc == Dmarc::accept || named(rules.exempt)) return false;
  if (rules.when == DmarcWhen::always || named(rules.domains)) return true;
  using Policy = Authenticity::Policy;
  if (rules.when == DmarcWhen::reject && authenticity.policy() != Policy::reject) return false;
  if (rules.when == DmarcWhen::quarantine && authenticity.policy() == Policy::none) return false;
  return !authenticity.aligned(draft);
}

void munge(mail::Draft& draft, const List& list, std::string_view poster_name) {
  std::vector<mail::NameAddr> authors;
  for (const mail::Field& field : draft.fields()) {
    if (!mail::same(field.name, "From")) continue;
    for (mail::NameAddr& one : mail::address_list(field.value).addresses) authors.push_back(std::move(one));
  }
  const auto is_list = [&](const mail::NameAddr& one) {
    return mail::same(one.mailbox.text(), list.address());
  };
  if (authors.size() == 1 && is_list(authors.front())) return;
  const std::string name = name_of_list_mail(authors.empty() ? nullptr : &authors.front(), poster_name, list);

  // The author comes behind whom Reply-To names already, and is not named twice.
  const mail::Field* named = draft.find("Reply-To");
  std::string value;
  if (named != nullptr) {
    const mail::AddressList there = mail::address_list(named->value);
    std::erase_if(authors, [&](const mail::NameAddr& author) {
      return std::ranges::any_of(there.addresses, [&](const mail::NameAddr& one) {
        return mail::same(one.mailbox.text(), author.mailbox.text());
      });
    });
    if (there.faults.empty() && !there.addresses.empty()) {
      value = std::string(mail::trim(named->value));
    } else {
      for (const mail::NameAddr& one : there.addresses)
        value += (value.empty() ? "" : ",\r\n ") + written(one);
    }
  }
  for (const mail::NameAddr& author : authors)
    if (!is_list(author)) value += (value.empty() ? "" : ",\r\n ") + written(author);
  if (!value.empty()) draft.replace("Reply-To", "Reply-To: " + value + "\r\n");
  draft.replace("From", "From: " + name + " <" + list.address() + ">\r\n");
}

}  // namespace spoold::list
