#include "protocol/list/settings_table.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "conf/near_miss.hpp"
#include "conf/values.hpp"
#include "protocol/list/sender_forms.hpp"
#include "protocol/list/setting_words.hpp"
#include "protocol/list/subject.hpp"
#include "protocol/list/text.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::list {

namespace {

using Done = tl::expected<void, std::string>;
tl::unexpected<std::string> fault(std::string text) {
  return tl::unexpected(std::move(text));
}

constexpr std::array<Word<Verp>, 3> verp_words = {
    {{"never", Verp::never}, {"personalized", Verp::personalized}, {"always", Verp::always}}};
constexpr std::array<Word<VerpFormat>, 3> format_words = {
    {{"classic", VerpFormat::classic}, {"signed", VerpFormat::signed_}, {"opaque", VerpFormat::opaque}}};
constexpr std::array<Word<CopyForm>, 5> form_words = {{{"classic", CopyForm::classic},
                                                       {"mlmmj", CopyForm::mlmmj},
                                                       {"ezmlm", CopyForm::ezmlm},
                                                       {"sympa", CopyForm::sympa},
                                                       {"xverp", CopyForm::xverp}}};
constexpr std::array<Word<Personalize>, 3> personalize_words = {
    {{"none", Personalize::none}, {"individual", Personalize::individual}, {"full", Personalize::full}}};

Done read_description(Settings& settings, std::string_view text) {
  if (text.size() > 200) return fault("a description has at most 200 octets");
  if (!mail::is_utf8_text(text))
    return fault("a description is one line of UTF-8 text without control characters");
  settings.description = mail::trim(text);
  return {};
}

Done read_owner(Settings& settings, std::string_view text) {
  std::vector<std::string> owners;
  if (auto done = read_addresses(owners, text); !done) return done;
  if (owners.empty()) return fault("a list needs at least one owner");
  settings.owners = std::move(owners);
  return {};
}

/// "mlmmj, ezmlm"; empty: none.
Done read_accept(Settings& settings, std::string_view text) {
  std::uint8_t all = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(", "), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    CopyForm form{};
    if (auto ok = read_word(form, word, form_words); !ok) return ok;
    all = static_cast<std::uint8_t>(all | static_cast<std::uint8_t>(form));
  }
  settings.verp_accept = all;
  return {};
}

std::string print_accept(const Settings& settings) {
  std::string text;
  for (const auto& [word, form] : form_words)
    if ((settings.verp_accept & static_cast<std::uint8_t>(form)) != 0)
      text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

Done read_verp(Settings& settings, std::string_view text) {
  constexpr std::string_view every = "every:";
  if (text.starts_with(every)) {
    std::uint32_t number = 0;
    const char* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data() + every.size(), end, number);
    if (error != std::errc() || rest != end || number == 0)
      return fault("every:N needs a number of posts, 1 or more");
    settings.verp = Verp::every;
    settings.verp_every = number;
    return {};
  }
  Verp value{};
  if (auto done = read_word(value, text, verp_words, {}); !done) return fault(done.error() + ", every:N");
  settings.verp = value;
  settings.verp_every = 0;
  return {};
}

std::string print_verp(const Settings& settings) {
  if (settings.verp == Verp::every) return "every:" + std::to_string(settings.verp_every);
  return print_word(settings.verp, verp_words);
}

Done read_max_size(Settings& settings, std::string_view text) {
  if (text == "0") {
    settings.max_size = 0;
    return {};
  }
  auto size = conf::parse_size(text);
  if (!size) return fault("'" + std::string(text) + "' is not " + size.error());
  settings.max_size = *size;
  return {};
}

std::string print_max_size(const Settings& settings) {
  return settings.max_size == 0 ? "0" : conf::size_text(settings.max_size);
}

Done read_prefix(Settings& settings, std::string_view text) {
  if (auto wrong = prefix_fault(text)) return fault(std::move(*wrong));
  settings.subject_prefix = mail::trim(text);
  return {};
}

Done read_text(std::string& value, std::string_view text) {
  if (auto wrong = text_fault(text)) return fault(std::move(*wrong));
  value = text;
  return {};
}

Done read_reply_to(Settings& settings, std::string_view text) {
  settings.reply_to_address.clear();
  settings.reply_to = text == "list" ? ReplyTo::list : ReplyTo::poster;
  if (text == "list" || text == "poster") return {};
  const auto mailbox = Mailbox::parse(text);
  if (!mailbox) return fault("'" + std::string(text) + "' is none of: poster, list, an address");
  settings.reply_to = ReplyTo::address;
  settings.reply_to_address = mailbox->text();
  return {};
}

std::string print_reply_to(const Settings& settings) {
  if (settings.reply_to == ReplyTo::address) return settings.reply_to_address;
  return settings.reply_to == ReplyTo::list ? "list" : "poster";
}

/// Without them a message is no message, or no post of this list.
constexpr std::array<std::string_view, 5> needed = {"From", "Date", "Message-ID", "Content-Type",
                                                    "Content-Transfer-Encoding"};

Done read_remove_headers(Settings& settings, std::string_view text) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(", \n", at), text.size());
    std::string_view name = text.substr(at, end - at);
    at = end + 1;
    if (name.ends_with(':')) name.remove_suffix(1);
    if (name.empty()) continue;
    const std::string_view letters = name.ends_with('*') ? name.substr(0, name.size() - 1) : name;
    const bool field = !letters.empty() && std::ranges::all_of(letters, [](char c) {
      return c > 32 && c < 127 && c != ':' && c != '*';
    });
    if (!field) return fault("'" + std::string(name) + "' is not the name of a header field");
    for (const std::string_view one : needed)
      if (mail::same(name, one) || (name.ends_with('*') && mail::starts_with(one, letters)))
        return fault("'" + std::string(name) + "' would remove " + std::string(one) +
                     ", which a message needs");
    names.emplace_back(name);
  }
  settings.remove_headers = std::move(names);
  return {};
}

std::string print_remove_headers(const Settings& settings) {
  std::string text;
  for (const std::string& name : settings.remove_headers) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Settings that this version does not have: naming one is refused with that sentence, never ignored.
constexpr std::array<std::string_view, 1> not_built = {"advertised"};

}  // namespace

tl::expected<void, std::string> read_flag(bool& value, std::string_view text) {
  if (text == "true" || text == "yes")
    value = true;
  else if (text == "false" || text == "no")
    value = false;
  else
    return fault("'" + std::string(text) + "' is neither true nor false");
  return {};
}

std::string print_flag(bool value) {
  return value ? "true" : "false";
}

tl::expected<void, std::string> read_addresses(std::vector<std::string>& value, std::string_view text) {
  std::vector<std::string> addresses;
  std::string word;
  bool quoted = false;
  for (char c : std::string(text) + ",") {
    if (c == '"') quoted = !quoted;
    if ((c == ',' || c == ' ' || c == '\n') && !quoted) {
      if (!word.empty()) {
        auto mailbox = Mailbox::parse(word);
        if (!mailbox) return fault("'" + word + "': " + mailbox.error());
        if (std::find(addresses.begin(), addresses.end(), mailbox->text()) == addresses.end())
          addresses.push_back(mailbox->text());
      }
      word.clear();
    } else {
      word += c;
    }
  }
  if (quoted) return fault("'" + word + "': the quoted local part is not closed");
  value = std::move(addresses);
  return {};
}

std::string print_addresses(const std::vector<std::string>& addresses) {
  std::string text;
  for (const std::string& address : addresses) text += (text.empty() ? "" : ", ") + address;
  return text;
}

namespace {

const std::vector<SettingKey>& general_keys() {
  static const std::vector<SettingKey> keys = {
      {"description", "text", "one line about the list; goes into List-Id", read_description,
       [](const Settings& s) { return s.description; }},
      {"info", "text",
       "what the list is for, in several lines: in the welcome letter and in the help, as $info",
       [](Settings& s, std::string_view t) { return read_text(s.info, t); },
       [](const Settings& s) { return s.info; }},
      {"owner", "addresses", "addresses that receive mail sent to LIST-owner; at least one", read_owner,
       [](const Settings& s) { return print_addresses(s.owners); }},
      {"verp", "never | personalized | every:N | always",
       "which posts have an envelope sender of its own for each member", read_verp, print_verp},
      {"verp_format", "classic | signed | opaque",
       "how that envelope sender names the member; a forged one of signed and opaque is refused",
       [](Settings& s, std::string_view t) { return read_word(s.verp_format, t, format_words); },
       [](const Settings& s) { return print_word(s.verp_format, format_words); }},
      {"verp_accept", "classic, mlmmj, ezmlm, sympa, xverp",
       "envelope senders in the forms of other list managers that bounces may still come to", read_accept,
       print_accept},
      {"personalize", "none | individual | full",
       "individual: one copy a member; full: and his values in header and footer",
       [](Settings& s, std::string_view t) { return read_word(s.personalize, t, personalize_words, {}); },
       [](const Settings& s) { return print_word(s.personalize, personalize_words); }},
      {"max_size", "size | 0", "largest post; 0: the server's limit", read_max_size, print_max_size},
      {"own_posts", "true | false", "whether a member gets his own posts",
       [](Settings& s, std::string_view t) { return read_flag(s.own_posts, t); },
       [](const Settings& s) { return print_flag(s.own_posts); }},
      {"avoid_duplicates", "true | false", "leave out members whom To or Cc name: they get the post directly",
       [](Settings& s, std::string_view t) { return read_flag(s.avoid_duplicates, t); },
       [](const Settings& s) { return print_flag(s.avoid_duplicates); }},
      {"include_lists", "addresses",
       "lists of this server whose members get the posts too, unless To or Cc names their list",
       [](Settings& s, std::string_view t) { return read_addresses(s.include_lists, t); },
       [](const Settings& s) { return print_addresses(s.include_lists); }},
      {"exclude_lists", "addresses",
       "lists of this server whose members do not get a post where To or Cc names their list",
       [](Settings& s, std::string_view t) { return read_addresses(s.exclude_lists, t); },
       [](const Settings& s) { return print_addresses(s.exclude_lists); }},
      {"subject_prefix", "text", "stands in Subject behind Re:, as [Test]; %d is the post's number",
       read_prefix, [](const Settings& s) { return s.subject_prefix; }},
      {"header", "text", "stands before each post; $list_name and others are filled in",
       [](Settings& s, std::string_view t) { return read_text(s.header, t); },
       [](const Settings& s) { return s.header; }},
      {"footer", "text", "stands behind each post, as header does",
       [](Settings& s, std::string_view t) { return read_text(s.footer, t); },
       [](const Settings& s) { return s.footer; }},
      {"reply_to", "poster | list | address",
       "whom an answer goes to, before those whom the Reply-To of the post names", read_reply_to,
       print_reply_to},
      {"sender_header", "true | false",
       "Sender: LIST-bounces; it breaks signatures of authors that cover Sender",
       [](Settings& s, std::string_view t) { return read_flag(s.sender_header, t); },
       [](const Settings& s) { return print_flag(s.sender_header); }},
      {"remove_headers", "names", "fields of a post that members do not get; X-Spam-* are all that begin so",
       read_remove_headers, print_remove_headers},
      {"anonymous", "true | false", "members do not see who wrote: From is the list, and traces are removed",
       [](Settings& s, std::string_view t) { return read_flag(s.anonymous, t); },
       [](const Settings& s) { return print_flag(s.anonymous); }},
      {"one_click", "true | false",
       "List-Unsubscribe names an address of each member's own, which takes him off the list without a "
       "question",
       [](Settings& s, std::string_view t) { return read_flag(s.one_click, t); },
       [](const Settings& s) { return print_flag(s.one_click); }},
  };
  return keys;
}

}  // namespace

const std::vector<SettingKey>& setting_keys() {
  static const std::vector<SettingKey> keys = [] {
    std::vector<SettingKey> all = general_keys();
    all.insert(all.end(), request_setting_keys().begin(), request_setting_keys().end());
    all.insert(all.end(), align_setting_keys().begin(), align_setting_keys().end());
    all.insert(all.end(), filter_setting_keys().begin(), filter_setting_keys().end());
    all.insert(all.end(), moderation_setting_keys().begin(), moderation_setting_keys().end());
    all.insert(all.end(), bounce_setting_keys().begin(), bounce_setting_keys().end());
    all.insert(all.end(), digest_setting_keys().begin(), digest_setting_keys().end());
    all.insert(all.end(), archive_setting_keys().begin(), archive_setting_keys().end());
    return all;
  }();
  return keys;
}

namespace {

tl::expected<const SettingKey*, std::string> find(std::string_view name) {
  for (const SettingKey& key : setting_keys())
    if (key.name == name) return &key;
  if (std::find(not_built.begin(), not_built.end(), name) != not_built.end())
    return fault("'" + std::string(name) + "' is known, but not built yet");
  std::vector<std::string> names;
  for (const SettingKey& key : setting_keys()) names.emplace_back(key.name);
  const std::string near = conf::near_miss(name, names);
  return fault("there is no setting '" + std::string(name) + "'" +
               (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

}  // namespace

tl::expected<KeyTexts, std::string> style(std::string_view name) {
  // Each sets the same keys: whoever goes from one to another keeps nothing of the first.
  KeyTexts texts = {{"nonmembers", "reject"},
                    {"member_moderation", "defer"},
                    {"one_click", "false"},
                    {"transparent", "false"},
                    {"dmarc", "munge"}};
  const auto set = [&](std::string_view key, std::string_view text) {
    std::ranges::find(texts, key, &KeyTexts::value_type::first)->second = text;
  };
  if (name == "announcement") {
    set("member_moderation", "hold");
    set("one_click", "true");
  } else if (name == "transparent") {
    set("transparent", "true");
    set("dmarc", "accept");
  } else if (name != "discussion") {
    return fault("style: '" + std::string(name) + "' is none of: discussion, announcement, transparent");
  }
  return texts;
}

tl::expected<void, std::string> set(Settings& settings, std::string_view key, std::string_view text,
                                    bool was_set) {
  auto found = find(key);
  if (!found) return fault(found.error());
  if ((*found)->fault != nullptr && !was_set)
    if (auto wrong = (*found)->fault(text)) return fault(std::string(key) + ": " + *wrong);
  Settings changed = settings;
  if (auto done = (*found)->read(changed, text); !done) return fault(std::string(key) + ": " + done.error());
  settings = std::move(changed);
  return {};
}

tl::expected<std::string, std::string> print(const Settings& settings, std::string_view key) {
  auto found = find(key);
  if (!found) return fault(found.error());
  return (*found)->print(settings);
}

}  // namespace spoold::list
