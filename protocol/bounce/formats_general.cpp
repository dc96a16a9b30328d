// What any mail system might write. Only for messages whose From names a mail system, and only where the words speak of a
// failure: a receipt, a virus warning and a vacation text of the postmaster name nobody.
#include "protocol/bounce/address.hpp"
#include "protocol/bounce/formats.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::bounce {
namespace {

// That something was not delivered.
constexpr std::string_view failing =
    "fail|could not be|couldn't|could not deliver|cannot be|can not be|can't be|unable|not able|wasn't "
    "able|undeliver|"
    "not delivered|not been delivered|did not reach|did not receive|didn't|have not received|not "
    "accept|error|reject|"
    "refused|problem|unreachable|bounced|returned|aborted|unknown|no such|does not exist|doesn't exist|not "
    "exist|"
    "disabled|inactive|quota|mailbox|not found|no longer|is full|not known|not valid|invalid|delayed|not yet|"
    "affected|nicht erreich|nicht zugestellt|nicht zustell|unbekannt|n'a pas|impossible|no pudo|no se "
    "pudo|non è stato|kann "
    "nicht|konnte nicht|"
    "couldn`t|rcpt to|undelivr|delivery problems";
// That a mail was not delivered, and not only that something is wrong.
constexpr std::string_view undelivered =
    "not delivered|not been delivered|not be delivered|not deliver|undeliver|undelivr|unable to deliver|able "
    "to deliver|"
    "be delivered|failed to deliver|delivery fail|delivery failure|delivery has failed|delivery "
    "problem|delivery error|"
    "error delivering|delivering your|delivery status|delivery of your|delivery to|failure notice|failed "
    "permanently|"
    "did not reach|not reach|not be reached|not receive|mail failed|mail delivery|returned "
    "mail|returning|returned to|"
    "your message|your mail|mail system error|mailbox is full|user unknown|unknown user|no such user|rcpt to|"
    "message could not|mail could not|not be sent|bounced|nicht zugestellt|unzustellbar|could not send";
constexpr std::string_view recipients =
    "following address|following recipient|following user|following destination|following e-mail|following "
    "email|"
    "following mail|following person|following people|following list|following account|these recipients|"
    "addresses had|recipients had|recipients were|recipients of this delivery|recipient(s)|recipient "
    "list|address(es)|"
    "delivered to:|deliver to:|deliver message to:|folgende|destinataire|destinatario|destinatari|failed "
    "recipient|"
    "failed address|addressed to:|undelivered to|could not be sent to|failure reasons";
constexpr std::string_view labels =
    "original recipient|final recipient|failed recipient|intended recipient|original address|recipient "
    "address|"
    "recipient|failed address|bad address|invalid address|undeliverable address|unknown address|unknown "
    "user|user unknown|"
    "no such user|unknown recipient|invalid recipient|mailbox full|mailbox is full|over quota|delivery "
    "failed|"
    "failed to deliver to|unable to deliver|unable to deliver to|could not deliver to|could not be delivered "
    "to|"
    "undeliverable to|not delivered to|addressed to|error delivering your mail to|the following message "
    "to|your message to|"
    "mail to|message to|delivery to|sent to|address";
constexpr std::string_view done =
    "successfully delivered|was delivered to|been delivered to|has been relayed|successfully relayed|was "
    "displayed|"
    "has been read|was read|has been received|return receipt|delivery confirmation|successful mail delivery|"
    "erfolgreich zugestellt";

bool is_code(std::string_view word) {
  return word.size() >= 3 && word[0] == '5' && mail::is_digit(word[1]) && mail::is_digit(word[2]) &&
         (word.size() == 3 || word[3] == ' ' || word[3] == '-' || word[3] == ':');
}

/// A line that answers a command or repeats an answer: "<<< 550 ..", "550 5.1.1 <anne@example.net>... User unknown".
bool refusal(std::string_view words) {
  for (const std::string_view mark : {"<<< ", "received <<< ", "received >>> ", "<- ", "- ", "s: "})
    if (words.starts_with(mark)) return is_code(words.substr(mark.size()));
  return is_code(words) ||
         holds(words, " said: 5| replied: 5| reports: 5| error: 5| response: 5| returned: 5");
}

std::string paragraph_address(std::string_view text) {
  text = mail::trim(text);
  if (text.empty()) return {};
  const std::size_t end = text.front() == '<' ? text.find('>') : text.find_first_of(" \t:(");
  if (end == text.npos) return {};
  const std::string_view rest = mail::trim(text.substr(text.front() == '<' ? end + 1 : end));
  if (!rest.starts_with(':') && !rest.starts_with("...") && !rest.starts_with('(')) return {};
  return whole_address(text.substr(0, end));
}

class General {
 public:
  explicit General(const Notice& notice) : notice_(notice), permanent_(!only_delayed(notice)) {}

  Scan read() {
    bool fails = holds(notice_.subject, failing), succeeds = holds(notice_.subject, done);
    bool returned = holds(notice_.subject, undelivered);
    for (const Line& line : notice_.lines) {
      fails |= holds(line.joined, failing);
      returned |= holds(line.joined, undelivered);
      succeeds |= holds(line.joined, done) && !holds(line.joined, "not |n't |nicht ");
    }
    if (!fails || !returned || succeeds) return {};
    for (const auto rule :
         {&General::paragraphs, &General::headings, &General::labelled, &General::dialogue, &General::only}) {
      Found found(notice_);
      (this->*rule)(found);
      if (!found.empty()) return {"general", found.take()};
    }
    return {};
  }

 private:
  /// "<anne@example.net>: user unknown"
  void paragraphs(Found& found) const {
    for (std::size_t i = 0; i < notice_.lines.size(); ++i)
      add(found, paragraph_address(notice_.lines[i].text), i);
  }

  /// "The following addresses could not be reached:", and below it lines with an address each.
  void headings(Found& found) const {
    bool inside = false;
    std::size_t indent = std::string::npos;
    for (std::size_t i = 0; i < notice_.lines.size(); ++i) {
      const Line& line = notice_.lines[i];
      if (!inside) {
        inside = holds(line.joined, recipients) && holds(line.joined, failing);
        const std::size_t colon = line.text.rfind(':');
        if (inside && colon != std::string::npos)
          add(found, first_address(std::string_view(line.text).substr(colon + 1)), i);
        continue;
      }
      if (holds(line.words,
                "transcript of|session transcript|technical details|diagnostic info|error detail"))
        return;
      if (line.indent > indent) continue;
      const std::string_view text = mail::trim(line.text);
      if (text.empty() || text.starts_with(">>>") || text.starts_with("<<<")) continue;
      std::string address = first_address(text);
      if (address.empty() && text.find(':') == text.npos) address = angle_address(text);
      if (!address.empty()) indent = std::min(indent, line.indent);
      add(found, std::move(address), i);
    }
  }

  /// "Recipient: anne@example.net", "Unable to deliver message to: <anne@example.net>"
  void labelled(Found& found) const {
    for (std::size_t i = 0; i < notice_.lines.size(); ++i) {
      const std::string lower = mail::lower(notice_.lines[i].text);
      for (std::string_view rest = labels; !rest.empty();) {
        const std::size_t bar = std::min(rest.find('|'), rest.size());
        const std::string_view label = rest.substr(0, bar);
        rest.remove_prefix(std::min(bar + 1, rest.size()));
        const std::size_t at = lower.find(label);
        if (at == std::string::npos || lower.find("reply") != std::string::npos) continue;
        std::string address =
            first_address(std::string_view(notice_.lines[i].text).substr(at + label.size()));
        if (address.empty() || found.own(address)) continue;
        add(found, std::move(address), i);
        break;
      }
    }
  }

  /// ">>> RCPT TO:<anne@example.net>" with "<<< 550 no" behind it, or a refusal that repeats the address.
  void dialogue(Found& found) const {
    std::string asked;
    for (std::size_t i = 0; i < notice_.lines.size(); ++i) {
      const Line& line = notice_.lines[i];
      if (const std::size_t at = line.words.find("rcpt to:"); at != std::string::npos) {
        const std::size_t in_text = mail::lower(line.text).find("rcpt to:");
        asked = in_text == std::string::npos ? std::string()
                                             : first_address(std::string_view(line.text).substr(in_text + 8));
      }
      if (!refusal(line.words)) continue;
      const auto named = addresses_in(line.text, 1);
      if (!asked.empty())
        add(found, std::exchange(asked, {}), i);
      else if (!named.empty() && !found.own(named.front()))
        add(found, named.front(), i);
    }
  }

  /// The only address that the notice names, but for those of its own header.
  void only(Found& found) const {
    std::string one;
    std::size_t where = 0;
    for (std::size_t i = 0; i < notice_.lines.size(); ++i)
      for (std::string& address : addresses_in(notice_.lines[i].text, 10)) {
        const std::string key = mail::lower(address);
        if (found.own(address) || key.starts_with("postmaster@") || key.starts_with("mailer-daemon@") ||
            key.starts_with("abuse@") || key.starts_with("support@") || key.starts_with("helpdesk@"))
          continue;
        if (!one.empty() && mail::lower(one) != key) return;
        if (one.empty()) where = i;
        one = std::move(address);
      }
    add(found, std::move(one), where);
  }

  void add(Found& found, std::string address, std::size_t line) const {
    if (!address.empty()) found.add(std::move(address), permanent_, line);
  }

  const Notice& notice_;
  const bool permanent_;
};

}  // namespace

Scan read_general(const Notice& notice) {
  return General(notice).read();
}

}  // namespace spoold::bounce
