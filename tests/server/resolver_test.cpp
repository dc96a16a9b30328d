// The Resolver against a forwarder in the test: dead domains do not hold up living ones.
#include "server/delivery/resolver.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "tests/store/folder.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

using Clock = std::chrono::steady_clock;

/// Answers A with 127.0.0.1 and everything else with "no data"; for names that begin with "dead" nothing, or
/// SERVFAIL after `late`.
class Forwarder {
 public:
  explicit Forwarder(std::chrono::milliseconds late,
                     asio::ip::udp::endpoint at = {asio::ip::address_v4::loopback(), 0})
      : late_(late), socket_(io_) {
    socket_.open(asio::ip::udp::v4());
    socket_.set_option(asio::socket_base::receive_buffer_size(4 << 20));
    socket_.bind(at);
    port = socket_.local_endpoint().port();
    receive();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Forwarder() {
    io_.stop();
    thread_.join();
  }
  std::size_t asked() {
    const std::lock_guard lock(mutex_);
    return names_.size();
  }
  std::uint16_t port = 0;

 private:
  void receive() {
    socket_.async_receive_from(asio::buffer(in_), from_, [this](std::error_code error, std::size_t n) {
      if (!error && n > 16) answer(std::string(in_.data(), n));
      receive();
    });
  }
  void answer(const std::string& query) {
    std::size_t at = 12;
    std::string name;
    while (at < query.size() && query[at] != 0) {
      const auto length = static_cast<unsigned char>(query[at]);
      name += query.substr(at + 1, length) + '.';
      at += length + 1;
    }
    {
      const std::lock_guard lock(mutex_);
      names_.insert(name);
    }
    const bool dead = name.starts_with("dead"), address = query[at + 2] == 1;
    std::string reply = query.substr(0, 2) + (dead ? "\x81\x82" : "\x81\x80") + query.substr(4, 2);
    reply += std::string(1, '\0') + (!dead && address ? '\1' : '\0') + std::string(4, '\0');
    reply += query.substr(12, at + 5 - 12);
    if (!dead && address) reply += std::string("\xc0\x0c\0\1\0\1\0\0\1\0\0\4\x7f\0\0\1", 16);
    if (!dead) {
      std::error_code ignored;
      socket_.send_to(asio::buffer(reply), from_, 0, ignored);
    } else if (late_.count() > 0) {
      auto timer = std::make_shared<asio::steady_timer>(io_, late_);
      timer->async_wait([this, timer, reply, to = from_](std::error_code) {
        std::error_code ignored;
        socket_.send_to(asio::buffer(reply), to, 0, ignored);
      });
    }
  }

  const std::chrono::milliseconds late_;
  asio::io_context io_{1};
  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint from_;
  std::array<char, 4096> in_{};
  std::mutex mutex_;
  std::set<std::string> names_;
  std::thread thread_;
};

struct Asking {
  /// Without a forwarder: those that the file names.
  explicit Asking(const std::string& resolv_conf) {
    settings.trust_anchor = "none";
    resolver = std::make_unique<Resolver>(io, settings, resolv_conf);
  }
  explicit Asking(std::chrono::milliseconds late) {
    forwarder.emplace(late);
    conf::NameServer server;
    server.host = "127.0.0.1";
    server.port = forwarder->port;
    server.text = "127.0.0.1:" + std::to_string(forwarder->port);
    settings.forward.push_back(server);
    settings.trust_anchor = "none";
    resolver = std::make_unique<Resolver>(io, settings);
  }
  void ask(const std::string& name) {
    dns::Resolution::Options options;
    options.name = name;
    options.own_name = "me.example";
    options.port = [](const std::string&) { return std::uint16_t{25}; };
    options.own_address = [](const dns::Address&, std::uint16_t) { return false; };
    resolver->resolve(std::move(options), [this, name](dns::Found found) {
      order.push_back(name);
      (found.verdict ? failed : found_).insert(name);
    });
  }
  template <class Done>
  bool until(Done done, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const auto end = Clock::now() + limit;
    while (!done()) {
      if (Clock::now() > end) return false;
      io.restart();
      io.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  /// How long a name takes that lives.
  double living(const std::string& name) {
    const auto began = Clock::now();
    ask(name);
    REQUIRE(until([&] { return found_.contains(name); }));
    return std::chrono::duration<double>(Clock::now() - began).count();
  }
  std::optional<Forwarder> forwarder;
  asio::io_context io{1};
  conf::Resolver settings;
  std::unique_ptr<Resolver> resolver;
  std::vector<std::string> order;
  std::set<std::string> failed, found_;
};

constexpr double limit = 8;  // seconds; 2 on a machine of one's own

}  // namespace

TEST_CASE("1,000 domains with dead name servers do not hold up a living one, silent or late") {
  for (const int late : {0, 6000}) {
    CAPTURE(late);
    Asking it{std::chrono::milliseconds(late)};
    for (int i = 0; i < 1000; ++i) it.ask("dead" + std::to_string(i) + ".example");
    REQUIRE(it.until([&] { return it.forwarder->asked() > 50; }));
    for (int i = 0; i < 4; ++i) {
      const double took = it.living("living" + std::to_string(i) + ".example");
      MESSAGE("living" << i << " after " << took << " s, asked " << it.forwarder->asked());
      CHECK(took < limit);
      it.until([] { return false; }, std::chrono::milliseconds(i * 1500));
    }
  }
}

TEST_CASE("names that failed lately are asked after all others") {
  Asking it{std::chrono::milliseconds(500)};  // longer than a busy machine takes to ask them all
  for (int i = 0; i < 900; ++i) it.ask("dead" + std::to_string(i) + ".example");
  REQUIRE(it.until([&] { return it.failed.size() == 900; }));
  it.until([] { return false; }, std::chrono::seconds(6));  // libunbound keeps a SERVFAIL for 5 s
  it.order.clear();
  for (int i = 0; i < 900; ++i) it.ask("dead" + std::to_string(i) + ".example");
  for (int i = 0; i < 100; ++i) it.ask("new" + std::to_string(i) + ".example");
  REQUIRE(it.until([&] { return it.order.size() == 1000; }));
  const auto last_new = std::find_if(it.order.rbegin(), it.order.rend(),
                                     [](const std::string& name) { return name.starts_with("new"); });
  const auto before = std::count_if(it.order.begin(), last_new.base(),
                                    [](const std::string& name) { return name.starts_with("dead"); });
  CHECK(before <= 512);  // those that had begun when the first new one came
}

TEST_CASE("a resolv.conf that was changed is read again, as soon as no question is open") {
  // Name servers of resolv.conf have no port but 53.
  const auto at = [](const char* address) {
    return asio::ip::udp::endpoint(asio::ip::make_address_v4(address), 53);
  };
  std::optional<Forwarder> first, second;
  try {
    first.emplace(std::chrono::milliseconds(0), at("127.0.53.1"));
    second.emplace(std::chrono::milliseconds(0), at("127.0.53.2"));
  } catch (const std::system_error& denied) {
    MESSAGE("not tested: port 53 cannot be bound here: " << denied.what());
    return;
  }
  store::Folder folder;
  const std::string file = folder.path() + "/resolv.conf";
  std::ofstream(file) << "nameserver 127.0.53.1\n";
  Asking it{file};
  it.ask("dead.example");  // 127.0.53.1 does not answer
  REQUIRE(it.until([&] { return first->asked() == 1; }));
  std::ofstream(file) << "# another network\nnameserver 127.0.53.2\n";
  it.living("meanwhile.example");
  CHECK(second->asked() == 0);
  REQUIRE(it.until([&] { return it.failed.contains("dead.example"); }));
  it.living("later.example");
  CHECK(second->asked() == 1);
}

TEST_CASE("single questions: each has its limit of time, and its answer once") {
  using Status = dns::Answer::Status;
  Asking it{std::chrono::milliseconds(0)};
  std::map<std::string, std::vector<Status>> answers;
  const auto ask = [&](const std::string& name, std::chrono::milliseconds limit_of_one) {
    it.resolver->ask({name, dns::Type::a}, Clock::now() + limit_of_one,
                     [&answers, name](const dns::Answer& answer) { answers[name].push_back(answer.status); });
  };
  const auto began = Clock::now();
  ask("dead1.example", std::chrono::milliseconds(300));
  ask("dead2.example", std::chrono::milliseconds(100));
  ask("living.example", std::chrono::seconds(30));
  ask("late.example", std::chrono::milliseconds(-1));
  REQUIRE(it.until([&] { return answers.size() == 4; }));
  CHECK(Clock::now() - began >= std::chrono::milliseconds(300));
  CHECK(answers["dead1.example"] == std::vector{Status::timeout});
  CHECK(answers["dead2.example"] == std::vector{Status::timeout});
  CHECK(answers["living.example"] == std::vector{Status::ok});
  CHECK(answers["late.example"] == std::vector{Status::timeout});
}

TEST_CASE("single questions: silent names do not hold up a living one, and at most so many are open") {
  Asking it{std::chrono::milliseconds(0)};
  std::size_t failed = 0, timed_out = 0;
  const auto until = Clock::now() + std::chrono::seconds(60);
  for (std::size_t i = 0; i < Resolver::most_questions + 10; ++i)
    it.resolver->ask({"dead" + std::to_string(i) + ".example", dns::Type::txt}, until,
                     [&](const dns::Answer& answer) {
                       ++(answer.status == dns::Answer::Status::timeout ? timed_out : failed);
                     });
  REQUIRE(it.until([&] { return failed == 10; }));
  it.resolver->ask({"living0.example", dns::Type::a}, until, [&](const dns::Answer&) { ++failed; });
  REQUIRE(it.until([&] { return failed == 11; }));  // no place
  CHECK(it.living("living1.example") < limit);      // a resolution has places of its own
  CHECK(timed_out == 0);
  it.resolver->stop();  // nobody is called any more
  it.until([] { return false; }, std::chrono::milliseconds(50));
  CHECK(timed_out == 0);
}
