// spoold: the daemon's command line.
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "conf/load.hpp"
#include "server/auth/signing_keys.hpp"
#include "server/daemon.hpp"
#include "server/delivery/tls_client.hpp"
#include "server/office/requests.hpp"
#include "server/office/rule_book.hpp"
#include "server/standard_files.hpp"
#include "server/tls/certificates.hpp"

namespace {

/// A connection is a descriptor: take what the hard limit gives.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

spoold::conf::Start this_start(const spoold::conf::Settings& settings) {
  spoold::conf::Start start;
  start.root = ::geteuid() == 0;
  start.user_exists = settings.server.user.empty() || ::getpwnam(settings.server.user.c_str()) != nullptr;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) start.descriptors = limit.rlim_max;
  return start;
}

/// What only the files that the configuration names can show.
bool check_files(const spoold::conf::Settings& settings, const std::string& file) {
  const auto tls = spoold::server::TlsContext::make(settings.delivery.ca_file);
  if (!tls) std::cerr << file << ": " << tls.error() << '\n';
  const auto texts = spoold::server::templates_fault(settings);
  if (texts) std::cerr << file << ": " << *texts << '\n';
  const auto bans = spoold::server::bans_fault(settings);
  if (bans) std::cerr << file << ": " << *bans << '\n';
  const auto certificates = spoold::server::Certificates::read(settings, file);
  if (!certificates) {
    for (const auto& problem : certificates.error()) std::cerr << problem.text() << '\n';
    return false;
  }
  const auto keys = spoold::server::SigningKeys::read(settings, file);
  if (!keys) {
    for (const auto& problem : keys.error()) std::cerr << problem.text() << '\n';
    return false;
  }
  for (const std::string& line : (*keys)->warnings()) std::cerr << line << '\n';
  const auto now = std::chrono::floor<spoold::Duration>(std::chrono::system_clock::now());
  for (const std::string& line : (*certificates)->warnings(now)) std::cerr << line << '\n';
  return tls.has_value() && !texts && !bans;
}

int run(spoold::conf::Settings settings, std::string file) {
  spoold::server::Daemon daemon(std::move(settings), std::move(file));
  if (auto opened = daemon.open(); !opened) {
    std::cerr << "spoold: " << opened.error() << '\n';
    return 1;
  }
  return daemon.run();
}

int started(int argc, char** argv) {
  spoold::server::open_standard_files();
  CLI::App app("spoold: mailing lists and their mail server in one daemon");
  std::string file;
  bool check = false, defaults = false;
  app.add_option("--config", file, "the configuration file (TOML)")->envname("SPOOLD_CONFIG");
  app.add_flag("--check", check, "check the configuration, print every error with its place, and end");
  app.add_flag("--defaults", defaults, "print every key with its default and its meaning, and end");
  app.footer(
      "Runs in the foreground and logs to standard error; event=ready is logged when mail is accepted.\n"
      "Exit status: 0 done, 1 it could not be done, 2 wrong usage or configuration.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (defaults) {
    std::cout << spoold::conf::defaults();
    return 0;
  }
  if (file.empty()) {
    std::cerr
        << "spoold: name the configuration with --config FILE (spoold --defaults prints one to start from)\n";
    return 2;
  }
  auto settings = spoold::conf::load(file);
  if (!settings) {
    for (const auto& problem : settings.error()) std::cerr << problem.text() << '\n';
    return 2;
  }
  for (const std::string& line : spoold::conf::review(*settings, this_start(*settings)))
    std::cerr << file << ": " << line << '\n';
  if (check) {
    if (!check_files(*settings, file)) return 2;
    std::cout << file << ": the configuration is good\n";
    return 0;
  }
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  return run(std::move(*settings), file);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return started(argc, argv);
  } catch (const std::exception& failed) {  // a store that cannot be read while it is opened
    std::cerr << "spoold: " << failed.what() << '\n';
    return 1;
  }
}
