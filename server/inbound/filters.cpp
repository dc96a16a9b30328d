#include "server/inbound/filters.hpp"

#include <utility>

#include "server/inbound/replies.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

using Got = milter::Conversation::Got;
constexpr std::size_t enough = 64 << 10;  // octets that are sent in one write

std::string path_of(const std::optional<Mailbox>& mailbox) {
  std::string path("<");
  if (mailbox) path += mailbox->text();
  return path += '>';
}

std::string domain_in(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string() : std::string(address.substr(at + 1));
}

}  // namespace

Filters::Filters(Reception& reception, const Rules& rules, const Door& door, const smtp::ServerDialog& dialog,
                 const Peer& peer, SessionLog& log, asio::any_io_executor executor)
    : reception_(reception),
      rules_(rules),
      dialog_(dialog),
      peer_(peer),
      log_(log),
      executor_(std::move(executor)) {
  for (const conf::Milter& one : rules.settings->milters)
    slots_.push_back(std::make_unique<Slot>(one, executor_));
  const auto at = static_cast<std::size_t>(&door - rules.doors.data());
  macros_.set("daemon_name", rules.settings->listen.at(at).text);
  set_client();
}

void Filters::set_client() {
  const bool known = !peer_.unix_socket && !peer_.hidden;
  client_.name = known ? peer_.literal() : "localhost";
  if (known) {
    client_.family = peer_.address.is_v6() ? '6' : '4';
    client_.port = peer_.port;
    client_.address = peer_.host;
    macros_.set("client_addr", peer_.host);
    macros_.set("client_port", std::to_string(peer_.port));
  }
  macros_.set("client_name", client_.name);
  macros_.set("_", client_.name);
  macros_.set("j", rules_.settings->hostname);
  macros_.set("v", "spoold");
}

void Filters::note(const Slot& slot, const std::string& what) const {
  const std::string client = peer_.text();
  log::event(
      log::Level::warning, "milter",
      {{"milter", slot.filter.settings().text}, {"from", sender_}, {"reply", what}, {"client", client}});
}

// The filter has no say in the rest of this message.
Filters::Refusal Filters::trouble(Slot& slot) {
  using When = conf::Milter::WhenAway;
  slot.away = true;
  ++reception_.stats.milter_troubles;
  const When when = slot.filter.settings().when_away;
  if (when == When::tempfail)
    refused_ = smtp::Reply{451, {4, 7, 1}, "a filter of this server is not available; try again later"};
  if (when == When::reject)
    refused_ = smtp::Reply{550, {5, 7, 1}, "a filter of this server is not available"};
  if (refused_) ++reception_.stats.refused;
  if (!closed_)
    note(slot,
         slot.filter.trouble() + "; " + (refused_ ? refused_->oneline() : "it goes on without the filter"));
  return refused_;
}

Filters::Refusal Filters::by_filter(const smtp::Reply& reply, std::string_view to) {
  ++reception_.stats.milter_refused;
  log_.refused(sender_, to, reply);
  return reply;
}

// Nothing more is asked of it about this message, or this recipient.
bool Filters::decided(const Slot& slot) {
  const milter::Conversation& conversation = slot.filter.conversation();
  return conversation.refusal().has_value() || conversation.discards() || !conversation.wants_end();
}

Awaitable<bool> Filters::greet(Slot& slot) {
  Filter& filter = slot.filter;
  if (filter.is_open() && !filter.still_usable() && !filter.trouble().empty())
    note(slot, filter.trouble() + "; a new connection is made");
  if (filter.is_open()) {
    filter.conversation().abort(filter.out());
  } else {
    slot.greeted = false;
    slot.client_refused.reset();
    slot.hello_refused.reset();
    const bool opened = co_await filter.open();
    if (!opened) co_return false;
    const bool answer = filter.conversation().connect(client_, macros_, filter.out());
    const bool told = co_await filter.exchange(answer, "connect");
    if (!told) co_return false;
    slot.client_refused = filter.conversation().refusal();
  }
  if (slot.client_refused) co_return true;
  if (slot.greeted && slot.hello == dialog_.hello() && slot.tls == dialog_.tls()) co_return true;
  slot.greeted = true;
  slot.hello = dialog_.hello();
  slot.tls = dialog_.tls();
  const bool answer = filter.conversation().helo(dialog_.hello(), macros_, filter.out());
  const bool told = co_await filter.exchange(answer, "HELO");
  if (!told) co_return false;
  slot.hello_refused = filter.conversation().refusal();
  co_return true;
}

Awaitable<Filters::Refusal> Filters::mail(const smtp::MailArgument& mail) {
  filtered_.reset();
  refused_.reset();
  discarded_by_.clear();
  sender_ = mail.reverse_path ? mail.reverse_path->text() : std::string();
  const std::string_view tls = dialog_.tls();
  const auto blank = tls.find(' ');
  macros_.set("tls_version", std::string(tls.substr(0, blank)));
  macros_.set("cipher", blank == tls.npos ? std::string() : std::string(tls.substr(blank + 1)));
  macros_.set("auth_authen", dialog_.user());
  macros_.set("auth_type", dialog_.user().empty() ? std::string() : dialog_.mechanism());
  macros_.set("mail_addr", sender_);
  macros_.set("mail_host", domain_in(sender_));
  macros_.set("i", {});
  std::string parameters;
  if (mail.size != 0) parameters = "SIZE=" + std::to_string(mail.size);
  if (mail.binary)
    parameters += " BODY=BINARYMIME";
  else if (mail.eight_bit)
    parameters += " BODY=8BITMIME";
  if (mail.utf8) parameters += " SMTPUTF8";
  if (mail.require_tls) parameters += " REQUIRETLS";
  smtp::append_parameters(parameters, mail.dsn);
  const std::string path = path_of(mail.reverse_path);
  for (const auto& slot : slots_) {
    slot->away = false;
    slot->filter.begin_message();
  }
  for (const auto& slot : slots_) {
    if (!discarded_by_.empty()) break;
    Filter& filter = slot->filter;
    bool told = co_await greet(*slot);
    if (told) {
      if (slot->client_refused) co_return by_filter(*slot->client_refused);
      if (slot->hello_refused) co_return by_filter(*slot->hello_refused);
      const bool answer = filter.conversation().mail(path, parameters, macros_, filter.out());
      told = co_await filter.exchange(answer, "MAIL");
    }
    filter.rest();
    if (!told) {
      if (Refusal refusal = trouble(*slot)) co_return refusal;
      continue;
    }
    if (filter.conversation().refusal()) co_return by_filter(*filter.conversation().refusal());
    if (filter.conversation().discards()) discarded_by_ = filter.settings().text;
  }
  co_return Refusal();
}

Awaitable<Filters::Refusal> Filters::rcpt(const smtp::RcptArgument& rcpt) {
  if (refused_) co_return refused_;
  const std::string address = rcpt.forward_path ? rcpt.forward_path->text() : "postmaster";
  macros_.set("rcpt_addr", address);
  macros_.set("rcpt_host", domain_in(address));
  std::string parameters;
  smtp::append_parameters(parameters, rcpt.dsn);
  const std::string path = "<" + address + ">";
  for (const auto& slot : slots_) {
    if (!discarded_by_.empty()) break;
    if (silent(*slot)) continue;
    Filter& filter = slot->filter;
    const bool answer = filter.conversation().rcpt(path, parameters, macros_, filter.out());
    const bool told = co_await filter.exchange(answer, "RCPT");
    filter.rest();
    if (!told) {
      if (Refusal refusal = trouble(*slot)) co_return refusal;
      continue;
    }
    if (filter.conversation().refusal()) co_return by_filter(*filter.conversation().refusal(), address);
    if (filter.conversation().discards()) discarded_by_ = filter.settings().text;
  }
  co_return Refusal();
}

Awaitable<bool> Filters::send_body(Slot& slot) {
  Filter& filter = slot.filter;
  for (std::uint64_t at = 0; filter.conversation().wants_body();) {
    const std::string chunk = filtered_->body(at, milter::body_chunk);
    if (chunk.empty()) break;
    at += chunk.size();
    const bool answer = filter.conversation().body(chunk, filter.out());
    const bool told = co_await filter.exchange(answer, "body");
    if (!told) co_return false;
    if (decided(slot)) break;
  }
  co_return true;
}

// A new body comes in pieces, for which the answer's time begins anew.
Awaitable<bool> Filters::end_message(Slot& slot) {
  Filter& filter = slot.filter;
  constexpr const char* step = "end of data";
  if (!filter.conversation().end(macros_, filter.out())) co_return true;
  const bool sent = co_await filter.send(step);
  if (!sent) co_return false;
  for (;;) {
    filter.begin_wait();
    std::optional<Got> got = co_await filter.hear(step);
    while (got == Got::more && !filter.conversation().new_body()) got = co_await filter.hear(step);
    filter.end_wait();
    if (!got) co_return false;
    std::string piece = filter.conversation().take_body();
    if (!piece.empty()) {
      store::Result<void> room = co_await filtered_->replace(std::move(piece));
      if (!room) {
        refused_ = reply_of(room.error());
        co_return true;
      }
    }
    if (got == Got::answered) co_return true;
  }
}

Awaitable<bool> Filters::send_message(Slot& slot) {
  Filter& filter = slot.filter;
  milter::Conversation& conversation = filter.conversation();
  bool answer = conversation.data(macros_, filter.out());
  bool told = co_await filter.exchange(answer, "DATA");
  if (!told || decided(slot)) co_return told;
  for (const milter::EditedHeader::Line& line : filtered_->header().lines()) {
    answer = conversation.field(line.field, filter.out());
    if (!answer && filter.out().size() < enough) continue;
    told = co_await filter.exchange(answer, "header");
    if (!told || decided(slot)) co_return told;
  }
  answer = conversation.end_of_header(macros_, filter.out());
  told = co_await filter.exchange(answer, "end of header");
  if (!told || decided(slot)) co_return told;
  told = co_await send_body(slot);
  if (!told || decided(slot)) co_return told;
  told = co_await end_message(slot);
  co_return told;
}

Awaitable<Filters::Refusal> Filters::changes_of(Slot& slot) {
  auto applied = co_await filtered_->apply(slot.filter.conversation());
  if (applied) {
    if (*applied) co_return by_filter(**applied);
    co_return Refusal();
  }
  slot.filter.fail("end of data", applied.error().why);
  filtered_->forget_body();
  co_return trouble(slot);
}

Awaitable<Filters::Refusal> Filters::content(store::Id id, const store::ContentSource& source,
                                             std::string_view header, const mail::Scanned& scanned,
                                             Filtered::Unwanted unwanted) {
  if (refused_ || !discarded_by_.empty()) co_return refused_;
  auto fields = mail::Header::scan(header.substr(0, static_cast<std::size_t>(scanned.header_size)));
  if (!fields) co_return Refusal();  // refused by dispose(), too
  const auto begin = [&] {
    filtered_ =
        std::make_unique<Filtered>(reception_, rules_, dialog_.transaction(), source, *fields, executor_);
  };
  begin();
  macros_.set("i", store::id_text(id));
  Slot* last = nullptr;  // that changed the octets
  for (const auto& slot : slots_) {
    if (silent(*slot) || !slot->filter.conversation().wants_end()) continue;
    slot->filter.content(source.size);
    const bool told = co_await send_message(*slot);
    slot->filter.rest();
    if (refused_) co_return refused_;
    if (!told) {
      filtered_->forget_body();
      if (Refusal refusal = trouble(*slot)) co_return refusal;
      continue;
    }
    milter::Conversation& conversation = slot->filter.conversation();
    if (conversation.refusal()) co_return by_filter(*conversation.refusal());
    if (conversation.discards()) {
      discarded_by_ = slot->filter.settings().text;
      co_return Refusal();
    }
    Refusal refusal = co_await changes_of(*slot);
    if (refusal) co_return refusal;
    if (!silent(*slot) && (conversation.new_body() || !conversation.edits().empty())) last = slot.get();
  }
  if (!filtered_->changed()) co_return Refusal();
  auto made = co_await filtered_->make(unwanted);
  if (made) {
    if (*made) co_return reply_of(**made);
    co_return Refusal();
  }
  last->filter.fail("end of data", made.error().why);
  begin();
  co_return trouble(*last);
}

void Filters::forget() {
  filtered_.reset();
}

void Filters::close() {
  closed_ = true;
  for (const auto& slot : slots_) slot->filter.close();
}

}  // namespace spoold::server
