#include "protocol/list/archive.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "protocol/list/base32.hpp"
#include "protocol/list/sha1.hpp"
#include "protocol/list/text.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::list {
namespace {

std::string_view without_brackets(std::string_view id) {
  const std::size_t open = id.find('<'), close = id.find('>', open == id.npos ? 0 : open);
  return open != id.npos && close != id.npos ? id.substr(open + 1, close - open - 1) : mail::trim(id);
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

}  // namespace

tl::expected<ArchivePlace, std::string> archive_place(std::string_view text) {
  const auto fault = [&](std::string_view what) {
    return tl::unexpected("'" + std::string(text) + "' " + std::string(what));
  };
  ArchivePlace place;
  if (text.starts_with("maildir:"))
    text.remove_prefix(8);
  else if (text.starts_with("mbox:"))
    text.remove_prefix(5), place.mbox = true;
  else
    return fault("is no archive: expected maildir:DIR or mbox:FILE");
  if (!text.starts_with('/')) return fault("is no absolute path");
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (text.size() > 1000 || std::ranges::any_of(text, control)) return fault("is no name of a file");
  while (text.size() > 1 && text.ends_with('/')) text.remove_suffix(1);
  if (text.size() < 2) return fault("is no name of a file");
  place.path = text;
  return place;
}

std::string message_id_hash(std::string_view message_id) {
  const auto digest = sha1(without_brackets(message_id));
  std::string hash;
  base32_append(hash, digest);
  return upper(std::move(hash));
}

std::optional<std::string> archive_url_fault(std::string_view text, bool hash) {
  const std::string quoted = "'" + std::string(text) + "'";
  if (!text.starts_with("https://") && !text.starts_with("http://") && !text.starts_with("mailto:"))
    return quoted + " is no URL: expected https://...";
  // RFC 3986: printable ASCII without what would end the field's value.
  const auto strange = [](char c) { return c <= 0x20 || c >= 0x7f || c == '<' || c == '>' || c == '"'; };
  if (text.size() > 500 || std::ranges::any_of(text, strange))
    return quoted + " has characters that a URL cannot have, or more than 500 of them";
  const std::string unknown =
      unknown_name(text, [&](std::string_view name) { return hash && name == "hash"; });
  if (!unknown.empty()) return "there is no $" + unknown + " here";
  if (hash && text.find("$hash") == text.npos && text.find("${hash}") == text.npos)
    return quoted + " has no $hash, which tells the posts apart";
  return std::nullopt;
}

std::string list_archive(const List& list) {
  const auto none = [](std::string_view) { return std::optional<std::string>(); };
  return filled(list, list.settings.archive.list_archive, none);
}

std::string archived_at(const List& list, std::string_view message_id) {
  if (list.settings.archive.archived_at.empty() || without_brackets(message_id).empty()) return {};
  return filled(list, list.settings.archive.archived_at, [&](std::string_view name) {
    return name == "hash" ? std::optional(message_id_hash(message_id)) : std::nullopt;
  });
}

std::string ArchiveForm::from_line(std::string_view sender, TimePoint at) {
  constexpr std::array<const char*, 7> days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  using Days = std::chrono::duration<std::int32_t, std::ratio<86400>>;
  const auto since = std::chrono::floor<std::chrono::seconds>(at.time_since_epoch());
  const auto day = std::chrono::floor<Days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day.count()))};
  const std::chrono::weekday weekday{std::chrono::sys_days(std::chrono::days(day.count()))};
  const auto seconds = static_cast<unsigned>((since - day).count());
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), " %s %s %2u %02u:%02u:%02u %d\n", days[weekday.c_encoding()],
                months[static_cast<unsigned>(date.month()) - 1], static_cast<unsigned>(date.day()),
                seconds / 3600, seconds / 60 % 60, seconds % 60, static_cast<int>(date.year()));
  // A blank in a quoted local part would end the address for every reader.
  const bool plain = !sender.empty() && sender.find_first_of(" \t\r\n") == sender.npos;
  return "From " + std::string(plain ? sender : "MAILER-DAEMON") + text.data();
}

void ArchiveForm::put(char c, std::string& out) {
  if (!mbox_ || !line_begins_) {
    out += c;
    line_begins_ = c == '\n';
    return;
  }
  constexpr std::string_view from = "From ";
  begin_ += c;
  const std::string_view word =
      std::string_view(begin_).substr(std::min(begin_.find_first_not_of('>'), begin_.size()));
  if (word.size() < from.size() && from.starts_with(word)) return;  // it may become one
  if (word == from) out += '>';
  out += begin_;
  begin_.clear();
  line_begins_ = c == '\n';
}

void ArchiveForm::add(std::string_view octets, std::string& out) {
  for (const char c : octets) {
    if (cr_ && c != '\n') put('\r', out);
    cr_ = c == '\r';
    if (!cr_) put(c, out);
  }
}

void ArchiveForm::finish(std::string& out) {
  if (cr_) put('\r', out);
  cr_ = false;
  const bool open = !begin_.empty() || !line_begins_;
  out += begin_;
  begin_.clear();
  if (open) out += '\n';
  line_begins_ = true;
  if (mbox_) out += '\n';
}

}  // namespace spoold::list
