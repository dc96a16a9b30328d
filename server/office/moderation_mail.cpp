#include "server/office/moderation_mail.hpp"

#include <algorithm>

#include "protocol/list/verp.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/phrase.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/transfer.hpp"
#include "server/office/drafts.hpp"
#include "server/office/signing.hpp"

namespace spoold::server {
namespace {

// So many a day: of notices to the moderators of a list, to one poster, answers to one moderator. What is beyond is in
// the daily summary, and in `spoolctl held`.
constexpr std::uint32_t most_to_moderators = 100, most_to_poster = 10, most_rejections = 50,
                        most_answers = 100;
constexpr std::uint64_t most_shown = 64 << 10;  // of the post, in a notice
constexpr const char* text_type =
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";

/// What a stranger wrote, as one line of UTF-8 text.
std::string shown(const std::string& field) {
  std::string text = mime::decoded_words(field, 200);
  if (mail::is_utf8_text(text)) return text;
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) c = '?';
  return text;
}

/// Of what a stranger gave as his Message-ID.
std::string answering(const std::string& message_id) {
  const bool good = message_id.size() > 2 && message_id.size() < 200 && message_id.front() == '<' &&
                    message_id.back() == '>' &&
                    std::ranges::all_of(message_id, [](char c) { return c > 32 && c < 127; });
  return good ? "In-Reply-To: " + message_id + "\r\n" : std::string();
}

std::string subject_field(const std::string& text) {
  return "Subject: " + (mail::is_ascii(text) ? text : mail::encoded_words(text)) + "\r\n";
}

std::string owner_address(const list::List& list) {
  return list.local + "-owner@" + list.domain;
}

struct Letter {
  std::string from, to, subject, more = {};  // more: further fields
  TimePoint at{};
};

/// The header up to the fields of MIME.
store::NewMessage begun(const conf::Settings& settings, const Letter& letter) {
  store::NewMessage made;
  made.message.from = letter.from;
  made.message.subject = letter.subject.substr(0, 200);
  made.message.message_id = "<" + unique_text(letter.at) + ".held@" + settings.hostname + ">";
  made.head = "From: " + letter.from + "\r\nTo: " + letter.to + "\r\n" + subject_field(letter.subject) +
              "Date: " + rfc5322_date(letter.at) + "\r\nMessage-ID: " + made.message.message_id + "\r\n" +
              letter.more + "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n";
  return made;
}

void finish(const conf::Settings& settings, std::string_view domain, store::NewMessage& made,
            const std::string& text) {
  mail::Outgoing out;
  out.head = std::move(made.head) + text_type + text;
  out.size = out.head.size();
  out.octets = mail::octets_of(out.head);
  put(std::move(out), made);
  place_signatures(settings, domain, made);
}

/// Mail of the list to those who run it: what bounces comes back to the list.
void of_list(store::NewMessage& made, const list::List& list, std::vector<std::string> to) {
  made.message.list = list.id;
  made.message.list_address = list.address();
  made.message.reverse_path = list::bounces_address(list);
  for (std::string& address : to) made.recipients.push_back({std::move(address)});
}

}  // namespace

std::string ModerationMail::about_post() const {
  return "  From:     " + shown(post_.from) + "\r\n  Subject:  " + shown(post_.subject) +
         "\r\n  Came:     " + rfc5322_date(post_.at) +
         "\r\n  Size:     " + std::to_string(post_.scanned.size) + " octets\r\n";
}

void ModerationMail::attach(store::NewMessage& made, const std::string& text, const char* type,
                            std::uint64_t length, bool eight_bit) const {
  const std::string boundary = "=_held_" + store::id_text(post_.id) + "_" + std::to_string(made.head.size());
  mail::Outgoing out;
  out.head = std::move(made.head) + "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n--" +
             boundary + "\r\n" + text_type + text + "\r\n--" + boundary + "\r\nContent-Type: " + type +
             "\r\nContent-Disposition: inline\r\n" +
             (eight_bit ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n");
  mail::Splice splice;
  splice.length = length;
  splice.own = "\r\n--" + boundary + "--\r\n";
  out.octets = mail::octets_of(out.head);
  out.octets |= post_.scanned.of(0, length);
  out.size = out.head.size() + length + splice.own.size();
  out.body.push_back(std::move(splice));
  put(std::move(out), made);
  place_signatures(settings_, list_.domain, made);
}

store::NewMessage ModerationMail::to_moderators(std::vector<std::string> to,
                                                const std::string& answers) const {
  store::NewMessage made =
      begun(settings_, {.from = owner_address(list_),
                        .to = owner_address(list_),
                        .subject = "A post to " + list_.address() + " is held: " + shown(post_.subject),
                        .more = "Reply-To: " + answers + "\r\n",
                        .at = post_.at});
  of_list(made, list_, std::move(to));
  made.limit = store::TellingLimit{"moderators " + std::to_string(list_.id), most_to_moderators};
  const std::uint64_t length = std::min(post_.scanned.size, most_shown);
  const auto link = [&](const char* word) {
    return "  " + std::string(word) + std::string(10 - std::string_view(word).size(), ' ') +
           "<mailto:" + answers + "?subject=" + word + ">\r\n";
  };
  std::string text = "A post to the list " + list_.address() + " waits for a decision.\r\n\r\n" +
                     about_post() + "  Reason:   " + post_.reason + "\r\n\r\n";
  text +=
      "Answer this message with one of these words in its first line, or use a link:\r\n\r\n"
      "  accept            it goes to the members\r\n"
      "  accept remember   and its sender may post from now on\r\n"
      "  reject REASON     its sender is told, with your reason\r\n"
      "  discard           nobody is told\r\n\r\n" +
      link("accept") + link("reject") + link("discard");
  text += "\r\nOr on the server: spoolctl accept " + store::id_text(post_.id) +
          "\r\nWithout a decision it is " +
          (list_.settings.moderation.held_expiry == list::Action::reject ? "rejected" : "discarded") +
          " on " + rfc5322_date(post_.until) + ".\r\n" +
          "The first decision counts. Whoever knows the address of this answer can decide: do not pass it "
          "on.\r\n";
  text += length < post_.scanned.size ? "\r\nThe begin of the post:\r\n" : "\r\nThe post:\r\n";
  attach(made, text, "message/rfc822", length, post_.scanned.of(0, length).eight_bit);
  return made;
}

store::NewMessage ModerationMail::to_poster() const {
  store::NewMessage made =
      begun(settings_, {.from = owner_address(list_),
                        .to = post_.reverse_path,
                        .subject = "Your post to " + list_.address() + " waits for a moderator",
                        .more = answering(post_.message_id),
                        .at = post_.at});
  made.recipients.push_back({post_.reverse_path});
  made.limit = store::TellingLimit{"poster " + mail::lower(post_.reverse_path), most_to_poster};
  finish(settings_, list_.domain, made,
         "Your post to the list " + list_.address() + " has come, and waits for a moderator.\r\n\r\n" +
             about_post() + "  Reason:   " + post_.reason +
             "\r\n\r\nYou need do nothing. Questions: " + owner_address(list_) + "\r\n");
  return made;
}

store::NewMessage ModerationMail::rejection(const std::string& reason, TimePoint now) const {
  store::NewMessage made = begun(settings_, {.from = owner_address(list_),
                                             .to = post_.reverse_path,
                                             .subject = "Your post to " + list_.address() + " was rejected",
                                             .more = answering(post_.message_id),
                                             .at = now});
  made.recipients.push_back({post_.reverse_path});
  made.limit = store::TellingLimit{"rejected " + mail::lower(post_.reverse_path), most_rejections};
  const std::uint64_t length = std::min(post_.scanned.header_size, most_shown);
  attach(made,
         "Your post to the list " + list_.address() + " was rejected by a moderator.\r\n\r\n" + about_post() +
             (reason.empty() ? "" : "  Reason:   " + reason + "\r\n") +
             "\r\nQuestions: " + owner_address(list_) + "\r\n",
         "text/rfc822-headers", length, post_.scanned.of(0, length).eight_bit);
  return made;
}

store::NewMessage ModerationMail::forwarded(const std::string& to, const std::string& who,
                                            TimePoint now) const {
  store::NewMessage made =
      begun(settings_, {.from = owner_address(list_),
                        .to = to,
                        .subject = "Held post to " + list_.address() + ": " + shown(post_.subject),
                        .at = now});
  of_list(made, list_, {to});
  attach(made,
         "This post to the list " + list_.address() + " waits for a moderator. " + who +
             " has forwarded it to you.\r\n\r\n" + about_post(),
         "message/rfc822", post_.scanned.size, post_.scanned.of(0, post_.scanned.size).eight_bit);
  return made;
}

store::TellingLimit ModerationMail::summary_limit(const list::List& list) {
  return {"summary " + std::to_string(list.id), 1};
}

store::NewMessage ModerationMail::summary(const conf::Settings& settings, const list::List& list,
                                          const std::vector<store::HeldPost>& posts, std::uint64_t all,
                                          std::vector<std::string> to, TimePoint now) {
  store::NewMessage made =
      begun(settings, {.from = owner_address(list),
                       .to = owner_address(list),
                       .subject = std::to_string(all) + (all == 1 ? " post to " : " posts to ") +
                                  list.address() + (all == 1 ? " waits" : " wait") + " for a moderator",
                       .at = now});
  of_list(made, list, std::move(to));
  made.limit = summary_limit(list);
  std::string text = "These posts to the list " + list.address() +
                     " have waited for a decision since yesterday or longer:\r\n";
  for (const store::HeldPost& post : posts)
    text += "\r\n" + store::id_text(post.id) + "\r\n  From:     " + shown(post.from) +
            "\r\n  Subject:  " + shown(post.subject) + "\r\n  Reason:   " + post.reason +
            "\r\n  Until:    " + rfc5322_date(post.until) + "\r\n";
  text +=
      "\r\nEach was announced by a message of its own, which takes your answer. On the server: spoolctl "
      "held " +
      list.address() + "\r\n";
  finish(settings, list.domain, made, text);
  return made;
}

store::NewMessage ModerationMail::answer(const conf::Settings& settings, const std::string& to,
                                         const std::string& list_address, const std::string& words,
                                         const std::string& in_reply_to, TimePoint now) {
  const auto at = list_address.rfind('@');
  const std::string owner = list_address.substr(0, at) + "-owner" + list_address.substr(at);
  store::NewMessage made = begun(settings, {.from = owner,
                                            .to = to,
                                            .subject = "Moderation of " + list_address,
                                            .more = answering(in_reply_to),
                                            .at = now});
  made.recipients.push_back({to});
  made.limit = store::TellingLimit{"moderator " + mail::lower(to), most_answers};
  finish(settings, domain_of(list_address), made, words + "\r\n");
  return made;
}

}  // namespace spoold::server
