#include "server/inbound/filtered.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/smtp/command.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t piece_size = 64 << 10;

/// Of a path with its angle brackets.
std::string_view address_in(std::string_view path) {
  if (path.starts_with('<')) path.remove_prefix(1);
  if (path.ends_with('>')) path.remove_suffix(1);
  return path;
}

struct EnvelopeEdits {
  std::optional<smtp::Transaction> changed;
  std::optional<smtp::Reply> refusal;
  std::string fault;
};

// All of them, or a refusal or a fault: nobody gets half of what a filter asked for.
EnvelopeEdits edited(const smtp::Transaction& transaction, const std::vector<milter::Edit>& edits,
                     const AddressBook& addresses, const store::Store& store) {
  using What = milter::Edit::What;
  EnvelopeEdits made;
  const auto of_envelope = [](const milter::Edit& edit) {
    return edit.what == What::sender || edit.what == What::add_recipient ||
           edit.what == What::remove_recipient;
  };
  if (std::ranges::none_of(edits, of_envelope)) return made;
  smtp::Transaction envelope = transaction;
  // Whether addresses may be UTF-8 was said at MAIL.
  const smtp::PathRules rules{.auth = true, .utf8 = transaction.utf8};
  const store::Read read(store);
  for (const milter::Edit& edit : edits) {
    const std::string words = edit.value.empty() ? edit.name : edit.name + " " + edit.value;
    if (edit.what == What::sender) {
      const auto mail = smtp::parse_mail("FROM:" + words + (transaction.utf8 ? " SMTPUTF8" : ""), rules);
      if (!mail) {
        made.fault = "a sender that is none: " + mail.error().oneline();
        return made;
      }
      envelope.reverse_path = mail->reverse_path ? mail->reverse_path->text() : std::string();
      if (mail->dsn.given()) envelope.dsn = mail->dsn;
    } else if (edit.what == What::remove_recipient) {
      const std::string_view address = address_in(edit.name);
      std::erase_if(envelope.recipients,
                    [&](const smtp::Recipient& one) { return mail::same(one.address, address); });
    } else if (edit.what == What::add_recipient) {
      const auto rcpt = smtp::parse_rcpt("TO:" + words, rules);
      if (!rcpt) {
        made.fault = "a recipient that is none: " + rcpt.error().oneline();
        return made;
      }
      auto found = addresses.look_up(read, rcpt->forward_path, envelope, true, store.now());
      if (!found) {
        made.refusal = found.error();
        made.refusal->text =
            "a filter of this server adds the recipient " + edit.name + ": " + found.error().text;
        return made;
      }
      const auto there = std::ranges::find_if(envelope.recipients, [&](const smtp::Recipient& one) {
        return mail::same(one.address, found->address);
      });
      if (there != envelope.recipients.end()) continue;
      found->dsn = rcpt->dsn;
      envelope.recipients.push_back(*std::move(found));
    }
  }
  made.changed = std::move(envelope);
  return made;
}

}  // namespace

Filtered::Filtered(Reception& reception, const Rules& rules, const smtp::Transaction& transaction,
                   const store::ContentSource& source, mail::Header header, asio::any_io_executor executor)
    : reception_(reception),
      rules_(rules),
      transaction_(transaction),
      executor_(std::move(executor)),
      received_(std::move(header)),
      edited_(std::make_unique<milter::EditedHeader>(received_)),
      body_(source),
      from_(received_.end()) {}

smtp::DataLimits Filtered::limits() const {
  smtp::DataLimits limits;
  limits.size = rules_.settings->smtp.max_message_size + (1u << 20);  // with what filters add
  return limits;
}

std::unique_ptr<Content> Filtered::new_content() const {
  return std::make_unique<Content>(reception_.store, executor_, reception_.memory);
}

std::string Filtered::body(std::uint64_t at, std::size_t most) const {
  at += from_;
  if (at >= body_.size) return {};
  most = static_cast<std::size_t>(std::min<std::uint64_t>(most, body_.size - at));
  if (body_.bytes) return body_.bytes->substr(static_cast<std::size_t>(at), most);
  const store::Read read(reception_.store);
  return store::spool::content(read, body_.staged, at, most);
}

// Behind a blank line of its own, so that no line of it is taken for a header.
Awaitable<store::Result<void>> Filtered::replace(std::string octets) {
  if (!arriving_) {
    arriving_ = std::make_unique<Arriving>(new_content(), limits());
    std::string blank;
    arriving_->reader.read("\r\n", blank);
  }
  Content& content = *arriving_->content;
  arriving_->reader.read(octets, content.bytes());
  if (!content.full(0)) co_return store::Result<void>();
  store::Result<void> room = co_await content.room(0);
  co_return room;
}

Awaitable<tl::expected<std::optional<smtp::Reply>, Filtered::Fault>> Filtered::apply(
    const milter::Conversation& done) {
  using Answer = tl::expected<std::optional<smtp::Reply>, Fault>;
  EnvelopeEdits envelope = edited(transaction(), done.edits(), rules_.addresses, reception_.store);
  if (!envelope.fault.empty()) co_return Answer(tl::unexpected<Fault>(Fault{envelope.fault}));
  if (envelope.refusal) co_return Answer(std::move(envelope.refusal));
  if (done.new_body()) {
    if (!arriving_) {
      std::string nothing;
      co_await replace(std::move(nothing));
    }
    smtp::DataReader& reader = arriving_->reader;
    reader.finish(arriving_->content->bytes());
    if (reader.refused())
      co_return Answer(
          tl::unexpected<Fault>(Fault{"a new body that is refused: " + reader.refusal().oneline()}));
    store::Result<store::ContentSource> finished = co_await arriving_->content->finish(reader.size() - 2);
    if (!finished) co_return Answer(reply_of(finished.error()));
    body_ = *std::move(finished);
    from_ = 0;
    replaced_ = std::move(arriving_->content);
    arriving_.reset();
    body_changed_ = true;
  }
  std::size_t turn =
      0;  // an edit looks at up to 4,096 fields: the thread's other sessions have theirs between
  for (const milter::Edit& edit : done.edits()) {
    if (edited_->apply(edit)) header_changed_ = true;
    if (++turn % 50 == 0) co_await asio::post(executor_, use);
  }
  if (envelope.changed) changed_envelope_ = std::move(envelope.changed);
  if (done.quarantine()) quarantine_ = "milter: " + *done.quarantine();
  co_return Answer(std::optional<smtp::Reply>());
}

Awaitable<tl::expected<std::optional<store::Error>, Filtered::Fault>> Filtered::make(Unwanted unwanted) {
  using Answer = tl::expected<std::optional<store::Error>, Fault>;
  made_ = new_content();
  using Framing = smtp::DataReader::Framing;
  smtp::DataReader reader(limits(), transaction_.binary ? Framing::binary : Framing::chunks);
  const std::string& hostname = rules_.settings->hostname;
  std::string piece = edited_->text(
      [&](const mail::Field& field) { return unwanted != nullptr && unwanted(field, hostname); });
  for (std::uint64_t at = 0;;) {
    reader.read(piece, made_->bytes());
    piece = body(at, piece_size);
    if (piece.empty()) reader.finish(made_->bytes());
    if (reader.refused())
      co_return Answer(
          tl::unexpected<Fault>(Fault{"a message that is refused: " + reader.refusal().oneline()}));
    if (piece.empty()) break;
    at += piece.size();
    if (!made_->full(reader.header_size())) continue;
    store::Result<void> room = co_await made_->room(reader.header_size());
    if (!room) co_return Answer(room.error());
  }
  store::Result<store::ContentSource> finished = co_await made_->finish(reader.size());
  if (!finished) co_return Answer(finished.error());
  source_ = *std::move(finished);
  scanned_ = reader.scanned();
  co_return Answer(std::optional<store::Error>());
}

}  // namespace spoold::server
