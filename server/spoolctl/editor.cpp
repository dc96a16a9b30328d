#include "server/spoolctl/editor.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace spoold::server::admin {

namespace {

/// A file that only we can read, gone at the end.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::error_code error;
    path_ = (std::filesystem::temp_directory_path(error) / "spoolctl-XXXXXX").string();
    file_ = ::mkstemp(path_.data());
  }
  ~TemporaryFile() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  bool good() const { return file_ >= 0; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int file_ = -1;
};

std::vector<std::string> words(const std::string& command) {
  std::istringstream in(command);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

/// The exit status, or -1.
int run(std::vector<std::string> command) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (auto& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  // The terminal sends its signals to both; while the editor has the terminal they are the editor's.
  struct sigaction ignored {
  }, before_int{}, before_quit{};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignored, &before_int);
  ::sigaction(SIGQUIT, &ignored, &before_quit);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGINT, SIGQUIT, SIGPIPE}) std::signal(signal, SIG_DFL);
    ::execvp(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  bool lost = child < 0;
  while (!lost && ::waitpid(child, &status, 0) < 0) lost = errno != EINTR;
  ::sigaction(SIGINT, &before_int, nullptr);
  ::sigaction(SIGQUIT, &before_quit, nullptr);
  if (lost) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

RecipientChange compare_recipients(const std::vector<std::string>& before, const std::string& after_text) {
  std::set<std::string> after;
  std::vector<std::string> order;
  std::istringstream lines(after_text);
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    line = line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
    if (after.insert(line).second) order.push_back(line);
  }
  RecipientChange change;
  const std::set<std::string> old(before.begin(), before.end());
  for (const auto& address : before)
    if (!after.contains(address)) change.removed.push_back(address);
  for (const auto& address : order)
    if (!old.contains(address)) change.added.push_back(address);
  return change;
}

tl::expected<std::string, std::string> edit_text(const std::string& text) {
  const char* editor = std::getenv("VISUAL");
  if (!editor || !*editor) editor = std::getenv("EDITOR");
  auto command = words(editor && *editor ? editor : "editor");
  const TemporaryFile file;
  if (!file.good()) return tl::unexpected("no temporary file: " + std::string(std::strerror(errno)));
  {
    std::ofstream out(file.path(), std::ios::binary);
    if (!(out << text << std::flush))
      return tl::unexpected("the temporary file " + file.path() + " cannot be written");
  }
  command.push_back(file.path());
  if (const int status = run(command); status != 0)
    return tl::unexpected("the editor '" + command[0] + "' " +
                          (status == 127 ? "cannot be started (set EDITOR)" : "failed") +
                          ": nothing was changed");
  std::ifstream in(file.path(), std::ios::binary);
  std::ostringstream edited;
  edited << in.rdbuf();
  return edited.str();
}

}  // namespace spoold::server::admin
