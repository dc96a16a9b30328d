#include "server/admin/control_socket.hpp"

#include <malloc.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "server/log.hpp"

namespace spoold::server {

namespace {

using Socket = asio::local::stream_protocol::socket;
using admin::Json;

constexpr std::size_t longest_request = 64 << 20;
constexpr std::size_t large_request = 1 << 20;
constexpr std::size_t most_sessions = 100;

/// The user at the other end, as the kernel knows it.
std::string peer_name(Socket& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "unknown";
  passwd entry{};
  passwd* found = nullptr;
  std::string buffer(4096, '\0');
  if (getpwuid_r(peer.uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found) return found->pw_name;
  return "uid " + std::to_string(peer.uid);
}

/// Is somebody listening there?
bool is_alive(const std::string& path) {
  asio::io_context io;
  Socket socket(io);
  std::error_code error;
  socket.connect(asio::local::stream_protocol::endpoint(path), error);
  return !error;
}

Awaitable<std::string> execute(Operator& the_operator, std::string request, std::string who) {
  const Json parsed = Json::parse(request, nullptr, false);
  if (parsed.is_discarded() || !parsed.is_object())
    co_return admin::dump(admin::failure(admin::Exit::usage, "a request is one JSON object in one line"));
  co_return admin::dump(the_operator.execute(parsed, who));
}

bool is_ping(const std::string& request) {
  if (request.size() > 100) return false;
  const Json parsed = Json::parse(request, nullptr, false);
  return parsed.is_object() && parsed.value("verb", Json()) == "ping";
}

}  // namespace

struct ControlSocket::State {
  State(asio::io_context& context, const conf::Settings& the_settings, Operator& op)
      : io(context), settings(the_settings), the_operator(op), acceptor(context) {}

  asio::io_context& io;
  const conf::Settings& settings;
  Operator& the_operator;
  asio::local::stream_protocol::acceptor acceptor;
  std::map<std::uint64_t, std::shared_ptr<Socket>> sessions;
  std::uint64_t last_session = 0;
  bool bound = false;
  asio::thread_pool pool{2};
};

ControlSocket::ControlSocket(asio::io_context& io, const conf::Settings& settings, Operator& the_operator)
    : state_(std::make_shared<State>(io, settings, the_operator)) {}

ControlSocket::~ControlSocket() {
  state_->pool.join();
  if (state_->bound) ::unlink(state_->settings.control.socket.c_str());
}

tl::expected<void, std::string> ControlSocket::open() {
  namespace fs = std::filesystem;
  const std::string path = state_->settings.control.socket;
  const auto because = [&](const std::string& what) {
    return tl::unexpected("the control socket " + path + " cannot be opened: " + what);
  };
  std::error_code error;
  if (fs::is_socket(path, error)) {
    if (is_alive(path)) return because("another process listens on it");
    fs::remove(path, error);
  } else if (fs::exists(path, error)) {
    return because("there is a file of that name which is no socket");
  }
  const asio::local::stream_protocol::endpoint endpoint(path);
  state_->acceptor.open(endpoint.protocol(), error);
  if (error) return because(error.message());
  // Nobody may come in between bind and chmod. (The daemon opens it before its other threads make files.)
  const mode_t before = ::umask(0177);
  state_->acceptor.bind(endpoint, error);
  ::umask(before);
  if (error) return because(error.message());
  state_->bound = true;
  // Bound as root, it is for the user that the daemon becomes: the owner of the store.
  struct stat owner {};
  if (::geteuid() == 0 && ::stat(state_->settings.spool.path.c_str(), &owner) == 0 &&
      ::chown(path.c_str(), owner.st_uid, owner.st_gid) != 0)
    return because(std::strerror(errno));
  if (::chmod(path.c_str(), static_cast<mode_t>(state_->settings.control.mode)) != 0)
    return because(std::strerror(errno));
  state_->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return because(error.message());

  const fs::path link = fs::path(state_->settings.spool.path) / "control";
  fs::remove(link, error);
  fs::create_symlink(fs::absolute(path), link, error);
  if (error)
    log::event(log::Level::warning, "control",
               {{"what", "no link " + link.string() + ": " + error.message()}});
  return {};
}

Awaitable<> ControlSocket::serve() {
  const auto state = state_;
  while (state->acceptor.is_open()) {
    auto socket = std::make_shared<Socket>(state->io);
    const auto [error] = co_await state->acceptor.async_accept(*socket, use);
    if (error == asio::error::operation_aborted || !state->acceptor.is_open()) co_return;
    if (error) {  // out of descriptors: not a reason to spin
      asio::steady_timer pause(state->io, std::chrono::milliseconds(100));
      co_await pause.async_wait(use);
      continue;
    }
    if (state->sessions.size() >= most_sessions) continue;  // closes it
    const auto number = ++state->last_session;
    state->sessions.emplace(number, std::move(socket));
    asio::co_spawn(state->io, session(state, number), asio::detached);
  }
}

Awaitable<> ControlSocket::session(std::shared_ptr<State> state, std::uint64_t number) {
  const std::shared_ptr<Socket> socket = state->sessions.at(number);
  const std::string who = peer_name(*socket);
  std::string received;
  while (true) {
    auto buffer = asio::dynamic_buffer(received, longest_request);
    const auto [read_error, length] = co_await asio::async_read_until(*socket, buffer, '\n', use);
    if (read_error) break;
    std::string request = received.substr(0, length);
    received.erase(0, length);
    std::string answer;
    if (is_ping(request)) {
      answer = admin::dump(Json{{"ok", true}, {"exit", 0}, {"pid", ::getpid()}});
    } else {
      auto work = execute(state->the_operator, std::move(request), who);
      auto [thrown, result] = co_await asio::co_spawn(state->pool, std::move(work), use);
      answer = thrown
                   ? admin::dump(admin::failure(admin::Exit::failed, "the daemon met a bug in this request"))
                   : std::move(result);
      if (thrown)
        log::event(log::Level::error, "control", {{"what", "a request threw an exception"}, {"who", who}});
    }
    answer += '\n';
    const auto [write_error, written] = co_await asio::async_write(*socket, asio::buffer(answer), use);
    if (length > large_request) {
      received.shrink_to_fit();
      asio::post(state->pool,
                 [] { ::malloc_trim(0); });  // the allocator would keep all that an import needed
    }
    if (write_error) break;
  }
  state->sessions.erase(number);
}

void ControlSocket::close() {
  std::error_code ignored;
  state_->acceptor.close(ignored);
  for (const auto& [number, socket] : state_->sessions) socket->close(ignored);
}

}  // namespace spoold::server
