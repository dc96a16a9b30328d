#include "protocol/smtp/reply_class.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/glob.hpp"

namespace spoold::smtp {
namespace {

constexpr std::size_t text_at_most = 2048, gap_at_most = 4;

bool in_word(char c) {
  return mail::is_alpha(c) || mail::is_digit(c) || static_cast<unsigned char>(c) >= 0x80;
}

bool in_address(char c) {
  return mail::is_atext(c) || c == '.' || static_cast<unsigned char>(c) >= 0x80;
}

/// An accented letter of Latin-1 in UTF-8 as the letter itself, so that "não existe" is "nao existe". 0: another octet.
char plain_letter(unsigned char second) {
  constexpr char letters[] = "aaaaaaaceeeeiiiidnooooo\0ouuuuypsaaaaaaaceeeeiiiidnooooo\0ouuuuypy";
  return second >= 0x80 && second <= 0xbf ? letters[second - 0x80u] : '\0';
}

/// Without the addresses in it: they are not the words of the reply, and stand in the middle of them.
std::string without_addresses(std::string_view text) {
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = text.find('@'); at != text.npos; at = text.find('@', at + 1)) {
    std::size_t begin = at, end = at + 1;
    while (begin > copied && in_address(text[begin - 1])) --begin;
    while (end < text.size() && in_address(text[end]) && text.substr(end, 2) != "..") ++end;
    if (begin == at || end == at + 1) continue;  // an '@' that stands alone
    out += text.substr(copied, begin - copied);
    out += ' ';
    copied = end;
  }
  out += text.substr(copied);
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) == 0xc3 && i + 1 < text.size())
      if (const char letter = plain_letter(static_cast<unsigned char>(text[i + 1]))) {
        word += letter;
        ++i;
        continue;
      }
    if (in_word(c)) {
      word += mail::lower(c);
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

bool fits(const EnhancedStatus& status, const conf::StatusRange& range) {
  return status.given() && (range.klass == 0 || range.klass == status.klass) &&
         (range.subject < 0 || range.subject == status.subject) && status.detail >= range.first &&
         status.detail <= range.last;
}

std::optional<int> code_at(std::string_view text, std::size_t at) {
  if (at + 3 > text.size() || (text[at] != '2' && text[at] != '4' && text[at] != '5')) return std::nullopt;
  if (!mail::is_digit(text[at + 1]) || !mail::is_digit(text[at + 2])) return std::nullopt;
  if (at > 0 && (in_word(text[at - 1]) || text[at - 1] == '.' || text[at - 1] == '[')) return std::nullopt;
  if (at + 3 < text.size() && text[at + 3] != ' ' && text[at + 3] != '-' && text[at + 3] != ':' &&
      text[at + 3] != '\t')
    return std::nullopt;
  return (text[at] - '0') * 100 + (text[at + 1] - '0') * 10 + (text[at + 2] - '0');
}

struct Found {
  EnhancedStatus status;
  std::size_t begin = 0, end = 0;
};

std::optional<Found> status_from(std::string_view text, std::size_t from, std::size_t until) {
  for (std::size_t at = from; at + 5 <= std::min(text.size(), until); ++at) {
    if (text[at + 1] != '.' || (at > 0 && (in_word(text[at - 1]) || text[at - 1] == '.'))) continue;
    std::size_t end = std::min(text.find_first_not_of("0123456789.", at), text.size());
    std::size_t last = end;
    while (last > at && text[last - 1] == '.') --last;
    const auto status = EnhancedStatus::parse(text.substr(at, last - at));
    if (status && status->klass != 2 && (end == text.size() || !in_word(text[end])))
      return Found{*status, at, last};
  }
  return std::nullopt;
}

}  // namespace

ReplyTable::ReplyTable(std::vector<conf::ReplyRule> rules) : rules_(std::move(rules)) {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    for (const std::string& text : rules_[i].texts) add(i, text, false);
    for (const std::string& text : rules_[i].unless) add(i, text, true);
  }
}

void ReplyTable::add(std::size_t rule, std::string_view text, bool unless) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t star = std::min(text.find('*', at), text.size());
    for (std::string& word : words_of(text.substr(at, star - at))) words.push_back(std::move(word));
    if (star < text.size() && !words.empty()) words.push_back("*");
    at = star + 1;
  }
  if (words.empty()) return;
  std::string first = std::move(words.front());
  words.erase(words.begin());
  phrases_[std::move(first)].push_back({std::move(words), rule, unless});
}

ReplyClass ReplyTable::classify(const Reply& reply, std::string_view mx) const {
  const auto words = words_of(without_addresses(std::string_view(reply.text).substr(0, text_at_most)));
  std::vector<char> has(rules_.size()), hindered(rules_.size());
  for (std::size_t at = 0; at < words.size(); ++at) {
    const auto phrases = phrases_.find(words[at]);
    if (phrases == phrases_.end()) continue;
    for (const Phrase& phrase : phrases->second) {
      auto& mark = phrase.unless ? hindered[phrase.rule] : has[phrase.rule];
      std::size_t next = at + 1, gap = 0;
      bool same = mark == 0;
      for (std::size_t i = 0; same && i < phrase.words.size(); ++i) {
        if (phrase.words[i] == "*") {
          gap = gap_at_most;
          continue;
        }
        const std::size_t until = std::min(words.size(), next + gap + 1);
        while (next < until && words[next] != phrase.words[i]) ++next;
        same = next++ < until;
        gap = 0;
      }
      if (same) mark = 1;
    }
  }
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const conf::ReplyRule& rule = rules_[i];
    if ((!rule.texts.empty() && !has[i]) || hindered[i]) continue;
    const auto code = [&](const conf::CodeRange& r) { return reply.code >= r.first && reply.code <= r.last; };
    const auto status = [&](const conf::StatusRange& r) { return fits(reply.enhanced, r); };
    const auto host = [&](const std::string& pattern) { return mail::glob(pattern, mx); };
    if (!rule.codes.empty() && std::ranges::none_of(rule.codes, code)) continue;
    if (!rule.statuses.empty() && std::ranges::none_of(rule.statuses, status)) continue;
    if (!rule.mx.empty() && std::ranges::none_of(rule.mx, host)) continue;
    return {rule.action, rule.rule, rule.wait};
  }
  return {reply.permanent() ? conf::ReplyAction::post_fails : conf::ReplyAction::retry, "none", {}};
}

std::string_view host_in(std::string_view remote) {
  if (const auto at = remote.find(';'); at != remote.npos) remote.remove_prefix(at + 1);
  while (remote.starts_with(' ')) remote.remove_prefix(1);
  return remote.substr(0, remote.find_first_of("[: "));
}

Reply reply_in_line(std::string_view line) {
  line = mail::trim(line.substr(0, 2 * text_at_most));
  Reply reply;
  std::size_t at = 0;
  for (; at < line.size(); ++at)
    if (const auto code = code_at(line, at); code && (*code >= 400 || at == 0)) {
      reply.code = *code;
      break;
    }
  const bool coded = at < line.size();
  std::string_view text = coded ? line.substr(std::min(at + 4, line.size())) : line;
  // Behind the code, else anywhere: "(#5.1.1)".
  auto found = status_from(text, 0, 6);
  if (found) {
    reply.enhanced = found->status;
    text = mail::trim(text.substr(found->end));
  } else if ((found = status_from(text, 0, text.size()))) {
    reply.enhanced = found->status;
  }
  if (!coded && reply.enhanced.given()) reply.code = reply.enhanced.klass * 100 + 50;
  // The code and the status of each further line of the reply are no words of it.
  const std::string code = std::to_string(reply.code), status = reply.enhanced.text();
  while (!text.empty()) {
    const std::size_t blank = std::min(text.find_first_of(" \t"), text.size());
    std::string_view word = text.substr(0, blank);
    text = mail::trim(text.substr(blank));
    if (coded && word.starts_with(code) && (word.size() == 3 || word[3] == '-'))
      word.remove_prefix(std::min<std::size_t>(word.size(), 4));
    if (word.empty() || (!status.empty() && word == status)) continue;
    if (!reply.text.empty()) reply.text += ' ';
    reply.text += word;
  }
  return reply;
}

}  // namespace spoold::smtp
