// The rows of the table of settings about archives (settings_table.hpp).
#include "protocol/list/archive.hpp"
#include "protocol/list/settings_table.hpp"

namespace spoold::list {
namespace {

using Done = tl::expected<void, std::string>;

Done read_archive(Settings& settings, std::string_view text) {
  if (text.empty()) {
    settings.archive.place.clear();
    return {};
  }
  const auto place = archive_place(text);
  if (!place) return tl::unexpected(place.error());
  settings.archive.place = (place->mbox ? "mbox:" : "maildir:") + place->path;
  return {};
}

Done read_url(std::string& value, std::string_view text, bool hash) {
  if (!text.empty())
    if (auto wrong = archive_url_fault(text, hash)) return tl::unexpected(*wrong);
  value = text;
  return {};
}

}  // namespace

const std::vector<SettingKey>& archive_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"archive", "maildir:DIR | mbox:FILE | empty",
       "where each accepted post is kept as a file: on the disk before its poster gets the 250", read_archive,
       [](const Settings& s) { return s.archive.place; }},
      {"list_archive", "URL | empty",
       "List-Archive of posts: where the archive is read; $list_address and others are filled in",
       [](Settings& s, std::string_view t) { return read_url(s.archive.list_archive, t, false); },
       [](const Settings& s) { return s.archive.list_archive; }},
      {"archived_at", "URL with $hash | empty",
       "Archived-At of posts: where the post will be found; $hash is made of its Message-ID",
       [](Settings& s, std::string_view t) { return read_url(s.archive.archived_at, t, true); },
       [](const Settings& s) { return s.archive.archived_at; }},
  };
  return keys;
}

}  // namespace spoold::list
