// DNS: drives dns::Resolution machines with libunbound, which validates DNSSEC itself, caches,
// and asks in a thread of its own; its answers come in by a file descriptor of one network thread. There are two: one for
// all lanes, and one for reception, whose questions strangers choose: these never delay a delivery.
//
// Guarantees: resolve() may be called from any thread; `answered` is called once, on the resolver's thread, at most
// a minute after the resolution was begun; after stop() it is not called. libunbound is set up for the first
// question. Failures: a resolver that cannot be set up answers every question with a temporary verdict and the
// reason.
//
// Names with dead name servers do not delay others. At most 512 resolutions are young; further ones wait. A
// resolution without an answer after 1 s is slow: it leaves its place to the next one and continues among at most
// 3,000 slow ones (beyond that the oldest slow one is given up). Names that failed in the last hours are begun
// after all names that did not.
//
// ask() is for single questions (protocol/auth): each is answered at the time that the caller names at the latest, and at
// most most_questions are open; one more is answered with a failure at once.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "conf/settings.hpp"
#include "protocol/dns/resolution.hpp"
#include "server/asio.hpp"

struct ub_ctx;
struct ub_result;

namespace spoold::server {

class Resolver {
 public:
  using Answered = std::function<void(dns::Found)>;
  using GotAnswer = std::function<void(dns::Answer)>;
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t most_questions = 2000;

  /// `resolv_conf` is read where the settings name no forwarders.
  Resolver(asio::io_context& io, conf::Resolver settings, std::string resolv_conf = "/etc/resolv.conf");
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void resolve(dns::Resolution::Options options, Answered answered);
  /// `answered` is called as that of resolve(), with Status::timeout when nothing came until then.
  void ask(dns::Question question, Clock::time_point until, GotAnswer answered);
  void stop();

 private:
  struct Running;
  struct Single;
  struct Asked;
  struct Arrived {
    std::shared_ptr<Running> running;  // or:
    std::shared_ptr<Single> single;
    dns::Question question;
    dns::Answer answer;
  };

  bool open();
  std::string configure();
  void close();
  void follow_resolv_conf();
  void start_waiting();
  void ask(const std::shared_ptr<Running>& running);
  void take(Arrived arrived);
  void finish(const std::shared_ptr<Running>& running);
  void wait_for_answers();
  void set_timer();
  void look_at_the_clock();
  void give_up(std::shared_ptr<Running> late);
  // resolver_questions.cpp
  void begin(const std::shared_ptr<Single>& single, Clock::time_point until);
  void finish(const std::shared_ptr<Single>& single, dns::Answer answer);
  void give_up_questions(Clock::time_point now);
  void forget_questions();
  bool failed_lately(const std::string& name);
  void remember(const std::string& name, bool failed);
  static void came(void* asked, int error, ub_result* result);

  asio::io_context& io_;
  conf::Resolver settings_;
  ub_ctx* context_ = nullptr;
  std::string fault_;  // why there is no context
  const std::string resolv_conf_;
  std::string resolv_conf_version_;  // that the context has read
  asio::posix::stream_descriptor answers_;
  asio::steady_timer timer_;
  Clock::time_point timer_at_ = Clock::time_point::max();
  std::list<std::shared_ptr<Running>> young_, slow_;                   // each oldest first
  std::deque<std::shared_ptr<Running>> waiting_, doubtful_;            // the latter failed lately
  std::multimap<Clock::time_point, std::shared_ptr<Single>> singles_;  // by the time until which they wait
  std::unordered_map<std::string, Clock::time_point> failed_;
  std::deque<Arrived> arrived_;
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace spoold::server
