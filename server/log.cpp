#include "server/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

namespace spoold::server::log {

namespace {

std::atomic<conf::Log::Format> format{conf::Log::Format::text};

spdlog::level::level_enum level_of(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      break;
  }
  return spdlog::level::err;
}

/// Never destroyed: threads may log until the process ends.
spdlog::logger& logger() {
  static auto* const the_logger = [] {
    auto* made = new spdlog::logger("spoold", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *the_logger;
}

}  // namespace

void configure(const conf::Log& settings) {
  format.store(settings.format, std::memory_order_relaxed);
  for (const Level level : {Level::debug, Level::info, Level::warning, Level::error})
    if (settings.level == text(level)) logger().set_level(level_of(level));
}

bool enabled(Level level) {
  return logger().should_log(level_of(level));
}

void event(Level level, std::string_view name, std::span<const Field> fields) {
  if (!enabled(level)) return;
  thread_local std::string line;  // keeps its memory from line to line
  line.clear();
  const auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  if (format.load(std::memory_order_relaxed) == conf::Log::Format::json)
    append_json(line, now, level, name, fields);
  else
    append_text(line, now, level, name, fields);
  logger().log(level_of(level), spdlog::string_view_t(line.data(), line.size()));
}

void event(Level level, std::string_view name, std::initializer_list<Field> fields) {
  event(level, name, std::span<const Field>(fields.begin(), fields.size()));
}

}  // namespace spoold::server::log
