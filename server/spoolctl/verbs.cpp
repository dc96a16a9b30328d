#include "server/spoolctl/verbs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "conf/load.hpp"
#include "protocol/mail/base64.hpp"

namespace spoold::server::admin {

namespace {

Words split(const std::string& text, char at) {
  Words parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

}  // namespace

CLI::App* Verbs::subcommand(const char* name, const char* meaning) const {
  CLI::App* verb = app_->add_subcommand(name, meaning);
  verb->fallthrough();
  if (!heading_.empty()) verb->group(heading_);
  return verb;
}

Verb Verbs::add(const char* name, const char* meaning) const {
  return {subcommand(name, meaning), chosen_};
}

Verbs Verbs::group(const char* name, const char* meaning) const {
  CLI::App* group = subcommand(name, meaning);
  group->require_subcommand(1);
  return {*group, *chosen_, "Verbs"};
}

std::function<Filter()> Verb::filter(bool with_ids) {
  auto ids = with_ids ? optional_words("ID", "queue ids, as logs and Received show them")
                      : std::make_shared<Words>();
  auto recipient =
      optional_word("--recipient", "only recipients that match, such as '*@example.net'", "GLOB");
  auto sender = optional_word("--sender", "only messages whose reverse path or From matches", "GLOB");
  auto list = optional_word("--list", "only posts of this list", "ADDR");
  auto destination =
      optional_word("--destination", "only what goes to this domain, route or next hop", "HOST");
  auto states = optional_word(
      "--state",
      "only recipients in these states: queued,active,deferred,held,delivered,failed,expired,removed",
      "STATES");
  auto older =
      optional_word("--older", "only messages that arrived at least so long ago, such as 2h", "DURATION");
  auto all = flag("--all", "every message, when nothing else is named");
  return [=] {
    Filter filter;
    for (const auto& text : *ids) {
      const auto id = store::parse_id(text);
      if (!id) throw Usage{"'" + text + "' is not a queue id"};
      filter.ids.push_back(*id);
    }
    filter.recipient = *recipient;
    filter.sender = *sender;
    filter.list = *list;
    filter.destination = *destination;
    filter.all = *all;
    for (const auto& state : split(*states, ',')) {
      const auto& known = recipient_states();
      if (std::find(known.begin(), known.end(), state) == known.end())
        throw Usage{"'" + state + "' is not a state of recipients"};
      filter.states.push_back(state);
    }
    if (!older->empty()) {
      const auto duration = conf::parse_duration(*older);
      if (!duration) throw Usage{"--older: " + duration.error()};
      filter.older = *duration;
    }
    return filter;
  };
}

void Verb::request(const char* name, std::function<void(Json&)> fill) {
  auto dry = dry_run();
  runs([name, fill = std::move(fill), dry](const Console& console) {
    Json request{{"verb", name}, {"dry_run", *dry}};
    fill(request);
    return console.change(request);
  });
}

Json settings_of(const Words& words) {
  Json settings = Json::object();
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) throw Usage{"'" + word + "' is not KEY=VALUE"};
    settings[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return settings;
}

std::string preferences_in_words() {
  std::string out;
  for (const list::PreferenceKey& key : list::preference_keys())
    out.append("  ")
        .append(key.name)
        .append("=")
        .append(key.values)
        .append("\n      ")
        .append(key.meaning)
        .append("\n");
  return out;
}

std::string without_brackets(std::string path) {
  if (path.size() >= 2 && path.front() == '<' && path.back() == '>') path = path.substr(1, path.size() - 2);
  return path;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::string file_in_base64(const std::string& path) {
  return mail::base64_encode(text_of_file(path));
}

std::string text_of_file(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    unless_interrupted();  // what a signal cut short is not the whole input
    return text.str();
  }
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (std::filesystem::is_directory(path, error)) throw Usage{path + " is a folder"};
  if (!file) throw Usage{path + " cannot be read: " + std::strerror(errno)};
  text << file.rdbuf();
  return text.str();
}

}  // namespace spoold::server::admin
