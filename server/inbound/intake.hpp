// The message of a session from DATA to the replies to its end: content while it arrives, the decision, the commit.
//
// Guarantees: a reply 250 is made only after the store's commit. One decision is one commit: messages and what is
// recorded in the history (bounce reports, refusals by some of several lists) come to exist together, or not at all.
// Lives on the session's thread; no store::Read is open while something is awaited. Failures: of the store, a 4xx reply
// for all; what was staged is abandoned. See also: content.hpp, acceptance.hpp (the decision), replies.hpp.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/smtp/server_dialog.hpp"
#include "server/inbound/content.hpp"
#include "server/inbound/filters.hpp"
#include "server/inbound/reception.hpp"
#include "server/inbound/replies.hpp"
#include "server/inbound/screening.hpp"
#include "server/inbound/session_log.hpp"
#include "server/inbound/verification.hpp"
#include "server/office/acceptance.hpp"
#include "server/office/returned.hpp"

namespace spoold::server {

class Intake {
 public:
  /// All must live longer.
  Intake(Reception& reception, const Rules& rules, const smtp::ServerDialog& dialog, const Peer& peer,
         const std::shared_ptr<Screening>& screening, const std::unique_ptr<Filters>& filters,
         SessionLog& log, asio::any_io_executor executor);

  std::string& bytes() { return content_.bytes(); }  // what the dialog appends to
  /// A sender is asked for: what was found out belongs to the transaction before.
  void new_sender() {
    verification_.reset();
    asked_lists_ = false;
  }
  /// To be called when the dialog has consumed input: a message begins, goes on, or was given up.
  void follow(smtp::ServerDialog::Action action);
  /// Something is left of a message that was given up. A question of the dialog comes behind it, in the same input.
  bool must_forget() const { return !content_.empty() || staging_failed_.has_value(); }
  /// True: await make_room() before more is read.
  bool is_full();
  Awaitable<> make_room();
  /// The content is complete.
  Awaitable<std::vector<smtp::Reply>> commit();
  /// Ready for the next message.
  void forget();

 private:
  // Whose messages are verified: nobody's; a stranger's; else posts to lists that ask about their author.
  enum class Verifies : std::uint8_t { nothing, all, posts };
  static Verifies verifies(const conf::Smtp& smtp, const smtp::ServerDialog& dialog);

  void verify(smtp::ServerDialog::Action action);
  void verify_post();
  Verification::Means means(bool whole) const;
  std::optional<smtp::Reply> refused_by_policy(const auth::Verified& verified);
  std::optional<smtp::Reply> greylisted(const auth::Verified* verified);
  // What is decided about: what came, or what filters have made of it.
  struct Subject {
    store::ContentSource source;
    std::string_view header;
    mail::Scanned scanned;
    const smtp::Transaction* transaction = nullptr;
    const Filtered* filtered = nullptr;
    store::Id id = 0;
    std::optional<auth::Verified> altered = {};  // what still holds of what was verified
    std::optional<Returned> returned = {};       // of a bounce
  };
  Disposition decide(const Subject& subject, const auth::Verified* verified) const;
  Awaitable<> look_at_returned(Subject& subject);
  Awaitable<std::optional<smtp::Reply>> filter(Subject& subject, const auth::Verified* verified);
  Awaitable<smtp::Reply> discard();
  std::vector<smtp::Reply> refuse_all(const store::Error& error) { return refuse_all(reply_of(error)); }
  std::vector<smtp::Reply> refuse_all(const smtp::Reply& reply);

  Reception& reception_;
  const Rules& rules_;
  const smtp::ServerDialog& dialog_;
  const Peer& peer_;
  const std::shared_ptr<Screening>& screening_;  // of the session; empty: the client is not screened
  const std::unique_ptr<Filters>& filters_;      // of the session; empty: there are none
  SessionLog& log_;
  const asio::any_io_executor executor_;
  Content content_;
  store::Announcement announced_;              // of the job with this content
  std::optional<smtp::Reply> staging_failed_;  // what its end is answered with
  const Verifies verifies_;
  std::shared_ptr<Verification> verification_;
  bool asked_lists_ = false;  // verify_post() was called in this transaction
};

}  // namespace spoold::server
