#include "protocol/bounce/notice.hpp"

#include <algorithm>

#include "protocol/bounce/html.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t text_at_most = 65536, lines_at_most = 2000, line_at_most = 1000, field_at_most = 2000;

constexpr std::string_view daemons =
    "mailer-daemon|mailer_daemon|mailerdaemon|mail-daemon|maildaemon|mailer "
    "daemon|daemon@|mdaemon|postmaster|"
    "mail delivery|mail.delivery|mail_delivery|delivery system|delivery subsystem|delivery service|mail "
    "administrator|"
    "post_master@|system administrator|system attendant|mail system|mail router|mail service|mail "
    "server|mailadm|microsoftexchange|"
    "smtp_mail|smtp mail|smtp_gateway|smtp gateway|for_smtp|imss@|ndr@|mail deliver|maildelivery|<>";

constexpr std::string_view report_subjects =
    "undeliver|undelivr|returned mail|returned message|mail returned|message returned|returning message|"
    "returned to sender|return to sender|failure notice|failure delivery|delivery fail|delivery has failed|"
    "delivery status|delivery notif|delivery report|delivery problem|delivery error|delivery "
    "warning|delivery delay|"
    "delivery unsuccessful|delivery not|error during delivery|delivering your|mail delivery|mail fail|failed "
    "mail|"
    "mail error|mail system error|mail not deliver|message not deliver|not delivered|non-deliver|nondeliver|"
    "non deliver|could not be deliver|could not deliver|cannot be deliver|can't be deliver|unable to deliver|"
    "undelivered|message delayed|delayed mail|message status|failed to deliver|user unknown|unknown user|no "
    "such user|"
    "permanent delivery|processing error|rejected mail|bounced|unzustellbar|nicht zugestellt|zustellung|"
    "mail could not|message could not|email delivery|nameserver error report|warning: could not send|"
    "has been delayed|non remis|non recapitat|devuelto|no entregado|mailbox full|quota exceeded|over quota";

constexpr std::string_view answer_subjects =
    "out of office|out-of-office|automatic reply|auto reply|auto-reply|autoreply|auto response|auto-response|"
    "autoresponse|vacation|on holiday|away from|i am away|abwesenheit|automatische antwort|antwort:|"
    "réponse automatique|respuesta automática|risposta automatica|auto:|automatisch antwoord|resposta "
    "automática|"
    "absence du bureau|fuera de la oficina";

// The line that ends what a report says itself, when it is decorated: "--- Below this line is a copy of the message."
constexpr std::string_view end_words =
    "original message|returned message|returned mail|unsent message|undelivered message|copy of the message|"
    "copy of your message|message follows|message text follows|header follows|headers follow|message header|"
    "forwarded message|mensaje original|header of the original|header and top|attachment is a copy|"
    "body suppressed|returned content|original mail|message returned";
// The same without decoration.
constexpr std::string_view end_sentences =
    "original message follow|message text follows|message headers follow|message header follows|"
    "copy of the original message|here is a copy of the first part|copy of the message header|"
    "original message is attached|original message attached|original message is included|original message is "
    "enclosed|"
    "old message:|undelivered message you sent follows|original message as received|content-type: "
    "message/rfc822|"
    "content-type: text/rfc822-headers|content-type: message/rfc822-headers|your message reads|"
    "here is your returned mail|returned mail follows|start of returned message|is a copy of your message|"
    "message contents follow|your original message:|beginning of your message";

bool decorated(std::string_view words) {
  return !words.empty() && std::string_view("-*=|_#~+").find(words.front()) != std::string_view::npos;
}

bool ends(const Line& line, std::size_t said) {
  const std::string_view words = line.words;
  if (words.starts_with("received: from ") || words.starts_with("received: by ") ||
      words.starts_with("return-path: <"))
    return true;
  if (decorated(words) && holds(words, end_words) && !holds(words, "transcript")) return true;
  return said > 1 && holds(words, end_sentences) && !holds(words, "was received at");
}

std::string field_words(const mail::Header& header, std::string_view name) {
  const mail::Field* field = header.find(name);
  return field ? words_of(mime::decoded_words(field->value.substr(0, field_at_most), field_at_most))
               : std::string();
}

bool prefixed(std::string_view subject, std::string_view prefixes) {
  while (!prefixes.empty()) {
    const std::size_t bar = std::min(prefixes.find('|'), prefixes.size());
    if (subject.starts_with(prefixes.substr(0, bar))) return true;
    prefixes.remove_prefix(std::min(bar + 1, prefixes.size()));
  }
  return false;
}

void read_header(Notice& notice, const mail::Header& header) {
  notice.from = field_words(header, "From");
  if (notice.from.empty()) notice.from = field_words(header, "Sender");
  notice.mailer = field_words(header, "X-Mailer");
  notice.subject = field_words(header, "Subject");
  const std::string path = field_words(header, "Return-Path"),
                    automatic = field_words(header, "Auto-Submitted"),
                    type = field_words(header, "Content-Type"),
                    precedence = field_words(header, "Precedence");
  notice.of_list = header.find("List-Id") || header.find("List-Post") || header.find("X-BeenThere") ||
                   header.find("Mailing-List");
  std::string_view subject = notice.subject;
  if (subject.starts_with('[') && subject.find("] ") != subject.npos)  // a list's prefix
    subject.remove_prefix(subject.find("] ") + 2);
  notice.passed_on = prefixed(subject, "re:|fwd:|fw:|aw:|wg:|sv:|tr:|rv:|[fwd");
  notice.answer = header.find("X-Autoreply") || header.find("X-Autorespond") ||
                  header.find("X-Autoresponder") || holds(precedence, "auto_reply|auto-reply") ||
                  holds(automatic, "vacation") || prefixed(notice.subject, answer_subjects);
  const bool passed_on = notice.passed_on, reports = holds(notice.subject, report_subjects) && !passed_on;
  if ((holds(notice.from, daemons) && !passed_on) || (reports && path == "<>"))
    notice.origin = Origin::daemon;
  else if (reports || path == "<>" || holds(path, "mailer-daemon") ||
           holds(automatic, "(failure)|(rejected)") || (!passed_on && holds(type, "delivery-status")))
    notice.origin = Origin::hint;
  for (const Mailbox& mailbox :
       mail::mailboxes(header, {"From", "Sender", "Reply-To", "To", "Cc", "Errors-To"}))
    notice.own.push_back(mailbox.key());
}

void take_text(Notice& notice, std::string_view text) {
  std::size_t said = static_cast<std::size_t>(std::count_if(notice.lines.begin(), notice.lines.end(),
                                                            [](const Line& l) { return !l.words.empty(); }));
  for (std::string_view raw : lines_of(text, lines_at_most)) {
    if (notice.lines.size() == lines_at_most) return;
    raw = raw.substr(0, line_at_most);
    while (!raw.empty() && mail::is_space(raw.back())) raw.remove_suffix(1);
    Line line{std::string(raw), words_of(raw), {}, std::min(raw.find_first_not_of(" \t"), raw.size())};
    line.joined = notice.lines.empty() || notice.lines.back().words.empty()
                      ? line.words
                      : notice.lines.back().words + ' ' + line.words;
    if (ends(line, said)) return;
    said += !line.words.empty();
    notice.lines.push_back(std::move(line));
  }
}

}  // namespace

bool inside_message(const std::vector<mime::Part>& parts, std::size_t index) {
  for (; index != 0; index = parts[index].parent)
    if (parts[index].message) return true;
  return false;
}

std::string words_of(std::string_view text) {
  std::string words;
  for (const char c : text) {
    if (!mail::is_space(c))
      words += mail::lower(c);
    else if (!words.empty() && words.back() != ' ')
      words += ' ';
  }
  if (!words.empty() && words.back() == ' ') words.pop_back();
  return words;
}

bool holds(std::string_view words, std::string_view phrases) {
  while (!phrases.empty()) {
    const std::size_t bar = std::min(phrases.find('|'), phrases.size());
    if (words.find(phrases.substr(0, bar)) != std::string_view::npos) return true;
    phrases.remove_prefix(std::min(bar + 1, phrases.size()));
  }
  return false;
}

std::string body_of(std::string_view bytes, const mime::Part& part, std::size_t most) {
  return mime::decoded(bytes.substr(part.body, part.end - part.body), part.encoding, most);
}

std::vector<std::string_view> lines_of(std::string_view text, std::size_t most) {
  std::vector<std::string_view> lines;
  while (!text.empty() && lines.size() < most) {
    const std::size_t feed = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, feed);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(feed + 1, text.size()));
  }
  return lines;
}

Notice notice_of(std::string_view bytes, const std::vector<mime::Part>& parts) {
  Notice notice;
  read_header(notice, parts.front().header);
  std::string plain, html;
  const auto add = [](std::string& text, std::string more) {
    if (text.size() >= text_at_most) return;
    more.resize(std::min(more.size(), text_at_most - text.size()));
    text += more;
    text += '\n';
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const mime::Part& part = parts[i];
    notice.disposition |= part.type == "message/disposition-notification";
    if (inside_message(parts, i)) continue;
    // A multipart whose delimiters do not occur is text, whatever it says.
    const bool broken =
        part.type.starts_with("multipart/") && (i + 1 == parts.size() || parts[i + 1].parent != i);
    if (part.type == "text/html")
      add(html, text_of_html(body_of(bytes, part, text_at_most), text_at_most));
    else if (part.type == "text/plain" || part.type == "text" || part.type.empty() || broken)
      add(plain, body_of(bytes, part, text_at_most));
  }
  take_text(notice, mail::trim(plain).empty() ? html : plain);
  return notice;
}

}  // namespace spoold::bounce
