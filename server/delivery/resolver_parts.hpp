// What the Resolver keeps of a resolution and of a question. Included by resolver.cpp and resolver_questions.cpp only.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/delivery/resolver.hpp"

namespace spoold::server {

struct Resolver::Running {
  Running(dns::Resolution::Options options, Answered callback)
      : name(options.name), machine(std::move(options)), answered(std::move(callback)) {}
  const std::string name;
  dns::Resolution machine;
  Answered answered;
  Clock::time_point started;
  bool slow = false;
  std::map<dns::Question, std::pair<int, Asked*>> asked;  // not yet answered
};

/// One question of ask().
struct Resolver::Single {
  Single(dns::Question what, GotAnswer callback) : question(std::move(what)), answered(std::move(callback)) {}
  const dns::Question question;
  GotAnswer answered;  // empty: called
  int id = 0;
  Asked* asked = nullptr;  // libunbound has it
  std::multimap<Clock::time_point, std::shared_ptr<Single>>::iterator place;
};

/// What libunbound carries for us from a question to its answer.
struct Resolver::Asked {
  Resolver* resolver;
  std::shared_ptr<Running> running;  // or:
  std::shared_ptr<Single> single;
  dns::Question question;
};

}  // namespace spoold::server
