#include "conf/templates.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "conf/near_miss.hpp"

namespace spoold::conf {

struct TemplateFile {
  const char* name;
  const char* text;
};
extern const TemplateFile
    template_files[];  // conf/templates/; CMakeLists.txt makes the file that defines them
extern const std::size_t template_file_count;

namespace {

constexpr std::size_t most_text = 16 << 10;

std::vector<std::string> names_of_letters() {
  std::vector<std::string> names;
  for (const auto& [name, text] : built_in_templates())
    if (name.starts_with("en/")) names.push_back(name.substr(3));
  return names;
}

}  // namespace

const Templates& built_in_templates() {
  static const Templates all = [] {
    Templates made;
    for (std::size_t i = 0; i < template_file_count; ++i)
      made.emplace(template_files[i].name, template_files[i].text);
    return made;
  }();
  return all;
}

const std::vector<std::string>& languages() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> found;
    for (const auto& [name, text] : built_in_templates()) {
      std::string language = name.substr(0, name.find('/'));
      if (found.empty() || found.back() != language) found.push_back(std::move(language));
    }
    return found;
  }();
  return all;
}

tl::expected<Templates, std::vector<std::string>> read_templates(const std::string& folder) {
  namespace fs = std::filesystem;
  Templates found;
  std::vector<std::string> faults;
  const std::vector<std::string> names = names_of_letters();
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  if (error) return tl::unexpected(std::vector{"'" + folder + "' cannot be read: " + error.message()});
  for (const auto end = fs::recursive_directory_iterator(); at != end; at.increment(error)) {
    if (!at->is_regular_file(error) || at->path().extension() != ".txt") continue;
    const std::string shown = at->path().string();
    const std::string name = at->path().stem().string();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = near_miss(name, names);
      faults.push_back("'" + shown + "': there is no letter '" + name + "'");
      if (!near.empty()) faults.back() += "; did you mean '" + near + "'?";
      continue;
    }
    std::ifstream file(at->path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file || text.str().size() > most_text) {
      faults.push_back("'" + shown + (file ? "' is larger than 16 KiB" : "' cannot be read"));
      continue;
    }
    const fs::path relative = at->path().lexically_relative(folder);
    found[(relative.parent_path() / name).generic_string()] = text.str();
  }
  if (error) faults.push_back("'" + folder + "' cannot be read: " + error.message());
  if (!faults.empty()) return tl::unexpected(std::move(faults));
  return found;
}

std::string_view template_text(const Templates& own, std::string_view list_address, std::string_view language,
                               std::string_view name) {
  const std::string_view domain = list_address.substr(list_address.rfind('@') + 1);
  for (const std::string_view speech : {language, std::string_view("en")}) {
    const std::string plain = std::string(speech) + "/" + std::string(name);
    for (const std::string& key :
         {std::string(list_address) + "/" + plain, std::string(domain) + "/" + plain, plain})
      if (const auto found = own.find(key); found != own.end()) return found->second;
    if (const auto found = built_in_templates().find(plain); found != built_in_templates().end())
      return found->second;
  }
  return {};
}

}  // namespace spoold::conf
