// Walks the parsed file along the key table; what each key means is in keys.cpp.
#include "conf/load.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "conf/addresses.hpp"
#include "conf/keys_reading.hpp"
#include "conf/near_miss.hpp"

namespace spoold::conf {

namespace {

std::string shown(std::string_view section, bool many) {
  if (section.empty()) return "the top of the file";
  return many ? "[[" + std::string(section) + "]]" : "[" + std::string(section) + "]";
}

std::string shown(const Section& section) {
  return shown(section.name, section.kind == Section::Kind::tables);
}

const Section* find_section(std::string_view name) {
  for (const Section& section : sections())
    if (section.name == name) return &section;
  return nullptr;
}

std::size_t find_key(std::string_view section, std::string_view name) {
  for (std::size_t i = 0; i < keys().size(); ++i)
    if (keys()[i].section == section && keys()[i].name == name) return i;
  return keys().size();
}

/// Words that may stand in `section`: its keys, and the sections below it.
std::vector<std::string> words_of(std::string_view section) {
  std::vector<std::string> words;
  for (const Key& key : keys())
    if (key.section == section) words.emplace_back(key.name);
  const std::string prefix = section.empty() ? "" : std::string(section) + ".";
  for (const Section& below : sections())
    if (below.name.starts_with(prefix) && below.name.find('.', prefix.size()) == std::string_view::npos)
      words.emplace_back(below.name.substr(prefix.size()));
  return words;
}

std::string unknown(std::string_view section, const std::string& name) {
  const Section* found = find_section(section);
  std::string text = "unknown key '" + name + "' in " + (found ? shown(*found) : shown("", false));
  if (const auto meant = near_miss(name, words_of(section)); !meant.empty())
    return text + "; did you mean '" + meant + "'?";
  for (const Key& key : keys())
    if (key.name == name) {
      const Section* home = find_section(key.section);
      return text + "; it belongs to " + (home ? shown(*home) : shown("", false));
    }
  return text;
}

void read_aliases(Reading& reading, const toml::table& table) {
  for (const auto& [key, node] : table) {
    const std::string name = lower(key.str());
    if (name != "postmaster")
      if (const auto fault = address_fault(name); !fault.empty()) {
        reading.complain(key.source().begin, fault);
        continue;
      }
    reading.where["aliases." + name] = key.source().begin;
    const auto* targets = reading.array(node, "an array of mail addresses");
    if (!targets) continue;
    if (targets->empty()) reading.complain(node, "an alias needs at least one address");
    if (reading.settings.aliases.contains(name))
      reading.complain(key.source().begin, "the alias '" + name + "' is given twice (case does not matter)");
    auto& list = reading.settings.aliases[name];
    for (const auto& item : *targets) {
      const auto address = reading.text(item, "a mail address");
      if (!address) continue;
      if (const auto fault = address_fault(*address); !fault.empty())
        reading.complain(item, fault);
      else
        list.push_back(*address);
    }
  }
}

void read_table(Reading& reading, std::string_view section, const std::string& prefix,
                const toml::table& table);

void read_section(Reading& reading, const Section& section, const toml::node& node) {
  const auto* table = node.as_table();
  if (section.kind != Section::Kind::tables) {
    if (!table)
      return reading.complain(node, "expected the table " + shown(section) + ", found " + kind_of(node));
    if (section.kind == Section::Kind::addresses) return read_aliases(reading, *table);
    return read_table(reading, section.name, std::string(section.name) + ".", *table);
  }
  if (table)
    return reading.complain(node, "there can be several: write " + shown(section) + " with double brackets");
  const auto* array = node.as_array();
  if (!array) return reading.complain(node, "expected tables " + shown(section) + ", found " + kind_of(node));
  std::size_t index = 0;
  for (const auto& item : *array) {
    const auto* entry = item.as_table();
    if (!entry) {
      reading.complain(item, "expected tables " + shown(section) + ", found " + kind_of(item));
      continue;
    }
    if (section.name == "listen") reading.settings.listen.emplace_back();
    if (section.name == "tls") reading.settings.certificates.emplace_back();
    if (section.name == "milter") reading.settings.milters.emplace_back();
    if (section.name == "dnsbl") reading.settings.dnsbls.emplace_back();
    if (section.name == "dkim") reading.settings.dkim_keys.emplace_back();
    if (section.name == "domain") reading.settings.domains.emplace_back();
    if (section.name == "destination") reading.settings.destinations.emplace_back();
    const auto prefix = std::string(section.name) + "." + std::to_string(index++) + ".";
    reading.where[prefix] = item.source().begin;
    read_table(reading, section.name, prefix, *entry);
  }
}

void read_table(Reading& reading, std::string_view section, const std::string& prefix,
                const toml::table& table) {
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const std::string below = section.empty() ? name : std::string(section) + "." + name;
    if (const auto index = find_key(section, name); index < keys().size()) {
      reading.where[prefix + name] = node.source().begin;
      read_key(index, reading, node);
    } else if (const Section* found = find_section(below)) {
      read_section(reading, *found, node);
    } else {
      reading.complain(key.source().begin, unknown(section, name));
    }
  }
  const Section* here = find_section(section);
  if (here && here->kind == Section::Kind::tables)
    for (const Key& key : keys())
      if (key.section == section && key.required && !table.contains(key.name))
        reading.complain(table, shown(*here) + " needs '" + std::string(key.name) + "': " +
                                    std::string(key.meaning) + ", such as " + std::string(key.example));
}

/// Relative paths are relative to the folder of the configuration file, for the daemon and for spoolctl
/// alike.
void anchor(std::string& path, const std::filesystem::path& folder) {
  if (!path.empty() && path.front() != '/' && !folder.empty())
    path = (folder / path).lexically_normal().string();
}

}  // namespace

std::string Problem::text() const {
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + what;
}

tl::expected<Settings, std::vector<Problem>> parse(std::string_view toml, const std::string& name) {
  Reading reading;
  reading.file = name;
  auto parsed = toml::parse(toml, name);
  if (!parsed) {
    const auto at = parsed.error().source().begin;
    return tl::unexpected(
        std::vector<Problem>{{name, at.line, at.column, std::string(parsed.error().description())}});
  }
  read_table(reading, "", "", parsed.table());

  Settings& settings = reading.settings;
  const auto folder = std::filesystem::path(name).parent_path();
  anchor(settings.spool.path, folder);
  anchor(settings.verp.secret_file, folder);
  anchor(settings.relay.password_file, folder);
  anchor(settings.delivery.ca_file, folder);
  anchor(settings.delivery.replies, folder);
  anchor(settings.delivery.providers, folder);
  anchor(settings.lists.templates, folder);
  anchor(settings.control.socket, folder);
  for (Certificate& one : settings.certificates) {
    anchor(one.certificate, folder);
    anchor(one.key, folder);
  }
  for (Dkim& one : settings.dkim_keys) {
    anchor(one.key, folder);
    one.domain = lower(one.domain);
    one.selector = lower(one.selector);
  }
  if (settings.resolver.trust_anchor != "none") anchor(settings.resolver.trust_anchor, folder);
  for (RelayDomain& domain : settings.domains) domain.name = lower(domain.name);
  for (Dnsbl& list : settings.dnsbls) list.zone = lower(list.zone);
  for (Destination& destination : settings.destinations)
    if (const auto address = canonical_address(destination.match); !address.empty())
      destination.match = address;
    else
      destination.match = lower(destination.match);

  check_together(reading);
  if (reading.problems.empty()) return std::move(settings);
  std::stable_sort(reading.problems.begin(), reading.problems.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return tl::unexpected(std::move(reading.problems));
}

tl::expected<Settings, std::vector<Problem>> load(const std::string& path) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  std::ifstream file(path, std::ios::binary);
  if (folder || !file) {
    const std::string why = folder ? "is a folder" : std::strerror(errno);
    return tl::unexpected(std::vector<Problem>{{path, 1, 1, "the configuration cannot be read: " + why}});
  }
  std::ostringstream text;
  text << file.rdbuf();
  auto settings = parse(text.str(), path);
  if (settings && settings->hostname.empty()) {
    char machine[256] = {};
    if (gethostname(machine, sizeof machine - 1) == 0) settings->hostname = lower(machine);
    if (!is_domain(settings->hostname))
      return tl::unexpected(std::vector<Problem>{
          {path, 1, 1,
           "hostname is missing, and the machine's name '" + settings->hostname + "' is not a host name"}});
  }
  return settings;
}

}  // namespace spoold::conf
