// Who is connected: limits by host and in all, and which sessions there are.
//
// Guarantees: a Place is given back when it is destroyed, whatever became of the peer's rights meanwhile. Peers
// in trusted networks and on unix sockets are not limited by host, and a tenth of all places is kept for them:
// strangers cannot lock them out. IPv6 hosts are counted by /64, which is what one customer has, and by /48 at
// four times that. Above nine tenths of the strangers' places pressed() is true, and sessions of strangers
// have less time. Any thread. See also: session.hpp.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "server/inbound/peer.hpp"

namespace spoold::server {

class Session;

class Census {
 public:
  enum class Refusal { too_many, too_many_of_host, stopping };

  Census() = default;
  /// `stress`: what shows that places are short.
  explicit Census(std::atomic<bool>& stress) : stress_(&stress) {}

  /// What an admitted peer holds.
  class Place {
   public:
    Place(Census& census, std::vector<std::string> hosts, bool stranger)
        : census_(&census), hosts_(std::move(hosts)), stranger_(stranger) {}
    Place(Place&& other) noexcept
        : census_(std::exchange(other.census_, nullptr)),
          hosts_(std::move(other.hosts_)),
          stranger_(other.stranger_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (census_ != nullptr) census_->leave(hosts_, stranger_);
    }

   private:
    Census* census_;
    std::vector<std::string> hosts_;  // what it is counted under
    bool stranger_;
  };

  /// `stranger`: neither in a trusted network nor on a unix socket. A Place, or why not.
  tl::expected<Place, Refusal> enter(const Peer& peer, bool stranger, const conf::Smtp& limits);
  bool pressed() const { return pressed_.load(std::memory_order_relaxed); }
  /// True once when the pressure begins, to whoever asks first.
  bool pressure_began() { return began_.exchange(false, std::memory_order_relaxed); }

  void add(Session* session, std::weak_ptr<Session> handle);
  void remove(Session* session);
  void stop();  // admits nobody any more
  std::vector<std::shared_ptr<Session>> all() const;
  std::size_t size() const;

 private:
  void leave(const std::vector<std::string>& hosts, bool stranger);
  void weigh();

  mutable std::mutex mutex_;
  std::unordered_map<std::string, int> by_host_;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions_;
  int total_ = 0, strangers_ = 0, most_strangers_ = 0;
  bool stopping_ = false;
  std::atomic<bool> pressed_{false}, began_{false};
  std::atomic<bool>* const stress_ = nullptr;
};

}  // namespace spoold::server
