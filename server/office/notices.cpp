// The mail that follows from what happened to a member's score (bounces.hpp).
#include <utility>

#include "protocol/list/settings_table.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/utf8.hpp"
#include "server/office/bounces.hpp"
#include "server/office/drafts.hpp"
#include "server/office/own_mail.hpp"
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
    switch (change_.act) {
      case Act::probe:
        probe();
        break;
      case Act::disable:
        warning();
        owners("Delivery to " + member_.address + " is disabled",
               "Delivery of " + list_.address() + " to " + member_.address +
                   " is disabled, because mail to this address keeps failing.\r\n");
        break;
      case Act::warn:
        warning();
        break;
      case Act::remove:
        owners(member_.address + " was removed", member_.address + " was removed from " + list_.address() +
                                                     ", because mail to this address kept failing.\r\n");
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

  void finish(store::NewMessage made, const std::string& text) {
    add_text(made, text);
    made_.messages.push_back(std::move(made));
  }

  /// What the other side said, in lines of a message.
  std::string reason() const {
    std::string text;
    if (!change_.failure.cause.empty())
      text = "The last failure was of the kind \"" + change_.failure.cause + "\".\r\n";
    if (!change_.said.empty()) text += "What was said:\r\n\r\n    " + one_line(change_.said) + "\r\n";
    return text.empty() ? text : "\r\n" + text;
  }

  static std::string one_line(std::string text) {
    for (char& c : text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return mail::is_utf8_text(text) ? text : "(words that are no UTF-8 text)";
  }

  std::string owner_address() const { return list_.local + "-owner@" + list_.domain; }

  void probe() {
    const std::string from = list::token_address(list::Role::bounces, list_.address(), change_.token,
                                                 book_.settings().verp.delimiter);
    store::NewMessage made =
        message(member_.address, from, list_.address() + ": is this address still good?");
    made.message.reverse_path = from;
    made.recipients.push_back({member_.address, {}, member_.id});
    const std::string boundary = "=_" + change_.token;
    made.head += "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n";
    made.head += "--" + boundary +
                 "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
    made.head += "Mail of the list " + list_.address() +
                 " to this address has failed on several days.\r\n"
                 "You have got this message, so the address works, and you need do nothing.\r\n"
                 "If this message fails too, the list sends nothing to this address any more.\r\n" +
                 reason() + "\r\nQuestions: " + owner_address() + "\r\n";
    made.head += "\r\n--" + boundary + "\r\nContent-Type: message/rfc822\r\nContent-Disposition: inline\r\n" +
                 (mail::octets_of(evidence()).eight_bit ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n");
    made.head += evidence();
    made.head += "\r\n--" + boundary + "--\r\n";
    close(made);
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
      kept_ = "From: MAILER-DAEMON@" + book_.settings().hostname + "\r\nTo: " + list::bounces_address(list_) +
              "\r\nSubject: delivery to " + member_.address +
              " failed\r\nDate: " + rfc5322_date(change_.failure.at) +
              "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
              "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
              one_line(change_.said) + "\r\n";
    }
    return kept_;
  }

  void warning() {
    const bounce::Score score =
        change_.after.empty() ? bounce::Score{} : directory::unpack_score(change_.after);
    const list::BounceRules& rules = list_.settings.bounces;
    store::NewMessage made =
        message(member_.address, owner_address(), "Your subscription to " + list_.address() + " is disabled");
    address_to(made, list_, member_.address, member_.id);
    finish(std::move(made),
           "Mail of the list " + list_.address() + " to your address " + member_.address +
               " has failed on several days.\r\nSo the list sends nothing to this address any more since " +
               rfc5322_date(score.disabled) + ".\r\n" + reason() +
               "\r\nIf you read this, your address works again: write to " + owner_address() +
               "\r\nand ask for delivery to be enabled. Without that, your subscription ends after " +
               std::to_string(rules.warnings) + " such\r\nmessages. This is number " +
               std::to_string(score.warnings) + ".\r\n");
  }

  void owners(const std::string& subject, const std::string& text) {
    std::vector<std::string> to = book_.owners_of(read_, list_.id);
    if (to.empty()) return;
    store::NewMessage made = message(owner_address(), list::bounces_address(list_), subject);
    made.message.reverse_path = list::bounces_address(list_);
    for (std::string& address : to) made.recipients.push_back({std::move(address)});
    finish(std::move(made), text + reason());
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
  if (!applied.scored || applied.scored->act == Act::nothing || applied.members.empty()) return {};
  return Writing(book, read, applied, evidence).write();
}

}  // namespace spoold::server
