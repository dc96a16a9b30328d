// A Reception over a store in a folder of its own, and a client with a real socket.
#pragma once
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "conf/load.hpp"
#include "server/inbound/reception.hpp"
#include "store/directory/operations.hpp"
#include "tests/store/opened.hpp"

namespace spoold::server {

inline std::array<std::uint8_t, 32> plain_hmac(std::string_view data) {
  std::array<std::uint8_t, 32> out{};
  for (std::size_t i = 0; i < data.size(); ++i)
    out[i % 32] = static_cast<std::uint8_t>(out[i % 32] * 31 + data[i]);
  return out;
}

/// Waits up to 5 s for something that another thread does.
template <class F>
bool becomes(F holds) {
  for (int i = 0; i < 500; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// lists.example holds test@ (members anne, bart, cris; others are refused) and open@ (one member, everybody
/// posts).
class Served {
 public:
  explicit Served(void (*adjust)(conf::Settings&, store::Options&) = nullptr,
                  void (*shorten)(smtp::ServerProfile&) = nullptr)
      : opened(folder.path()) {
    settings.hostname = "mx.example";
    settings.smtp.spf = conf::Smtp::Spf::off;  // no test here asks the DNS
    settings.smtp.dmarc = conf::Smtp::Dmarc::off;
    settings.listen.push_back({conf::Listen::Protocol::smtp, "127.0.0.1", 0, "", "127.0.0.1:0"});
    const std::string path = folder.path() + "/lmtp";
    settings.listen.push_back({conf::Listen::Protocol::lmtp, "", 0, path, "unix:" + path});
    settings.aliases["postmaster@mx.example"] = {"admin@far.example"};
    settings.aliases["Staff@lists.example"] = {"test@lists.example", "boss@far.example",
                                               "loop@lists.example"};
    settings.aliases["loop@lists.example"] = {"staff@lists.example"};
    settings.domains.emplace_back().name = "relayed.example";
    if (adjust != nullptr) adjust(settings, opened.options);
    const auto ok = opened.open();
    if (!ok) throw std::runtime_error(ok.error().text);
    make_list("test", {"anne@far.example", "bart@near.example", "cris@near.example"}, list::Action::reject);
    make_list("open", {"dirk@near.example"}, list::Action::accept);
    reception.emplace(rules(shorten), *opened.store, threads, stats,
                      [this](const std::vector<std::string>& routes) {
                        const std::scoped_lock lock(mutex);
                        woken.insert(woken.end(), routes.begin(), routes.end());
                      });
    std::vector<int> none_passed;
    if (const auto bound = reception->bind(none_passed); !bound) throw std::runtime_error(bound.error());
    reception->start();
    threads.start();
  }
  ~Served() {
    reception->stop();
    reception->cut_off();
    becomes([&] { return reception->idle(); });
    threads.stop();
    threads.join();
    opened.store.reset();
  }

  /// Of the settings as they are now.
  std::shared_ptr<const Rules> rules(void (*shorten)(smtp::ServerProfile&) = nullptr) const {
    auto made = std::make_shared<Rules>(std::make_shared<const conf::Settings>(settings), &plain_hmac);
    if (shorten != nullptr)
      for (Door& door : made->doors) shorten(door.profile);
    return made;
  }

  list::ListId make_list(const std::string& name, const std::vector<std::string>& members,
                         list::Action nonmembers) {
    list::ListId id = 0;
    const auto made = opened.change([&](store::Write& write) -> store::Result<void> {
      list::Settings of_list;
      of_list.owners = {"owner@far.example"};
      of_list.moderation.nonmembers = nonmembers;
      const auto created = store::directory::create_list(write, name, "lists.example", of_list, opened.now());
      if (!created) return tl::unexpected(created.error());
      id = created->id;
      for (const std::string& address : members) {
        list::Member member;
        member.address = address;
        if (const auto added = store::directory::add_member(write, id, member, opened.now()); !added)
          return tl::unexpected(added.error());
      }
      return {};
    });
    if (!made) throw std::runtime_error(made.error().text);
    return id;
  }

  std::vector<store::Message> messages() {
    return store::spool::messages(store::Read(*opened.store), 0, 10000, true);
  }
  std::string outgoing(const store::Message& message) {
    return store::spool::outgoing(store::Read(*opened.store), message, 0, 1u << 30);
  }
  std::vector<std::string> recipients(store::Id id) {
    std::vector<std::string> all;
    for (const store::Recipient& recipient : opened.recipients(id)) all.push_back(recipient.address);
    return all;
  }

  store::Folder folder;
  store::Opened opened;
  conf::Settings settings;
  Stats stats;
  std::string exceptions;
  std::mutex mutex;
  std::vector<std::string> woken;
  Threads threads{Threads::Work::receive, 2,
                  [this](const std::exception& thrown) { exceptions += thrown.what(); }};
  std::optional<Reception> reception;
};

class Client {
 public:
  explicit Client(Served& served) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(served.reception->port(0));
    open(reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    path.copy(to.sun_path, sizeof to.sun_path - 1);
    open(reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// One whole reply, lines joined by '|'; "closed" when the server closed; "late" after 10 s.
  std::string reply() {
    std::string all;
    for (;;) {
      const auto end = got_.find("\r\n");
      if (end == std::string::npos) {
        if (!fill()) return all + (late_ ? "late" : "closed");
        continue;
      }
      const std::string line = got_.substr(0, end);
      got_.erase(0, end + 2);
      all += line;
      if (line.size() < 4 || line[3] != '-') return all;
      all += '|';
    }
  }
  std::string ask(const std::string& line) {
    send(line + "\r\n");
    return reply();
  }
  /// What one read hands over.
  std::string one_read() {
    got_.clear();
    fill();
    return std::exchange(got_, {});
  }

 private:
  void open(const sockaddr* to, socklen_t size) {
    if (::connect(fd_, to, size) != 0) throw std::runtime_error(std::strerror(errno));
  }
  bool fill() {
    pollfd wait{fd_, POLLIN, 0};
    late_ = ::poll(&wait, 1, 10000) == 0;
    if (late_) return false;
    std::array<char, 65536> block;
    const auto octets = ::recv(fd_, block.data(), block.size(), 0);
    if (octets <= 0) return false;
    got_.append(block.data(), static_cast<std::size_t>(octets));
    return true;
  }
  int fd_;
  bool late_ = false;
  std::string got_;
};

/// EHLO, MAIL and RCPTs; answers the last reply, or the first that is no greeting.
inline std::string envelope(Client& client, const std::string& from, const std::vector<std::string>& to) {
  std::string said = client.reply();
  if (!said.starts_with("220")) return said;
  said = client.ask("EHLO client.example");
  if (!said.starts_with("250")) return said;
  said = client.ask("MAIL FROM:<" + from + ">");
  for (const std::string& address : to) said = client.ask("RCPT TO:<" + address + ">");
  return said;
}

/// DATA and the content; answers the reply to its end.
inline std::string send_message(Client& client, const std::string& content) {
  const std::string said = client.ask("DATA");
  if (!said.starts_with("354")) return said;
  client.send(content + ".\r\n");
  return client.reply();
}

inline std::string deliver(Served& served, const std::string& from, const std::vector<std::string>& to,
                           const std::string& content) {
  Client client(served);
  const std::string said = envelope(client, from, to);
  return said.starts_with("250") ? send_message(client, content) : said;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline const std::string post =
    "From: Anne <anne@far.example>\r\nTo: test@lists.example\r\nSubject: hello\r\n\r\nthe text\r\n";

}  // namespace spoold::server
