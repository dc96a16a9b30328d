#include "server/admin/edit.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>

#include "server/admin/await.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {

using namespace std::chrono_literals;
using delivery::Withdrawal;

constexpr auto patience = 5s;  // for claims that come and go, and for lanes that do not answer
constexpr auto pause_between = 5ms;
constexpr std::size_t edits_at_once = 500;  // of one write transaction: well below 20 ms
constexpr const char* not_alone = "not changed: another one was refused";

constexpr const char* in_flight = "in flight: its content is being sent";
constexpr const char* busy = "in flight: its lane did not let it go within 5 s";

std::string finished_reason(store::RecipientState state) {
  return std::string("already ") + text(state);
}

/// A claim covers it, and its lane has not withdrawn it.
bool unasked(const Wish& wish) {
  return wish.claim != TimePoint{} && !wish.edit.withdrawn;
}

/// One edit in progress.
class Conversation {
 public:
  Conversation(store::Store& store, Lanes& lanes, store::Id id, const std::string& who)
      : store_(store),
        lanes_(lanes),
        id_(id),
        who_(who),
        until_(std::chrono::steady_clock::now() + patience) {}
  ~Conversation() {
    if (!withdrawn_.empty()) lanes_.give_back(id_, withdrawn_);
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  /// Asks the lanes about the wishes that a claim covers; refuses those in flight. False: some were idle (the
  /// claim is being made or settled) and the time is not over: ask the store, then again.
  void withdraw(std::vector<Wish>& wishes) {
    std::vector<std::uint32_t> numbers;
    for (const Wish& wish : wishes)
      if (unasked(wish)) numbers.push_back(wish.edit.number);
    if (numbers.empty()) return;
    const auto answers = ask_lanes(numbers);
    if (!answers) return refuse(wishes, busy, unasked);
    std::size_t next = 0;
    std::vector<std::uint32_t> committed;
    for (Wish& wish : wishes) {
      if (!unasked(wish)) continue;
      const auto answer = answers->at(next++);
      if (answer == Withdrawal::committed) committed.push_back(wish.edit.number);
      if (answer == Withdrawal::withdrawn) {
        wish.edit.withdrawn = wish.claim;
        withdrawn_.push_back(wish.edit.number);
      }
      if (answer == Withdrawal::idle) wish.claim = {};  // the store will say
    }
    refuse(wishes, in_flight, [&](const Wish& wish) {
      return wish.edit.what != store::Edit::What::add &&
             std::find(committed.begin(), committed.end(), wish.edit.number) != committed.end();
    });
  }

  /// Applies the wishes; those that a claim covers after all stay in the vector, marked as claimed (with
  /// all_or_nothing the others stay too, unchanged).
  store::Result<void> apply(std::vector<Wish>& wishes, bool all_or_nothing) {
    std::vector<Wish> again;
    const std::size_t at_once = all_or_nothing ? wishes.size() : edits_at_once;
    for (std::size_t from = 0; from < wishes.size(); from += at_once) {
      const std::size_t to = std::min(from + at_once, wishes.size());
      std::vector<store::Edit> edits;
      for (std::size_t i = from; i < to; ++i) edits.push_back(wishes[i].edit);
      const auto results = await_result<std::vector<store::Edited>>(
          [&](auto callback) { store_.edit(id_, edits, who_, std::move(callback), all_or_nothing); });
      if (!results && results.error().kind == store::Error::Kind::conflict) {  // it was finished in between
        for (std::size_t i = from; i < to; ++i) report.refused.push_back({wishes[i], became(wishes[i])});
        continue;
      }
      if (!results) return tl::unexpected(results.error());
      const auto was_done = [](const store::Edited& e) { return e.how == store::Edited::How::done; };
      const bool given_up = all_or_nothing && !std::all_of(results->begin(), results->end(), was_done);
      for (std::size_t i = from; i < to; ++i)
        if (given_up && was_done(results->at(i - from)))
          again.push_back(wishes[i]);
        else
          judge(wishes[i], results->at(i - from), again);
    }
    wishes = std::move(again);
    return {};
  }

  template <class Predicate>
  void refuse(std::vector<Wish>& wishes, const char* reason, Predicate which) {
    for (const Wish& wish : wishes)
      if (which(wish)) report.refused.push_back({wish, reason});
    wishes.erase(std::remove_if(wishes.begin(), wishes.end(), which), wishes.end());
  }

  bool time_left() const { return std::chrono::steady_clock::now() < until_; }

  EditReport report;

 private:
  /// A claim covers it after all: not the one that it was withdrawn from, if it was. That one is over, so the lane
  /// gets it back, and is asked again about the claim of now.
  void take_back(Wish& wish, TimePoint claim) {
    wish.claim = claim;
    if (!wish.edit.withdrawn) return;
    wish.edit.withdrawn.reset();
    lanes_.give_back(id_, {wish.edit.number});
    withdrawn_.erase(std::remove(withdrawn_.begin(), withdrawn_.end(), wish.edit.number), withdrawn_.end());
  }

  /// Empty: no answer in time. What a late answer names as withdrawn goes straight back to its lane.
  std::optional<std::vector<Withdrawal>> ask_lanes(const std::vector<std::uint32_t>& numbers) {
    struct Question {
      std::mutex mutex;
      std::promise<std::vector<Withdrawal>> answer;
      bool abandoned = false;
    };
    const auto question = std::make_shared<Question>();
    auto future = question->answer.get_future();
    lanes_.withdraw(id_, numbers,
                    [question, numbers, id = id_, &lanes = lanes_](std::vector<Withdrawal> answers) {
                      const std::lock_guard lock(question->mutex);
                      if (!question->abandoned) return question->answer.set_value(std::move(answers));
                      std::vector<std::uint32_t> back;
                      for (std::size_t i = 0; i < answers.size() && i < numbers.size(); ++i)
                        if (answers[i] == Withdrawal::withdrawn) back.push_back(numbers[i]);
                      if (!back.empty()) lanes.give_back(id, back);
                    });
    if (future.wait_for(patience) != std::future_status::ready) {
      const std::lock_guard lock(question->mutex);
      if (future.wait_for(0s) != std::future_status::ready) {
        question->abandoned = true;
        return std::nullopt;
      }
    }
    return future.get();
  }

  /// What became of a recipient of a finished message.
  std::string became(const Wish& wish) const {
    if (wish.edit.what == store::Edit::What::add) return "the message is finished";
    const store::Read read(store_);
    const auto found = store::spool::recipients(read, id_, wish.edit.number, 1);
    return found.empty() || found[0].number != wish.edit.number ? "the message is finished"
                                                                : finished_reason(found[0].state);
  }

  void judge(Wish& wish, const store::Edited& edited, std::vector<Wish>& again) {
    switch (edited.how) {
      case store::Edited::How::done:
        report.done.push_back({wish, edited.number ? edited.number : wish.edit.number});
        return;
      case store::Edited::How::claimed:
        take_back(wish, edited.claim);
        again.push_back(wish);
        return;
      case store::Edited::How::finished:
        report.refused.push_back({wish, finished_reason(edited.state)});
        return;
      case store::Edited::How::not_found:
        report.refused.push_back({wish, "not a recipient of this message"});
        return;
      case store::Edited::How::held:
        report.refused.push_back({wish, "the whole message is held: release the message first"});
        return;
      case store::Edited::How::exists:
        report.refused.push_back({wish, "already a recipient"});
        return;
    }
  }

  store::Store& store_;
  Lanes& lanes_;
  store::Id id_;
  const std::string& who_;
  std::chrono::steady_clock::time_point until_;
  std::vector<std::uint32_t> withdrawn_;
};

}  // namespace

const char* text(store::Edit::What what) {
  using What = store::Edit::What;
  switch (what) {
    case What::remove:
      return "remove";
    case What::add:
      return "add";
    case What::replace:
      return "replace";
    case What::isolate:
      return "isolate";
    case What::hold:
      return "hold";
    case What::release:
      return "release";
    case What::retry:
      return "retry";
    case What::bounce:
      break;
  }
  return "bounce";
}

Json refusal_json(const Refusal& refusal) {
  return {
      {"address", refusal.wish.address}, {"what", text(refusal.wish.edit.what)}, {"reason", refusal.reason}};
}

store::Result<EditReport> edit_recipients(store::Store& store, Lanes& lanes, store::Id id,
                                          std::vector<Wish> wishes, const std::string& who,
                                          bool all_or_nothing, const std::atomic<bool>& stopping) {
  Conversation talk(store, lanes, id, who);
  const auto refuse_rest = [&](const char* reason) {
    talk.refuse(wishes, reason, [](const Wish&) { return true; });
  };
  while (!wishes.empty()) {
    talk.withdraw(wishes);
    if (!all_or_nothing || talk.report.refused.empty())
      if (auto applied = talk.apply(wishes, all_or_nothing); !applied) return tl::unexpected(applied.error());
    if (all_or_nothing && !talk.report.refused.empty()) refuse_rest(not_alone);
    if (wishes.empty()) break;
    if (stopping || !talk.time_left()) {
      refuse_rest(busy);
      break;
    }
    std::this_thread::sleep_for(pause_between);
  }
  return std::move(talk.report);
}

}  // namespace spoold::server::admin
