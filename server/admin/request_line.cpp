#include "server/admin/request_line.hpp"

namespace spoold::server::admin {

namespace {

constexpr int deepest = 16;
constexpr std::size_t most_values = 500'000;

constexpr std::string_view blanks = " \t\r";

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
}

bool skip(std::string_view& text, std::string_view word) {
  skip_blanks(text);
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

/// Ends the parser from within; never leaves this file.
struct TooMuch {
  std::string why;
};

}  // namespace

std::string_view verb_of(std::string_view line) {
  if (!skip(line, "{") || !skip(line, "\"verb\"") || !skip(line, ":") || !skip(line, "\"")) return {};
  const auto end = line.find_first_of("\"\\");
  return end == std::string_view::npos || line[end] != '"' ? std::string_view() : line.substr(0, end);
}

std::size_t longest(std::string_view line) {
  const auto verb = verb_of(line);
  return verb == "import" || verb == "post" ? longest_line_with_file : longest_line;
}

bool only_reads(std::string_view line) {
  const auto verb = verb_of(line);
  return verb == "stats" || verb == "destinations";
}

std::string too_long(std::string_view line) {
  return "a request has at most " + std::to_string(longest(line) >> 20) +
         " MiB; split it (up to 64 MiB are for import and post, which name their verb first)";
}

tl::expected<Json, std::string> parse_request(std::string_view line) {
  std::size_t values = 0;
  const auto guard = [&values](int depth, Json::parse_event_t event, Json&) {
    using Event = Json::parse_event_t;
    const bool opens =
        event == Event::object_start || event == Event::array_start;  // beside `depth` open ones
    if (opens && depth >= deepest)
      throw TooMuch{"a request is nested at most " + std::to_string(deepest) + " deep"};
    if (++values > most_values)
      throw TooMuch{"a request holds at most " + std::to_string(most_values) + " values"};
    return true;
  };
  try {
    Json parsed = Json::parse(line, guard, false);
    if (parsed.is_object()) return parsed;
  } catch (const TooMuch& too_much) {
    return tl::unexpected(too_much.why);
  }
  return tl::unexpected<std::string>("a request is one JSON object in one line");
}

}  // namespace spoold::server::admin
