// Which of the configuration's DNS lists work: each is tested by its test entries (RFC 5782 5) when it appears in the configuration
// and every hour.
//
// Guarantees: a list counts only while its last test was right. One that does not work is not asked, so that it refuses nobody (a
// lost domain, a quota: everybody's mail would be refused), and the log says so when that changes. Any thread may call use(),
// works() and failed(). See also: screening.hpp, protocol/auth/dnsbl.hpp.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "server/inbound/inquiry.hpp"
#include "store/guarded.hpp"

namespace spoold::server {

class Blocklists {
 public:
  /// Tests run on `io`; all must live longer.
  Blocklists(asio::io_context& io, Resolver& resolver, Stats& stats);
  ~Blocklists();

  /// These lists from now on; those that are new are tested at once.
  void use(const std::vector<conf::Dnsbl>& lists);
  void stop();
  bool works(const std::string& zone) const;
  /// The list has answered something that is none of its answers: nobody is refused for it. Logged once an hour.
  void failed(const std::string& zone, const std::string& why);

 private:
  class Test;
  struct State {
    bool works = false, tested = false;
    std::chrono::steady_clock::time_point quiet_until{};
  };

  void test(const std::vector<conf::Dnsbl>& lists);
  void tested(const std::string& zone, const std::string& fault);
  void test_all_in_an_hour();

  asio::io_context& io_;
  Resolver& resolver_;
  Stats& stats_;
  asio::steady_timer hourly_;  // of io_'s thread, like running_
  std::vector<std::shared_ptr<Test>> running_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  mutable Mutex mutex_;
  std::vector<conf::Dnsbl> lists_ GUARDED_BY(mutex_);
  std::map<std::string, State> states_ GUARDED_BY(mutex_);
};

}  // namespace spoold::server
