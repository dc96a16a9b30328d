// Who sent it: SPF, DKIM and DMARC of one transaction, found out while it comes in. It drives the machines of protocol/auth:
// the DNS by the resolver of reception, public-key operations on threads of their own (work_line.hpp).
//
//   SPF     begins with the first recipient that is accepted: who only guesses addresses causes no questions
//   DKIM    begins when the header is there, and hashes the body as it comes in
//   DKIM2   likewise, where the header has fields of it; envelope and client's address do not matter to the hashes
//   DMARC   the tree walk of the author's domain begins with DKIM; it ends when the other two have ended
//
// Of a post that a trusted network, a user or an LMTP client hands over there is no SPF (the client is not whom the sender's
// domain knows), and where nothing is signed nothing is asked, unless a list needs the policy of the author's domain.
//
// Guarantees: no check waits for more than 5 s; what has no answer then has the result temperror. result() is there at most
// 5 s, and the time of at most ten public-key operations, after the end of the content. A question is asked once in a
// transaction, whichever check asks it. Holds a copy of the header (counted in ContentMemory), nothing of the body.
// Lives on the session's thread.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "protocol/auth/verified.hpp"
#include "protocol/smtp/data_reader.hpp"
#include "protocol/smtp/transaction.hpp"
#include "server/inbound/content.hpp"
#include "server/inbound/inquiry.hpp"
#include "server/work_line.hpp"

namespace spoold::server {

class Verification final : public Inquiry {
 public:
  /// What it works with; all must live longer.
  struct Means {
    Resolver& resolver;
    WorkLine* proofs;  // absent: SPF alone is checked
    Stats& stats;
    Content::Memory memory;
    asio::any_io_executor executor;
  };

  /// Of a stranger's message.
  Verification(Means means, auth::SpfQuery query);
  /// Of a post that is handed over. `policy`: a list asks for the policy of the author's domain.
  Verification(Means means, TimePoint now, bool policy, std::string mail_from);
  ~Verification() override;

  /// SPF asks. Once, when the object is in its shared_ptr.
  void begin();
  /// `bytes`: the last octets of the content that has come, at least those that this has not seen yet. `recipients`: of the
  /// transaction, which has no more of them.
  void content(std::string_view bytes, const smtp::DataReader& reader,
               const std::vector<smtp::Recipient>& recipients);
  /// The content is complete, and content() has seen all of it. Once. nullptr: there was nothing to find out.
  Awaitable<auth::Verified*> result(const std::vector<smtp::Recipient>& recipients);

 private:
  void header_ended(std::string_view first_of_body, const std::vector<smtp::Recipient>& recipients);
  void body(std::string_view octets);
  void ask_all() override;
  template <class Check>
  Awaitable<> proofs(Check& check);

  const Means means_;
  auth::Verified found_;
  const TimePoint now_;
  const bool policy_ = true;
  const std::string mail_from_;
  std::uint64_t seen_ = 0;  // octets of the content
  std::string header_;
  std::optional<mail::Header> parsed_;
  bool header_whole_ = false;
  Running<auth::SpfCheck> spf_;
  Running<auth::DkimCheck> dkim_;
  Running<auth::Dkim2Check> dkim2_;
  Running<auth::DmarcCheck> walk_,
      dmarc_;  // walk_: without identifiers, so that the walk need not wait for these
};

}  // namespace spoold::server
