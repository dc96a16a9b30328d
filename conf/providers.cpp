#include "conf/providers.hpp"

#include "conf/near_miss.hpp"
#include "conf/table_file.hpp"

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
  return rows_of<Provider>(toml, name, "provider", read_provider);
}

tl::expected<std::vector<Provider>, std::vector<Problem>> load_providers(const std::string& path) {
  return text_of_table(path, "the table of providers").and_then([&](const std::string& text) {
    return parse_providers(text, path);
  });
}

const std::vector<Provider>& built_in_providers() {
  static const std::vector<Provider> providers =
      parse_providers(providers_toml, "conf/providers.toml").value_or(std::vector<Provider>{});
  return providers;
}

}  // namespace spoold::conf
