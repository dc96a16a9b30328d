// The store against a simple model: random operations, restarts among them; after each one every recipient's
// state is that of the model and all invariants hold.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <map>
#include <random>
#include <set>

#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

struct Person {
  std::string address;
  RecipientState state = RecipientState::queued;
  bool claimed = false;
  std::uint32_t attempts = 0;
  TimePoint due{};         // not before
  std::string route = {};  // where it is due
  bool open() const { return state == RecipientState::queued || state == RecipientState::deferred; }
};

struct Post {
  std::vector<Person> people;
  bool held = false, given_up = false;

  RecipientState shown(std::uint32_t n) const {
    const Person& p = people[n];
    const bool over = (p.open() || p.state == RecipientState::held) && !p.claimed;
    if (over && given_up) return RecipientState::removed;
    if (over && held) return RecipientState::held;
    return p.state;
  }
  bool finished() const {
    for (std::uint32_t n = 0; n < people.size(); ++n) {
      const auto s = shown(n);
      if (s == RecipientState::queued || s == RecipientState::deferred || s == RecipientState::held)
        return false;
    }
    return true;
  }
};

class Model {
 public:
  explicit Model(unsigned seed) : s_(folder_.path()), random_(seed) {
    s_.options.route = [this](std::string_view domain) { return route_of(domain); };
    RC_ASSERT(bool(s_.open()));
  }
  std::string route_of(std::string_view domain) const {
    const unsigned k = (static_cast<unsigned>(std::hash<std::string_view>{}(domain)) + epoch_) % 3;
    return "r" + std::to_string(k) + (epoch_ % 2 ? "x" : "");
  }
  std::string any_route() { return "r" + std::to_string(pick(0, 3)) + (epoch_ % 2 ? "x" : ""); }
  /// Until nothing of what the last call chained is left.
  void calm() {
    for (int i = 0; i < 30'000 && Read(*s_.store).entries(Table::stage) > 0; ++i)
      RC_ASSERT(bool(s_.change([](Write&) -> Result<void> { return {}; })));
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      compare();  // after each step: the first that went wrong is the last one logged
    }
  }

 private:
  template <class T>
  T pick(T from, T below) {
    return std::uniform_int_distribution<T>(from, static_cast<T>(below - 1))(random_);
  }

  void step() {
    s_.pass(Duration(pick(0, 12) == 0 ? -pick(1, 5000) : pick(1, 2000)));
    switch (pick(0, 20)) {
      case 0:
      case 1:
      case 2:
        return accept();
      case 3:
      case 4:
      case 5:
      case 6:
        return claim();
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
        return settle();
      case 12:
      case 13:
      case 14:
      case 15:
        return edit();
      case 16:
      case 17:
        return whole();
      case 18:
        return late();
      default:
        return restart();
    }
  }

  void accept() {
    const std::size_t n = pick(0, 3) == 0 ? pick<std::size_t>(200, 700) : pick<std::size_t>(1, 20);
    std::vector<std::string> addresses;
    std::vector<Person> people;
    for (std::size_t i = 0; i < n; ++i) {
      char name[64];
      std::snprintf(name, sizeof name, "u%05zu@d%zu.example", i, i * 5 / n);
      addresses.push_back(name);
      people.push_back({.address = name,
                        .state = RecipientState::queued,
                        .claimed = false,
                        .attempts = 0,
                        .due = s_.now()});
    }
    RC_LOG() << "accept " << n << "\n";
    const auto accepted = s_.accept(plain(addresses));
    RC_ASSERT(bool(accepted));
    for (Person& p : people) p.route = route_of(p.address.substr(p.address.find('@') + 1));
    posts_[accepted->ids[0]].people = std::move(people);
  }

  void claim() {
    possible_duplicates_ = 0;
    for (Claim& c : s_.claim(pick(1u, 900u), any_route())) {
      Post& post = posts_.at(c.message);
      RC_ASSERT(!post.held && !post.given_up);
      RC_ASSERT(c.recipients.size() <= 500);
      RC_LOG() << "claimed " << id_text(c.message) << " " << c.first << "+" << c.count << " due "
               << c.due.time_since_epoch().count() << "\n";
      for (const Recipient& r : c.recipients) {
        Person& p = post.people.at(r.number);
        RC_ASSERT(p.open() && !p.claimed);
        // p.due: not with a clock that goes back
        RC_ASSERT(p.address == r.address);
        RC_ASSERT(p.attempts == r.attempts);
        p.claimed = true;
      }
      claims_.push_back(std::move(c));
    }
  }

  void settle() {
    if (claims_.empty()) return;
    const auto which = pick<std::size_t>(0, claims_.size());
    Claim& c = claims_[which];
    const bool all = pick(0, 2) == 0;
    Settlement settlement = outcome_of(c, Verdict::delivered);
    settlement.outcomes.clear();
    settlement.versions.clear();
    const TimePoint next = s_.now() + Duration(pick(-500, 3000));
    Post& post = posts_.at(c.message);
    std::vector<Recipient> rest;
    held_now_.clear();
    const auto common = static_cast<Verdict>(pick(0, 5));
    const bool mixed = pick(0, 2) == 0;
    for (Recipient& r : c.recipients) {
      if (!all && pick(0, 3) == 0) {
        rest.push_back(r);
        continue;
      }
      Outcome o;
      o.number = r.number;
      o.verdict = mixed ? static_cast<Verdict>(pick(0, 5)) : common;
      o.charged = o.verdict != Verdict::released && pick(0, 4) > 0;
      o.next_attempt = next + Duration(pick(0, 5) == 0 ? 7 : 0);
      o.last.reply.text = "x";
      Person& p = post.people.at(r.number);
      const bool ours = p.claimed;
      if (ours && (o.verdict == Verdict::deferred || o.verdict == Verdict::released))
        held_now_.insert(o.number);
      if (ours) p.route = c.route;
      if (ours) {
        p.claimed = false;
        if (o.charged) ++p.attempts;
        p.due = o.next_attempt;
        switch (o.verdict) {
          case Verdict::delivered:
            p.state = RecipientState::delivered;
            break;
          case Verdict::failed:
            p.state = RecipientState::failed;
            break;
          case Verdict::expired:
            p.state = RecipientState::expired;
            break;
          case Verdict::deferred:
            p.state = RecipientState::deferred;
            break;
          case Verdict::released:
            break;
        }
      }
      settlement.outcomes.push_back(o);
      settlement.versions.push_back(r.version);
    }
    RC_LOG() << "settle " << id_text(c.message) << " claim " << c.first << (mixed ? " mixed " : " all ")
             << static_cast<int>(common) << ": " << settlement.outcomes.size() << " of "
             << c.recipients.size() << " next " << next.time_since_epoch().count() << "\n";
    const bool hold = pick(0, 6) == 0 && !settlement.outcomes.empty();
    settlement.hold = hold;
    if (hold) RC_LOG() << "  and held on " << c.route << "\n";
    const auto settled = s_.settle(settlement);
    RC_ASSERT(bool(settled));
    if (hold) {
      for (const Outcome& o : settlement.outcomes) {
        Person& p = post.people.at(o.number);
        if (held_now_.count(o.number) == 0) continue;
        p.state = RecipientState::held;
      }
    }
    RC_ASSERT(settled->finished ==
              (post.finished() && !settlement.outcomes.empty() && !was_finished(c.message)));
    if (hold) {
      calm();
      if (!post.held && !post.given_up)
        for (Person& p : post.people)
          if (p.open() && !p.claimed && p.route == c.route) p.state = RecipientState::held;
    }
    if (post.finished()) done_.insert(c.message);
    c.recipients = std::move(rest);
    if (c.recipients.empty()) claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  bool was_finished(Id id) const { return done_.count(id) > 0; }

  /// A success that comes after an edit took the recipient out of its claim.
  void late() {
    if (posts_.empty()) return;
    auto at = std::next(posts_.begin(), static_cast<std::ptrdiff_t>(pick<std::size_t>(0, posts_.size())));
    const auto number = pick<std::uint32_t>(0, static_cast<std::uint32_t>(at->second.people.size()));
    Person& p = at->second.people[number];
    if (p.claimed) return;
    Settlement settlement;
    settlement.message = at->first;
    settlement.route = "relay";
    settlement.claim_first = number;
    Outcome o;
    o.number = number;
    o.verdict = pick(0, 2) == 0 ? Verdict::delivered : Verdict::failed;
    settlement.outcomes.push_back(o);
    settlement.versions.push_back(~0u);
    RC_LOG() << "late " << id_text(at->first) << " " << number << " verdict " << static_cast<int>(o.verdict)
             << "\n";
    RC_ASSERT(bool(s_.settle(settlement)));
    if (o.verdict == Verdict::delivered && p.state != RecipientState::delivered) {
      p.state = RecipientState::delivered;
      ++p.attempts;
    }
    if (at->second.finished()) done_.insert(at->first);
  }

  void edit() {
    if (posts_.empty()) return;
    auto at = std::next(posts_.begin(), static_cast<std::ptrdiff_t>(pick<std::size_t>(0, posts_.size())));
    Post& post = at->second;
    const bool finished = was_finished(at->first);
    Edit e;
    e.number = pick<std::uint32_t>(0, static_cast<std::uint32_t>(post.people.size()));
    e.what = static_cast<Edit::What>(pick(0, 8));
    // Withdrawn from the claim of now, from one that is over, or not.
    const int said = pick(0, 4);
    const bool withdrawn = said < 2;
    if (withdrawn) e.withdrawn = spool::recipients(Read(*s_.store), at->first, e.number, 1).at(0).claim;
    if (said == 2) e.withdrawn = TimePoint(Duration(1));
    if (e.what == Edit::What::add || e.what == Edit::What::replace)
      e.address = "new" + std::to_string(pick(0, 50)) + "@new.example";
    RC_LOG() << "edit " << id_text(at->first) << " what " << static_cast<int>(e.what) << " number "
             << e.number << (withdrawn ? " withdrawn " : " ") << e.address << "\n";
    const auto edited = s_.edit(at->first, {e});
    if (finished) {
      RC_ASSERT(!edited && edited.error().kind == Error::Kind::conflict);
      return;
    }
    RC_ASSERT(bool(edited));
    const Edited got = edited->at(0);
    const auto known = [&](const std::string& address) {
      for (std::uint32_t n = 0; n < post.people.size(); ++n) {
        const auto s = post.shown(n);
        if (post.people[n].address == address &&
            (s == RecipientState::queued || s == RecipientState::deferred || s == RecipientState::held))
          return true;
      }
      return false;
    };
    const auto add = [&] {
      RC_ASSERT(got.how == Edited::How::done);
      RC_ASSERT(got.number == post.people.size());
      post.people.push_back({.address = e.address,
                             .state = RecipientState::queued,
                             .claimed = false,
                             .attempts = 0,
                             .due = s_.now(),
                             .route = route_of("new.example")});
    };
    if (e.what == Edit::What::add) {
      if (post.given_up) {
        RC_ASSERT(got.how == Edited::How::finished);
        return;
      }
      if (known(e.address)) {
        RC_ASSERT(got.how == Edited::How::exists);
        return;
      }
      add();
      return;
    }
    Person* p = &post.people[e.number];
    const auto shown = post.shown(e.number);
    if (shown != RecipientState::queued && shown != RecipientState::deferred &&
        shown != RecipientState::held) {
      RC_ASSERT(got.how == Edited::How::finished);
      return;
    }
    if (p->claimed && !withdrawn) {
      RC_ASSERT(got.how == Edited::How::claimed);
      return;
    }
    if (post.given_up && e.what != Edit::What::remove) {
      RC_ASSERT(got.how == Edited::How::finished);
      return;
    }
    const auto changed = [&] {
      RC_ASSERT(got.how == Edited::How::done);
      if (p->claimed) drop_from_claim(at->first, e.number);
      p->claimed = false;
      p->route = route_of(p->address.substr(p->address.find('@') + 1));
    };
    switch (e.what) {
      case Edit::What::remove:
        changed();
        p->state = RecipientState::removed;
        break;
      case Edit::What::bounce:
        changed();
        p->state = RecipientState::failed;
        break;
      case Edit::What::hold:
        changed();
        p->state = RecipientState::held;
        break;
      case Edit::What::replace:
        if (known(e.address)) {
          RC_ASSERT(got.how == Edited::How::exists);
          return;
        }
        changed();
        p->state = RecipientState::removed;
        add();
        break;
      case Edit::What::isolate:
        changed();
        p->due = s_.now();
        break;
      case Edit::What::release:
        if (post.held) {
          RC_ASSERT(got.how == Edited::How::held);
          return;
        }
        if (p->state != RecipientState::held) {
          RC_ASSERT(got.how == Edited::How::done);
          return;
        }
        changed();
        p->state = p->attempts > 0 ? RecipientState::deferred : RecipientState::queued;
        p->due = s_.now();
        break;
      case Edit::What::retry:
        if (post.held || p->state == RecipientState::held) {
          RC_ASSERT(got.how == Edited::How::held);
          return;
        }
        changed();
        p->due = s_.now();
        break;
      case Edit::What::add:
        break;
    }
    if (post.finished()) done_.insert(at->first);
  }

  void drop_from_claim(Id id, std::uint32_t number) {
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      if (claims_[i].message != id) continue;
      auto& list = claims_[i].recipients;
      std::erase_if(list, [&](const Recipient& r) { return r.number == number; });
      if (list.empty()) claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(i--));
    }
  }

  void whole() {
    if (posts_.empty()) return;
    auto at = std::next(posts_.begin(), static_cast<std::ptrdiff_t>(pick<std::size_t>(0, posts_.size())));
    Post& post = at->second;
    const int kind = pick(0, 7);
    const auto what = kind == 0   ? Store::Whole::remove
                      : kind <= 2 ? Store::Whole::hold
                      : kind <= 5 ? Store::Whole::release
                                  : Store::Whole::retry;
    const bool finished = was_finished(at->first);
    RC_LOG() << "whole " << id_text(at->first) << " " << static_cast<int>(what) << "\n";
    const auto answer = s_.whole(at->first, what);
    calm();
    const bool refused = finished || (post.given_up && what != Store::Whole::remove) ||
                         (post.held && what == Store::Whole::retry);
    RC_ASSERT(answer.has_value() == !refused);
    if (refused) return;
    std::set<std::uint32_t> claimed;
    for (std::uint32_t n = 0; n < post.people.size(); ++n)
      if (post.people[n].claimed) claimed.insert(n);
    RC_ASSERT(std::set<std::uint32_t>(answer->begin(), answer->end()) == claimed);
    if (what == Store::Whole::remove) post.given_up = true, post.held = false;
    if (what == Store::Whole::hold) post.held = true;
    if (what == Store::Whole::release || what == Store::Whole::retry) {
      post.held = false;
      for (Person& p : post.people) {
        if (p.claimed) continue;
        if (p.state == RecipientState::held && what == Store::Whole::release)
          p.state = p.attempts > 0 ? RecipientState::deferred : RecipientState::queued;
        if (p.open()) p.due = s_.now(), p.route = route_of(p.address.substr(p.address.find('@') + 1));
      }
    }
    if (post.finished()) done_.insert(at->first);
  }

  void restart() {
    std::uint64_t on_the_wire = 0;
    for (auto& [id, post] : posts_) {
      for (Person& p : post.people) {
        if (p.claimed) ++on_the_wire, p.due = s_.now();
        p.claimed = false;
      }
      if (post.finished()) done_.insert(id);
    }
    claims_.clear();
    RC_LOG() << "restart\n";
    const unsigned old = epoch_;
    if (pick(0, 4) == 0) ++epoch_;
    s_.reopen();
    if (old != epoch_) {
      RC_LOG() << "rerouted\n";
      const auto routes = spool::due_routes(Read(*s_.store));
      for (const auto& r : routes)
        if ((r.route.size() == 3) != (epoch_ % 2 == 1))
          RC_ASSERT(bool(await<void>([&](auto cb) { s_.store->reroute(r.route, cb); })));
      for (auto& [id, post] : posts_)
        for (Person& p : post.people)
          if (p.open() && !post.held && !post.given_up)
            p.route = route_of(p.address.substr(p.address.find('@') + 1));
    }
    possible_duplicates_ += on_the_wire;  // also those of a start after which nothing was claimed
    RC_ASSERT(s_.store->possible_duplicates() == possible_duplicates_);
  }

  void compare() {
    RC_ASSERT(s_.problems() == "");
    for (const auto& [id, post] : posts_) {
      const auto got = s_.recipients(id);
      RC_ASSERT(got.size() == post.people.size());
      for (std::uint32_t n = 0; n < got.size(); ++n) {
        RC_ASSERT(got[n].address == post.people[n].address);
        RC_ASSERT(std::string(text(got[n].state)) == text(post.shown(n)));
        RC_ASSERT(got[n].active == post.people[n].claimed);
        RC_ASSERT(got[n].attempts == post.people[n].attempts ||
                  post.people[n].state == RecipientState::delivered);
      }
      RC_ASSERT((s_.message(id)->state == MessageState::finished) == post.finished());
      RC_ASSERT((s_.message(id)->state == MessageState::held) == post.held || post.finished());
    }
  }

  Folder folder_;
  unsigned epoch_ = 0;
  std::set<std::uint32_t> held_now_;
  Opened s_;
  std::mt19937 random_;
  std::uint64_t possible_duplicates_ = 0;
  std::map<Id, Post> posts_;
  std::vector<Claim> claims_;
  std::set<Id> done_;
};

}  // namespace

TEST_CASE("the store does what the model does") {
  CHECK(rc::check([] { Model(*rc::gen::noShrink(rc::gen::arbitrary<unsigned>())).run(40); }));
}
