// Verbs that read a mail or a reply and say what it means. They need no daemon, no store and no configuration.
#include <iostream>
#include <string>

#include "protocol/bounce/scan.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {
namespace {

constexpr std::size_t mail_at_most = 128 << 20;

/// Standard input, whole; nothing when it is too large.
std::optional<std::string> mail_in() {
  std::string mail;
  char block[65536];
  while (std::cin.read(block, sizeof block) || std::cin.gcount() > 0) {
    mail.append(block, static_cast<std::size_t>(std::cin.gcount()));
    if (mail.size() > mail_at_most) return std::nullopt;
  }
  unless_interrupted();  // what a signal cut short is not the whole input
  return mail;
}

Exit too_large(const Console& console) {
  return console.fail(Exit::failed, "the mail is larger than 128 MiB");
}

void bounce_scan(const Verbs& verbs) {
  Verb verb =
      verbs.add("bounce-scan", "show which addresses a bounce message on standard input reports as failed");
  verb.runs_without_configuration([](const Console& console) {
    const auto mail = mail_in();
    if (!mail) return too_large(console);
    const bounce::Scan scan = bounce::scan(*mail);
    Json rows = Json::array();
    for (const bounce::Failure& failure : scan.failures) {
      const char* kind = failure.permanent ? "permanent" : "temporary";
      if (!console.json) put(std::string(kind) + " " + printable(failure.address) + "\n");
      rows.push_back({{"address", failure.address},
                      {"kind", kind},
                      {"format", scan.format},
                      {"status", failure.status.text()},
                      {"diagnostic", failure.diagnostic},
                      {"remote", failure.remote}});
    }
    if (console.json) put(dump(rows) + "\n");
    return Exit::done;
  });
}

}  // namespace

void declare_scan_verbs(const Verbs& verbs) {
  bounce_scan(verbs);
}

}  // namespace spoold::server::admin
