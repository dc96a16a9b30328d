#include "server/spoolctl/mail_input.hpp"

#include <iostream>
#include <stdexcept>
#include <string_view>

#include "server/spoolctl/interrupt.hpp"

namespace spoold::server::admin {

namespace {

constexpr std::size_t most = 128 << 20;

}  // namespace

std::string mail_from_input() {
  std::string mail;
  char block[65536];
  while (std::cin.read(block, sizeof block) || std::cin.gcount() > 0) {
    for (const char c : std::string_view(block, static_cast<std::size_t>(std::cin.gcount()))) {
      if (c == '\n' && !mail.ends_with('\r')) mail += '\r';
      mail += c;
    }
    if (mail.size() > most) throw std::runtime_error("the mail has more than 128 MiB");
  }
  unless_interrupted();  // what a signal cut short is not the whole input
  if (mail.starts_with("From "))
    mail.erase(0, mail.find('\n') == std::string::npos ? mail.size() : mail.find('\n') + 1);
  return mail;
}

}  // namespace spoold::server::admin
