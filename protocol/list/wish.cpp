#include "protocol/list/wish.hpp"

#include <algorithm>
#include <array>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

using mail::lower;

constexpr std::size_t most_text = 16 << 10, most_line = 500;

struct Word {
  std::string_view text;
  What what;
};
constexpr std::array<Word, 11> commands = {{{"help", What::help},
                                            {"info", What::help},
                                            {"join", What::join},
                                            {"subscribe", What::join},
                                            {"leave", What::leave},
                                            {"unsubscribe", What::leave},
                                            {"set", What::set},
                                            {"who", What::who},
                                            {"echo", What::echo},
                                            {"confirm", What::confirm},
                                            {"remove", What::leave}}};
// These end the commands: what follows is a signature, or the mail that is answered.
constexpr std::array<std::string_view, 5> ends = {"end", "stop", "quit", "exit", "--"};

std::optional<Delivery> delivery_named(std::string_view word) {
  const std::string name = lower(word);
  if (name == "digest") return Delivery::digest;
  if (name == "nodigest" || name == "regular" || name == "on") return Delivery::regular;
  if (name == "nomail" || name == "off") return Delivery::nomail_by_user;
  return {};
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t begin = line.find_first_not_of(" \t", at);
    if (begin == line.npos) break;
    at = std::min(line.find_first_of(" \t", begin), line.size());
    words.push_back(line.substr(begin, at - begin));
  }
  return words;
}

/// What a letter may quote: whoever writes From can send a letter of ours to anybody, and must not write in it.
std::string harmless(std::string_view line) {
  std::string out;
  for (const char c : line.substr(0, 60))
    if (mail::is_alpha(c) || mail::is_digit(c) || c == ' ') out += c;
  return std::string(mail::trim(out));
}

/// "set own off", "set vacation 2026-12-24 2027-01-06", "set vacation until 2027-01-06": name and text of a preference.
std::optional<std::pair<std::string, std::string>> preference_named(
    const std::vector<std::string_view>& words) {
  if (words.size() < 3) return {};
  const std::string first = lower(words[1]), value = lower(words[2]);
  std::string name, text = value;
  const auto choice = [&](const char* preference, bool on) {
    name = preference;
    if (value == "on" || value == "yes") text = on ? "true" : "false";
    if (value == "off" || value == "no") text = on ? "false" : "true";
    return words.size() == 3;
  };
  bool good = false;
  if (first == "own" || first == "myposts" || first == "own_posts") {
    good = choice("own_posts", true);
  } else if (first == "duplicates") {  // as Mailman says it: whether he gets them
    good = choice("avoid_duplicates", false);
  } else if (first == "language") {
    name = "language";
    text = words[2] == "default" ? std::string("default") : std::string(words[2]);
    good = words.size() == 3;
  } else if (first == "vacation" || (first == "nomail" && value == "until")) {
    name = "vacation";
    if (value == "until" && words.size() == 4) text = words[3];
    if (value != "until" && words.size() == 4) text = std::string(words[2]) + ".." + std::string(words[3]);
    good = words.size() <= 4;
  }
  Preferences any;
  if (!good || !set(any, name, text)) return {};
  return std::pair(std::move(name), std::move(text));
}

/// Nothing: the line is no command.
std::optional<Wish> wish_of(std::string_view line) {
  const auto words = words_of(line);
  if (words.empty()) return {};
  const auto found =
      std::ranges::find_if(commands, [&](const Word& word) { return mail::same(word.text, words[0]); });
  if (found == commands.end()) return {};
  Wish wish{found->what, {}, {}};
  switch (wish.what) {
    case What::confirm:  // a person's sentence may begin so: without a token it is none
      if (words.size() != 2) return {};
      wish.words = lower(words[1]);
      break;
    case What::set:  // set delivery digest; set digest; set digest plain; set duplicates off
      if (auto preference = preference_named(words)) {
        wish.preferences.push_back(*std::move(preference));
        break;
      }
      for (const std::string_view word : words)
        if (const auto delivery = delivery_named(word)) wish.delivery = delivery;
      if (!wish.delivery || words.size() > 4) return {};
      if (is_digest(*wish.delivery) && mail::same(words.back(), "plain"))
        wish.delivery = Delivery::digest_plain;
      if (is_digest(*wish.delivery) && mail::same(words.back(), "mime"))
        wish.delivery = Delivery::digest_mime;
      break;
    case What::join:
      for (const std::string_view word : words)
        if (delivery_named(word) == Delivery::digest) wish.delivery = Delivery::digest;
      break;
    case What::echo:
      wish.words = harmless(line);
      break;
    default:
      break;
  }
  return wish;
}

std::string_view without_answer_marks(std::string_view subject) {
  while (mail::starts_with(subject, "re:")) subject = mail::trim(subject.substr(3));
  return subject;
}

/// All lines with `set` are one wish: they are confirmed by one token.
void add(std::vector<Wish>& found, Wish wish) {
  const auto before = std::ranges::find_if(found, [&](const Wish& other) {
    return other == wish || (wish.what == What::set && other.what == What::set);
  });
  if (before == found.end()) {
    found.push_back(std::move(wish));
    return;
  }
  if (*before == wish) return;
  if (wish.delivery) before->delivery = wish.delivery;
  std::ranges::move(wish.preferences, std::back_inserter(before->preferences));
}

/// The first plain text, its transfer encoding undone.
std::string plain_text(std::string_view message) {
  const auto parts = mime::parts_of(message);
  if (!parts) return {};
  for (const mime::Part& part : *parts)
    if (part.type == "text/plain")
      return mime::decoded(message.substr(part.body, part.end - part.body), part.encoding, most_text);
  return {};
}

}  // namespace

const char* text(What what) {
  constexpr std::array<const char*, 8> words = {"help", "join", "leave",   "set",
                                                "who",  "echo", "confirm", "unknown"};
  return words[static_cast<std::size_t>(what)];
}

const char* text(Answer answer) {
  constexpr std::array<const char*, 13> words = {"silence", "confirm",        "moderate",   "joined", "left",
                                                 "changed", "already_member", "not_member", "help",   "who",
                                                 "echo",    "unknown",        "refused"};
  return words[static_cast<std::size_t>(answer)];
}

std::vector<Wish> wishes(Role role, std::string_view detail, const mail::Header& header,
                         std::string_view message) {
  if (role == Role::join) return {{What::join, {}, {}}};
  if (role == Role::leave) return {{What::leave, {}, {}}};
  if (role == Role::confirm) return {{What::confirm, {}, lower(detail)}};
  std::vector<Wish> found;
  const std::string subject = mime::decoded_words(mail::subject(header), most_line);
  if (auto wish = wish_of(without_answer_marks(mail::trim(subject)))) add(found, std::move(*wish));
  const std::string body = plain_text(message);
  for (std::size_t at = 0; at < body.size() && found.size() < most_wishes;) {
    const std::size_t end = std::min(body.find('\n', at), body.size());
    const std::string_view line = mail::trim(std::string_view(body).substr(at, end - at));
    at = end + 1;
    if (line.empty()) continue;
    if (std::ranges::any_of(ends, [&](std::string_view word) { return mail::same(word, line); })) break;
    auto wish = wish_of(line.substr(0, most_line));
    if (!wish && !found.empty()) break;
    if (!wish) {
      found.push_back({What::unknown, {}, harmless(line)});
      break;
    }
    add(found, std::move(*wish));
  }
  if (found.empty()) found.push_back({What::help, {}, {}});
  return found;
}

namespace {

Decision first_answer(const Settings& settings, const Asking& asking, TimePoint now) {
  const bool member = asking.member;
  const auto letter = [&](Answer answer) { return Decision{answer, now + letter_life}; };
  const Decision confirm{Answer::confirm, now + token_life};
  switch (asking.what) {
    case What::join:
      if (member) return letter(Answer::already_member);
      if (settings.subscribe == JoinBy::open) return {Answer::joined, now};
      if (settings.subscribe == JoinBy::moderate) return {Answer::moderate, now + request_life};
      return confirm;
    case What::leave:
      if (!member) return letter(Answer::not_member);
      if (settings.unsubscribe == LeaveBy::open) return {Answer::left, now};
      return confirm;
    case What::set:
      return member ? confirm : letter(Answer::not_member);
    case What::help:
      return letter(Answer::help);
    case What::who:  // nobody else is told who is a member
      return letter(asking.owner ? Answer::who : Answer::help);
    case What::echo:
      return letter(Answer::echo);
    case What::confirm:
    case What::unknown:
      break;
  }
  return letter(Answer::unknown);
}

}  // namespace

bool is_owner(const Settings& settings, const std::string& key) {
  return std::ranges::any_of(settings.owners, [&](const std::string& owner) {
    const auto mailbox = Mailbox::parse(owner, Mailbox::Allow::utf8);
    return mailbox && mailbox->key() == key;
  });
}

Decision answer_to(const Settings& settings, const Asking& asking, const std::optional<Asked>& before,
                   TimePoint now) {
  const Decision decision = first_answer(settings, asking, now);
  // The same letter is not written twice while its token lives, or within a day.
  const bool other = asking.another_change && before && before->letters < most_changes;
  if (before && now < before->until && before->answer == decision.answer && !other) return {};
  return decision;
}

Decision answer_to_token(const Settings& settings, const Asked& asked, bool member, TimePoint now) {
  const bool by_owners = asked.answer == Answer::moderate;
  if ((!by_owners && asked.answer != Answer::confirm) || now >= asked.until) return {};
  switch (asked.what) {
    case What::join:
      if (member) return {Answer::already_member, now};
      if (settings.subscribe == JoinBy::confirm_and_moderate && !by_owners)
        return {Answer::moderate, now + request_life};
      return {Answer::joined, now};
    case What::leave:
      return {member ? Answer::left : Answer::not_member, now};
    case What::set:
      return {member ? Answer::changed : Answer::not_member, now};
    default:
      return {};
  }
}

}  // namespace spoold::list
