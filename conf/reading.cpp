#include "conf/reading.hpp"

namespace spoold::conf {

std::string kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

std::optional<std::string> Reading::text(const toml::node& node, const std::string& expected) {
  if (const auto* value = node.as_string()) return value->get();
  complain(node, "expected " + expected + ", found " + kind_of(node));
  return std::nullopt;
}

std::optional<bool> Reading::boolean(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  complain(node, "expected true or false, found " + kind_of(node));
  return std::nullopt;
}

std::optional<std::int64_t> Reading::integer(const toml::node& node, std::int64_t least, std::int64_t most) {
  const std::string expected = "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  const auto* value = node.as_integer();
  if (!value) {
    complain(node, "expected " + expected + ", found " + kind_of(node));
    return std::nullopt;
  }
  if (value->get() < least || value->get() > most) {
    complain(node, std::to_string(value->get()) + " is out of range: expected " + expected);
    return std::nullopt;
  }
  return value->get();
}

std::optional<Duration> Reading::duration(const toml::node& node, Duration least) {
  const auto written = text(node, "a duration such as \"30s\" (units ms, s, m, h, d, w)");
  if (!written) return std::nullopt;
  const auto value = parse_duration(*written);
  if (!value) {
    complain(node, value.error());
    return std::nullopt;
  }
  if (*value < least) {
    complain(node, "'" + *written + "' is too short: at least " + duration_text(least));
    return std::nullopt;
  }
  return *value;
}

const toml::array* Reading::array(const toml::node& node, const std::string& expected) {
  if (const auto* value = node.as_array()) return value;
  complain(node, "expected " + expected + ", found " + kind_of(node));
  return nullptr;
}

}  // namespace spoold::conf
