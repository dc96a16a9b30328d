#include "server/spoolctl/access.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "conf/load.hpp"
#include "server/admin/operator.hpp"
#include "server/spoolctl/control_client.hpp"
#include "server/spoolctl/interrupt.hpp"
#include "store/mend.hpp"

namespace spoold::server::admin {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 5s;            // for a daemon to answer a ping, or to come up
constexpr auto longest_request = 10min;  // an import of millions; the daemon answered its ping

std::vector<gid_t> own_groups;  // of a process that became an owner

/// Files that root would make in the store's folder could not be opened by the daemon afterwards.
void become_owner(const std::string& path) {
  struct stat status {};
  if (::geteuid() != 0 || ::stat(path.c_str(), &status) != 0 || status.st_uid == 0) return;
  if (own_groups.empty()) {
    own_groups.resize(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
    own_groups.resize(static_cast<std::size_t>(
        std::max(::getgroups(static_cast<int>(own_groups.size()), own_groups.data()), 0)));
  }
  if (::setgroups(1, &status.st_gid) != 0 || ::setegid(status.st_gid) != 0 || ::seteuid(status.st_uid) != 0)
    throw std::runtime_error("cannot become the owner of " + path);
}

std::string user_name(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry ? entry->pw_name : "uid " + std::to_string(uid);
}

}  // namespace

std::string person() {
  const char* sudo = std::getenv("SUDO_USER");
  return ::getuid() == 0 && sudo && *sudo ? sudo : user_name(::getuid());
}

OwnIds::OwnIds() : uid_(::geteuid()), gid_(::getegid()) {
  if (uid_ == ::getuid()) return;
  if (::seteuid(::getuid()) != 0 || ::setegid(::getgid()) != 0 ||
      ::setgroups(own_groups.size(), own_groups.data()) != 0)
    throw std::runtime_error("cannot get its own ids back");
}

OwnIds::~OwnIds() {
  if (uid_ == ::getuid()) return;
  if (::setgroups(1, &gid_) != 0 || ::setegid(gid_) != 0 || ::seteuid(uid_) != 0)
    std::abort();  // root with the work of the store's owner before it
}

store::Options Access::options(store::Options::Open how) const {
  store::Options options = store::options_of(*settings_);
  options.open = how;
  return options;
}

store::Result<store::Store*> Access::store() {
  if (!store_) {
    become_owner(settings_->spool.path);
    auto opened = store::Store::open(options(store::Options::Open::read_only));
    if (!opened) return tl::unexpected(opened.error());
    store_ = std::move(*opened);
  }
  return store_.get();
}

std::string Access::socket_path() const {
  // The daemon leaves a link to its socket in the store's folder: it is right also when only --spool was
  // given, or when the configuration was changed since the daemon read it.
  std::error_code error;
  const std::string link = settings_->spool.path + "/control";
  const auto target = std::filesystem::read_symlink(link, error);
  return error ? settings_->control.socket : target.string();
}

std::string Access::silent_daemon(const std::string& why) const {
  std::ifstream lock(settings_->spool.path + "/lock");
  std::string pid;
  lock >> pid;
  return "spoold" + (pid.empty() ? "" : " (pid " + pid + ")") + " holds the store, but its control socket " +
         socket_path() + " is of no use: " + why;
}

Json Access::execute_here(store::Store& store, const Json& request) {
  NoLanes lanes;
  Operator the_operator(store, settings_, lanes);
  the_operator.between_pages = unless_interrupted;
  return the_operator.execute(request, user_name(::getuid()));
}

Json Access::change(Json request) {
  // The daemon knows the user of the connection; that root is somebody by sudo only we know.
  if (const auto by = person(); by != user_name(::getuid())) request["person"] = by;
  if (request.value("dry_run", false)) {
    const auto opened = store();
    return opened ? execute_here(**opened, request) : failure(Exit::failed, opened.error().text);
  }
  const auto until = std::chrono::steady_clock::now() + patience;
  // Kept also where another process opens the store first, and answers: it finds nothing to mend any more.
  std::vector<std::string> mended;
  const auto with_mended = [&mended](Json answer) {
    for (const std::string& row : mended) answer["repaired"].push_back(row);
    return answer;
  };
  while (true) {
    auto client = connect();
    if (client) {
      auto answer = client->ask(request, longest_request);
      if (!answer)
        return with_mended(
            failure(Exit::failed, silent_daemon(answer.error().text + "; whether it was done is not known")));
      return with_mended(*answer);
    }
    using Kind = ControlClient::Failure::Kind;
    if (client.error().kind == Kind::refused) return with_mended(failure(Exit::failed, client.error().text));
    if (client.error().kind == Kind::silent)
      return with_mended(failure(Exit::failed, silent_daemon(client.error().text)));

    store_.reset();  // one process must not open an environment twice
    become_owner(settings_->spool.path);
    const auto how = options(store::Options::Open::existing);
    // Rows that cannot be read are mended before the store is opened: to open it reads some of them.
    store::Result<std::vector<std::string>> rows;
    if (request.value("verb", "") == "repair" && !request.value("rows", Json::array()).empty())
      rows = store::mend(how);
    if (rows) mended.insert(mended.end(), rows->begin(), rows->end());
    auto opened = rows ? store::Store::open(how) : tl::unexpected(rows.error());
    if (opened) return with_mended(execute_here(**opened, request));
    if (opened.error().kind != store::Error::Kind::locked)
      return with_mended(failure(Exit::failed, opened.error().text));
    // A daemon that comes up or goes down holds the lock without a socket for a moment.
    if (std::chrono::steady_clock::now() > until)
      return with_mended(failure(Exit::failed, silent_daemon(client.error().text)));
    unless_interrupted();
    std::this_thread::sleep_for(50ms);
  }
}

store::Result<store::CompactFigures> Access::compact(bool dry_run) {
  store_.reset();
  become_owner(settings_->spool.path);
  return store::compact(settings_->spool.path, settings_->spool.max_size, dry_run);
}

/// The daemon sees who connects: the caller, not the store's owner.
tl::expected<ControlClient, ControlClient::Failure> Access::connect() const {
  const OwnIds own;
  return ControlClient::connect(socket_path(), patience);
}

Json Access::ask_daemon(const Json& request) {
  auto client = connect();
  if (!client) {
    if (client.error().kind == ControlClient::Failure::Kind::absent)
      return failure(Exit::failed, "no daemon is running here: " + client.error().text);
    return failure(Exit::failed, client.error().text);
  }
  auto answer = client->ask(request, patience * 6);
  return answer ? *answer : failure(Exit::failed, answer.error().text);
}

}  // namespace spoold::server::admin
