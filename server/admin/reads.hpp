// The reading verbs of spoolctl: from the store, with or without a daemon, in pages (scan.hpp). Rows are JSON
// of the contract (views.hpp); print.hpp makes tables of them.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "conf/settings.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/verp.hpp"
#include "server/admin/filter.hpp"
#include "server/admin/json.hpp"
#include "server/admin/scan.hpp"
#include "store/spool/held_post.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

using RowSink = std::function<void(Json)>;

class Reads {
 public:
  Reads(const store::Store& store, const conf::Settings& settings, list::Hmac hmac,
        BetweenPages between = go_on)
      : store_(store),
        settings_(settings),
        hmac_(std::move(hmac)),
        between_(between),
        scan_(store, between) {}

  /// A row a message: message_json, with "recipients" (counts), "age" (seconds), "next_attempt",
  /// "last_error".
  void queue(const Filter&, const RowSink&) const;
  /// Totals by "destination" (route) or "list".
  Json queue_by(const Filter&, const std::string& what) const;
  std::optional<store::Message> message(store::Id) const;
  /// recipient_json of every recipient, in number order.
  void recipients(const store::Message&, const RowSink&) const;
  /// The octets as they go out, in slices.
  void content(const store::Message&, const std::function<void(const std::string&)>&) const;
  /// What happened to an address, a queue id or a Message-ID, oldest first.
  void trace(const std::string& what, const RowSink&) const;

  void lists(const RowSink&) const;
  void users(const RowSink&) const;
  void persons(const RowSink&) const;
  std::optional<Json> person(const std::string& address) const;  // who has it
  std::optional<list::List> list(const std::string& address) const;
  void members(const list::List&, const std::function<void(const list::Member&)>&) const;
  /// What a post to the list meets, by the rules that decide on arrival. `reverse_path`: Mailbox text; empty: <>.
  list::Judgement judge(const list::List&, const mail::Header&, std::string_view reverse_path,
                        std::uint64_t size) const;
  std::optional<list::Member> member(const list::List&, const std::string& address) const;
  /// What is asked of lists and waits for an answer, of one list or of all (0): {"list", "address", "name", "request", "waits_for":
  /// "member" | "owners", "since", "until"}. join_requests.cpp
  void requests(list::ListId, const RowSink&) const;
  /// What a mail to an address of a list would do: an object each, {"command", "address", "outcome", "reason"}; nothing: it is no such
  /// address. join_requests.cpp
  std::optional<std::vector<Json>> commands(const std::string& address, const mail::Header&,
                                            std::string_view mail, std::string_view reverse_path) const;
  /// The reverse path of a member's copy of a post that arrives now.
  std::string envelope_sender(const list::List&, std::uint32_t post, const list::Member&) const;
  /// protocol/list/leave_token.hpp
  std::string leave_url(const list::List&, const list::Member&) const;

  /// A row for each member of the list with a bounce score, in domain order, or for the one with this address key (empty: all):
  /// {"address", "score", "threshold", "state": counted | probed | disabled, "counted" and "led": [{"at", "cause", "points"}],
  /// "warnings", "disabled", "next": when something is due, "last", "cause"}. bounce_requests.cpp
  void scores(const list::List&, const std::string& address, const RowSink&) const;
  /// What the history knows of their failures, oldest first: history_json.
  void bounces(const list::List&, const std::string& address, const RowSink&) const;

  /// A row for each post that waits for a moderator (held_json), by list and number; list 0: of all. held_reads.cpp
  void held(list::ListId, const RowSink&) const;
  std::optional<store::HeldPost> held_post(store::Id) const;
  /// "accepted by anne at ...", of a held post that does not wait any more; empty: it waits, or is unknown.
  std::string decision(store::Id) const;
  /// What happened to a post that is or was held.
  void trace_held(store::Id, const RowSink&) const;
  /// The octets as they came, in slices.
  void content(const store::HeldPost&, const std::function<void(const std::string&)>&) const;

  /// The invariants of the store, in pages: {"ok", "messages", ..., "problems": [...]}; and what the request
  /// "repair" can mend of it: {"messages": [...], "contents": [...], "lists": [...]}.
  struct Checked {
    Json report, repairable;
  };
  Checked check() const;

 private:
  const store::Store& store_;
  const conf::Settings& settings_;
  list::Hmac hmac_;
  const BetweenPages between_;
  const Scan scan_;
};

}  // namespace spoold::server::admin
