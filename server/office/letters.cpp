// The letters that answer what people asked of a list (requests.hpp).
#include <utility>

#include "conf/templates.hpp"
#include "protocol/list/addresses.hpp"
#include "protocol/list/letter.hpp"
#include "protocol/list/verp.hpp"
#include "server/office/own_mail.hpp"
#include "server/office/requests.hpp"

namespace spoold::server {
namespace {

namespace directory = store::directory;
using list::Answer;
using list::What;

constexpr std::size_t most_members = 1000;

/// The name of the letter to whoever asks; empty: none is written.
std::string_view letter_for(const list::Asked& asked) {
  switch (asked.answer) {
    case Answer::confirm:
      return asked.what == What::join    ? "confirm-join"
             : asked.what == What::leave ? "confirm-leave"
                                         : "confirm-set";
    case Answer::moderate:
      return "waiting";
    case Answer::joined:
      return "welcome";
    case Answer::left:
      return "goodbye";
    case Answer::changed:
      return "changed";
    case Answer::already_member:
      return "already-member";
    case Answer::not_member:
      return "not-member";
    case Answer::help:
      return "help";
    case Answer::who:
      return "who";
    case Answer::echo:
      return "echo";
    case Answer::unknown:
      return "unknown";
    case Answer::refused:
      return "refused";
    case Answer::silence:
      break;
  }
  return {};
}

class Writing {
 public:
  Writing(const AddressBook& book, const store::Read& read, const directory::Applied& applied)
      : book_(book), read_(read), list_(applied.list), asked_(*applied.asked) {
    for (const list::Member& member : applied.members) {
      if (asked_.answer != Answer::left) member_ = member.id;
      if (const std::string his = directory::preferences_of(read, member).language; !his.empty())
        language_ = his;
    }
  }

  store::Acceptance write() {
    to_asker();
    if (asked_.answer == Answer::moderate) to_owners();
    if (!made_.messages.empty()) made_.content.bytes = std::make_shared<const std::string>();
    return std::move(made_);
  }

 private:
  std::string address(list::Role role) const {
    return list::token_address(role, list_.address(), asked_.token, book_.settings().verp.delimiter);
  }

  std::optional<list::Letter> text(std::string_view name) const {
    list::LetterValues values{
        {"user_address", asked_.member_address()}, {"words", asked_.words}, {"reason", asked_.words}};
    if (is_one_click()) values.emplace_back("who_did_it", list::left_by_text(asked_.words, language_));
    if (!asked_.token.empty()) values.emplace_back("confirm_address", address(list::Role::confirm));
    if (asked_.delivery) values.emplace_back("delivery", list::delivery_text(*asked_.delivery, language_));
    if (!asked_.preferences.empty())
      values.emplace_back("preferences", list::preferences_text(asked_.preferences, language_));
    if (asked_.answer == Answer::who) values.emplace_back("members", members());
    return letter_named(book_.settings(), list_, name, values, language_);
  }

  bool is_one_click() const { return asked_.answer == Answer::left && !asked_.words.empty(); }

  std::string members() const {
    std::string lines;
    std::size_t count = 0;
    directory::visit_members(read_, list_.id, {}, [&](const directory::MemberView& member) {
      lines.append(member.address).append("\r\n");
      return ++count < most_members;
    });
    if (list_.members > count) lines += "... (" + std::to_string(list_.members) + ")\r\n";
    return lines;
  }

  void to_asker() {
    const std::string_view name = letter_for(asked_);
    if (name.empty()) return;
    const auto made = text(name);
    if (!made) return;
    // A token for the owners of the list is not told to whoever asks.
    const bool token = asked_.answer == Answer::confirm;
    // An answer to the goodbye of one-click, which somebody else may have caused, asks to join again.
    const std::string from = token ? address(list::Role::confirm)
                                   : list_.local + (is_one_click() ? "-join@" : "-request@") + list_.domain;
    store::NewMessage mail = own_mail(book_.settings(), list_,
                                      {.to = asked_.address,
                                       .from = from,
                                       .subject = made->subject,
                                       .at = asked_.since,
                                       .automatic = "auto-replied"});
    address_to(mail, list_, asked_.address, token ? 0 : member_);
    // What becomes of the letter with a token is no failure of a member.
    if (token) mail.message.reverse_path = address(list::Role::bounces);
    add_text(book_.settings(), mail, made->text);
    made_.messages.push_back(std::move(mail));
  }

  void to_owners() {
    std::vector<std::string> to = book_.owners_of(read_, list_.id);
    language_ = list_.settings.language;
    const auto made = text("request");
    if (to.empty() || !made) return;
    store::NewMessage mail = own_mail(book_.settings(), list_,
                                      {.to = list::owner_address(list_),
                                       .from = address(list::Role::confirm),
                                       .subject = made->subject,
                                       .at = asked_.since});
    address_to_all(mail, list_, std::move(to));
    add_text(book_.settings(), mail, made->text);
    made_.messages.push_back(std::move(mail));
  }

  const AddressBook& book_;
  const store::Read& read_;
  const list::List& list_;
  const list::Asked& asked_;
  list::MemberId member_ = 0;
  std::string language_ = list_.settings.language;  // of the letter
  store::Acceptance made_;
};

}  // namespace

std::optional<std::string> templates_fault(const conf::Settings& settings) {
  for (const auto& [name, text] : settings.templates)
    if (const auto fault = list::template_fault(text))
      return settings.lists.templates + "/" + name + ".txt: " + *fault;
  return std::nullopt;
}

store::Acceptance letters(const AddressBook& book, const store::Read& read,
                          const directory::Applied& applied) {
  if (!applied.asked) return {};
  return Writing(book, read, applied).write();
}

}  // namespace spoold::server
