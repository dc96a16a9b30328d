#include "server/admin/control_socket.hpp"

#include <malloc.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <list>
#include <utility>

#include "server/admin/request_line.hpp"
#include "server/log.hpp"
#include "server/spare_descriptor.hpp"
#include "server/threads.hpp"
#include "server/watchdog.hpp"

namespace spoold::server {

namespace {

using Socket = asio::local::stream_protocol::socket;
using admin::Json;

constexpr std::size_t large_request = 1 << 20;
constexpr std::size_t most_sessions = 100;
constexpr std::chrono::seconds discard_limit{10};

/// The user at the other end, as the kernel knows it.
uid_t peer_of(Socket& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  return known ? peer.uid : static_cast<uid_t>(-1);
}

/// May block for as long as the name service of the machine does: never on a network thread.
std::string name_of(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::string buffer(4096, '\0');
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found) return found->pw_name;
  return "uid " + std::to_string(uid);
}

/// Is somebody listening there?
bool is_alive(const std::string& path) {
  asio::io_context io;
  Socket socket(io);
  std::error_code error;
  socket.connect(asio::local::stream_protocol::endpoint(path), error);
  return !error;
}

bool is_ping(const std::string& request) {
  if (request.size() > 100) return false;
  const Json parsed = Json::parse(request, nullptr, false);
  return parsed.is_object() && parsed.value("verb", Json()) == "ping";
}

}  // namespace

struct ControlSocket::Session {
  explicit Session(Socket accepted)
      : socket(std::move(accepted)), watchdog(socket.get_executor(), [this] {
          std::error_code ignored;
          socket.close(ignored);
        }) {}

  Socket socket;
  Watchdog watchdog;
  std::string received;
  bool busy = false;  // a request runs, or its answer is being written
};

struct ControlSocket::State {
  State(asio::io_context& context, const conf::Settings& settings, Operator& op,
        std::chrono::milliseconds limit)
      : io(context),
        where(settings.control),
        spool(settings.spool.path),
        the_operator(op),
        idle_limit(limit),
        acceptor(context) {}

  bool make_room();
  void accept_without_descriptors(Socket& socket, std::error_code& error);
  std::string execute(const std::string& request, uid_t peer);
  static Awaitable<std::string> run(std::shared_ptr<State> state, std::string request, uid_t peer);

  asio::io_context& io;
  const conf::Control where;
  const std::string spool;  // the store's folder
  Operator& the_operator;
  const std::chrono::milliseconds idle_limit;
  asio::local::stream_protocol::acceptor acceptor;
  SpareDescriptor spare;
  std::list<std::shared_ptr<Session>> sessions;  // the one that was active last comes last
  bool bound = false;
  std::atomic<bool> closing{false};
  std::atomic<int> requests{0};  // that run or wait, until they are answered
  asio::thread_pool reads{2}, changes{2};
};

/// The longest idle connection is closed: whoever keeps connections open locks nobody out.
bool ControlSocket::State::make_room() {
  if (sessions.size() < most_sessions) return true;
  const auto idle = std::find_if(sessions.begin(), sessions.end(), [](const auto& s) { return !s->busy; });
  if (idle == sessions.end()) return false;
  std::error_code ignored;
  (*idle)->socket.close(ignored);
  sessions.erase(idle);
  return true;
}

/// The process has no descriptor left (EMFILE): clients of the mail listeners have them all. That is when an
/// operator looks, so the door has one for him.
void ControlSocket::State::accept_without_descriptors(Socket& socket, std::error_code& error) {
  if (error != asio::error::no_descriptors || !spare.give()) return;
  acceptor.accept(socket, error);
  spare.keep();
}

std::string ControlSocket::State::execute(const std::string& request, uid_t peer) {
  if (closing)
    return admin::dump(admin::failure(admin::Exit::failed, "spoold is stopping: nothing was done"));
  const auto parsed = admin::parse_request(request);
  if (!parsed) return admin::dump(admin::failure(admin::Exit::usage, parsed.error()));
  return admin::dump(the_operator.execute(*parsed, name_of(peer)));
}

Awaitable<std::string> ControlSocket::State::run(std::shared_ptr<State> state, std::string request,
                                                 uid_t peer) {
  co_return state->execute(request, peer);
}

ControlSocket::ControlSocket(asio::io_context& io, const conf::Settings& settings, Operator& the_operator,
                             std::chrono::milliseconds idle_limit)
    : state_(std::make_shared<State>(io, settings, the_operator, idle_limit)) {}

ControlSocket::~ControlSocket() {
  state_->closing = true;
  join();
  if (state_->bound) ::unlink(state_->where.socket.c_str());
}

tl::expected<void, std::string> ControlSocket::open() {
  namespace fs = std::filesystem;
  const std::string path = state_->where.socket;
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
  // Its mode from its first moment: chmod() afterwards could meet a link that somebody has put in its place.
  // (The daemon opens it before its other threads make files.)
  const mode_t before = ::umask(~static_cast<mode_t>(state_->where.mode) & 0777);
  state_->acceptor.bind(endpoint, error);
  ::umask(before);
  if (error) return because(error.message());
  state_->bound = true;
  // Bound as root, it is for the user that the daemon becomes: the owner of the store.
  struct stat owner {};
  if (::geteuid() == 0 && ::stat(state_->spool.c_str(), &owner) == 0 &&
      ::lchown(path.c_str(), owner.st_uid, owner.st_gid) != 0)
    return because(std::strerror(errno));
  state_->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) state_->acceptor.non_blocking(true, error);
  if (error) return because(error.message());
  return {};
}

void ControlSocket::link() {
  namespace fs = std::filesystem;
  const fs::path link = fs::path(state_->spool) / "control";
  std::error_code error;
  fs::remove(link, error);
  fs::create_symlink(fs::absolute(state_->where.socket), link, error);
  if (error)
    log::event(log::Level::warning, "control",
               {{"what", "no link " + link.string() + ": " + error.message()}});
}

Awaitable<> ControlSocket::serve() {
  const auto state = state_;
  while (state->acceptor.is_open()) {
    Socket socket(state->io);
    auto [error] = co_await state->acceptor.async_accept(socket, use);
    if (error == asio::error::operation_aborted || !state->acceptor.is_open()) co_return;
    state->accept_without_descriptors(socket, error);
    if (error) {  // out of descriptors: not a reason to spin
      asio::steady_timer pause(state->io, std::chrono::milliseconds(100));
      co_await pause.async_wait(use);
      continue;
    }
    if (!state->make_room()) continue;  // closes it
    auto made = std::make_shared<Session>(std::move(socket));
    state->sessions.push_back(made);
    asio::co_spawn(state->io, session(state, std::move(made)), rethrow);
  }
}

namespace {

/// Reads until a whole line has arrived. Its length with the line end; 0: the peer is gone or too late; more
/// than `received` holds: the line is too long.
template <class Session>
Awaitable<std::size_t> read_line(Session& session, std::chrono::milliseconds idle_limit) {
  std::string& received = session.received;
  std::size_t searched = 0;
  for (;;) {
    const auto end = received.find('\n', searched);
    if (end != std::string::npos && end <= admin::longest(received)) co_return end + 1;
    if (received.size() > admin::longest(received)) co_return received.size() + 1;
    searched = received.size();
    session.watchdog.limit(idle_limit);
    // Twice as much as there is: an import comes in few pieces, an idle connection holds little.
    const std::size_t space = std::clamp<std::size_t>(searched, 4096, large_request);
    received.resize(searched + space);
    const asio::mutable_buffer buffer(received.data() + searched, space);
    const auto [error, octets] = co_await session.socket.async_read_some(buffer, use);
    received.resize(searched + octets);
    if (error) co_return 0;
  }
}

/// A peer that still writes would get a reset instead of the answer.
template <class Session>
Awaitable<> discard(Session& session) {
  session.received = std::string(65536, '\0');
  session.watchdog.limit(discard_limit);
  for (;;) {
    const asio::mutable_buffer buffer = asio::buffer(session.received);
    const auto [error, octets] = co_await session.socket.async_read_some(buffer, use);
    if (error) co_return;
  }
}

}  // namespace

Awaitable<> ControlSocket::session(std::shared_ptr<State> state, std::shared_ptr<Session> self) {
  const uid_t peer = peer_of(self->socket);
  while (!state->closing) {
    const std::size_t length = co_await read_line(*self, state->idle_limit);
    if (length == 0) break;
    self->watchdog.rest();
    self->busy = true;
    ++state->requests;
    const bool whole = length <= self->received.size();
    const bool large = self->received.size() > large_request;
    std::string rest = whole ? self->received.substr(length) : std::string(), answer;
    std::string request = std::exchange(self->received, std::move(rest));
    request.resize(std::min(length, request.size()));
    if (!whole) {
      answer = admin::dump(admin::failure(admin::Exit::usage, admin::too_long(request)));
    } else if (is_ping(request)) {
      answer = admin::dump(Json{{"ok", true}, {"exit", 0}, {"pid", ::getpid()}});
    } else {
      asio::thread_pool& pool = admin::only_reads(request) ? state->reads : state->changes;
      auto work = State::run(state, std::move(request), peer);
      auto [thrown, result] = co_await asio::co_spawn(pool, std::move(work), use);
      answer = thrown
                   ? admin::dump(admin::failure(admin::Exit::failed, "the daemon met a bug in this request"))
                   : std::move(result);
      if (thrown)
        log::event(log::Level::error, "control", {{"what", "a request threw an exception"}, {"uid", peer}});
    }
    answer += '\n';
    self->watchdog.limit(state->idle_limit);
    const auto [error, written] = co_await asio::async_write(self->socket, asio::buffer(answer), use);
    --state->requests;
    self->busy = false;
    if (large) {
      asio::post(state->reads,
                 [] { ::malloc_trim(0); });  // else the allocator keeps all that an import needed
    }
    if (!whole) co_await discard(*self);
    if (error || !whole) break;
    const auto place = std::find(state->sessions.begin(), state->sessions.end(), self);
    if (place != state->sessions.end()) state->sessions.splice(state->sessions.end(), state->sessions, place);
  }
  state->sessions.remove(self);
  std::error_code ignored;
  self->socket.close(ignored);
  state->spare.keep();
}

void ControlSocket::close() {
  state_->closing = true;
  std::error_code ignored;
  state_->acceptor.close(ignored);
  for (const auto& session : state_->sessions)
    if (!session->busy) session->socket.close(ignored);
}

bool ControlSocket::idle() const {
  return state_->requests == 0;
}

void ControlSocket::join() {
  state_->reads.join();
  state_->changes.join();
}

}  // namespace spoold::server
