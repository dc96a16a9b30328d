#include "server/office/drafts.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "protocol/auth/results.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/domain.hpp"
#include "server/office/signing.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"

namespace spoold::server {
namespace {

std::string cut(std::string text) {
  if (text.size() > 200) text.resize(200);
  return text;
}

// RFC 5321 4.4: what stands behind FROM is a domain or an address literal. A client may call itself anything.
bool host_name(std::string_view hello) {
  return !(hello.starts_with('[') ? mail::address_literal_fault(hello) : mail::mail_domain_fault(hello));
}

// RFC 8314 4.3: the clause `tls` names the cipher suite, behind all others. There is none for the version.
void append_tls(std::string& out, std::string_view tls) {
  const auto space = tls.find(' ');
  if (space == tls.npos) return;
  out.append("\r\n\ttls ")
      .append(tls.substr(space + 1))
      .append(" (")
      .append(tls.substr(0, space))
      .append(")");
}

}  // namespace

std::string client_text(std::string_view hello, std::string_view literal) {
  std::string out;
  out.reserve(hello.size() + literal.size() + 16);
  out = host_name(hello) ? hello : "unknown";
  out.append(" (").append(literal).append(")");
  return out;
}

std::string unique_text(TimePoint at) {
  static std::atomic<std::uint32_t> number{0};
  return std::to_string(at.time_since_epoch().count()) + "." + std::to_string(++number);
}

void put(mail::Outgoing outgoing, store::NewMessage& message) {
  message.message.size = outgoing.size;
  message.message.eight_bit = outgoing.octets.eight_bit;
  message.message.utf8 = message.message.utf8 && outgoing.header_eight_bit;
  message.message.leading_dots = outgoing.octets.leading_dots;
  message.message.personal =
      std::ranges::any_of(outgoing.body, [](const mail::Splice& piece) { return piece.blank != 0; });
  message.head = std::move(outgoing.head);
  message.body = std::move(outgoing.body);
}

const std::string& Drafts::own_id() const {
  if (own_id_.empty()) own_id_ = "<" + unique_text(arrival_.at) + "@" + settings_.hostname + ">";
  return own_id_;
}

std::string Drafts::from() const {
  const mail::Field* field = header_.find("From");
  return field == nullptr ? std::string() : cut(mail::unfolded(field->value));
}

std::string Drafts::subject() const {
  return cut(mail::subject(header_));
}

store::NewMessage Drafts::message() {
  store::NewMessage made;
  // Filters were told the id of the first message.
  made.message.id = arrival_.id != 0 && !std::exchange(id_used_, true) ? arrival_.id : store_.new_id();
  if (!arrival_.quarantine.empty()) made.message.state = store::MessageState::held;
  made.message.arrived = arrival_.at;
  made.message.utf8 = arrival_.transaction.utf8;
  made.message.binary = arrival_.scanned.binary;
  made.message.require_tls = arrival_.transaction.require_tls;
  made.message.from = from();
  made.message.subject = subject();
  made.message.message_id = cut(mail::message_id(header_));
  if (made.message.message_id.empty() && !arrival_.user.empty()) made.message.message_id = own_id();
  return made;
}

std::string Drafts::tail(const store::Read& read, const store::ContentSource& content,
                         std::size_t most) const {
  if (content.bytes)
    return content.bytes->substr(content.bytes->size() - std::min(content.bytes->size(), most));
  const std::uint64_t size = arrival_.scanned.size;
  const store::Id id = content.staged != 0 ? content.staged : content.kept;
  return store::spool::content(read, id, size - std::min<std::uint64_t>(size, most), most);
}

bool Drafts::keeps_from(const mail::Draft& draft) const {
  const mail::Field* came = header_.find("From");
  const mail::Field* goes = draft.find("From");
  return came != nullptr && goes != nullptr && came->raw == goes->raw;
}

void Drafts::sign(store::NewMessage& message, std::string_view author, std::string instance) const {
  if (settings_.dkim_keys.empty()) return;
  if (message.message.list != 0)
    place_signatures(settings_, domain_of(message.message.list_address), message, author,
                     std::move(instance));
  else if (arrival_.may_relay || !arrival_.user.empty())
    place_signatures(settings_, auth::author_domain(header_), message);
}

mail::Draft Drafts::of(const store::NewMessage& message, bool whence) const {
  std::string received;
  received.reserve(512);
  received = "Received: ";
  if (whence) received.append("from ").append(arrival_.client).append("\r\n\t");
  received.append("by ").append(settings_.hostname);
  received.append(" (spoold) with ").append(arrival_.protocol).append(" id ");
  received.append(store::id_text(message.message.id));
  // The field stays ASCII: where the recipient is not, whoever it leads to may be (RFC 6531 3.7.3).
  if (whence && arrival_.transaction.recipients.size() == 1 &&
      mail::is_ascii(arrival_.transaction.recipients.front().address))
    received.append("\r\n\tfor <").append(arrival_.transaction.recipients.front().address).append(">");
  append_tls(received, arrival_.tls);
  received.append("; ").append(rfc5322_date(arrival_.at)).append("\r\n");
  mail::Draft draft(header_, arrival_.scanned);
  draft.prepend(std::move(received));
  // RFC 8601 5: what a stranger says in our name goes. LMTP clients are front ends, which may use our name.
  const bool strange = !arrival_.may_relay && arrival_.one_reply && arrival_.user.empty();
  const bool shown = arrival_.verified != nullptr && !arrival_.verified->handed_over;
  if ((strange || shown) && !arrival_.rewritten)
    draft.remove([&](const mail::Field& field) { return auth::claims(field, settings_.hostname); });
  if (whence && shown) draft.prepend(auth::authentication_results(settings_.hostname, *arrival_.verified));
  if (!arrival_.user.empty()) {
    if (header_.find("Date") == nullptr && message.message.list == 0)
      draft.append("Date: " + rfc5322_date(arrival_.at) + "\r\n");
    if (header_.find("Message-ID") == nullptr && message.message.list == 0)
      draft.append("Message-ID: " + own_id() + "\r\n");
  }
  return draft;
}

}  // namespace spoold::server
