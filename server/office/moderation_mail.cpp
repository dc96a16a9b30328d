#include "server/office/moderation_mail.hpp"

#include <algorithm>

#include "protocol/list/verp.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/transfer.hpp"
#include "store/id.hpp"

namespace spoold::server {
namespace {

// So many a day: of notices to the moderators of a list, to one poster, answers to one moderator. What is beyond is in
// the daily summary, and in `spoolctl held`.
constexpr std::uint32_t most_to_moderators = 100, most_to_poster = 10, most_rejections = 50,
                        most_answers = 100;
constexpr std::uint64_t most_shown = 64 << 10;  // of the post, in a notice

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

/// RFC 3834 5, and its section 4: to whoever wrote, from nobody, so that no answer can follow.
store::NewMessage reply_to(const std::string& who, const conf::Settings& settings, const list::List& list,
                           const list::Letter& letter, const std::string& message_id, TimePoint at) {
  store::NewMessage made = own_mail(settings, list,
                                    {.to = who,
                                     .from = owner_address(list),
                                     .subject = letter.subject,
                                     .at = at,
                                     .automatic = "auto-replied",
                                     .more = answering(message_id)});
  made.message.list = 0;  // whatever becomes of it concerns no list: it goes out from <>
  made.recipients.push_back({who});
  return made;
}

}  // namespace

list::LetterValues ModerationMail::about_post(std::string_view reason) const {
  return {{"post_from", shown(post_.from)},      {"post_subject", shown(post_.subject)},
          {"post_date", rfc5322_date(post_.at)}, {"post_size", std::to_string(post_.scanned.size)},
          {"post_id", store::id_text(post_.id)}, {"reason", std::string(reason)}};
}

Attached ModerationMail::begin_of_post(std::string_view type, std::uint64_t length) const {
  return {.type = type, .length = length, .found = post_.scanned.of(0, length)};
}

std::string ModerationMail::boundary() const {
  return "=_held_" + store::id_text(post_.id);
}

ModerationMail::Mail ModerationMail::to_moderators(std::vector<std::string> to, const std::string& answers,
                                                   const std::string& authentication) const {
  list::LetterValues values = about_post(post_.reason);
  values.emplace_back("authentication", authentication);
  values.emplace_back("answer_address", answers);
  values.emplace_back("until", rfc5322_date(post_.until));
  values.emplace_back("outcome",
                      list::outcome_text(list_.settings.moderation.held_expiry, list_.settings.language));
  const auto letter = letter_named(settings_, list_, "held", values);
  if (!letter) return {};
  store::NewMessage made = own_mail(settings_, list_,
                                    {.to = owner_address(list_),
                                     .from = owner_address(list_),
                                     .subject = letter->subject,
                                     .at = post_.at,
                                     .more = "Reply-To: " + answers + "\r\n"});
  address_to_all(made, list_, std::move(to));
  made.limit = store::TellingLimit{"moderators " + std::to_string(list_.id), most_to_moderators};
  add_text(settings_, made, letter->text, boundary(),
           begin_of_post("message/rfc822", std::min(post_.scanned.size, most_shown)));
  return made;
}

ModerationMail::Mail ModerationMail::to_poster() const {
  const auto letter = letter_named(settings_, list_, "held-poster", about_post(post_.reason));
  if (!letter) return {};
  store::NewMessage made =
      reply_to(post_.reverse_path, settings_, list_, *letter, post_.message_id, post_.at);
  made.limit = store::TellingLimit{"poster " + mail::lower(post_.reverse_path), most_to_poster};
  add_text(settings_, made, letter->text);
  return made;
}

ModerationMail::Mail ModerationMail::rejection(const std::string& reason, TimePoint now) const {
  const auto letter = letter_named(settings_, list_, "held-rejected", about_post(reason));
  if (!letter) return {};
  store::NewMessage made = reply_to(post_.reverse_path, settings_, list_, *letter, post_.message_id, now);
  made.limit = store::TellingLimit{"rejected " + mail::lower(post_.reverse_path), most_rejections};
  add_text(settings_, made, letter->text, boundary(),
           begin_of_post("text/rfc822-headers", std::min(post_.scanned.header_size, most_shown)));
  return made;
}

ModerationMail::Mail ModerationMail::forwarded(const std::string& to, const std::string& who,
                                               TimePoint now) const {
  list::LetterValues values = about_post({});
  values.emplace_back("who_did_it", who);
  const auto letter = letter_named(settings_, list_, "held-forwarded", values);
  if (!letter) return {};
  store::NewMessage made = own_mail(
      settings_, list_, {.to = to, .from = owner_address(list_), .subject = letter->subject, .at = now});
  address_to_all(made, list_, {to});
  add_text(settings_, made, letter->text, boundary(), begin_of_post("message/rfc822", post_.scanned.size));
  return made;
}

store::TellingLimit ModerationMail::summary_limit(const list::List& list) {
  return {"summary " + std::to_string(list.id), 1};
}

ModerationMail::Mail ModerationMail::summary(const conf::Settings& settings, const list::List& list,
                                             const std::vector<store::HeldPost>& posts, std::uint64_t all,
                                             std::vector<std::string> to, TimePoint now) {
  std::string lines;
  for (const store::HeldPost& post : posts)
    lines += store::id_text(post.id) + "\r\n  From:     " + shown(post.from) +
             "\r\n  Subject:  " + shown(post.subject) + "\r\n  Reason:   " + post.reason +
             "\r\n  Until:    " + rfc5322_date(post.until) + "\r\n\r\n";
  const auto letter = letter_named(settings, list, "held-summary",
                                   {{"posts", std::move(lines)}, {"count", std::to_string(all)}});
  if (!letter) return {};
  store::NewMessage made = own_mail(
      settings, list,
      {.to = owner_address(list), .from = owner_address(list), .subject = letter->subject, .at = now});
  address_to_all(made, list, std::move(to));
  made.limit = summary_limit(list);
  add_text(settings, made, letter->text);
  return made;
}

// The list may be gone: then its address is all that is known.
ModerationMail::Mail ModerationMail::answer(const conf::Settings& settings, const std::string& to,
                                            const std::string& list_address, const std::string& words,
                                            const std::string& in_reply_to, TimePoint now) {
  const auto at = list_address.rfind('@');
  list::List list;
  list.local = list_address.substr(0, at);
  list.domain = list_address.substr(at + 1);
  const auto letter = letter_named(settings, list, "held-answer", {{"words", words}});
  if (!letter) return {};
  store::NewMessage made = reply_to(to, settings, list, *letter, in_reply_to, now);
  made.limit = store::TellingLimit{"moderator " + mail::lower(to), most_answers};
  add_text(settings, made, letter->text);
  return made;
}

}  // namespace spoold::server
