// JSON as the admin side uses it: fields keep their order; mail is not always UTF-8, so broken octets become
// U+FFFD.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "store/error.hpp"

namespace spoold::server::admin {

using Json = nlohmann::ordered_json;

/// Exit codes of spoolctl, also in answers of the control socket ("exit").
enum class Exit { done = 0, failed = 1, usage = 2, nothing_matched = 3 };

/// As text that is safe for a terminal: what it would obey is written as \uXXXX.
std::string dump(const Json& json, int indent = -1);

inline Json failure(Exit exit, std::string why) {
  return Json{{"ok", false}, {"exit", static_cast<int>(exit)}, {"error", std::move(why)}};
}

inline Json failure(const store::Error& error) {
  using Kind = store::Error::Kind;
  const Exit exit = error.kind == Kind::not_found ? Exit::nothing_matched
                    : error.kind == Kind::invalid ? Exit::usage
                                                  : Exit::failed;
  return failure(exit, error.text);
}

}  // namespace spoold::server::admin
