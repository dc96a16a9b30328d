#include "protocol/list/digest.hpp"

#include <algorithm>
#include <array>

#include "protocol/list/cook.hpp"
#include "protocol/list/text.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/phrase.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/charset.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

/// What is kept of a post's header in the MIME form: Mailman's mime_digest_keep_headers.
constexpr std::array<std::string_view, 15> kept = {"Date",
                                                   "From",
                                                   "To",
                                                   "Cc",
                                                   "Subject",
                                                   "Message-ID",
                                                   "In-Reply-To",
                                                   "References",
                                                   "Keywords",
                                                   "Reply-To",
                                                   "MIME-Version",
                                                   "Content-Type",
                                                   "Content-Transfer-Encoding",
                                                   "Content-Language",
                                                   "Archived-At"};
/// And in the plain form: RFC 1153.
constexpr std::array<std::string_view, 7> shown = {"Date",    "From",       "To",      "Cc",
                                                   "Subject", "Message-ID", "Keywords"};
constexpr std::size_t most_of_a_field = 900, most_of_a_title = 70;

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::any_of(names, [&](std::string_view one) { return mail::same(one, name); });
}

std::string clean(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    char32_t point = 0;
    const std::size_t size = mail::decode_utf8(text.substr(at), point);
    const bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    if (size == 0 || control)
      out += '?';
    else
      out += text.substr(at, size);
    at += std::max<std::size_t>(size, 1);
  }
  return out;
}

/// A field's value for people: UTF-8, one line.
std::string words(const mail::Field* field, std::size_t most) {
  if (field == nullptr) return {};
  std::string text = clean(mime::decoded_words(field->value, most_of_a_field));
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

struct Read {
  mail::Header header;
  std::string_view body;
};
/// A header that cannot be read counts as none.
Read read(const DigestPost& post) {
  auto header = mail::Header::scan(post.message);
  if (!header) return {{}, post.message};
  const std::string_view body = std::string_view(post.message).substr(header->end());
  return {std::move(*header), body};
}

std::string writer_of(const mail::Header& header) {
  const mail::Field* from = header.find("From");
  if (from == nullptr) return {};
  const mail::AddressList list = mail::address_list(from->value);
  if (list.addresses.empty()) return words(from, most_of_a_title);
  const mail::NameAddr& one = list.addresses.front();
  const std::string name = clean(mime::decoded_words(one.name, 200));
  return name.empty() ? one.mailbox.text() : name;
}

std::string title_of(const mail::Header& header) {
  std::string subject = words(header.find("Subject"), most_of_a_title);
  return subject.empty() ? "(no subject)" : subject;
}

std::string contents(const List& list, const DigestIssue& issue, const std::vector<Read>& posts) {
  const std::string owner = owner_address(list);
  std::string out = digest_title(list, issue) + "\r\n\r\n";
  if (!list.settings.description.empty()) out += list.settings.description + "\r\n\r\n";
  out += "Send posts to " + list.address() +
         ".\r\nWhen you answer, please change the subject, and quote only what you "
         "answer.\r\nTo leave the list, send a mail to " +
         list.local + "-leave@" + list.domain + "; to reach its owners, to\r\n" + owner +
         ".\r\n\r\nToday's topics:\r\n\r\n";
  for (std::size_t i = 0; i < posts.size(); ++i) {
    const std::string number = std::to_string(i + 1), who = writer_of(posts[i].header);
    out.append(number.size() < 4 ? 4 - number.size() : 0, ' ').append(number).append(". ");
    out += title_of(posts[i].header);
    if (!who.empty()) out += " (" + who + ")";
    out += "\r\n";
  }
  return out;
}

std::string footer(const List& list) {
  std::string out;
  for (const mail::Own& own : text_of(list, list.settings.footer, false)) out += own.text;
  return out;
}

void append_lines(std::string& out, std::string_view text) {
  out += text;
  if (!text.ends_with("\r\n")) out += "\r\n";
}

std::string boundary(const DigestIssue& issue, std::string_view which, const std::vector<DigestPost>& posts) {
  for (unsigned n = 0;; ++n) {
    std::string made =
        "=_spoold." + issue.unique + "." + std::string(which) + (n == 0 ? "" : std::to_string(n));
    const auto has = [&](const DigestPost& post) {
      return post.message.find("--" + made) != std::string::npos;
    };
    if (std::ranges::none_of(posts, has)) return made;
  }
}

// ---- the MIME form

std::string mime_body(const List& list, const DigestIssue& issue, const std::vector<DigestPost>& posts,
                      const std::vector<Read>& reads, const std::string& outer) {
  const std::string inner = boundary(issue, "posts", posts);
  const auto eight_bit = [](const DigestPost& post) { return !mail::is_ascii(post.message); };
  const auto text_part = [&](std::string_view text) {
    std::string part = "--" + outer + "\r\nContent-Type: text/plain; charset=utf-8\r\n";
    part += "Content-Transfer-Encoding: 8bit\r\n\r\n";
    append_lines(part, text);
    return part;
  };
  std::string out = text_part(contents(list, issue, reads));
  out += "\r\n--" + outer + "\r\nContent-Type: multipart/digest; boundary=\"" + inner + "\"\r\n";
  if (std::ranges::any_of(posts, eight_bit)) out += "Content-Transfer-Encoding: 8bit\r\n";
  out += "\r\n";
  for (std::size_t i = 0; i < posts.size(); ++i) {
    out += "--" + inner + "\r\nContent-Type: message/rfc822\r\n";
    if (eight_bit(posts[i])) out += "Content-Transfer-Encoding: 8bit\r\n";
    out += "\r\n";
    for (const mail::Field& field : reads[i].header.fields())
      if (among(kept, field.name)) append_lines(out, field.raw);
    out += "Message: " + std::to_string(i + 1) + "\r\n\r\n";
    out += reads[i].body;
    out += "\r\n";  // of the delimiter
  }
  out += "--" + inner + "--\r\n";
  if (const std::string last = footer(list); !last.empty()) out += "\r\n" + text_part(last);
  return out + "\r\n--" + outer + "--\r\n";
}

// ---- the plain form

/// A part's text in UTF-8 with CRLF line ends.
std::string text_of_part(std::string_view octets, const mime::Part& part) {
  const mail::Field* type = part.header.find("Content-Type");
  std::string charset =
      mail::lower(type == nullptr ? std::string() : mime::parameter(type->value, "charset"));
  if (charset.empty()) charset = "us-ascii";
  std::string text =
      mime::decoded(octets.substr(part.body, part.end - part.body), part.encoding, octets.size());
  if (charset != "utf-8" && charset != "us-ascii")
    if (auto converted = mime::utf8_of(text, charset)) text = std::move(*converted);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::string tabs_kept;
    for (std::size_t from = 0; from <= line.size();) {
      const std::size_t tab = std::min(line.find('\t', from), line.size());
      tabs_kept += clean(line.substr(from, tab - from));
      if (tab < line.size()) tabs_kept += '\t';
      from = tab + 1;
    }
    // RFC 5322 2.1.1: 998 octets; and RFC 1153: no line of a post may be taken for the line between two posts.
    while (tabs_kept.size() > 998) {
      std::size_t cut = 998;
      while ((static_cast<unsigned char>(tabs_kept[cut]) & 0xc0) == 0x80) --cut;
      out.append(tabs_kept, 0, cut).append("\r\n");
      tabs_kept.erase(0, cut);
    }
    if (tabs_kept == std::string(30, '-')) tabs_kept.insert(0, " ");
    out += tabs_kept + "\r\n";
    at = end + 1;
  }
  return out;
}

std::string plain_post(const DigestPost& post, const Read& read, std::size_t number) {
  std::string out;
  for (const std::string_view name : shown) {
    const std::string value = words(read.header.find(name), most_of_a_field);
    if (!value.empty()) out.append(name).append(": ").append(value).append("\r\n");
  }
  out += "Message: " + std::to_string(number) + "\r\n\r\n";
  const auto parts = mime::parts_of(post.message);
  if (!parts) return out + "[this post cannot be shown as text]\r\n";
  std::vector<std::size_t> alternatives;  // those that have shown one of theirs
  for (const mime::Part& part : *parts) {
    if (part.multipart() || part.encloses()) continue;
    const std::size_t parent = part.parent;
    const bool alternative = (*parts)[parent].type == "multipart/alternative";
    if (alternative && std::ranges::find(alternatives, parent) != alternatives.end()) continue;
    const mail::Field* disposition = part.header.find("Content-Disposition");
    const bool attached = disposition != nullptr && mail::first_token(disposition->value) == "attachment";
    if (part.type == "text/plain" && !attached) {
      out += text_of_part(post.message, part);
      if (alternative) alternatives.push_back(parent);
    } else if (!alternative || &part == &parts->back()) {
      out += "[" + clean(part.type.substr(0, 100)) + ": not shown here]\r\n";
    }
  }
  return out;
}

std::string plain_body(const List& list, const DigestIssue& issue, const std::vector<DigestPost>& posts,
                       const std::vector<Read>& reads) {
  std::string out = contents(list, issue, reads) + "\r\n" + std::string(70, '-') + "\r\n\r\n";
  for (std::size_t i = 0; i < posts.size(); ++i) {
    out += plain_post(posts[i], reads[i], i + 1);
    out += "\r\n" + std::string(30, '-') + "\r\n\r\n";
  }
  if (const std::string last = footer(list); !last.empty())
    out += "Subject: Digest Footer\r\n\r\n" + last + "\r\n" + std::string(30, '-') + "\r\n\r\n";
  const std::string end = "End of " + digest_title(list, issue);
  return out + end + "\r\n" + std::string(end.size(), '*') + "\r\n";
}

}  // namespace

std::string digest_title(const List& list, const DigestIssue& issue) {
  std::string name = list.local;
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name + " Digest, Vol " + std::to_string(issue.volume) + ", Issue " + std::to_string(issue.issue);
}

Digest digest(const List& list, const DigestIssue& issue, const std::vector<DigestPost>& posts,
              DigestForm form) {
  std::vector<Read> reads;
  reads.reserve(posts.size());
  for (const DigestPost& post : posts) reads.push_back(read(post));
  const std::string outer = boundary(issue, "digest", posts);
  Digest made;
  made.body = form == DigestForm::mime ? mime_body(list, issue, posts, reads, outer)
                                       : plain_body(list, issue, posts, reads);
  std::string& head = made.head;
  const std::string request = list.local + "-request@" + list.domain;
  head = "From: " + request + "\r\nTo: " + list.address() + "\r\nReply-To: " + list.address() + "\r\n";
  head += "Subject: " + digest_title(list, issue) + "\r\nDate: " + rfc5322_date(issue.at) + "\r\n";
  head += "Message-ID: " + issue.message_id + "\r\nMIME-Version: 1.0\r\n";
  if (form == DigestForm::mime) {
    head += "Content-Type: multipart/mixed; boundary=\"" + outer + "\"\r\n";
    if (!mail::is_ascii(made.body)) head += "Content-Transfer-Encoding: 8bit\r\n";
  } else {
    head += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
  }
  std::vector<mail::Own> fields = list_fields(list);
  fields.back().text += "X-BeenThere: " + list.address() + "\r\n\r\n";
  head += std::exchange(fields.front().text, std::string());
  if (fields.front().blank != 0) made.more = std::move(fields);
  return made;
}

List for_digest(const List& list) {
  List plain = list;
  plain.settings.subject_prefix.clear();
  plain.settings.header.clear();
  plain.settings.footer.clear();
  plain.settings.personalize = Personalize::none;
  plain.settings.one_click = false;
  return plain;
}

bool digest_due(const DigestRules& rules, std::uint64_t octets, TimePoint first, TimePoint now) {
  return (rules.size != 0 && octets >= rules.size) ||
         (rules.every != Duration{} && now - first >= rules.every);
}

std::uint32_t month_of(TimePoint at) {
  using Days = std::chrono::duration<std::int32_t, std::ratio<86400>>;
  const auto day = std::chrono::floor<Days>(at.time_since_epoch());
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day.count()))};
  return static_cast<std::uint32_t>(static_cast<int>(date.year())) * 12 +
         static_cast<unsigned>(date.month()) - 1;
}

}  // namespace spoold::list
