#include "server/crash_notes.hpp"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace spoold::server::crash {
namespace {

struct Row {
  std::uint64_t message = 0;
  std::int64_t seconds = 0;
};

constexpr std::array<int, 5> fatal = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
std::array<struct sigaction, fatal.size()> before;
std::atomic<int> notes{-1};
thread_local volatile std::uint64_t in_hand = 0;

std::string file_of(const std::string& spool) {
  return spool + "/crashed";
}

/// Where the handler runs when the thread's own stack is full.
struct OtherStack {
  static constexpr std::size_t size = 64 << 10;
  std::vector<char> octets = std::vector<char>(size);
  OtherStack() {
    stack_t stack{};
    stack.ss_sp = octets.data();
    stack.ss_size = size;
    ::sigaltstack(&stack, nullptr);
  }
  ~OtherStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
  }
  OtherStack(const OtherStack&) = delete;
  OtherStack& operator=(const OtherStack&) = delete;
};

// Nothing here but what a signal's handler may do.
void note(int number) {
  const int file = notes;
  if (in_hand != 0 && file >= 0) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const Row row{in_hand, now.tv_sec};
    in_hand = 0;
    [[maybe_unused]] const ssize_t written = ::write(file, &row, sizeof row);
  }
  for (std::size_t i = 0; i < fatal.size(); ++i)
    if (fatal[i] == number) ::sigaction(number, &before[i], nullptr);
  ::raise(number);  // as if nobody had looked: delivered when this handler returns
}

std::vector<Row> rows_in(const std::string& file) {
  std::vector<Row> rows;
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return rows;
  constexpr std::size_t most = 1000;
  for (Row row; rows.size() < most && ::read(fd, &row, sizeof row) == sizeof row;) rows.push_back(row);
  ::close(fd);
  return rows;
}

/// An open file that is appended to goes on behind them.
void write_anew(const std::string& file, const std::vector<Row>& rows) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(fd, rows.data(), rows.size() * sizeof(Row));
  ::close(fd);
}

}  // namespace

Handling::Handling(store::Id message) : before_(in_hand) {
  if (notes >= 0) thread_local const OtherStack stack;
  in_hand = message;
}

Handling::~Handling() {
  in_hand = before_;
}

std::vector<Note> watch(const std::string& spool, TimePoint now) {
  const std::string file = file_of(spool);
  constexpr std::int64_t day = 86'400;
  const std::int64_t today = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  std::vector<Row> rows = rows_in(file);
  std::erase_if(rows, [&](const Row& row) { return row.seconds < today - day || row.seconds > today + day; });
  write_anew(file, rows);
  notes = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  for (std::size_t i = 0; i < fatal.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = SA_ONSTACK;
    ::sigaction(fatal[i], &action, &before[i]);
  }
  std::vector<Note> found;
  for (const Row& row : rows) {
    auto known = std::ranges::find(found, row.message, &Note::message);
    if (known == found.end()) known = found.insert(found.end(), {row.message, 0});
    ++known->times;
  }
  return found;
}

void forget(const std::string& spool, store::Id message) {
  std::vector<Row> rows = rows_in(file_of(spool));
  std::erase_if(rows, [&](const Row& row) { return row.message == message; });
  write_anew(file_of(spool), rows);
}

}  // namespace spoold::server::crash
