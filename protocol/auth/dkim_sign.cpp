#include "protocol/auth/dkim_sign.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/folded.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"

namespace spoold::auth {
namespace {

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

/// The fields that are covered, by their place in the table; of each name the lowest first, as verifiers take them
/// (RFC 6376 5.4.2).
struct Found {
  std::vector<std::pair<std::size_t, const mail::Field*>> fields;
  bool list_mail = false;
};

Found covered_in(const std::vector<mail::Field>& fields) {
  Found found;
  found.fields.reserve(fields.size());
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    const std::string_view name = mail::trim(field->name);
    const auto at =
        std::ranges::find_if(covered, [&](const Covered& one) { return mail::same(one.name, name); });
    if (at == covered.end()) continue;
    found.fields.emplace_back(static_cast<std::size_t>(at - covered.begin()), &*field);
    found.list_mail = found.list_mail || at->name == "list-id";
  }
  std::ranges::stable_sort(found.fields, {}, [](const auto& one) { return one.first; });
  return found;
}

std::vector<std::string_view> names(const Found& found) {
  std::vector<std::string_view> all;
  auto next = found.fields.begin();
  for (std::size_t i = 0; i < covered.size(); ++i) {
    for (; next != found.fields.end() && next->first == i; ++next) all.push_back(covered[i].name);
    const Cover cover = covered[i].cover;
    if (cover == Cover::over || (cover == Cover::over_in_list_mail && found.list_mail))
      all.push_back(covered[i].name);
  }
  return all;
}

std::string field_up_to_b(const std::vector<std::string_view>& names, std::string_view body_hash,
                          const SignAs& as, TimePoint at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  Folded field;
  field.word("DKIM-Signature: v=1;", false);
  field.word(as.type == KeyType::rsa ? "a=rsa-sha256;" : "a=ed25519-sha256;", true);
  field.word("c=relaxed/relaxed;", true);
  field.word("d=" + std::string(as.domain) + ";", true);
  field.word("s=" + std::string(as.selector) + ";", true);
  field.word("t=" + std::to_string(std::max<std::int64_t>(seconds, 0)) + ";", true);
  std::string word;
  for (std::size_t i = 0; i < names.size(); ++i) {
    word = i == 0 ? "h=" : "";
    word.append(names[i]).append(1, i + 1 < names.size() ? ':' : ';');
    field.word(word, i == 0);
  }
  field.word("bh=" + mail::base64_encode(body_hash) + ";", true);
  field.word("b=", true);
  return field.take();
}

}  // namespace

std::vector<std::string> signed_fields(const std::vector<mail::Field>& fields) {
  const auto all = names(covered_in(fields));
  return {all.begin(), all.end()};
}

ToSign to_sign(const std::vector<mail::Field>& fields, std::string_view body_hash, const SignAs& as,
               TimePoint at) {
  const Found found = covered_in(fields);
  ToSign made{field_up_to_b(names(found), body_hash, as, at), {}};
  std::size_t size = made.field.size() + 2;
  for (const auto& [place, field] : found.fields) size += field->raw.size() + 2;
  made.octets.reserve(size);
  for (const auto& [place, field] : found.fields) append_canonical(made.octets, *field, true);
  const std::string own = made.field + "\r\n";
  const auto field = mail::Header::scan(own);
  made.octets += canonical_signature(field->fields().front(), true);
  return made;
}

std::string signed_field(const ToSign& made, std::string_view signature) {
  Folded field(made.field);
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
