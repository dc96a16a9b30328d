#include "protocol/list/moderator_reply.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

using What = ModeratorReply::What;
constexpr std::size_t most_text = 16 << 10, most_lines = 20, most_reason = 500;

struct Word {
  std::string_view text;
  What what;
};
constexpr Word words[] = {{"accept", What::accept},   {"approve", What::accept}, {"approved", What::accept},
                          {"yes", What::accept},      {"reject", What::reject},  {"refuse", What::reject},
                          {"discard", What::discard}, {"drop", What::discard},   {"delete", What::discard}};

std::string_view next_word(std::string_view& rest) {
  rest = mail::trim(rest);
  std::size_t end = 0;
  while (end < rest.size() && mail::is_alpha(rest[end])) ++end;
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

/// "accept", "accept remember", "reject: too long", "Accept."
std::optional<ModeratorReply> command(std::string_view line) {
  std::string_view rest = line;
  const std::string_view word = next_word(rest);
  const auto* const found =
      std::ranges::find_if(words, [&](const Word& one) { return mail::same(one.text, word); });
  if (found == std::end(words)) return std::nullopt;
  ModeratorReply reply{.what = found->what, .remember = false, .reason = {}};
  if (rest.starts_with('.') || rest.starts_with(':') || rest.starts_with(',') || rest.starts_with('!'))
    rest.remove_prefix(1);
  rest = mail::trim(rest);
  if (reply.what == What::reject) {
    reply.reason = rest;
    return reply;
  }
  // "Yes, I will look at it tomorrow" is no command.
  if (reply.what == What::accept && mail::same(rest, "remember"))
    reply.remember = true;
  else if (!rest.empty())
    return std::nullopt;
  return reply;
}

/// The text that a person wrote: the first part of text/plain.
std::string written(std::string_view mail) {
  const auto parts = mime::parts_of(mail);
  if (!parts) return {};
  for (const mime::Part& part : *parts)
    if (part.type == "text/plain")
      return mime::decoded(mail.substr(part.body, part.end - part.body), part.encoding, most_text);
  return {};
}

}  // namespace

std::optional<ModeratorReply> moderator_reply(std::string_view mail) {
  const auto header = mail::Header::scan(mail);
  if (!header) return std::nullopt;
  if (const mail::Field* subject = header->find("Subject"))
    if (auto reply = command(mime::decoded_words(subject->value, most_reason))) return reply;
  const std::string text = written(mail);
  std::optional<ModeratorReply> reply;
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size() && lines < most_lines;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = mail::trim(std::string_view(text).substr(at, end - at));
    at = end + 1;
    if (line.starts_with('>') || line.starts_with("--")) {
      if (reply) break;
      continue;
    }
    if (line.empty()) {
      if (reply && !reply->reason.empty()) break;
      continue;
    }
    ++lines;
    if (!reply) {
      reply = command(line);
      if (!reply && line.ends_with(':')) continue;  // "On Monday, lists wrote:" before what is quoted
      if (!reply) return std::nullopt;
      if (reply->what != What::reject) break;
    } else {
      reply->reason.append(reply->reason.empty() ? "" : " ").append(line);
    }
  }
  if (!reply) return std::nullopt;
  for (char& c : reply->reason)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  reply->reason = mail::utf8_front(reply->reason, most_reason);
  if (!mail::is_utf8_text(reply->reason)) reply->reason.clear();
  return reply;
}

bool is_automatic(const mail::Header& header) {
  for (const mail::Field& field : header.fields()) {
    if (mail::same(field.name, "List-Id") || mail::same(field.name, "X-Autoreply") ||
        mail::same(field.name, "X-Autorespond"))
      return true;
    const std::string token = mail::first_token(field.value);
    if (mail::same(field.name, "Auto-Submitted") && !token.empty() && token != "no") return true;
    if (mail::same(field.name, "Precedence") &&
        (token == "bulk" || token == "list" || token == "junk" || token == "auto_reply"))
      return true;
  }
  return false;
}

}  // namespace spoold::list
