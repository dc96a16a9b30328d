// The filters of a session ([[milter]]), asked one after the other: about the client, its name, the sender and each recipient when
// these are accepted here, and about the content once all of it has come.
//
// Nothing is asked before the first MAIL: whoever only connects costs no connection of a filter. Then the filter hears of connect and
// helo, and their refusals answer MAIL. The content is sent when it is complete, from memory or read back from the store in pieces: so a
// filter holds up nobody but its own client. Changes are collected, and made by Filtered once all filters have accepted the message.
//
// Guarantees: lives on the session's thread; no store::Read is open while something is awaited. The first filter that refuses or
// discards decides. State is fresh at each mail(). A filter that is away or in trouble is answered for by `when_away`, with one line
// of the log for a message; its connection is not used again. Failures: of the store, a 4xx reply. See also: filter.hpp (one connection),
// filtered.hpp (what is made of the changes), protocol/milter/conversation.hpp.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/milter/macros.hpp"
#include "protocol/smtp/server_dialog.hpp"
#include "server/inbound/filter.hpp"
#include "server/inbound/filtered.hpp"
#include "server/inbound/peer.hpp"
#include "server/inbound/reception.hpp"
#include "server/inbound/session_log.hpp"

namespace spoold::server {

class Filters {
 public:
  /// All must live longer.
  Filters(Reception& reception, const Rules& rules, const Door& door, const smtp::ServerDialog& dialog,
          const Peer& peer, SessionLog& log, asio::any_io_executor executor);

  /// There are filters, and this listener's sessions are filtered: those of SMTP and of submission.
  static bool asked(const conf::Settings& settings, const Door& door) {
    return !settings.milters.empty() && !door.profile.lmtp;
  }

  // The reply that refuses it; nothing: all filters accept it.
  Awaitable<std::optional<smtp::Reply>> mail(const smtp::MailArgument& mail);
  Awaitable<std::optional<smtp::Reply>> rcpt(const smtp::RcptArgument& rcpt);
  /// The message is complete. `id`: the one it gets. `header`: the begin of the content, at least its header block.
  /// `unwanted`: received fields that do not stay where the header is written anew.
  Awaitable<std::optional<smtp::Reply>> content(store::Id id, const store::ContentSource& source,
                                                std::string_view header, const mail::Scanned& scanned,
                                                Filtered::Unwanted unwanted);
  /// What they have made of it, after content() that refused nothing; nullptr: they have not seen it.
  Filtered* filtered() { return filtered_.get(); }
  /// The address of the filter that discards it, else empty.
  const std::string& discarded_by() const { return discarded_by_; }

  /// The message was accepted or not: what was made of it is not needed any more.
  void forget();
  void close();  // what is waited for ends at once

 private:
  struct Slot {
    Slot(const conf::Milter& settings, const asio::any_io_executor& executor) : filter(settings, executor) {}
    Filter filter;
    bool away = false;       // for the rest of this message
    std::string hello, tls;  // of the client, as the last HELO to the filter had them
    bool greeted = false;    // the filter had a HELO on this connection
    std::optional<smtp::Reply> client_refused, hello_refused;
  };
  using Refusal = std::optional<smtp::Reply>;

  Awaitable<bool> greet(Slot& slot);
  Awaitable<bool> send_message(Slot& slot);
  Awaitable<bool> send_body(Slot& slot);
  Awaitable<bool> end_message(Slot& slot);
  Awaitable<Refusal> changes_of(Slot& slot);
  Refusal trouble(Slot& slot);
  Refusal by_filter(const smtp::Reply& reply, std::string_view to = {});
  void note(const Slot& slot, const std::string& what) const;
  static bool decided(const Slot& slot);
  void set_client();
  bool silent(const Slot& slot) const { return slot.away || !slot.filter.is_open(); }

  Reception& reception_;
  const Rules& rules_;
  const smtp::ServerDialog& dialog_;
  const Peer& peer_;
  SessionLog& log_;
  const asio::any_io_executor executor_;
  std::vector<std::unique_ptr<Slot>> slots_;
  milter::Macros macros_;
  milter::Client client_;
  Refusal refused_;  // the rest of the transaction
  std::string discarded_by_, sender_;
  std::unique_ptr<Filtered> filtered_;
  bool closed_ = false;
};

}  // namespace spoold::server
