// A message as filters leave it: its header, its body and its envelope while they change them, and the content that is made of these in
// the end.
//
// Guarantees: the changes of a filter are made when it has accepted the message, all or none. What is made is judged by the rules for
// content that comes from outside (smtp::DataReader): what they refuse is a fault of the filters. A message that nobody changes is not
// copied. A body that a filter replaces is in memory or staged in the store, as content that arrives is. An added recipient is
// looked up as one that a client of a trusted network names; one who is unknown here refuses the message. Lives on the session's thread; no
// store::Read is open while something is awaited.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/milter/conversation.hpp"
#include "protocol/smtp/transaction.hpp"
#include "server/inbound/content.hpp"
#include "server/inbound/reception.hpp"
#include "server/inbound/replies.hpp"

namespace spoold::server {

class Filtered {
 public:
  /// All must live longer. `header`: scanned from the begin of `source`.
  Filtered(Reception& reception, const Rules& rules, const smtp::Transaction& transaction,
           const store::ContentSource& source, mail::Header header, asio::any_io_executor executor);

  const mail::Header& received() const { return received_; }
  const milter::EditedHeader& header() const { return *edited_; }
  /// Octets of the body, from this place on.
  std::string body(std::uint64_t at, std::size_t most) const;

  /// A piece of a new body, as it comes.
  Awaitable<store::Result<void>> replace(std::string octets);
  /// The filter is in trouble, or refuses: its new body is forgotten.
  void forget_body() { arriving_.reset(); }

  struct Fault {
    std::string why;
  };
  /// What the filter asked for when it accepted the message. A Fault: nothing was done; a Reply: the message is refused.
  Awaitable<tl::expected<std::optional<smtp::Reply>, Fault>> apply(const milter::Conversation& done);

  /// Why it is to be held; empty: it is not.
  const std::string& quarantined() const { return quarantine_; }

  /// The octets are others than those that came.
  bool changed() const { return header_changed_ || body_changed_; }
  bool body_changed() const { return body_changed_; }
  /// Makes the content; once, of a message that is changed(). `unwanted`: received fields that do not stay.
  using Unwanted = bool (*)(const mail::Field&, std::string_view hostname);
  Awaitable<tl::expected<std::optional<store::Error>, Fault>> make(Unwanted unwanted);
  const store::ContentSource& source() const { return source_; }
  std::string_view bytes() const { return made_->header(source_); }  // at least the header block
  const mail::Scanned& scanned() const { return scanned_; }
  void accepted() { made_->accepted(); }

  const smtp::Transaction& transaction() const {
    return changed_envelope_ ? *changed_envelope_ : transaction_;
  }

 private:
  std::unique_ptr<Content> new_content() const;
  smtp::DataLimits limits() const;

  Reception& reception_;
  const Rules& rules_;
  const smtp::Transaction& transaction_;
  const asio::any_io_executor executor_;
  const mail::Header received_;
  std::unique_ptr<milter::EditedHeader> edited_;
  bool header_changed_ = false, body_changed_ = false;
  store::ContentSource body_;  // its octets from from_ on are the body
  std::uint64_t from_ = 0;
  struct Arriving {
    Arriving(std::unique_ptr<Content> where, smtp::DataLimits limits)
        : content(std::move(where)), reader(limits, smtp::DataReader::Framing::chunks) {}
    std::unique_ptr<Content> content;
    smtp::DataReader reader;
  };
  std::unique_ptr<Arriving> arriving_;  // a new body
  std::unique_ptr<Content> replaced_;   // the one that body_ names
  std::unique_ptr<Content> made_;
  store::ContentSource source_;
  mail::Scanned scanned_;
  std::optional<smtp::Transaction> changed_envelope_;
  std::string quarantine_;
};

}  // namespace spoold::server
