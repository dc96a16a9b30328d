#include "protocol/delivery/hand.hpp"

#include <algorithm>

namespace spoold::delivery {

void Line::push_back(Recipient& r) {
  r.line = this;
  r.next = nullptr;
  r.previous = last;
  (last ? last->next : first) = &r;
  last = &r;
  ++size;
}

void Line::push_front(Recipient& r) {
  r.line = this;
  r.previous = nullptr;
  r.next = first;
  (first ? first->previous : last) = &r;
  first = &r;
  ++size;
}

void Line::remove(Recipient& r) {
  (r.previous ? r.previous->next : first) = r.next;
  (r.next ? r.next->previous : last) = r.previous;
  r.next = r.previous = nullptr;
  r.line = nullptr;
  --size;
}

Recipient& Line::pop_front() {
  Recipient& r = *first;
  remove(r);
  return r;
}

Work& Hand::work(MessageId id, bool one_each) {
  auto& found = works_[id];
  if (!found) {
    found = std::make_unique<Work>();
    found->id = id;
    found->one_each = one_each;
  }
  return *found;
}

Work* Hand::find(MessageId id) {
  const auto found = works_.find(id);
  return found == works_.end() ? nullptr : found->second.get();
}

Recipient& Hand::create(Work& work, Candidate&& candidate) {
  Recipient& r = spare_.empty() ? slab_.emplace_back() : spare_.pop_front();
  r.work = &work;
  r.number = candidate.number;
  r.attempts = candidate.attempts;
  r.arrived = candidate.arrived;
  r.address = std::move(candidate.address);
  r.returned = 0;
  r.sent = r.withdrawn = r.dropped = false;
  r.possible_duplicate = candidate.possible_duplicate;
  r.doubt.reset();
  ++work.slots;
  ++size_;
  return r;
}

void Hand::forget(Recipient& r) {
  if (r.line) r.line->remove(r);
  if (!r.withdrawn) --size_;
  Work& work = *r.work;
  --work.slots;
  r.work = nullptr;
  r.doubt.reset();
  spare_.push_front(r);
  if (work.slots == 0) touch(work);
}

void Hand::shrink() {
  const auto used = [](const auto& work) { return work.second->slots > 0; };
  if (size_ > 0 || std::ranges::any_of(works_, used)) return;
  works_.clear();
  turns_.clear();
  isolations_.clear();
  paused_.clear();
  ready_transactions_ = isolating_ = 0;
  spare_ = Line();
  std::deque<Recipient>().swap(slab_);
}

void Hand::withdraw_in_flight(Recipient& r) {
  if (r.withdrawn) return;
  r.withdrawn = true;
  --size_;
}

std::uint32_t Hand::count(const Work& work) const {
  if (work.paused) return 0;
  const std::uint32_t vouched = (work.vouched.size + per_transaction_ - 1) / per_transaction_;
  return vouched +
         (work.one_each ? work.ready.size : (work.ready.size + per_transaction_ - 1) / per_transaction_);
}

void Hand::touch(Work& work, bool first) {
  const std::uint32_t now = count(work);
  ready_transactions_ += now - work.transactions;
  work.transactions = now;
  if (work.isolating() != work.counted_isolating) {
    work.counted_isolating = work.isolating();
    isolating_ += work.counted_isolating ? 1u : ~0u;
  }
  if (work.free() && !work.paused && (work.in_turn == 0 || first)) {
    ++work.in_turn;
    first ? turns_.push_front(&work) : turns_.push_back(&work);
  }
  if (work.isolating() && work.in_isolation == 0) {
    ++work.in_isolation;
    isolations_.push_back(&work);
  }
  drop_if_done(work);
}

void Hand::drop_if_done(Work& work) {
  if (work.slots > 0 || work.in_turn > 0 || work.in_isolation > 0) return;
  if (work.paused) std::erase(paused_, &work);
  works_.erase(work.id);
}

void Hand::pause(Work& work, TimePoint probe_at) {
  if (!work.paused) paused_.push_back(&work);
  work.paused = true;
  work.probe_at = probe_at;
  touch(work);
}

void Hand::resume(Work& work) {
  if (!work.paused) return;
  std::erase(paused_, &work);
  work.paused = false;
  touch(work, true);
}

Work* Hand::next_turn(TimePoint now) {
  for (Work* work : paused_)
    if (work->free() && !work->probing && now >= work->probe_at) return work;
  while (!turns_.empty()) {
    Work* work = turns_.front();
    turns_.pop_front();
    --work->in_turn;
    if (work->free() && !work->paused) return work;
    drop_if_done(*work);
  }
  return nullptr;
}

Work* Hand::next_isolation(bool may_be_ambiguous, TimePoint now) {
  for (std::size_t left = isolations_.size(); left > 0; --left) {
    Work* work = isolations_.front();
    isolations_.pop_front();
    --work->in_isolation;
    const bool may = !work->unsent.empty() || (may_be_ambiguous && !work->ambiguous.empty());
    if (may && !work->isolation_waits(now)) return work;
    if (work->isolating()) {  // not now: back to the end
      ++work->in_isolation;
      isolations_.push_back(work);
    } else {
      drop_if_done(*work);
    }
  }
  return nullptr;
}

std::uint32_t Hand::ready_transactions(TimePoint now) const {
  std::uint32_t probes = 0;
  for (const Work* work : paused_)
    if (work->free() && !work->probing && now >= work->probe_at) ++probes;
  return ready_transactions_ + probes;
}

bool Hand::anything_to_isolate(TimePoint now) const {
  std::uint32_t waiting = 0;
  for (const Work* work : paused_)
    if (work->isolating() && work->isolation_waits(now)) ++waiting;
  return isolating_ > waiting;
}

TimePoint Hand::next_probe() const {
  TimePoint at = TimePoint::max();
  for (const Work* work : paused_)
    if ((work->free() || work->isolating()) && !work->probing) at = std::min(at, work->probe_at);
  return at;
}

}  // namespace spoold::delivery
