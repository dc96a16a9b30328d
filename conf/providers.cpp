#include "conf/providers.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "conf/near_miss.hpp"
#include "conf/reading.hpp"

namespace spoold::conf {

extern const char providers_toml[];  // conf/providers.toml; CMakeLists.txt makes the file that defines it

namespace {

constexpr std::int64_t most = 1'000'000;

const std::vector<std::string> keys_of_a_provider = {"name", "mx", "connections", "messages"};

std::string in_lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

void read_hosts(Reading& reading, const toml::node& node, Provider& into) {
  const auto* list = reading.array(node, "an array of MX hosts, such as [\"*.example.net\"]");
  if (!list) return;
  for (const auto& item : *list) {
    const auto host = reading.text(item, "an MX host such as \"*.example.net\"");
    if (!host) continue;
    if (host->empty())
      reading.complain(item, "an empty name fits no host");
    else
      into.mx.push_back(in_lower_case(*host));
  }
}

Provider read_provider(Reading& reading, const toml::table& table) {
  Provider provider;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (name == "name") {
      provider.name = reading.text(node, "the provider's name").value_or("");
    } else if (name == "mx") {
      read_hosts(reading, node, provider);
    } else if (name == "connections" || name == "messages") {
      const auto count = reading.integer(node, 1, most);
      (name == "messages" ? provider.messages : provider.connections) =
          static_cast<std::uint32_t>(count.value_or(0));
    } else {
      const std::string meant = near_miss(name, keys_of_a_provider);
      reading.complain(key.source().begin, "unknown key '" + name + "' of a provider" +
                                               (meant.empty() ? "" : "; did you mean '" + meant + "'?"));
    }
  }
  if (provider.name.empty()) reading.complain(table, "a provider needs a name");
  if (!table.contains("mx")) reading.complain(table, "a provider needs mx: its MX hosts");
  return provider;
}

}  // namespace

tl::expected<std::vector<Provider>, std::vector<Problem>> parse_providers(std::string_view toml,
                                                                          const std::string& name) {
  auto parsed = toml::parse(toml, name);
  if (!parsed) {
    const auto at = parsed.error().source().begin;
    return tl::unexpected(
        std::vector<Problem>{{name, at.line, at.column, std::string(parsed.error().description())}});
  }
  Reading reading;
  reading.file = name;
  std::vector<Provider> providers;
  for (const auto& [key, node] : parsed.table()) {
    const auto* list = node.as_array();
    if (key.str() != "provider" || !list) {
      reading.complain(key.source().begin,
                       "expected tables [[provider]], found '" + std::string(key.str()) + "'");
      continue;
    }
    for (const auto& item : *list) {
      if (const auto* table = item.as_table())
        providers.push_back(read_provider(reading, *table));
      else
        reading.complain(item, "expected a table, found " + kind_of(item));
    }
  }
  if (reading.problems.empty()) return providers;
  return tl::unexpected(std::move(reading.problems));
}

tl::expected<std::vector<Provider>, std::vector<Problem>> load_providers(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // fails where there is nothing: an empty file has no rows
  if (!file || std::filesystem::is_directory(path))
    return tl::unexpected(std::vector<Problem>{
        {path, 1, 1, "the table of providers cannot be read: " + std::string(std::strerror(errno))}});
  return parse_providers(text.str(), path);
}

const std::vector<Provider>& built_in_providers() {
  static const std::vector<Provider> providers =
      parse_providers(providers_toml, "conf/providers.toml").value_or(std::vector<Provider>{});
  return providers;
}

}  // namespace spoold::conf
