// A Store for tests: its clock stands until moved, its calls wait for their answers.
#pragma once
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "store/directory/changes.hpp"
#include "store/post_numbers.hpp"
#include "store/spool/acceptance.hpp"
#include "store/spool/changes.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"
#include "tests/store/folder.hpp"

namespace spoold::store {

inline const TimePoint noon{Duration(1'790'000'000'000)};

/// So many addresses in seven domains.
inline std::vector<std::string> many(std::size_t count, const char* domain = ".example") {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back("user" + std::to_string(i) + "@d" + std::to_string(i % 7) + domain);
  return out;
}

/// Calls f(callback) and waits for what the callback gets.
template <class T, class F>
Result<T> await(F f) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  f([promise](Result<T> r) { promise->set_value(std::move(r)); });
  return future.get();
}

/// Asks every 10 ms, at most 10 s.
template <class F>
bool wait_until(F condition) {
  for (int i = 0; i < 1000; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10)))
    if (condition()) return true;
  return false;
}

class Opened {
 public:
  explicit Opened(std::string path) {
    options.path = std::move(path);
    options.max_size = 256u << 20;
    options.reserve = 0;
  }
  Options options;
  std::unique_ptr<Store> store;
  std::shared_ptr<std::atomic<std::int64_t>> clock =
      std::make_shared<std::atomic<std::int64_t>>(noon.time_since_epoch().count());

  Result<void> open() {
    options.clock = [c = clock] { return TimePoint(Duration(c->load())); };
    auto opened = Store::open(options);
    if (!opened) return tl::unexpected(opened.error());
    store = std::move(*opened);
    return {};
  }
  void reopen() {
    store.reset();
    if (auto ok = open(); !ok) throw std::runtime_error(ok.error().text);
  }
  TimePoint now() const { return TimePoint(Duration(clock->load())); }
  void pass(Duration d) { *clock += d.count(); }

  /// As a session takes it, before the post is cooked.
  Result<std::uint32_t> post_number(list::ListId list) {
    for (PostNumbers& numbers = store->post_numbers();;) {
      if (const auto number = numbers.take(Read(*store), list)) return *number;
      const auto leased = await<void>([&](auto cb) { numbers.lease(list, cb); });
      if (!leased) return tl::unexpected(leased.error());
    }
  }
  Result<void> number(Acceptance& a) {
    for (NewMessage& m : a.messages) {
      if (m.message.list == 0 || m.message.post != 0) continue;
      const auto number = post_number(m.message.list);
      if (!number) return tl::unexpected(number.error());
      m.message.post = *number;
    }
    return {};
  }
  Result<Accepted> accept(Acceptance a) {
    if (auto numbered = number(a); !numbered) return tl::unexpected(numbered.error());
    return await<Accepted>([&](auto cb) { store->accept(std::move(a), cb); });
  }
  std::vector<Claim> claim(std::uint32_t limit = 500, std::string route = "relay") {
    return await<std::vector<Claim>>([&](auto cb) { store->claim(route, now(), limit, cb); }).value();
  }
  Result<Settled> settle(Settlement s) {
    return await<Settled>([&](auto cb) { store->settle(std::move(s), cb); });
  }
  Result<std::vector<Edited>> edit(Id id, std::vector<Edit> edits) {
    return await<std::vector<Edited>>([&](auto cb) { store->edit(id, std::move(edits), "test", cb); });
  }
  Result<std::vector<std::uint32_t>> whole(Id id, Store::Whole what) {
    return await<std::vector<std::uint32_t>>([&](auto cb) { store->whole(id, what, "test", cb); });
  }
  Result<void> change(std::function<Result<void>(Write&)> f, Job::Kind kind = Job::Kind::change) {
    return await<void>([&](auto cb) { store->submit({kind, std::move(f), cb}); });
  }
  Result<directory::Applied> change(directory::Change c,
                                    std::string operation = directory::new_operation_id()) {
    return await<directory::Applied>([&](auto cb) {
      store->change({std::move(operation), "test", std::move(c)}, cb);
    });
  }
  std::vector<Recipient> recipients(Id id) const { return spool::recipients(Read(*store), id, 0, 1u << 30); }
  std::optional<Message> message(Id id) const { return spool::message(Read(*store), id); }
  std::string problems() const {
    std::string out;
    for (const std::string& p : spool::check(Read(*store)).problems) out += p + "\n";
    return out;
  }
};

struct OwnFolder {
  Folder folder;
};
/// An open store in a folder of its own; `set` changes its options before.
class Fresh : public OwnFolder, public Opened {
 public:
  explicit Fresh(const std::function<void(Options&)>& set = {}) : Opened(folder.path()) {
    if (set) set(options);
    reopen();
  }
};

inline Acceptance plain(std::vector<std::string> addresses,
                        std::string bytes = "Subject: x\r\n\r\nbody\r\n") {
  Acceptance a;
  a.content.bytes = std::make_shared<const std::string>(std::move(bytes));
  NewMessage& m = a.messages.emplace_back();
  m.message.reverse_path = "sender@here.example";
  for (std::string& address : addresses) m.recipients.push_back({std::move(address)});
  return a;
}

/// One outcome for each recipient of the claim.
inline Settlement outcome_of(const Claim& claim, Verdict verdict, TimePoint next = {}) {
  Settlement s;
  s.message = claim.message;
  s.route = claim.route;
  s.claim_first = claim.first;
  for (const Recipient& r : claim.recipients) {
    Outcome& o = s.outcomes.emplace_back();
    o.number = r.number;
    o.verdict = verdict;
    o.next_attempt = next;
    o.last.reply = {verdict == Verdict::delivered ? 250 : 450, {}, "said to " + r.address};
    o.last.remote = "mx[127.0.0.1]:25";
    o.last.stage = Stage::dot;
    s.versions.push_back(r.version);
  }
  return s;
}

}  // namespace spoold::store
