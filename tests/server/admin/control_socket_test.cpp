// The control socket over a real unix socket: framing, pings, who may take a path over.
#include "server/admin/control_socket.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "server/admin/control_client.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;
using admin::ControlClient;
using admin::Json;
using namespace std::chrono_literals;

namespace {

struct Door {
  Door() : opened(folder.path() + "/store") {
    std::filesystem::create_directory(folder.path() + "/store");
    REQUIRE(opened.open());
    settings.spool.path = folder.path() + "/store";
    settings.control.socket = folder.path() + "/control.sock";
  }
  ~Door() { stop(); }

  tl::expected<void, std::string> start() {
    the_operator = std::make_unique<Operator>(*opened.store, settings, lanes);
    socket = std::make_unique<ControlSocket>(io, settings, *the_operator);
    if (auto open = socket->open(); !open) return open;
    asio::co_spawn(io, socket->serve(), asio::detached);
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
  NoLanes lanes;
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
