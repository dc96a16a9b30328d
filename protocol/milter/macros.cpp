#include "protocol/milter/macros.hpp"

#include <algorithm>
#include <array>

#include "protocol/milter/frame.hpp"

namespace spoold::milter {
namespace {

// Postfix' defaults (milter_*_macros), and the client's address and name where Sendmail sends them.
constexpr std::array<std::string_view, stages> usual{
    "j _ {daemon_name} {client_addr} {client_name} {client_port} v",
    "{tls_version} {cipher}",
    "i {auth_type} {auth_authen} {mail_addr} {mail_host}",
    "i {rcpt_addr} {rcpt_host}",
    "i",
    "i",
    "i"};

std::string_view bare(std::string_view name) {
  if (name.size() > 2 && name.front() == '{' && name.back() == '}') return name.substr(1, name.size() - 2);
  return name;
}

}  // namespace

void Macros::set(std::string_view name, std::string value) {
  value.erase(std::remove(value.begin(), value.end(), '\0'), value.end());
  const auto found = std::ranges::find_if(values_, [&](const auto& one) { return one.first == name; });
  if (found == values_.end())
    values_.emplace_back(name, std::move(value));
  else
    found->second = std::move(value);
}

std::string_view Macros::find(std::string_view name) const {
  const auto found = std::ranges::find_if(values_, [&](const auto& one) { return one.first == bare(name); });
  return found == values_.end() ? std::string_view() : std::string_view(found->second);
}

void Macros::append(std::string& out, Stage stage, char command, const Options& options) const {
  std::string data(1, command);
  const auto add = [&](std::string_view name) {
    const std::string_view value = find(name);
    if (value.empty()) return;
    data.append(name).push_back('\0');
    data.append(value).push_back('\0');
  };
  const auto at = static_cast<std::size_t>(stage);
  if (const auto& asked = options.macros[at]) {
    for (const std::string& name : *asked) add(name);
  } else {
    for (std::string_view rest = usual[at]; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      add(name);
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    }
  }
  if (data.size() > 1) append_frame(out, 'D', data);
}

}  // namespace spoold::milter
