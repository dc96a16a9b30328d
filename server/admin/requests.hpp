// The requests of operator.hpp, one function each. They throw Json::exception or std::invalid_argument for a
// malformed request; Operator turns that into an answer.
#pragma once
#include <string>
#include <vector>

#include "server/admin/operator.hpp"

namespace spoold::server::admin {

struct Request {
  store::Store& store;
  const conf::Settings& settings;
  Lanes& lanes;
  const Stats* stats;
  const Json& json;
  const std::string& who;
  bool dry_run;
  const std::atomic<bool>& stopping;  // the daemon is about to end: no further message is begun
  BetweenPages between = go_on;

  std::string text(const char* name) const { return json.at(name).get<std::string>(); }
  std::vector<std::string> texts(const char* name) const {
    return json.contains(name) ? json.at(name).get<std::vector<std::string>>() : std::vector<std::string>{};
  }
};

/// {"ok":true,"exit":0} and "dry_run" when it is one.
Json success(const Request&);
/// Logs event=edited. (The line of history is part of the change that the store makes.)
void audit(const Request&, const std::string& detail);

/// For a request over many messages or recipients that ends early because the daemon does.
store::Error stopped_at(const std::string& what_was_done);

// queue_requests.cpp
Json edit_recipients(const Request&);
Json edit_sender(const Request&);
Json stats(const Request&);

// repair_request.cpp
Json repair(const Request&);

// filter_requests.cpp
Json change_matching(const Request&);  // hold release retry remove bounce

// destinations.cpp
Json destinations(const Request&);  // what lanes say; changes nothing
Json wake(const Request&);

// post_request.cpp
Json post(const Request&);

// resend_request.cpp
Json resend(const Request&);

// digest_request.cpp
Json digest(const Request&);

// list_requests.cpp
Json list_create(const Request&);
Json list_set(const Request&);
Json list_remove(const Request&);
Json member_add(const Request&);
Json member_remove(const Request&);
Json member_set(const Request&);
Json member_move(const Request&);
Json member_decide(const Request&);  // accept, refuse who asks to join: join_requests.cpp
Json import_members(const Request&);

// address_requests.cpp
Json address_add(const Request&);
Json address_remove(const Request&);
Json address_set(const Request&);

// user_requests.cpp
Json user_add(const Request&);
Json user_set(const Request&);  // addresses, the password
Json user_remove(const Request&);

// moderation_requests.cpp
Json held_accept(const Request&);
Json held_reject(const Request&);
Json held_discard(const Request&);
Json held_forward(const Request&);

// bounce_requests.cpp
Json bounces_undo(const Request&);

}  // namespace spoold::server::admin
