// The command line of spoolctl: each file NAME_verbs.cpp declares its verbs, with their words, meanings and what they
// do; the parser chooses one.
//
//   Verb wake = verbs.add("wake", "try a next hop now");
//   auto host = wake.word("HOST", "a route, host or URL of a next hop");
//   wake.request([host](Json& request) { request["host"] = *host; });
//
// To add a verb: a function like this one. See also: console.hpp (reading, asking, printing).
#pragma once
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/admin/filter.hpp"
#include "server/admin/json.hpp"
#include "server/spoolctl/console.hpp"

namespace spoold::server::admin {

using Words = std::vector<std::string>;

/// Wrong usage, found after the parser was content.
struct Usage {
  std::string why;
};

/// A word, words or a flag of a verb: set when the command line has been parsed.
template <class T>
using Given = std::shared_ptr<T>;

class Verb {
 public:
  using Run = std::function<Exit(const Console&)>;
  /// What the verb on the command line does.
  struct Chosen {
    Run run;
    bool needs_configuration = true;
  };

  Verb(CLI::App* app, Chosen* chosen) : app_(app), chosen_(chosen) {}

  Given<std::string> word(const char* name, const char* meaning) {
    return required<std::string>(name, meaning);
  }
  Given<Words> words(const char* name, const char* meaning) { return required<Words>(name, meaning); }
  Given<std::string> list() { return word("LIST", "the list's address"); }
  Given<std::string> optional_word(const char* name, const char* meaning, const char* type = nullptr) {
    return declared<std::string>(name, meaning, type);
  }
  Given<Words> optional_words(const char* name, const char* meaning, const char* type = nullptr) {
    return declared<Words>(name, meaning, type);
  }
  Given<bool> flag(const char* name, const char* meaning) {
    auto given = std::make_shared<bool>(false);
    app_->add_flag(name, *given, meaning);
    return given;
  }
  Given<bool> dry_run() { return flag("--dry-run", "name what would be done, and do nothing"); }
  /// The options of a FILTER. The function reads them; it throws Usage.
  std::function<Filter()> filter(bool ids = true);
  CLI::App* options() { return app_; }

  void runs(Run run) {
    app_->callback([chosen = chosen_, run = std::move(run)] { chosen->run = run; });
  }
  /// The same, and where no file is named and the usual one does not exist, every key has its default.
  void runs_without_configuration(Run run) {
    app_->callback([chosen = chosen_, run = std::move(run)] { *chosen = {run, false}; });
  }
  /// Sends the request with the verb `name` that `fill` completes (Console::change), and takes --dry-run.
  void request(const char* name, std::function<void(Json&)> fill);

 private:
  template <class T>
  Given<T> declared(const char* name, const char* meaning, const char* type) {
    auto given = std::make_shared<T>();
    CLI::Option* option = app_->add_option(name, *given, meaning);
    if (type != nullptr) option->type_name(type);
    option->each(
        [given](const std::string&) {});  // the parser writes to it, also where the verb does not ask
    return given;
  }
  template <class T>
  Given<T> required(const char* name, const char* meaning) {
    auto given = std::make_shared<T>();
    app_->add_option(name, *given, meaning)->required();
    return given;
  }

  CLI::App* app_;
  Chosen* chosen_;
};

class Verbs {
 public:
  /// Both must outlive the parsing.
  Verbs(CLI::App& app, Verb::Chosen& chosen, std::string heading = {})
      : app_(&app), chosen_(&chosen), heading_(std::move(heading)) {}
  /// The same; `spoolctl --help` shows the verbs that are added to it under this heading.
  Verbs under(const char* heading) const { return {*app_, *chosen_, heading}; }

  Verb add(const char* name, const char* meaning) const;
  /// Verbs of two words: "list create".
  Verbs group(const char* name, const char* meaning) const;

 private:
  CLI::App* subcommand(const char* name, const char* meaning) const;

  CLI::App* app_;
  Verb::Chosen* chosen_;
  std::string heading_;
};

void declare_queue_verbs(const Verbs&);
void declare_edit_verbs(const Verbs&);
void declare_list_verbs(const Verbs&);
void declare_member_verbs(const Verbs&);
void declare_bounce_verbs(const Verbs&);
void declare_request_verbs(const Verbs&);
void declare_moderation_verbs(const Verbs&);
void declare_post_verbs(const Verbs&);
void declare_destination_verbs(const Verbs&);
void declare_address_verbs(const Verbs&);
void declare_user_verbs(const Verbs&);
void declare_store_verbs(const Verbs&);
void declare_scan_verbs(const Verbs&);
void declare_judging_verbs(const Verbs&);

/// Without the angle brackets of a reverse path.
std::string without_brackets(std::string path);
/// The text; null when it is empty.
Json text_or_null(const std::string& text);
/// {"KEY": "VALUE"} of words KEY=VALUE.
Json settings_of(const Words&);
/// A line for each preference of a member: what may be written, what it means.
std::string preferences_in_words();
/// The octets of a file, "-": standard input.
std::string text_of_file(const std::string& path);
/// The same in base64.
std::string file_in_base64(const std::string& path);

}  // namespace spoold::server::admin
