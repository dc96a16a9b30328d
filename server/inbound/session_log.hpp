// What a session writes to the log, and counts: messages accepted, recipients and messages refused, bounces.
//
// Guarantees: a client without rights gets `most` lines about refusals in a session; the rest is one line at
// the end of the session that states how many more there were. Everything is counted in Stats. Lives on the
// session's thread. See also: session.hpp, server/log.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/smtp/reply.hpp"
#include "server/inbound/peer.hpp"
#include "server/stats.hpp"
#include "store/spool/acceptance.hpp"
#include "store/store.hpp"

namespace spoold::server {

class SessionLog {
 public:
  static constexpr int most = 20;

  /// `peer` must live longer. `bounded`: the client has no rights.
  SessionLog(Stats& stats, const Peer& peer, bool bounded) : stats_(stats), peer_(peer), bounded_(bounded) {}
  ~SessionLog();
  SessionLog(const SessionLog&) = delete;
  SessionLog& operator=(const SessionLog&) = delete;

  /// Messages and bounce reports, once they are on the disk. `auth`: what was verified (auth::summary).
  void accepted(const store::Accepted& accepted, const std::string& from, std::string_view tls,
                std::string_view user, std::string_view auth = {}) const;
  void refused(const std::string& from, std::string_view to, const smtp::Reply& reply);
  void no_tls(const std::string& why);
  /// One line each, whoever it is: programs that watch the log count them.
  void login_failed(const std::string& user, const smtp::Reply& reply);

 private:
  void bounces(const store::Acceptance& acceptance) const;
  void bounce(const store::HistoryEvent& event) const;
  void moderation(const store::HistoryEvent& event) const;

  Stats& stats_;
  const Peer& peer_;
  const bool bounded_;
  std::uint64_t refused_ = 0;
};

}  // namespace spoold::server
