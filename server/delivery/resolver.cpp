#include "server/delivery/resolver.hpp"

#include <unbound.h>

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "server/delivery/resolver_parts.hpp"
#include "server/log.hpp"
#include "server/unbound.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t most_young = 512, most_slow = 3000;
constexpr auto young = std::chrono::seconds(1), time_limit = std::chrono::seconds(60);
constexpr auto lately = std::chrono::hours(6);  // longer than the longest wait of a host's clock
constexpr std::size_t most_failed = 20'000;     // names remembered

std::string version_of(const std::string& file) {
  struct stat found {};
  if (::stat(file.c_str(), &found) != 0) return "none";
  return std::to_string(found.st_ino) + ' ' + std::to_string(found.st_size) + ' ' +
         std::to_string(found.st_mtim.tv_sec) + '.' + std::to_string(found.st_mtim.tv_nsec);
}

}  // namespace

Resolver::Resolver(asio::io_context& io, conf::Resolver settings, std::string resolv_conf)
    : io_(io),
      settings_(std::move(settings)),
      resolv_conf_(std::move(resolv_conf)),
      answers_(io),
      timer_(io) {}

Resolver::~Resolver() {
  *alive_ = false;
  close();
}

void Resolver::close() {
  if (context_ == nullptr) return;
  for (auto* list : {&young_, &slow_}) {
    for (const auto& running : *list)
      for (const auto& [question, asked] : running->asked) {
        ub_cancel(context_, asked.first);
        delete asked.second;
      }
    list->clear();
  }
  forget_questions();
  if (answers_.is_open()) answers_.release();  // it is libunbound's
  ub_ctx_delete(std::exchange(context_, nullptr));
}

void Resolver::stop() {
  asio::post(io_, [this, alive = alive_] {
    if (!*alive) return;
    stopped_ = true;
    timer_.cancel();
    waiting_.clear();
    doubtful_.clear();
    close();
  });
}

bool Resolver::open() {
  if (context_ != nullptr) return true;
  const std::string before = std::exchange(fault_, configure());
  if (!fault_.empty()) {
    if (context_ != nullptr) ub_ctx_delete(std::exchange(context_, nullptr));
    // Each question tries again, because libunbound may be set up in a moment; a fault is one line until it is over, or another one.
    if (fault_ != before) log::event(log::Level::error, "resolver", {{"reply", fault_}});
    return false;
  }
  answers_.assign(ub_fd(context_));
  wait_for_answers();
  return true;
}

std::string Resolver::configure() {
  context_ = ub_ctx_create();
  if (context_ == nullptr) return "libunbound cannot be started";
  resolv_conf_version_ = version_of(resolv_conf_);
  return unbound::set_up(context_, settings_, resolv_conf_);
}

// In another network resolv.conf is another one. libunbound reads it once, so a new context is needed to read it
// again. While a question is open the old context stays.
void Resolver::follow_resolv_conf() {
  if (context_ == nullptr || !settings_.forward.empty() || !young_.empty() || !slow_.empty() ||
      !singles_.empty())
    return;
  if (version_of(resolv_conf_) != resolv_conf_version_) close();
}

// ---- questions

void Resolver::resolve(dns::Resolution::Options options, Answered answered) {
  auto running = std::make_shared<Running>(std::move(options), std::move(answered));
  asio::post(io_, [this, alive = alive_, running = std::move(running)]() mutable {
    if (!*alive || stopped_) return;
    (failed_lately(running->name) ? doubtful_ : waiting_).push_back(std::move(running));
    start_waiting();
  });
}

void Resolver::start_waiting() {
  while (young_.size() < most_young && !stopped_) {
    auto& line = waiting_.empty() ? doubtful_ : waiting_;
    if (line.empty()) return;
    const std::shared_ptr<Running> running = std::move(line.front());
    line.pop_front();
    running->started = Clock::now();
    follow_resolv_conf();
    young_.push_back(running);
    set_timer();
    open();
    ask(running);
  }
}

bool Resolver::failed_lately(const std::string& name) {
  const auto found = failed_.find(name);
  return found != failed_.end() && Clock::now() - found->second < lately;
}

void Resolver::remember(const std::string& name, bool failed) {
  if (!failed) {
    failed_.erase(name);
    return;
  }
  if (failed_.size() >= most_failed) failed_.clear();  // those that still fail will be remembered again
  failed_[name] = Clock::now();
}

void Resolver::ask(const std::shared_ptr<Running>& running) {
  while (!running->machine.done()) {
    const auto questions = running->machine.ask();
    if (questions.empty()) return;
    for (const dns::Question& question : questions) {
      int error = UB_INITFAIL, id = 0;
      if (context_ != nullptr) {
        auto asked = std::make_unique<Asked>(Asked{this, running, {}, question});
        error = ub_resolve_async(context_, unbound::name_text(question.name).c_str(),
                                 static_cast<int>(question.type), 1, asked.get(), &Resolver::came, &id);
        if (error == 0) running->asked.emplace(question, std::pair(id, asked.release()));
      }
      if (error == 0) continue;
      dns::Answer answer;
      answer.why = fault_.empty() ? ub_strerror(error) : fault_;
      running->machine.answered(question, std::move(answer));
    }
  }
  finish(running);
}

// ---- answers

void Resolver::wait_for_answers() {
  answers_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this, alive = alive_](std::error_code error) {
                        if (error || !*alive || context_ == nullptr) return;
                        ub_process(context_);
                        while (!arrived_.empty()) {
                          Arrived one = std::move(arrived_.front());
                          arrived_.pop_front();
                          take(std::move(one));
                        }
                        wait_for_answers();
                      });
}

// ub_process() calls this: the answer is kept until ub_process() has returned, and taken then.
void Resolver::came(void* data, int error, ub_result* result) {
  const std::unique_ptr<Asked> asked(static_cast<Asked*>(data));
  if (asked->running)
    asked->running->asked.erase(asked->question);
  else
    asked->single->asked = nullptr;
  asked->resolver->arrived_.push_back(
      {asked->running, asked->single, asked->question, unbound::answer_of(error, result)});
  ub_resolve_free(result);
}

void Resolver::take(Arrived arrived) {
  if (arrived.single) return finish(arrived.single, std::move(arrived.answer));
  if (arrived.running->machine.done()) return;  // given up meanwhile
  arrived.running->machine.answered(arrived.question, std::move(arrived.answer));
  ask(arrived.running);
}

void Resolver::finish(const std::shared_ptr<Running>& running) {
  if (!running->answered) return;
  const Answered answered = std::exchange(running->answered, nullptr);
  (running->slow ? slow_ : young_).remove(running);
  dns::Found found = running->machine.take();
  remember(running->name, found.verdict && !found.verdict->final);
  answered(std::move(found));
  asio::post(io_, [this, alive = alive_] {
    if (*alive) start_waiting();
  });
}

// ---- time

void Resolver::set_timer() {
  auto at = Clock::time_point::max();
  if (!young_.empty()) at = young_.front()->started + young;
  if (!slow_.empty()) at = std::min(at, slow_.front()->started + time_limit);
  if (!singles_.empty()) at = std::min(at, singles_.begin()->first);
  if (at == Clock::time_point::max() || at >= timer_at_) return;
  timer_at_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this, alive = alive_](std::error_code error) {
    if (error || !*alive || stopped_) return;
    timer_at_ = Clock::time_point::max();
    look_at_the_clock();
    start_waiting();
    set_timer();
  });
}

void Resolver::look_at_the_clock() {
  const auto now = Clock::now();
  give_up_questions(now);
  while (!slow_.empty() && slow_.front()->started + time_limit <= now) give_up(slow_.front());
  while (!young_.empty() && young_.front()->started + young <= now) {
    if (slow_.size() >= most_slow) give_up(slow_.front());
    young_.front()->slow = true;
    slow_.splice(slow_.end(), young_, young_.begin());
  }
}

// By value: it leaves the list that the caller reads it from.
void Resolver::give_up(std::shared_ptr<Running> late) {  // NOLINT(performance-unnecessary-value-param)
  std::vector<dns::Question> open;
  for (const auto& [question, asked] : late->asked) {
    ub_cancel(context_, asked.first);
    delete asked.second;
    open.push_back(question);
  }
  late->asked.clear();
  for (; !late->machine.done(); open = late->machine.ask())
    for (const dns::Question& question : open) {
      dns::Answer answer;
      answer.status = dns::Answer::Status::timeout;
      late->machine.answered(question, std::move(answer));
    }
  finish(late);
}

}  // namespace spoold::server
