// The control socket over a real unix socket: framing, pings, who may take a path over.
#include "server/admin/control_socket.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "server/spoolctl/control_client.hpp"
#include "server/threads.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;
using admin::ControlClient;
using admin::Json;
using namespace std::chrono_literals;

namespace {

/// Answers questions when it is told to; at once before it is told to wait.
class SlowLanes : public NoLanes {
 public:
  void destinations(Destinations done) override {
    std::unique_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !waits_; });
    done({});
  }
  void wait() {
    const std::lock_guard lock(mutex_);
    waits_ = true;
  }
  void go_on() {
    const std::lock_guard lock(mutex_);
    waits_ = false;
    changed_.notify_all();
  }
  void until_asked(int times) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this, times] { return asked_ >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  bool waits_ = false;
};

/// A connection without a protocol; ended() waits until the other side has closed it.
class Raw {
 public:
  explicit Raw(const std::string& path) : socket_(io_) {
    socket_.connect(asio::local::stream_protocol::endpoint(path));
  }
  void send(const std::string& text) {
    std::error_code gone;
    asio::write(socket_, asio::buffer(text), gone);
  }
  std::string line() {
    std::string text;
    std::error_code gone;
    asio::read_until(socket_, asio::dynamic_buffer(text), '\n', gone);
    return text;
  }
  bool ended() { return line().empty(); }

 private:
  asio::io_context io_;
  asio::local::stream_protocol::socket socket_;
};

struct Door {
  Door() : opened(folder.path() + "/store") {
    std::filesystem::create_directory(folder.path() + "/store");
    REQUIRE(opened.open());
    settings.spool.path = folder.path() + "/store";
    settings.control.socket = folder.path() + "/control.sock";
  }
  ~Door() { stop(); }

  tl::expected<void, std::string> start() {
    the_operator =
        std::make_unique<Operator>(*opened.store, std::make_shared<const conf::Settings>(settings), lanes);
    socket = std::make_unique<ControlSocket>(io, settings, *the_operator, idle_limit);
    if (auto open = socket->open(); !open) return open;
    socket->link();
    asio::co_spawn(io, socket->serve(), rethrow);
    loop = std::thread([this] { io.run(); });
    return {};
  }
  void stop() {
    if (!loop.joinable()) return;
    asio::post(io, [this] { socket->close(); });
    loop.join();
    socket.reset();
  }
  ControlClient client() {
    auto made = ControlClient::connect(settings.control.socket, 5s);
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().text));
    return std::move(*made);
  }

  store::Folder folder;
  store::Opened opened;
  conf::Settings settings;
  SlowLanes lanes;
  std::chrono::milliseconds idle_limit = 60s;
  asio::io_context io{1};
  std::unique_ptr<Operator> the_operator;
  std::unique_ptr<ControlSocket> socket;
  std::thread loop;
};

}  // namespace

TEST_CASE_FIXTURE(Door, "requests and answers, one a line, on several connections") {
  settings.control.mode = 0600;
  REQUIRE(start());
  struct stat status {};
  REQUIRE(::stat(settings.control.socket.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::filesystem::read_symlink(settings.spool.path + "/control") == settings.control.socket);

  auto one = client(), two = client();
  CHECK((*one.ask({{"verb", "list-create"}, {"list", "a@lists.example"}, {"owners", {"o@x.example"}}},
                  10s))["ok"] == true);
  CHECK((*two.ask({{"verb", "list-create"}, {"list", "a@lists.example"}, {"owners", {"o@x.example"}}},
                  10s))["exit"] == 1);
  CHECK((*one.ask(Json::array(), 10s))["error"] == "a request is one JSON object in one line");
  CHECK((*one.ask({{"verb", "x\ny\xff"}}, 10s))["exit"] == 2);
  CHECK((*one.ask({{"verb", "ping"}}, 10s))["pid"] == ::getpid());
  stop();
  CHECK(!std::filesystem::exists(settings.control.socket));
  CHECK(!one.ask({{"verb", "ping"}}, 1s));
}

TEST_CASE_FIXTURE(Door, "a dead daemon's socket is taken over, a living one's is not") {
  {
    asio::io_context other;
    asio::local::stream_protocol::acceptor dead(
        other, asio::local::stream_protocol::endpoint(settings.control.socket));
  }
  CHECK(std::filesystem::exists(settings.control.socket));
  REQUIRE(start());
  client();
  ControlSocket second(io, settings, *the_operator);
  const auto refused = second.open();
  REQUIRE(!refused);
  CHECK(refused.error().find("another process listens on it") != std::string::npos);
  client();
}

TEST_CASE_FIXTURE(Door, "a file that is no socket is left alone") {
  std::ofstream(settings.control.socket) << "mine";
  const auto refused = start();
  REQUIRE(!refused);
  CHECK(refused.error().find("no socket") != std::string::npos);
  CHECK(std::filesystem::file_size(settings.control.socket) == 4);
}

TEST_CASE_FIXTURE(Door,
                  "a request of 200,000 brackets is refused: its copy would need as many stack frames") {
  REQUIRE(start());
  Raw raw(settings.control.socket);
  raw.send(R"({"verb":"list-set","list":"a@b.example","settings":{"description":"x"},"z":)" +
           std::string(200'000, '[') + std::string(200'000, ']') + "}\n");
  CHECK(raw.line().find("nested at most 16 deep") != std::string::npos);
  raw.send("{\"verb\":\"ping\"}\n");
  CHECK(raw.line().find("\"pid\"") != std::string::npos);
}

TEST_CASE_FIXTURE(Door, "a line that is too long is answered before the connection ends") {
  REQUIRE(start());
  for (const char* verb : {"edit-sender", "import"}) {
    Raw raw(settings.control.socket);
    const std::size_t longest = std::string(verb) == "import" ? 64u << 20 : 1u << 20;
    raw.send("{\"verb\":\"" + std::string(verb) + "\",\"z\":\"" + std::string(longest, 'x') + "\"}\n");
    CHECK(raw.line().find("a request has at most " + std::to_string(longest >> 20) + " MiB") !=
          std::string::npos);
  }
  auto next = client();
  CHECK((*next.ask({{"verb", "import"}, {"content", std::string(2 << 20, 'x')}}, 10s))["exit"] == 2);
}

TEST_CASE_FIXTURE(Door, "a hundred idle connections lock nobody out") {
  REQUIRE(start());
  std::vector<std::unique_ptr<Raw>> idle;
  for (int i = 0; i < 100; ++i) {
    idle.push_back(std::make_unique<Raw>(settings.control.socket));
    idle.back()->send("{\"verb\":\"ping\"}\n");
    idle.back()->line();
  }
  idle[0]->send("{\"verb\":\"ping\"}\n");  // now the second one is idle longest
  CHECK(!idle[0]->ended());
  auto one = client();
  CHECK((*one.ask({{"verb", "ping"}}, 5s))["pid"] == ::getpid());
  CHECK(idle[1]->ended());
  idle[0]->send("{\"verb\":\"ping\"}\n");
  CHECK(!idle[0]->ended());
}

TEST_CASE_FIXTURE(Door, "a connection without a request ends by itself") {
  idle_limit = 50ms;
  REQUIRE(start());
  Raw silent(settings.control.socket), half(settings.control.socket);
  half.send("{\"verb\":");
  CHECK(silent.ended());
  CHECK(half.ended());
}

TEST_CASE_FIXTURE(
    Door, "questions do not wait behind changes; at the end what runs is answered, what waits is refused") {
  REQUIRE(start());
  const std::string list = R"({"verb":"list-create","list":"a@b.example","owners":["o@b.example"]})"
                           "\n";
  lanes.wait();
  Raw first(settings.control.socket), second(settings.control.socket), third(settings.control.socket);
  first.send("{\"verb\":\"wake\",\"host\":\"*\"}\n");
  second.send("{\"verb\":\"wake\",\"host\":\"*\"}\n");
  lanes.until_asked(2);  // both threads for changes are taken
  third.send(list);
  Raw question(settings.control.socket);
  question.send("{\"verb\":\"stats\"}\n");
  CHECK(question.line().find("no daemon") != std::string::npos);
  CHECK_FALSE(socket->idle());

  std::promise<void> closed;
  asio::post(io, [&] {
    socket->close();
    closed.set_value();
  });
  closed.get_future().wait();
  CHECK(question.ended());
  lanes.go_on();
  CHECK(first.line().find("no next hop is known") != std::string::npos);
  CHECK(second.line().find("no next hop is known") != std::string::npos);
  CHECK(third.line().find("spoold is stopping: nothing was done") != std::string::npos);
  CHECK(first.ended());
  stop();
}

TEST_CASE("a client names what is absent and what is silent") {
  store::Folder folder;
  const std::string path = folder.path() + "/sock";
  const auto absent = ControlClient::connect(path, 1s);
  REQUIRE(!absent);
  CHECK(absent.error().kind == ControlClient::Failure::Kind::absent);
  asio::io_context io;
  asio::local::stream_protocol::acceptor stuck(io, asio::local::stream_protocol::endpoint(path));
  const auto silent = ControlClient::connect(path, 100ms);
  REQUIRE(!silent);
  CHECK(silent.error().kind == ControlClient::Failure::Kind::silent);
}
