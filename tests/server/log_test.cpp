#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "server/log.hpp"
#include "server/log_buffer.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using namespace spoold::server::log;

namespace {

const TimePoint then{Duration(1795343467123)};

std::string text_of(std::initializer_list<Field> fields) {
  std::string line;
  append_text(line, then, Level::info, "deferred", {fields.begin(), fields.size()});
  return line;
}

std::string json_of(std::initializer_list<Field> fields) {
  std::string line;
  append_json(line, then, Level::info, "deferred", {fields.begin(), fields.size()});
  return line;
}

std::string value(std::string_view v) {
  const auto line = text_of({{"k", v}});
  return line.substr(line.find(" k=") + 3);
}

}  // namespace

TEST_CASE("an event as text") {
  CHECK(text_of({{"qid", "0A1"},
                 {"relay", "mx1.example.net[192.0.2.1]:25"},
                 {"reply", "450 4.2.1 later"},
                 {"attempts", 1}}) ==
        "2026-11-22T10:31:07.123Z info event=deferred qid=0A1 relay=mx1.example.net[192.0.2.1]:25 "
        "reply=\"450 4.2.1 later\" "
        "attempts=1");
}

TEST_CASE("values are quoted when needed, and what a peer says cannot forge a line") {
  CHECK(value("") == "\"\"");
  CHECK(value("a=b") == "\"a=b\"");
  CHECK(value("say \"no\"") == "\"say \\\"no\\\"\"");
  CHECK(value("a\\b") == "\"a\\\\b\"");
  CHECK(value("550 no\r\n2026-11-22T10:31:07.123Z info event=delivered") ==
        "\"550 no\\r\\n2026-11-22T10:31:07.123Z info event=delivered\"");
  CHECK(value("\xe2\x80\xaegnp.exe") == "\"\\u202egnp.exe\"");
  CHECK(value("\x1b[31mred\x7f") == "\"\\x1b[31mred\\x7f\"");
  CHECK(value("gr\xc3\xbc\xc3\x9f") == "\"gr\xc3\xbc\xc3\x9f\"");
  CHECK(value("\xff\xc3") == "\"\\xff\\xc3\"");
  CHECK(value("\xc2\x9b") == "\"\\u009b\"");              // C1 control: CSI
  CHECK(value("\xed\xa0\x80") == "\"\\xed\\xa0\\x80\"");  // a surrogate is not UTF-8
  CHECK(value("\xc0\xaf") == "\"\\xc0\\xaf\"");           // overlong
  CHECK(value(std::string(3000, 'a')) == "\"" + std::string(2000, 'a') + "...\"");
}

TEST_CASE("an event as JSON") {
  const auto parsed =
      nlohmann::json::parse(json_of({{"reply", "450 \"x\"\r\n\x01\xff\xc2\x9b"}, {"attempts", 2}}));
  CHECK(parsed["time"] == "2026-11-22T10:31:07.123Z");
  CHECK(parsed["level"] == "info");
  CHECK(parsed["event"] == "deferred");
  CHECK(parsed["attempts"] == 2);
  CHECK(parsed["reply"] == "450 \"x\"\r\n\x01\xef\xbf\xbd\xc2\x9b");
}

TEST_CASE("any octets give one printable line, and JSON that parses") {
  CHECK(rc::check("text", [](const std::vector<std::uint8_t>& octets) {
    const auto line = text_of({{"k", std::string(octets.begin(), octets.end())}});
    for (const char c : line) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }));
  CHECK(rc::check("json", [](const std::vector<std::uint8_t>& octets) {
    const auto line = json_of({{"k", std::string(octets.begin(), octets.end())}});
    RC_ASSERT(nlohmann::json::accept(line));
    RC_ASSERT(line.find('\n') == std::string::npos);
  }));
}

TEST_CASE("every event of the code has a row in server/README.md, and every row its event") {
  const auto slurp = [](const std::filesystem::path& file) {
    std::ostringstream all;
    all << std::ifstream(file).rdbuf();
    return all.str();
  };
  const auto names = [](const std::string& text, const std::regex& one) {
    std::set<std::string> found;
    for (std::sregex_iterator it(text.begin(), text.end(), one), end; it != end; ++it)
      for (std::size_t group = 1; group < it->size(); ++group)
        if ((*it)[group].matched) found.insert((*it)[group].str());
    return found;
  };
  const std::filesystem::path server = std::filesystem::path(source_dir()) / "server";
  std::string code;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(server))
    if (entry.path().extension() == ".cpp") code += slurp(entry.path());
  std::set<std::string> logged =
      names(code, std::regex(R"re(event\([^";{]*"([a-z_]+)"(?: : "([a-z_]+)")?)re"));
  logged.insert({"log", "delivered", "deferred", "failed", "expired"});  // not written in the call itself
  std::string table = slurp(server / "README.md");
  table.erase(0, table.find("## The log: events"));
  table.erase(table.find("A new event gets a row"));
  std::string first_column;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("| `")) first_column += line.substr(0, line.find('|', 1));
  CHECK(names(first_column, std::regex("`([a-z_]+)`")) == logged);
}

TEST_CASE("levels") {
  configure({conf::Log::Format::text, "warning"});
  CHECK(!enabled(Level::info));
  CHECK(enabled(Level::warning));
  configure({conf::Log::Format::text, "debug"});
  CHECK(enabled(Level::debug));
  configure({});
  CHECK(!enabled(Level::debug));
  CHECK(enabled(Level::info));
}

namespace {

struct Pipe {
  Pipe() {
    REQUIRE(::pipe(ends) == 0);
    REQUIRE(::fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    REQUIRE(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) >= (1 << 20));
  }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string read() const {
    std::string all(1 << 20, '\0');
    const ssize_t n = ::read(ends[0], all.data(), all.size());
    all.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return all;
  }
  int ends[2] = {-1, -1};
};

}  // namespace

TEST_CASE(
    "without a flusher each line is written at once; with one, flush() waits for what was added before") {
  const Pipe pipe;
  LineBuffer buffer(pipe.ends[1]);
  buffer.add("one", false);
  CHECK(pipe.read() == "one\n");
  buffer.start();
  buffer.add("two", false);
  buffer.add("three", true);
  CHECK(buffer.flush(std::chrono::seconds(20)));
  CHECK(pipe.read() == "two\nthree\n");
  buffer.add("four", false);
  buffer.stop();
  CHECK(pipe.read().ends_with("four\n"));
  buffer.add("five", false);
  CHECK(pipe.read() == "five\n");
}

TEST_CASE("a line that waits comes out by itself") {
  const Pipe pipe;
  LineBuffer buffer(pipe.ends[1]);
  buffer.start();
  buffer.add("alone", false);
  std::string got;
  for (int i = 0; i < 1000 && got.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    got = pipe.read();
  }
  CHECK(got == "alone\n");
}

TEST_CASE("what waits when the process dies is rescued, once") {
  const Pipe pipe;
  LineBuffer buffer(pipe.ends[1]);
  buffer.start();
  for (int i = 0; i < 100; ++i) buffer.add("line", false);
  buffer.rescue();
  buffer.stop();
  CHECK(pipe.read().size() == 500);
}

TEST_CASE("a descriptor that takes nothing holds nobody up; what is lost is counted, in its place") {
  const Pipe pipe;
  REQUIRE(::fcntl(pipe.ends[1], F_SETPIPE_SZ, 4096) >= 4096);
  std::string all;
  {
    LineBuffer buffer(
        pipe.ends[1], [](std::uint64_t lost) { return "lost " + std::to_string(lost); }, 10'000);
    buffer.start();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20'000; ++i) buffer.add("line " + std::to_string(i), i % 10 == 0);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));  // blocked: for ever
    CHECK_FALSE(buffer.flush(std::chrono::milliseconds(10)));
    CHECK_FALSE(buffer.stop(std::chrono::milliseconds(10)));
    buffer.add("beside a flusher that hangs", true);
    while (!buffer.stop(std::chrono::milliseconds(1))) all += pipe.read();
    all += pipe.read();
    buffer.add("again at once", false);
    CHECK(pipe.read() == "again at once\n");
  }
  std::uint64_t lines = 0, lost = 0;
  for (std::string_view rest = all; !rest.empty(); ++lines) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (line.starts_with("lost ")) {
      lost += std::stoull(std::string(line.substr(5)));
      --lines;
    } else if (lost == 0) {
      CHECK(line == "line " + std::to_string(lines));
    }
  }
  CHECK(lost > 0);
  CHECK(lines + lost == 20'001);
}

TEST_CASE("lines of many threads stay whole, and of each thread in order, across the buffer's end") {
  const Pipe pipe;
  std::string all;
  {
    LineBuffer buffer(pipe.ends[1]);
    buffer.start();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&buffer, t] {
        for (int i = 0; i < 1000; ++i)
          buffer.add(std::string(100, static_cast<char>('a' + t)) + std::to_string(i), i % 97 == 0);
      });
    for (auto& thread : threads) thread.join();
    buffer.add(std::string(200'000, 'z'), false);
    buffer.stop();
    all = pipe.read();
  }
  std::map<char, int> next;
  std::size_t lines = 0;
  for (std::string_view rest = all; !rest.empty(); ++lines) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (line.front() == 'z') {
      CHECK(line.size() == 200'000);
      continue;
    }
    const bool whole = line == std::string(100, line.front()) + std::to_string(next[line.front()]++);
    if (!whole) FAIL(line);
  }
  CHECK(lines == 4001);
}
