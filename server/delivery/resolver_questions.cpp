// Single questions to the Resolver: each with its own limit of time.
#include <unbound.h>

#include "server/delivery/resolver_parts.hpp"
#include "server/unbound.hpp"

namespace spoold::server {

void Resolver::ask(dns::Question question, Clock::time_point until, GotAnswer answered) {
  auto single = std::make_shared<Single>(std::move(question), std::move(answered));
  asio::post(io_, [this, alive = alive_, single = std::move(single), until] {
    if (*alive && !stopped_) begin(single, until);
  });
}

void Resolver::begin(const std::shared_ptr<Single>& single, Clock::time_point until) {
  dns::Answer none;
  if (until <= Clock::now()) {
    none.status = dns::Answer::Status::timeout;
    none.why = "no answer in time";
    return single->answered(std::move(none));
  }
  if (singles_.size() >= most_questions) {
    none.why = "too many questions are open";
    return single->answered(std::move(none));
  }
  follow_resolv_conf();
  int error = UB_INITFAIL;
  if (open()) {
    auto asked = std::make_unique<Asked>(Asked{this, {}, single, single->question});
    error = ub_resolve_async(context_, unbound::name_text(single->question.name).c_str(),
                             static_cast<int>(single->question.type), 1, asked.get(), &Resolver::came,
                             &single->id);
    if (error == 0) single->asked = asked.release();
  }
  if (error != 0) {
    none.why = fault_.empty() ? ub_strerror(error) : fault_;
    return single->answered(std::move(none));
  }
  single->place = singles_.emplace(until, single);
  set_timer();
}

void Resolver::finish(const std::shared_ptr<Single>& single, dns::Answer answer) {
  if (!single->answered) return;  // given up meanwhile
  const GotAnswer answered = std::exchange(single->answered, nullptr);
  singles_.erase(single->place);
  answered(std::move(answer));
}

void Resolver::give_up_questions(Clock::time_point now) {
  while (!singles_.empty() && singles_.begin()->first <= now) {
    const std::shared_ptr<Single> late = singles_.begin()->second;
    if (late->asked != nullptr) {
      ub_cancel(context_, late->id);
      delete std::exchange(late->asked, nullptr);
    }
    dns::Answer answer;
    answer.status = dns::Answer::Status::timeout;
    answer.why = "no answer in time";
    finish(late, std::move(answer));
  }
}

// The context is about to be deleted.
void Resolver::forget_questions() {
  for (const auto& [until, single] : singles_) {
    if (single->asked == nullptr) continue;
    ub_cancel(context_, single->id);
    delete single->asked;
  }
  singles_.clear();
}

}  // namespace spoold::server
