#include "protocol/bounce/formats.hpp"

#include <algorithm>
#include <array>

#include "protocol/bounce/address.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t head_lines = 8, diagnostic_at_most = 500, diagnostic_lines = 5;

enum class Shape : std::uint8_t {
  paragraph,  // <address>: reason
  angle,      // <address> anywhere in the line
  entry,      // the line is an address, or begins with one
  label,      // behind one of the words in `label`
  exchange,   // "anne@example.net on Mon, ..", "dda:SMTP=anne@example.net; on .."
  nearby,     // the first address in the line, wherever
  screen,     // AOL: a name without a domain, alone on its line
  yale,       // a name without a domain, before the reason
};
enum class Kind : std::uint8_t { permanent, temporary, judged };  // judged: only_delayed() says

struct Format {
  const char* name;
  std::string_view sender;   // From or X-Mailer holds one of these; empty: anybody
  std::string_view opening;  // a line (or two) holds one of these
  Shape shape;
  std::string_view label;
  std::string_view end;  // a line holds one of these
  Kind kind = Kind::permanent;
  bool anybody = false;  // programs write it that do not look like one
};

constexpr std::string_view transcript = "transcript of|session transcript|technical details|error detail";

constexpr std::array<Format, 58> formats = {{
    // Warnings first: their words are also those of failures.
    {"exim", "",
     "has not yet been delivered to|have not yet been delivered|address to which the message has not yet",
     Shape::entry, "", "no action is required", Kind::temporary},
    {"google", "", "following recipient has been delayed|following recipients has been delayed", Shape::entry,
     "", "message will be retried", Kind::temporary},
    {"messageswitch", "", "has not yet been delivered because", Shape::nearby, "", "just a warning",
     Kind::temporary},
    {"sendmail", "", "had transient non-fatal errors", Shape::entry, "", transcript, Kind::temporary},
    {"symantec", "symantec", "could not be delivered to the following recipients", Shape::entry, "",
     "delivery attempts will continue", Kind::judged},
    {"advisory", "", "this is an advisory-only email", Shape::nearby, "", "has been postponed",
     Kind::temporary},
    {"opensmtpd", "", "for the following list of recipients", Shape::entry, "", "below is a copy",
     Kind::judged},
    // Programs that are known by their words.
    {"sina", "@sina.com", "", Shape::paragraph, "", ""},
    {"yahoo", "", "deliver message to the following address|deliver your message to the following address",
     Shape::paragraph, "", "", Kind::judged},
    {"yahoo", "", "wasn't able to deliver the following message", Shape::label, "to: ", ""},
    {"yale", "yale.edu", "message not delivered to the following", Shape::yale, "", "error detail"},
    {"smtp32", "<smtp32 v|postmaster", "", Shape::label,
     "unknown user: |undeliverable to |invalid final delivery userid: |delivery userid: |user mailbox "
     "exceeds allowed size: |"
     "user mailbox is full: |attempts: ",
     ""},
    {"aol", "aol.com", "mail to the following recipients could not be delivered", Shape::screen, "", ""},
    {"exchange", "", "did not reach the following recipient", Shape::exchange, "", "msexch:", Kind::judged},
    {"exchange", "",
     "folgende empf|folgenden empf|destinataires suivants|destinatario siguiente|destinatari seguenti",
     Shape::exchange, "", "msexch:", Kind::judged},
    {"exchange", "", "delivery has failed to these recipients", Shape::nearby, "",
     "diagnostic information for administrators"},
    {"postfix", "", "program at host|mail system at host|failure reason:", Shape::paragraph, "", "",
     Kind::judged},
    {"qmail", "",
     "deliver your message to the following|there's a problem with the e-mail address|check your send e-mail "
     "address|"
     "your mail was not delivered to the following|your mail message to the following|to deliver your "
     "message|"
     "not able to deliver|unable to deliver your message",
     Shape::paragraph, "", "", Kind::judged},
    {"groupwise", "", "undeliverable to the following|undeliverable recipient", Shape::entry, "", ""},
    {"sendmail", "", "had permanent fatal errors|had permanent delivery errors", Shape::entry, "",
     transcript},
    {"sendmail", "", "the following addresses had|the following addresses have", Shape::entry, "", transcript,
     Kind::judged},
    {"netscape", "", "this message was undeliverable due to the following", Shape::angle, "", ""},
    {"smail", "", "failed addresses follow", Shape::entry, "", ""},
    {"newmail", "", "machine generated message from mail service", Shape::angle, "", "copy of the message"},
    {"mdaemon", "", "addresses did not receive a copy of your message", Shape::entry, "", transcript},
    {"mdaemon", "mdaemon", "no such user here", Shape::nearby, "", "there is no user"},
    {"lsmtp", "", "error description:", Shape::label, "error-for: ", "error-end:"},
    {"demon", "", "the following message, addressed to", Shape::label, "addressed to ", ""},
    {"interscan", "", "unable to deliver message to <", Shape::label, "unable to deliver message to ", ""},
    {"interscan", "", "message from interscan", Shape::label, "rcpt to:", "end of message"},
    {"lotus", "", "was not delivered to:", Shape::entry, "", "because:"},
    {"lotus", "", "failure reasons ---", Shape::entry, "", "returned message"},
    {"usa.net", "", "intended recipient:", Shape::label, "intended recipient: ", ""},
    {"hotpop", "", "undeliverable address:", Shape::label, "undeliverable address: ", ""},
    {"prodigy", "", "user's mailbox is full:", Shape::label, "user's mailbox is full: ", ""},
    {"smtpsvc", "", "could not be delivered to the following user", Shape::angle, "", "old message"},
    {"google", "", "delivery to the following recipient failed", Shape::entry, "", ""},
    {"smtpsvc", "", "to the following recipients failed|to the following recipients was aborted",
     Shape::entry, "", transcript},
    {"earthlink", "", "unable to deliver your message to", Shape::nearby, "", ""},
    {"mimesweeper", "", "a message could not be delivered to:", Shape::entry, "", "subject:"},
    {"e500", "", "failed recipients", Shape::angle, "", "returned mail"},
    {"socgen", "", "your message could not be delivered to", Shape::entry, "", "*****", Kind::permanent,
     true},
    {"dadoservice", "", "your message has encountered delivery problems", Shape::label, "addressed to ",
     "your message reads"},
    {"gomaps", "", "did not reach the following recipient:", Shape::nearby, "", ""},
    {"eyou", "", "this is the deliver program at", Shape::entry, "", "attachment is a copy"},
    {"campus", "", "this is the email server at", Shape::label, "your message to ", "undelivered message"},
    {"mxlogic", "", "following address failed", Shape::entry, "", "included is a copy"},
    {"hmailserver", "", "recipient(s) could not be reached", Shape::entry, "", "hmailserver sent"},
    {"smartermail", "", "to the following recipient", Shape::label, "failed recipient: ", ""},
    {"phquery", "", "message not delivered to the following", Shape::entry, "", "error detail"},
    {"dovecot", "", "was automatically rejected", Shape::label, "your message to ", ""},
    {"mail.ru", "", "a message that you sent was rejected|local mailbox", Shape::label, "local mailbox ", ""},
    {"mailenable", "", "could not be delivered to some recipients", Shape::label,
     "recipient: [smtp:|recipient: ", ""},
    {"failure notification", "", "this is a delivery failure notification message", Shape::label, "-- ",
     "the problem appears"},
    {"llnl", "", "did not exactly match", Shape::label, "was addressed, ", ""},
    {"caiwireless", "", "following recipients did not receive this message", Shape::angle, "", ""},
    {"compuserve", "", "your message could not be delivered", Shape::label,
     "invalid receiver address: |receiver not found: ", ""},
    {"exim", "", "could not be delivered|following address(es) failed", Shape::entry, "", "", Kind::judged},
}};

/// "(expanded from: <anne@example.net>)", "(generated from anne@example.net)": that one, and nothing else in the line.
std::string origin_of(const Line& line, std::string_view word) {
  const std::size_t at = line.words.find(word);
  if (at == std::string::npos) return {};
  const std::size_t in_text = mail::lower(line.text).find(word);
  return in_text == std::string::npos
             ? std::string()
             : first_address(std::string_view(line.text).substr(in_text + word.size()));
}

std::string behind_label(const Line& line, std::string_view labels) {
  const std::string text = mail::lower(line.text);
  while (!labels.empty()) {
    const std::size_t bar = std::min(labels.find('|'), labels.size());
    const std::string_view label = mail::trim(labels.substr(0, bar));
    labels.remove_prefix(std::min(bar + 1, labels.size()));
    const std::size_t at = line.words.find(label) == std::string::npos ? std::string::npos : text.find(label);
    if (at == std::string::npos) continue;
    std::string address = first_address(std::string_view(line.text).substr(at + label.size()));
    if (!address.empty()) return address;
  }
  return {};
}

/// "<anne@example.net>:", also with "(expanded from <list@example.net>)" before the colon.
std::string paragraph(const Line& line) {
  const std::string_view text = mail::trim(line.text);
  if (text.empty() || text.front() != '<') return {};
  const std::size_t close = text.find('>');
  if (close == text.npos) return {};
  const std::string_view rest = mail::trim(text.substr(close + 1));
  if (!rest.starts_with(':') && !rest.starts_with("(expanded from")) return {};
  return whole_address(text.substr(1, close - 1));
}

/// A line of a list of addresses.
std::string entry(const Line& line) {
  std::string_view text = mail::trim(line.text);
  if (text.empty() || text.find('@') == text.npos) return {};
  std::string address = whole_address(text);
  if (!address.empty() && std::count(text.begin(), text.end(), '@') == 1 && text.find(' ') == text.npos)
    return address;
  if (text.starts_with(">>>") || text.starts_with("<<<")) return {};
  address = first_address(text);
  if (!address.empty()) return address;
  // "Anne Person <anne@example.net>", a name of a few words before it.
  const std::size_t open = text.find('<');
  if (open == text.npos || text.substr(0, open).find_first_of(":;") != text.npos) return {};
  return std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(open), ' ') > 5
             ? std::string()
             : angle_address(text);
}

std::string exchange(const Line& line) {
  const std::string_view text = line.text;
  const std::string lower = mail::lower(text);
  if (const std::size_t at = lower.find("smtp="); at != std::string::npos)
    return first_address(text.substr(at + 5));
  for (const std::string_view on : {" on ", " am ", " le ", " el ", " il "})
    if (const std::size_t at = lower.find(on); at != std::string::npos) {
      const auto found = addresses_in(text.substr(0, at), 1);
      if (!found.empty()) return found.front();
    }
  return {};
}

class Reader {
 public:
  Reader(const Notice& notice, const Format& format) : notice_(notice), format_(format), found_(notice) {}

  std::vector<Failure> read() {
    const std::size_t begin = opening();
    for (std::size_t i = begin; i < notice_.lines.size(); ++i) {
      const Line& line = notice_.lines[i];
      take(line, i);
      if (i > begin && !format_.end.empty() && holds(line.words, format_.end)) break;
    }
    return found_.take();
  }

 private:
  /// The line of the opening; none: lines.size(). A person who reports a failure begins with it.
  std::size_t opening() const {
    const std::size_t none = notice_.lines.size();
    if (!format_.sender.empty() && !holds(notice_.from, format_.sender) &&
        !holds(notice_.mailer, format_.sender))
      return none;
    const bool daemon = notice_.origin == Origin::daemon;
    if (format_.opening.empty()) return daemon ? 0 : none;
    if (notice_.origin == Origin::person && (!format_.anybody || notice_.of_list)) return none;
    std::size_t said = 0;
    for (std::size_t i = 0; i < none; ++i) {
      const Line& line = notice_.lines[i];
      if (line.words.empty()) continue;
      // Whoever is no mail system speaks like one from the first line, or forwards what one said.
      if (!daemon && ++said == 1 && !begins_report(line.words)) return none;
      if (!daemon && said > head_lines) return none;
      if (holds(line.joined, format_.opening)) return i;
    }
    return none;
  }

  static bool begins_report(std::string_view words) {
    if (std::string_view("-*=_#").find(words.front()) != std::string_view::npos) return true;
    for (const std::string_view begin :
         {"your m", "this m", "this is", "the following", "the message", "message from", "sorry", "delivery",
          "unable to", "a message", "we're sorry", "mail "})
      if (words.starts_with(begin)) return true;
    return false;
  }

  void take(const Line& line, std::size_t at) {
    const bool permanent =
        format_.kind == Kind::permanent || (format_.kind == Kind::judged && !only_delayed(notice_));
    std::string address;
    switch (format_.shape) {
      case Shape::paragraph:
        address = paragraph(line);
        if (std::string from = expanded(at); !address.empty() && !from.empty()) address = std::move(from);
        break;
      case Shape::angle:
        if (!holds(line.words, "reply to|contact")) address = angle_address(line.text);
        break;
      case Shape::entry:
        if (std::string from = origin_of(line, "(generated from "); !from.empty())
          return found_.replace_last(std::move(from), permanent, at);
        address = origin_of(line, "(expanded from: ");
        if (address.empty() && (indent_ == std::string::npos || line.indent <= indent_))
          address = entry(line);
        if (!address.empty() && indent_ == std::string::npos) indent_ = line.indent;
        break;
      case Shape::label:
        address = behind_label(line, format_.label);
        break;
      case Shape::exchange:
        address = exchange(line);
        break;
      case Shape::nearby:
        if (auto found = addresses_in(line.text, 1); !found.empty() && !found_.own(found.front()))
          address = std::move(found.front());
        break;
      case Shape::screen:
        address = screen_name(line);
        break;
      case Shape::yale:
        return yale(line, at);
    }
    if (!address.empty()) found_.add(std::move(address), permanent, at);
  }

  /// Postfix: "<final@example.net> (expanded from <anne@example.org>): ..", maybe broken behind "from".
  std::string expanded(std::size_t at) const {
    std::string text = notice_.lines[at].text;
    if (at + 1 < notice_.lines.size()) text += ' ' + std::string(mail::trim(notice_.lines[at + 1].text));
    const std::size_t from = text.find("> (expanded from <");
    return from == text.npos ? std::string() : first_address(std::string_view(text).substr(from + 17));
  }

  static bool is_name(std::string_view word) {
    return !word.empty() && word.size() <= 64 &&
           std::all_of(word.begin(), word.end(), [](char c) { return mail::is_atext(c) || c == '.'; });
  }

  std::string screen_name(const Line& line) {
    const std::string_view word = mail::trim(line.text);
    if (word.find('@') != word.npos) return whole_address(word);
    return is_name(word) && line.indent > 0 ? whole_address(std::string(word) + "@aol.com") : std::string();
  }

  // The report has a name only; the two domains that the university has.
  void yale(const Line& line, std::size_t at) {
    const std::string_view text = mail::trim(line.text);
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    if (line.indent == 0 || !is_name(word) || word.front() == '-') return;
    for (const char* domain : {"@yale.edu", "@cs.yale.edu"})
      if (std::string address = whole_address(std::string(word) + domain); !address.empty())
        found_.add(std::move(address), true, at);
  }

  const Notice& notice_;
  const Format& format_;
  Found found_;
  std::size_t indent_ = std::string::npos;  // of the first entry: what is further in explains an entry
};

}  // namespace

void Found::add(std::string address, bool permanent, std::size_t line) {
  const std::string key = mail::lower(address);
  const std::string_view local = std::string_view(key).substr(0, key.find('@'));
  if (failures_.size() == failures_at_most || local == "mailer-daemon" || local == "postmaster") return;
  if (std::find(keys_.begin(), keys_.end(), key) != keys_.end()) return;
  Failure failure{std::move(address), permanent, {}, {}, {}};
  for (std::size_t i = line; i < notice_->lines.size() && i < line + diagnostic_lines; ++i) {
    const std::string_view text = mail::trim(notice_->lines[i].text);
    if (text.empty() && i > line) break;
    if (!failure.diagnostic.empty()) failure.diagnostic += ' ';
    failure.diagnostic += text;
  }
  failure.diagnostic.resize(std::min(failure.diagnostic.size(), diagnostic_at_most));
  failures_.push_back(std::move(failure));
  keys_.push_back(key);
}

bool Found::own(std::string_view address) const {
  const std::string key = mail::lower(address);
  return std::find(notice_->own.begin(), notice_->own.end(), key) != notice_->own.end();
}

void Found::replace_last(std::string address, bool permanent, std::size_t line) {
  if (!failures_.empty()) {
    failures_.pop_back();
    keys_.pop_back();
  }
  add(std::move(address), permanent, line);
}

bool only_delayed(const Notice& notice) {
  constexpr std::string_view delayed =
      "warning message only|warning only|been delayed|is delayed|message delayed|not yet been delivered|"
      "has not been delivered yet|will be retried|still being retried|attempts will continue|been postponed|"
      "will continue to try|continue trying|will keep trying|no action is required|not need to resend|"
      "just a warning|will be tried again|still trying|will retry|delayed mail|could not send message for "
      "past|"
      "transient non-fatal";
  constexpr std::string_view final_words =
      "permanent|given up|giving up|not be retried|failed permanently|fatal errors -----|was aborted|has "
      "been removed";
  bool warning = holds(notice.subject, "delayed|delay)|warning: could not send|still being retried");
  for (const Line& line : notice.lines) {
    if (holds(line.joined, final_words) && !holds(line.joined, "non-fatal|not a permanent")) return false;
    warning |= holds(line.joined, delayed);
  }
  return warning;
}

Scan read_formats(const Notice& notice) {
  if (notice.answer && notice.origin != Origin::daemon) return {};
  for (const Format& format : formats) {
    // A receipt that a reader's program wrote is a bounce only when it says so in these words.
    if (notice.disposition && std::string_view(format.name) != "dovecot") continue;
    auto failures = Reader(notice, format).read();
    if (!failures.empty()) return {format.name, std::move(failures)};
  }
  if (notice.disposition || notice.answer || notice.origin != Origin::daemon) return {};
  return read_general(notice);
}

}  // namespace spoold::bounce
