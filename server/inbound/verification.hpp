// Who sent it: SPF, DKIM and DMARC of one transaction, found out while it comes in. It drives the machines of protocol/auth:
// the DNS by the resolver of reception, public-key operations on threads of their own (work_line.hpp).
//
//   SPF     begins with the first recipient that is accepted: who only guesses addresses causes no questions
//   DKIM    begins when the header is there, and hashes the body as it comes in
//   DMARC   the tree walk of the author's domain begins with DKIM; it ends when the other two have ended
//
// Guarantees: no check waits for more than 5 s; what has no answer then has the result temperror. result() is there at most
// 5 s, and the time of at most ten public-key operations, after the end of the content. A question is asked once in a
// transaction, whichever check asks it. Holds a copy of the header (counted in ContentMemory), nothing of the body.
// Lives on the session's thread.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/auth/verified.hpp"
#include "protocol/smtp/data_reader.hpp"
#include "server/asio.hpp"
#include "server/delivery/resolver.hpp"
#include "server/inbound/content.hpp"
#include "server/stats.hpp"
#include "server/work_line.hpp"

namespace spoold::server {

class Verification : public std::enable_shared_from_this<Verification> {
 public:
  /// What it works with; all must live longer.
  struct Means {
    Resolver& resolver;
    WorkLine* proofs;  // absent: SPF alone is checked
    Stats& stats;
    Content::Memory memory;
    asio::any_io_executor executor;
  };

  Verification(Means means, auth::SpfQuery query);
  ~Verification();
  Verification(const Verification&) = delete;
  Verification& operator=(const Verification&) = delete;

  /// SPF asks. Once, when the object is in its shared_ptr.
  void begin();
  /// `bytes`: the last octets of the content that has come, at least those that this has not seen yet.
  void content(std::string_view bytes, const smtp::DataReader& reader);
  /// The content is complete, and content() has seen all of it. Once.
  Awaitable<const auth::Verified*> result();

 private:
  template <class Check>
  struct Running {
    std::optional<Check> check;
    std::vector<dns::Question> owed;
    Resolver::Clock::time_point until{};
  };

  void header_ended(std::string_view first_of_body);
  void ask_all();
  template <class Check>
  void ask(Running<Check>& running);
  void ask(const dns::Question& question, Resolver::Clock::time_point until);
  void came(const dns::Question& question, dns::Answer answer);
  Awaitable<> answers();
  Awaitable<> proofs();

  const Means means_;
  auth::Verified found_;
  TimePoint now_;
  std::uint64_t seen_ = 0;  // octets of the content
  std::string header_;
  std::optional<mail::Header> parsed_;
  bool header_whole_ = false;
  Running<auth::SpfCheck> spf_;
  Running<auth::DkimCheck> dkim_;
  Running<auth::DmarcCheck> walk_,
      dmarc_;  // walk_: without identifiers, so that the walk need not wait for these
  std::map<dns::Question, std::optional<dns::Answer>> answers_;
  std::size_t open_ = 0;        // questions without an answer
  asio::steady_timer arrived_;  // cancelled when there are none
};

}  // namespace spoold::server
