#include "server/log.hpp"

#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "server/log_buffer.hpp"

namespace spoold::server::log {

namespace {

constexpr std::chrono::seconds last_moment{1};  // for the last lines, at the end of the process

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

void append(std::string& line, Level level, std::string_view name, std::span<const Field> fields) {
  const auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  if (format.load(std::memory_order_relaxed) == conf::Log::Format::json)
    append_json(line, now, level, name, fields);
  else
    append_text(line, now, level, name, fields);
}

std::string lost_line(std::uint64_t lost) {
  const Field fields[] = {{"lost", lost}, {"reply", "standard error did not take these lines in time"}};
  std::string line;
  append(line, Level::warning, "log", fields);
  return line;
}

/// Never destroyed: threads may log until the process ends.
LineBuffer& buffer() {
  static auto* const the_buffer = new LineBuffer(STDERR_FILENO, lost_line);
  return *the_buffer;
}

class Sink : public spdlog::sinks::sink {
  void log(const spdlog::details::log_msg& message) override {
    buffer().add({message.payload.data(), message.payload.size()}, message.level >= spdlog::level::warn);
  }
  void flush() override { buffer().flush(last_moment); }
  void set_pattern(const std::string&) override {}  // lines come as they are
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
};

/// Never destroyed either.
spdlog::logger& logger() {
  static auto* const the_logger = [] {
    auto* made = new spdlog::logger("spoold", std::make_shared<Sink>());
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *the_logger;
}

extern "C" void last_words(int signal) {
  buffer().rescue();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

Buffering::Buffering() {
  buffer().start();
  for (const int fatal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    struct sigaction now {};  // a sanitizer's own stays
    if (::sigaction(fatal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) std::signal(fatal, last_words);
  }
}

Buffering::~Buffering() {
  buffer().stop(last_moment);
}

void flush() {
  buffer().flush(last_moment);
}

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
  append(line, level, name, fields);
  logger().log(level_of(level), spdlog::string_view_t(line.data(), line.size()));
}

void event(Level level, std::string_view name, std::initializer_list<Field> fields) {
  event(level, name, std::span<const Field>(fields.begin(), fields.size()));
}

}  // namespace spoold::server::log
