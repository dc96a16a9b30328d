// FILTER of spoolctl: which messages, and which of their recipients. Goes over the control socket as JSON.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"
#include "server/admin/json.hpp"
#include "store/spool/types.hpp"

namespace spoold::server::admin {

/// "active" for a queued or deferred recipient that a claim covers, else the state's name.
std::string state_text(const store::Recipient&);

struct Filter {
  std::vector<store::Id> ids;
  std::string recipient, sender, list, destination;  // globs, but for list; empty: any
  std::vector<std::string> states;
  std::optional<Duration> older;
  bool all = false;

  /// Nothing was asked for: a changing verb refuses that (--all says it in words).
  bool empty() const {
    return ids.empty() && recipient.empty() && sender.empty() && list.empty() && destination.empty() &&
           states.empty() && !older && !all;
  }
  /// It may choose some recipients of a message and not others.
  bool narrows_recipients() const { return !recipient.empty() || !destination.empty() || !states.empty(); }

  bool matches(const store::Message&, TimePoint now) const;
  bool matches(const store::Recipient&, const conf::Settings&) const;
};

Json to_json(const Filter&);
/// Throws Json::exception or std::invalid_argument with what is wrong: a peer's request is not to be trusted.
Filter filter_from_json(const Json&);

/// The recipient states of the contract, in its order.
const std::vector<std::string>& recipient_states();

}  // namespace spoold::server::admin
