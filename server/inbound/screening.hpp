// Who connects: what DNS lists and the reverse DNS say of a stranger's address, asked while he is greeted.
//
// Guarantees: asked once a session, begun at its start, and answered after 5 s at most; it is waited for at the first RCPT.
// What cannot be asked refuses nobody: a list that does not work, a failure of the DNS (of reverse DNS that is
// required a 451). Mail to postmaster and abuse is always taken: whoever is refused can ask why. Lives on the session's thread.
// See also: blocklists.hpp (which lists work).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/auth/dnsbl.hpp"
#include "protocol/auth/iprev.hpp"
#include "protocol/auth/verified.hpp"
#include "protocol/smtp/reply.hpp"
#include "server/inbound/inquiry.hpp"

namespace spoold::server {

class Blocklists;

class Screening final : public Inquiry {
 public:
  /// Nothing is asked of this configuration: there is no Screening.
  static bool asks(const conf::Settings& settings) {
    return !settings.dnsbls.empty() || settings.smtp.fcrdns != conf::Smtp::Fcrdns::off;
  }

  Screening(Resolver& resolver, Stats& stats, asio::any_io_executor executor, Blocklists& lists,
            std::shared_ptr<const conf::Settings> settings, const dns::Address& client);
  /// Once, when the object is in its shared_ptr.
  void begin();

  /// Once it is answered. Why the client may send nothing; nothing: it may.
  const std::optional<smtp::Reply>& refusal();
  /// Once it is answered: lists of good clients outweigh the others.
  bool is_good();
  /// What stands in Authentication-Results.
  void mark(auth::Verified& verified);

 private:
  void ask_all() override;
  void judge();

  Stats& stats_;
  Blocklists& lists_;
  const std::shared_ptr<const conf::Settings> settings_;
  const dns::Address client_;
  std::vector<std::pair<const conf::Dnsbl*, Running<auth::DnsblCheck>>> asked_;
  Running<auth::IprevCheck> iprev_;
  bool judged_ = false;
  std::optional<smtp::Reply> refusal_;
  std::vector<std::string> listed_;
  int weight_ = 0;  // of the lists that have the client
};

}  // namespace spoold::server
