// The public calls of Planner.
#include "protocol/delivery/planner.hpp"

#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration evidence_lasts =
    std::chrono::hours(6);  // longer than a suspect waits: two drops must meet in one memory
}  // namespace

Planner::State::State(Limits l, std::uint64_t seed)
    : limits(std::move(l)),
      jitter(seed),
      hand(std::max(1u, limits.recipients_per_transaction)),
      host(limits, jitter),
      rate(limits.rate, limits.rate_per) {
  limits.recipients_per_transaction = std::max(1u, limits.recipients_per_transaction);
}

Connection* Planner::State::find(ConnectionId id) {
  for (auto& c : connections)
    if (c->id == id) return c.get();
  return nullptr;
}

void Planner::State::remove(ConnectionId id) {
  std::erase_if(connections, [&](const auto& c) { return c->id == id; });
  if (isolating == id) isolating = 0;
}

Planner::Planner(Limits limits, std::uint64_t seed, const HostMemory& memory, TimePoint now)
    : state_(std::make_unique<State>(std::move(limits), seed)) {
  HostMemory recent = memory;
  forget_old(recent, now);
  // Written while the clock was wrong: no host waits longer than its longest step.
  Duration longest = recent.silences.value > 0 ? longest_silence : std::chrono::hours(1);
  for (const Duration wait : state_->limits.retry) longest = std::max(longest, wait);
  recent.until = std::min(recent.until, now + longest + longest / 5);
  state_->host.restore(recent, now);
  state_->learned.restore(recent);
  state_->learned.usual_messages(state_->limits.messages);
  state_->paced = state_->host.pace().lasts() > Duration{};
}
Planner::~Planner() = default;
Planner::Planner(Planner&&) noexcept = default;
Planner& Planner::operator=(Planner&&) noexcept = default;

void Planner::add(Batch batch, TimePoint now) {
  state_->seen(now);
  state_->add(std::move(batch), now);
}
bool Planner::receptive(TimePoint now) const {
  return !state_->host.waiting(now) || state_->expiring;
}
std::uint32_t Planner::connections_wanted(std::uint32_t open, TimePoint now) const {
  return state_->connections_wanted(open, now);
}
TimePoint Planner::wake_at() const {
  return state_->wake_at();
}
void Planner::tick(TimePoint now) {
  state_->seen(now);
  state_->tick(now);
}

ConnectionId Planner::connected(std::string remote, TimePoint now, PeerLimits offered, std::string tls) {
  state_->seen(now);
  state_->last_fault.reset();
  state_->expiring = false;
  auto c = std::make_unique<Connection>(state_->group);
  c->id = ++state_->last_connection;
  c->remote = std::move(remote);
  c->tls = std::move(tls);
  c->opened = c->idle_since = now;
  c->limits = offered;
  c->jitter = state_->jitter.factor();
  state_->connections.push_back(std::move(c));
  return state_->last_connection;
}

void Planner::connect_failed(Stage stage, const LastReply& why, TimePoint now) {
  state_->seen(now);
  state_->connect_failed(stage, why, now);
}

void Planner::unreachable_for_good(const LastReply& why, TimePoint now) {
  state_->unreachable_for_good(why, now);
}

void Planner::no_host_takes_mail(const LastReply& why, TimePoint now) {
  state_->seen(now);
  state_->no_host_takes_mail(why, now);
}

Next Planner::next(ConnectionId id, TimePoint now) {
  state_->seen(now);
  return state_->next(id, now);
}

bool Planner::sending(ConnectionId id, MessageId message, std::uint32_t number, TimePoint now) {
  Connection* c = state_->find(id);
  if (!c) return false;
  // The one being written is the youngest, or close to it.
  for (auto flight = c->flights.rbegin(); flight != c->flights.rend(); ++flight) {
    Flight& f = *flight;
    if (f.work->id != message) continue;
    std::size_t at = f.cursor;
    if (at >= f.recipients.size() || f.recipients[at]->number != number) {
      const auto found = std::ranges::find(f.recipients, number, &Recipient::number);
      if (found == f.recipients.end()) continue;
      at = static_cast<std::size_t>(found - f.recipients.begin());
    }
    f.cursor = at + 1;
    f.moved = now;
    Recipient& r = *f.recipients[at];
    if (r.withdrawn) return false;
    r.sent = true;
    return true;
  }
  return false;
}

void Planner::report(ConnectionId id, const Observation& seen, TimePoint now) {
  state_->seen(now);
  if (Connection* c = state_->find(id)) state_->report(*c, seen, now);
}
void Planner::dropped(ConnectionId id, const Drop& drop, const std::vector<Observation>& open,
                      TimePoint now) {
  state_->seen(now);
  state_->dropped(id, drop, open, now);
}

void Planner::closed(ConnectionId id, TimePoint now) {
  if (Connection* c = state_->find(id)) {
    state_->settle_parting(*c, false, now);
    state_->return_unbegun(*c);
    if (state_->pending.any) state_->carry_out(nullptr, false, now);
  }
  state_->remove(id);
  state_->settle_suspects(now);
}

std::vector<std::pair<MessageId, Outcome>> Planner::take_outcomes() {
  return std::exchange(state_->outcomes, {});
}
std::vector<SuspectChange> Planner::take_suspects() {
  return std::exchange(state_->changes, {});
}
std::vector<InDoubt> Planner::take_in_doubt() {
  return std::exchange(state_->named_in_doubt, {});
}
std::vector<MessageId> Planner::take_held() {
  return std::exchange(state_->held, {});
}
std::vector<HeldLane> Planner::take_alarms() {
  return std::exchange(state_->alarms, {});
}
Withdrawal Planner::withdraw(MessageId message, std::uint32_t number) {
  return state_->withdraw(message, number);
}
void Planner::retry_now(MessageId message, TimePoint now) {
  state_->retry_now(message, now);
}

void Planner::clear_clock() {
  state_->resting.clear();
  state_->host.clear();
}

void Planner::join(std::shared_ptr<SharedGroup> group) {
  state_->group = std::move(group);
  state_->group_paced = state_->group && state_->group->with([](const Group& g) { return g.paced(); });
  state_->paced = state_->group_paced || state_->host.pace().lasts() > Duration{};
}

void Planner::told(const HostFault& fault, TimePoint now) {
  state_->told(fault, now);
}

void Planner::freed() {
  state_->host.freed();
}

void Planner::overlap_refused(TimePoint now) {
  state_->host.overlap_off(now);
}

void Planner::reconfigure(Limits limits) {
  State& s = *state_;
  if (limits.rate != s.limits.rate || limits.rate_per != s.limits.rate_per)
    s.rate = Rate(limits.rate, limits.rate_per);
  s.limits = std::move(limits);
  s.learned.usual_messages(s.limits.messages);
  s.meant = {};
  s.limits.recipients_per_transaction = std::max(1u, s.limits.recipients_per_transaction);
}

HostMemory Planner::memory() const {
  HostMemory memory;
  state_->host.remember(memory);
  state_->learned.remember(memory);
  return memory;
}

bool Planner::forgettable(TimePoint now) const {
  const State& s = *state_;
  return s.hand.size() == 0 && s.connections.empty() && s.outcomes.empty() && s.changes.empty() &&
         s.held.empty() && s.alarms.empty() &&
         std::ranges::all_of(s.resting, [now](const auto& one) { return one.second.until <= now; }) &&
         s.host.last_drop() + evidence_lasts <= now;
}

bool Planner::untroubled() const {
  const State& s = *state_;
  return s.offered.empty() && s.parked.empty() && s.ask_again.empty() && s.isolating == 0 &&
         !s.hand.anything_paused() && !s.hand.anything_isolated();
}

void Planner::shrink() {
  State& s = *state_;
  s.hand.shrink();
  if (s.hand.size() == 0) std::vector<std::vector<Recipient*>>().swap(s.spare_vectors);
}

Health Planner::health(TimePoint now) const {
  const State& s = *state_;
  Health h;
  h.state = s.host.waiting(now)     ? "waiting"
            : s.host.half_open()    ? "half-open"
            : s.host.pace().on(now) ? "slow"
                                    : "up";
  if (s.host.waiting(now)) h.until = s.host.until();
  h.last_error = s.host.last_error();
  h.drops = s.host.drops();
  h.unproductive = s.host.unproductive(now);
  h.parked = s.offered.size + s.parked.size;
  h.learned_rcpts = s.learned.rcpts(now);
  h.learned_rejects = s.learned.reject_limit_known() ? s.learned.rejects() : 0;
  h.learned_messages = s.learned.messages(now);
  return h;
}

std::size_t Planner::in_hand() const {
  return state_->hand.size();
}

}  // namespace spoold::delivery
