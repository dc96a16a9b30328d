// spoolctl: the operator's command. Here are its options for all verbs and its end; the verbs are in *_verbs.cpp.
#include <CLI/CLI.hpp>

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "conf/load.hpp"
#include "server/log.hpp"
#include "server/spoolctl/interrupt.hpp"
#include "server/spoolctl/verbs.hpp"
#include "server/standard_files.hpp"

namespace {

using namespace spoold;
using namespace spoold::server::admin;

constexpr const char* usual_file = "/etc/spoold/spoold.toml";

std::string machine_name() {
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 && *name ? name : "localhost";
}

/// Settings of --spool, --config, SPOOLD_CONFIG or the usual place. None: standard error has the reasons.
std::optional<conf::Settings> settings_for(const std::string& config, const std::string& spool, bool needed) {
  if (!spool.empty()) {
    conf::Settings settings;
    settings.spool.path = spool;
    settings.hostname = "localhost";  // in Received of a post by hand
    return settings;
  }
  const char* named = std::getenv("SPOOLD_CONFIG");
  const std::string path = !config.empty() ? config : named && *named ? named : usual_file;
  if (std::error_code error; !needed && path == usual_file && !std::filesystem::exists(path, error)) {
    conf::Settings settings;
    settings.hostname = machine_name();
    return settings;
  }
  auto settings = conf::load(path);
  if (settings) return *settings;
  for (const auto& problem : settings.error()) std::fprintf(stderr, "%s\n", problem.text().c_str());
  return std::nullopt;
}

int asked(int argc, char** argv) {
  server::open_standard_files();
  watch_for_interrupts();
  CLI::App app(
      "spoolctl shows and changes the queue and the lists of a spoold. spoolctl VERB --help says more of a "
      "verb.",
      "spoolctl");
  std::string config, spool;
  bool json = false;
  app.add_option("--config", config, "spoold.toml (default: $SPOOLD_CONFIG, /etc/spoold/spoold.toml)")
      ->type_name("FILE");
  app.add_option("--spool", spool, "folder of the store; no configuration is read")->type_name("DIR");
  app.add_flag("--json", json, "print JSON instead of tables");
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.get_formatter()->label("TEXT", "");
  app.require_subcommand(1);
  Verb::Chosen chosen;
  const Verbs verbs(app, chosen);
  const Verbs queue = verbs.under("The queue");
  declare_queue_verbs(queue);
  declare_edit_verbs(queue);
  declare_destination_verbs(queue);
  const Verbs lists = verbs.under("Lists and members");
  declare_list_verbs(lists);
  declare_member_verbs(lists);
  declare_address_verbs(lists);
  declare_bounce_verbs(lists);
  declare_request_verbs(lists);
  declare_moderation_verbs(lists);
  declare_user_verbs(verbs.under("Users"));
  declare_store_verbs(verbs.under("Daemon and store"));
  const Verbs judging = verbs.under("What a mail is and says (nothing is stored)");
  declare_post_verbs(judging);
  declare_judging_verbs(judging);
  declare_scan_verbs(judging);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  // Standard output has the result of a change that is made here; the log is the daemon's.
  conf::Log quiet;
  quiet.level = "error";
  server::log::configure(quiet);
  const auto settings = settings_for(config, spool, chosen.needs_configuration);
  if (!settings) return 1;
  Access access(*settings);
  const Exit exit = chosen.run(Console(access, json));
  flush_output();
  return static_cast<int>(exit);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return asked(argc, argv);
  } catch (const Interrupted& interrupted) {
    end_by(interrupted);
  } catch (const Usage& usage) {
    std::fprintf(stderr, "spoolctl: %s\n", usage.why.c_str());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spoolctl: %s\n", error.what());
    return 1;
  }
}
