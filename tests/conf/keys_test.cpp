// The key table against the file, the documentation and the program.
#include "conf/keys.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <regex>
#include <sstream>

#include "conf/load.hpp"
#include "tests/conf/slurp.hpp"
#include "tests/source_dir.hpp"

using namespace spoold::conf;
namespace fs = std::filesystem;

namespace {

std::string all_problems(const tl::expected<Settings, std::vector<Problem>>& settings) {
  std::string out;
  if (!settings)
    for (const Problem& problem : settings.error()) out += problem.text() + "\n";
  return out;
}

/// A small file that sets one key to its example, and holds what is required beside it.
std::string file_with(const Key& key) {
  std::string text;
  const bool many = std::any_of(sections().begin(), sections().end(), [&](const Section& s) {
    return s.name == key.section && s.kind == Section::Kind::tables;
  });
  if (!key.section.empty()) text += (many ? "[[" : "[") + std::string(key.section) + (many ? "]]\n" : "]\n");
  text += std::string(key.name) + " = " + std::string(key.example) + "\n";
  for (const Key& other : keys())
    if (many && other.section == key.section && other.required && other.name != key.name)
      text += std::string(other.name) + " = " + std::string(other.example) + "\n";
  if (key.section == "relay" && key.name == "username") text += "password_file = \"/dev/null\"\n";
  if (key.section == "relay" && key.name == "password_file") text += "username = \"spoold\"\n";
  if (key.section == "relay" && key.name != "smarthost") text += "smarthost = \"smtp://mail.example.org\"\n";
  if (key.section == "dnsbl" && key.name == "weight") text += "action = \"weigh\"\n";
  if (key.section == "listen" && key.name == "tls")
    text += "[[tls]]\ncertificate = \"/dev/null\"\nkey = \"/dev/null\"\n";
  if (key.section == "listen" && (key.name == "proxy_protocol" || key.name == "xclient"))
    text += "[smtp]\nproxies = [\"unix\"]\n";
  if (key.section != "relay") text += "[relay]\nsmarthost = \"smtp://mail.example.org\"\n";
  return text;
}

}  // namespace

TEST_CASE("every key can be set: its example is read and is not the default") {
  for (const Key& key : keys()) {
    CAPTURE(key.section);
    CAPTURE(key.name);
    const auto settings = parse(file_with(key), "example.toml");
    REQUIRE_MESSAGE(settings.has_value(), all_problems(settings));
    CHECK(key.write(*settings) == key.example);
    CHECK(key.write(Settings{}) != key.example);
  }
}

TEST_CASE("the defaults are a file that loads and changes nothing") {
  const auto settings = parse(defaults(), "defaults.toml");
  REQUIRE_MESSAGE(settings.has_value(), all_problems(settings));
  for (const Key& key : keys())
    if (!key.required) CHECK_MESSAGE(key.write(*settings) == key.write(Settings{}), key.name);
  for (const Key& key : keys())
    CHECK_MESSAGE(defaults().find(std::string(key.name)) != std::string::npos, key.name);
}

TEST_CASE("every example of a default file line can be uncommented") {
  // Takes the "# " from every line of --defaults that shows a table or a value.
  std::istringstream lines(defaults());
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const bool code = std::regex_search(line, std::regex(R"(^# (\[\[|[a-z_]+ = |"[a-z]))"));
    text += (code ? line.substr(2) : line) + "\n";
  }
  const auto settings = parse(text, "defaults.toml");
  REQUIRE_MESSAGE(settings.has_value(), all_problems(settings));
  CHECK(settings->listen.size() == 1);
  CHECK(settings->domains.size() == 1);
  CHECK(settings->destinations.size() == 1);
  CHECK(settings->aliases.size() == 1);
}

TEST_CASE("every key is documented in conf/README.md") {
  const auto readme = slurp(fs::path(source_dir()) / "conf/README.md");
  for (const Key& key : keys()) {
    const auto row = "| `" + std::string(key.name) + "` |";
    CHECK_MESSAGE(readme.find(row) != std::string::npos, row);
  }
  for (const Section& section : sections())
    CHECK_MESSAGE(readme.find(std::string(section.name) + "]") != std::string::npos, section.name);
}

TEST_CASE("the sample configuration loads") {
  const auto settings = parse(slurp(fs::path(source_dir()) / "conf/spoold.toml"), "spoold.toml");
  CHECK_MESSAGE(settings.has_value(), all_problems(settings));
}

TEST_CASE("every key is used: code outside of the loading names the member it is read into") {
  std::string code =
      slurp(fs::path(source_dir()) / "conf/route.cpp");  // asked by the program for each recipient
  for (const char* folder : {"protocol", "store", "server"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_dir()) / folder))
      if (entry.path().extension() == ".cpp" || entry.path().extension() == ".hpp")
        code += slurp(entry.path());
  for (const Key& key : keys()) {
    if (key.field.empty()) continue;
    bool used = false;
    for (const char* before : {".", ">"}) {
      const std::string word = before + std::string(key.field);
      for (auto at = code.find(word); at != std::string::npos && !used; at = code.find(word, at + 1)) {
        const char next = code[std::min(at + word.size(), code.size() - 1)];
        used = next != '_' && !std::isalnum(static_cast<unsigned char>(next));
      }
    }
    const std::string name = std::string(key.section) + "." + std::string(key.field);
    CHECK_MESSAGE(used, name);
  }
}
