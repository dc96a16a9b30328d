// One log event as one line, text (key=value) or JSON. Pure: no clock, no output.
//
// Guarantees: a line never holds a line break, a control character or broken UTF-8, whatever a peer said;
// text values are quoted when they hold anything but plain words; a value is cut at 2,000 octets. Keys and
// event names are ours and are written as they are.
#pragma once
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/time.hpp"

namespace spoold::server::log {

enum class Level : std::uint8_t { debug, info, warning, error };

/// A key and its value: text (a view: it must live until the call returns) or a number.
struct Field {
  std::string_view key, text;
  std::int64_t number = 0;
  bool is_number = false;

  Field(std::string_view k, std::string_view v) : key(k), text(v) {}
  Field(std::string_view k, const std::string& v) : key(k), text(v) {}
  Field(std::string_view k, const char* v) : key(k), text(v) {}
  template <std::integral Number>
  Field(std::string_view k, Number v) : key(k), number(static_cast<std::int64_t>(v)), is_number(true) {}
};

const char* text(Level);

/// 2026-11-22T10:31:07.123Z info event=deferred qid=... reply="450 4.2.1 later" attempts=1
void append_text(std::string& line, TimePoint, Level, std::string_view event, std::span<const Field>);
/// {"time":"2026-11-22T10:31:07.123Z","level":"info","event":"deferred","qid":"...","attempts":1}
void append_json(std::string& line, TimePoint, Level, std::string_view event, std::span<const Field>);

}  // namespace spoold::server::log
