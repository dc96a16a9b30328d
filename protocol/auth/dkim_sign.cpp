#include "protocol/auth/dkim_sign.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "protocol/auth/canonical.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"

namespace spoold::auth {
namespace {

constexpr std::size_t longest_line = 78;

enum class Cover : std::uint8_t { over, over_in_list_mail, if_there };

struct Covered {
  std::string_view name;
  Cover cover;
};

// RFC 6376 5.4.1, RFC 8058 4, and Feedback-ID, which Gmail asks to be signed.
constexpr std::array<Covered, 28> covered = {{{"from", Cover::over},
                                              {"subject", Cover::over},
                                              {"date", Cover::over},
                                              {"to", Cover::over},
                                              {"cc", Cover::over},
                                              {"message-id", Cover::over},
                                              {"mime-version", Cover::over},
                                              {"content-type", Cover::over},
                                              {"content-transfer-encoding", Cover::over},
                                              {"reply-to", Cover::over_in_list_mail},
                                              {"list-id", Cover::over_in_list_mail},
                                              {"list-post", Cover::over_in_list_mail},
                                              {"list-help", Cover::over_in_list_mail},
                                              {"list-subscribe", Cover::over_in_list_mail},
                                              {"list-unsubscribe", Cover::over_in_list_mail},
                                              {"list-unsubscribe-post", Cover::over_in_list_mail},
                                              {"list-owner", Cover::over_in_list_mail},
                                              {"list-archive", Cover::over_in_list_mail},
                                              {"sender", Cover::if_there},
                                              {"in-reply-to", Cover::if_there},
                                              {"references", Cover::if_there},
                                              {"content-disposition", Cover::if_there},
                                              {"feedback-id", Cover::if_there},
                                              {"auto-submitted", Cover::if_there},
                                              {"resent-from", Cover::if_there},
                                              {"resent-date", Cover::if_there},
                                              {"resent-to", Cover::if_there},
                                              {"resent-message-id", Cover::if_there}}};

std::string name_of(const mail::Field& field) {
  return mail::lower(mail::trim(field.name));
}

using ByName = std::unordered_map<std::string, std::vector<const mail::Field*>>;

/// The lowest of each name first, as verifiers take them (RFC 6376 5.4.2).
ByName by_name(const std::vector<mail::Field>& fields) {
  ByName named;
  for (auto field = fields.rbegin(); field != fields.rend(); ++field)
    named[name_of(*field)].push_back(&*field);
  return named;
}

std::vector<std::string> names(const ByName& fields) {
  const bool list_mail = fields.contains("list-id");
  std::vector<std::string> all;
  for (const Covered& one : covered) {
    const auto found = fields.find(std::string(one.name));
    std::size_t times = found == fields.end() ? 0 : found->second.size();
    if (one.cover == Cover::over || (one.cover == Cover::over_in_list_mail && list_mail)) ++times;
    all.insert(all.end(), times, std::string(one.name));
  }
  return all;
}

/// A field whose lines are folded before a word that would pass the limit.
class Folded {
 public:
  /// `blank`: before the word, where the line goes on.
  void word(std::string_view text, bool blank) {
    if (column_ + blank + text.size() > longest_line && column_ > 1) {
      text_ += "\r\n ";
      column_ = 1;
    } else if (blank) {
      text_ += ' ';
      ++column_;
    }
    text_ += text;
    column_ += text.size();
  }
  /// Letters that may be folded anywhere. `end` stays with the last of them.
  void letters(std::string_view text, std::string_view end) {
    while (column_ + text.size() + end.size() > longest_line) {
      const std::size_t room = std::min(text.size(), longest_line - std::min(longest_line, column_));
      text_.append(text.substr(0, room)).append("\r\n ");
      text.remove_prefix(room);
      column_ = 1;
    }
    text_.append(text).append(end);
    column_ += text.size() + end.size();
  }
  std::string take() { return std::move(text_); }
  std::size_t column() const { return column_; }
  void go_on(std::string text) {
    const auto line = text.rfind('\n');
    column_ = text.size() - (line == text.npos ? 0 : line + 1);
    text_ = std::move(text);
  }

 private:
  std::string text_;
  std::size_t column_ = 0;
};

std::string field_up_to_b(const std::vector<std::string>& names, std::string_view body_hash, const SignAs& as,
                          TimePoint at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  Folded field;
  field.word("DKIM-Signature: v=1;", false);
  field.word(as.type == KeyType::rsa ? "a=rsa-sha256;" : "a=ed25519-sha256;", true);
  field.word("c=relaxed/relaxed;", true);
  field.word("d=" + std::string(as.domain) + ";", true);
  field.word("s=" + std::string(as.selector) + ";", true);
  field.word("t=" + std::to_string(std::max<std::int64_t>(seconds, 0)) + ";", true);
  for (std::size_t i = 0; i < names.size(); ++i)
    field.word((i == 0 ? "h=" : "") + names[i] + (i + 1 < names.size() ? ":" : ";"), i == 0);
  field.word("bh=" + mail::base64_encode(body_hash) + ";", true);
  field.word("b=", true);
  return field.take();
}

}  // namespace

std::vector<std::string> signed_fields(const std::vector<mail::Field>& fields) {
  return names(by_name(fields));
}

ToSign to_sign(const std::vector<mail::Field>& fields, std::string_view body_hash, const SignAs& as,
               TimePoint at) {
  ByName named = by_name(fields);
  const std::vector<std::string> all = names(named);
  ToSign made{field_up_to_b(all, body_hash, as, at), {}};
  std::unordered_map<std::string_view, std::size_t> used;
  for (const std::string& name : all) {
    const auto found = named.find(name);
    if (found == named.end()) continue;
    std::size_t& next = used[name];
    if (next < found->second.size()) made.octets += canonical_field(*found->second[next++], true);
  }
  const std::string own = made.field + "\r\n";
  const auto field = mail::Header::scan(own);
  made.octets += canonical_signature(field->fields().front(), true);
  return made;
}

std::string signed_field(const ToSign& made, std::string_view signature) {
  Folded field;
  field.go_on(made.field);
  field.letters(mail::base64_encode(signature), "\r\n");
  return field.take();
}

std::string key_record(KeyType type, std::string_view key) {
  return std::string("v=DKIM1; k=") + (type == KeyType::rsa ? "rsa" : "ed25519") +
         "; p=" + mail::base64_encode(key);
}

std::vector<std::string> txt_strings(std::string_view value) {
  std::vector<std::string> strings;
  for (; value.size() > 255; value.remove_prefix(255)) strings.emplace_back(value.substr(0, 255));
  strings.emplace_back(value);
  return strings;
}

}  // namespace spoold::auth
