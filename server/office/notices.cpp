// The mail that follows from what happened to a member's score (bounces.hpp).
#include <utility>

#include "protocol/list/settings_table.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/utf8.hpp"
#include "server/office/bounces.hpp"
#include "server/office/drafts.hpp"
#include "server/office/own_mail.hpp"
#include "store/directory/persons.hpp"
#include "store/directory/scores.hpp"

namespace spoold::server {
namespace {

namespace directory = store::directory;
using bounce::Act;
using directory::ScoreMember;

constexpr std::size_t most_evidence = 64 << 10;

class Writing {
 public:
  Writing(const AddressBook& book, const store::Read& read, const directory::Applied& applied,
          std::string_view evidence)
      : book_(book),
        read_(read),
        list_(applied.list),
        change_(*applied.scored),
        member_(applied.members.front()),
        evidence_(evidence) {}

  store::Acceptance write() {
    if (change_.guarded == ScoreMember::Guarded::spike) owners("owner-spike");
    switch (change_.act) {
      case Act::probe:
        probe();
        break;
      case Act::disable:
        warning();
        owners("owner-disabled");
        break;
      case Act::warn:
        warning();
        break;
      case Act::remove:
        owners("owner-removed");
        break;
      case Act::enable:
      case Act::nothing:
        break;
    }
    if (!made_.messages.empty()) made_.content.bytes = std::make_shared<const std::string>();
    return std::move(made_);
  }

 private:
  store::NewMessage message(const std::string& to, const std::string& from, const std::string& subject) {
    return own_mail(book_.settings(), list_,
                    {.to = to, .from = from, .subject = subject, .at = change_.failure.at});
  }

  /// With what the other side said.
  std::optional<list::Letter> text(std::string_view name, list::LetterValues values = {},
                                   std::string_view language = {}) const {
    values.emplace_back("user_address", member_.address);
    values.emplace_back("user_domain", std::string(mail::Address(member_.address).domain));
    values.emplace_back("cause", change_.failure.cause);
    values.emplace_back("words", utf8(change_.said));
    return letter_named(book_.settings(), list_, name, values, language);
  }

  std::string language() const { return directory::preferences_of(read_, member_).language; }

  static std::string utf8(const std::string& text) {
    return mail::is_utf8(text) ? text : "(words that are no UTF-8 text)";
  }

  void probe() {
    const std::string from = list::token_address(list::Role::bounces, list_.address(), change_.token,
                                                 book_.settings().verp.delimiter);
    const auto letter = text("probe", {}, language());
    if (!letter) return;
    store::NewMessage made = message(member_.address, from, letter->subject);
    made.message.reverse_path = from;
    made.recipients.push_back({member_.address, {}, member_.id});
    add_text(book_.settings(), made, letter->text, "=_" + change_.token, {.octets = evidence()});
    made_.messages.push_back(std::move(made));
  }

  /// The failure as a message of its own, cut to whole lines.
  const std::string& evidence() {
    if (!kept_.empty()) return kept_;
    std::string_view text = evidence_;
    if (text.size() > most_evidence) {
      text = text.substr(0, most_evidence);
      text = text.substr(0, text.rfind('\n') + 1);
    }
    kept_ = text;
    if (kept_.empty()) {
      std::string said = utf8(change_.said);
      for (char& c : said)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
      kept_ = "From: MAILER-DAEMON@" + book_.settings().hostname + "\r\nTo: " + list::bounces_address(list_) +
              "\r\nSubject: delivery to " + member_.address +
              " failed\r\nDate: " + rfc5322_date(change_.failure.at) +
              "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
              "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
              said + "\r\n";
    }
    return kept_;
  }

  void warning() {
    const bounce::Score score =
        change_.after.empty() ? bounce::Score{} : directory::unpack_score(change_.after);
    const auto letter = text("disabled",
                             {{"since", rfc5322_date(score.disabled)},
                              {"most", std::to_string(list_.settings.bounces.warnings)},
                              {"count", std::to_string(score.warnings)}},
                             language());
    if (!letter) return;
    store::NewMessage made = message(member_.address, list::owner_address(list_), letter->subject);
    address_to(made, list_, member_.address, member_.id);
    add_text(book_.settings(), made, letter->text);
    made_.messages.push_back(std::move(made));
  }

  void owners(std::string_view name) {
    std::vector<std::string> to = book_.owners_of(read_, list_.id);
    const auto letter = text(name);
    if (to.empty() || !letter) return;
    store::NewMessage made =
        message(list::owner_address(list_), list::bounces_address(list_), letter->subject);
    address_to_all(made, list_, std::move(to));
    add_text(book_.settings(), made, letter->text);
    made_.messages.push_back(std::move(made));
  }

  const AddressBook& book_;
  const store::Read& read_;
  const list::List& list_;
  const ScoreMember& change_;
  const list::Member& member_;
  const std::string_view evidence_;
  std::string kept_;
  store::Acceptance made_;
};

}  // namespace

store::Acceptance notices(const AddressBook& book, const store::Read& read, const directory::Applied& applied,
                          std::string_view evidence) {
  if (!applied.scored || applied.members.empty()) return {};
  if (applied.scored->act == Act::nothing && applied.scored->guarded != ScoreMember::Guarded::spike)
    return {};
  return Writing(book, read, applied, evidence).write();
}

}  // namespace spoold::server
