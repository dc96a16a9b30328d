#include "store/directory/apply.hpp"

#include <algorithm>
#include <utility>

#include "protocol/bounce/guard.hpp"
#include "protocol/list/patterns.hpp"
#include "protocol/list/settings_table.hpp"
#include "store/directory/guards.hpp"
#include "store/directory/import.hpp"
#include "store/directory/operations.hpp"
#include "store/directory/rows.hpp"
#include "store/directory/scores.hpp"

namespace spoold::store::directory {
namespace {

using Done = Result<void>;

constexpr std::size_t most_told = 1000;  // of a setting's text in the audit event

tl::unexpected<Error> no_list() {
  return fail(Error::Kind::not_found, "there is no such list");
}

/// Applies one change. What the first store decides (ids, times, which addresses are new) is written into the change, so
/// that the change as logged has the same outcome everywhere. A follower decides nothing: what the first store would
/// answer to somebody is a difference between the two directories.
class Applying {
 public:
  Applying(Write& write, TimePoint at, bool following) : write_(write), at_(at), following_(following) {}
  Applied applied;

  Done operator()(CreateList& c) {
    if (!following_) c.id = 0;
    list::Settings settings;
    Texts unread;
    for (const auto& [name, text] : c.settings) {
      const auto set = list::set(settings, name, text, true);
      if (set) continue;
      if (!following_) return fail(Error::Kind::invalid, set.error());
      unread.emplace_back(name, text);
    }
    auto made = create_list(write_, c.local, c.domain, std::move(settings), at_, c.id, unread);
    if (!made) return tl::unexpected(made.error());
    c.id = made->id;
    applied.list = std::move(*made);
    event("created list " + applied.list.address());
    return {};
  }

  Done operator()(SetList& c) {
    auto set = set_list(write_, c.list, c.settings, following_);
    if (!set) return tl::unexpected(set.error());
    applied.list = std::move(*set);
    std::string what = "set " + applied.list.address() + ":";
    for (const auto& [name, text] : c.settings)
      what += " " + name + "=" +
              (text.size() <= most_told ? text : "(" + std::to_string(text.size()) + " octets)");
    event(std::move(what));
    return {};
  }

  Done operator()(RemoveList& c) {
    if (!following_) c.leftover = next_import_id(write_);
    auto removed = remove_list(write_, c.list, c.leftover);
    if (!removed) return tl::unexpected(removed.error());
    forget_guards(write_, c.list);
    applied.list = std::move(*removed);
    event("removed list " + applied.list.address());
    return {};
  }

  Done operator()(Subscribe& c) {
    if (!following_) c.unchanged.clear();
    for (Member& member : std::exchange(c.members, {})) {
      if (!following_) member.id = 0;
      auto added = add_member(write_, c.list, member, at_);
      if (!added && added.error().kind == Error::Kind::conflict && !following_) {
        c.unchanged.push_back(std::move(member.address));
        continue;
      }
      if (!added) return tl::unexpected(added.error());
      c.members.push_back(*added);
      applied.members.push_back(std::move(*added));
    }
    applied.unchanged = c.unchanged;
    return of_list(c.list, "added ", " to ");
  }

  Done operator()(Unsubscribe& c) {
    if (!write_.has(Table::list, list_key(c.list))) return no_list();
    if (!following_) c.unchanged.clear();
    for (std::string& address : std::exchange(c.addresses, {})) {
      auto removed = remove_member(write_, c.list, address, at_);
      if (!removed && removed.error().kind == Error::Kind::not_found && !following_) {
        c.unchanged.push_back(std::move(address));
        continue;
      }
      if (!removed) return tl::unexpected(removed.error());
      c.addresses.push_back(std::move(address));
      applied.members.push_back(std::move(*removed));
    }
    applied.unchanged = c.unchanged;
    if (c.by && !applied.members.empty()) {
      list::Asked& asked = applied.asked.emplace();
      asked.what = list::What::leave;
      asked.answer = list::Answer::left;
      asked.address = applied.members.front().address;
      asked.words = *c.by;
      asked.since = at_;
    }
    return of_list(c.list, "removed ", " from ");
  }

  Done operator()(SetMember& c) {
    auto member = find_member(write_, c.list, c.address);
    if (!member) return fail(Error::Kind::not_found, c.address + " is not a member of the list");
    if (c.name) member->name = *c.name;
    if (c.moderation) member->moderation = *c.moderation;
    if (c.one_copy) member->one_copy = *c.one_copy;
    auto preferences = list::with(member->preferences, c.preferences);
    if (!preferences) return fail(Error::Kind::invalid, preferences.error());
    member->preferences = *std::move(preferences);
    if (c.delivery) {
      member->delivery = *c.delivery;
      // Whoever decides about a member's delivery decides with it what was counted against him.
      if (*c.delivery != list::Delivery::nomail_by_bounce) del_score(write_, c.list, place_of(c.address));
    }
    auto set = set_member(write_, c.list, *member, at_);
    if (!set) return tl::unexpected(set.error());
    applied.members.push_back(std::move(*set));
    return of_list(c.list, "changed ", " of ");
  }

  Done operator()(MoveMember& c) {
    const auto member = find_member(write_, c.list, c.address);
    if (!member) return fail(Error::Kind::not_found, c.address + " is not a member of the list");
    Member moved = *member;
    moved.address = c.to;
    moved.id = following_ ? c.member : 0;
    if (moved.delivery == list::Delivery::nomail_by_bounce) moved.delivery = list::Delivery::regular;
    // Added first: what is refused has changed nothing. Only an address that is the same but for its case must go before.
    const auto to = Mailbox::parse(c.to, Mailbox::Allow::utf8);
    const bool same = to && to->key() == c.address;
    if (same)
      if (auto removed = remove_member(write_, c.list, c.address, at_); !removed)
        return tl::unexpected(removed.error());
    auto added = add_member(write_, c.list, moved, at_);
    if (!added) return tl::unexpected(added.error());
    if (!same)
      if (auto removed = remove_member(write_, c.list, c.address, at_); !removed)
        return tl::unexpected(removed.error());
    c.member = added->id;
    applied.list = *load(write_, c.list);
    event("moved " + member->address + " to " + added->address + " on " + applied.list.address());
    applied.members.push_back(std::move(*added));
    return {};
  }

  Done operator()(BeginImport& c) {
    if (!following_) c.import = next_import_id(write_);
    if (auto begun = begin_import(write_, c.list, c.import); !begun) return tl::unexpected(begun.error());
    applied.import = c.import;
    return {};
  }

  Done operator()(ImportRows& c) {
    auto incoming = sorted(std::move(c.members));
    if (!incoming) return tl::unexpected(incoming.error());
    if (!following_)
      for (Incoming& one : *incoming) one.member.id = 0;
    c.members.clear();
    const auto already = import_slice(write_, c.import, *incoming, at_, &c.members);
    if (!already) return tl::unexpected(already.error());
    if (!following_) c.already = *already;
    applied.already = c.already;
    applied.added = c.members.size();
    return {};
  }

  Done operator()(FinishImport& c) {
    const auto finished = finish_import(write_, c.import, &applied.list);
    if (!finished) return tl::unexpected(finished.error());
    applied.added = *finished;
    event("imported " + std::to_string(*finished) + " members into " + applied.list.address());
    return {};
  }

  Done operator()(CutImport& c) {
    cut_off(write_, c.import);
    return {};
  }

  Done operator()(LeasePosts& c) {
    auto found = load(write_, c.list);
    if (!found) return no_list();
    if (!following_) {
      if (c.count == 0) return fail(Error::Kind::invalid, "no post number is asked for");
      if (c.count > UINT32_MAX - found->last_post)
        return fail(Error::Kind::full, "the list has given out all its post numbers");
      c.last = found->last_post + c.count;
    }
    found->last_post = c.last;
    save(write_, *found);
    applied.list = std::move(*found);
    return {};
  }

  Done operator()(AddUser& c) {
    c.user.created = c.user.password_set = at_;
    if (auto added = add_user(write_, c.user); !added) return added;
    event("added user " + c.user.name + " " + of_addresses(c.user.addresses));
    return {};
  }

  Done operator()(SetUser& c) {
    auto user = find_user(write_, c.name);
    if (!user) return fail(Error::Kind::not_found, "there is no user " + c.name);
    if (c.addresses) user->addresses = *c.addresses;
    if (c.verifiers) {
      user->verifiers = *c.verifiers;
      user->password_set = at_;
    }
    if (auto set = set_user(write_, *user); !set) return set;
    if (c.addresses) event("set user " + c.name + " " + of_addresses(*c.addresses));
    if (c.verifiers) event("set the password of user " + c.name);
    return {};
  }

  Done operator()(RemoveUser& c) {
    if (auto removed = remove_user(write_, c.name); !removed) return removed;
    event("removed user " + c.name);
    return {};
  }

  Done operator()(AddAddress& c) { return change_person(write_, c, at_, following_, applied); }
  Done operator()(RemoveAddress& c) { return change_person(write_, c, applied); }
  Done operator()(SetPerson& c) { return change_person(write_, c, at_, applied); }
  Done operator()(KnowNetwork& c) { return know_network(write_, c.name, c.known); }

  Done operator()(ScoreMember& c) {
    auto found = load(write_, c.list);
    if (!found) return no_list();
    applied.list = std::move(*found);
    // Whose mail failed may be a member of a list that this one includes: it counts there.
    if (!following_)
      if (const auto through = list_of_reader(write_, applied.list, c.address);
          through && *through != c.list) {
        c.list = *through;
        applied.list = *load(write_, c.list);
      }
    auto member = find_member(write_, c.list, c.address);
    if (!following_) score(c, member);
    if (!member) return {};
    const std::string place = place_of(c.address);
    if (c.guarded == ScoreMember::Guarded::spike) take_back(c);
    put_score(write_, c.list, place, c.after.empty() ? bounce::Score{} : unpack_score(c.after));
    if (c.act == bounce::Act::disable) {
      member->delivery = list::Delivery::nomail_by_bounce;
      if (auto set = set_member(write_, c.list, *member, at_); !set) return tl::unexpected(set.error());
    } else if (c.act == bounce::Act::remove) {
      if (auto removed = remove_member(write_, c.list, c.address, at_); !removed)
        return tl::unexpected(removed.error());
    }
    applied.members.push_back(std::move(*member));
    return {};
  }

  Done operator()(UndoBounces& c) {
    const auto found = load(write_, c.list);
    if (!found) return no_list();
    std::vector<ScoredMember> all;  // first found, then written: writing moves what a cursor stands on
    if (!c.address.empty()) {
      if (auto one = score_of(write_, c.list, c.address)) all.push_back({c.list, c.address, std::move(*one)});
    } else {
      visit_scores(write_, c.list, {}, [&](const ScoredMember& one) {
        all.push_back(one);
        return true;
      });
    }
    const std::vector<ScoredMember> changed = undo(std::move(all), *found, c.cause, c.since);
    applied.list = *load(write_, c.list);
    for (const ScoredMember& one : changed)
      if (auto member = find_member(write_, c.list, one.address))
        applied.members.push_back(std::move(*member));
    return {};
  }

  Done operator()(Ask& c) { return ask(write_, c, at_, following_, applied); }
  Done operator()(Redeem& c) { return redeem(write_, c, at_, following_, applied); }
  Done operator()(ForgetAsked& c) {
    forget_asked(write_, c);
    return {};
  }
  Done operator()(AcceptSender& c) {
    auto found = load(write_, c.list);
    if (!found) return no_list();
    load_rules(write_, *found);
    list::RuleTexts& rules = found->settings.moderation.rules;
    std::vector<std::string> faults;
    auto patterns = list::read_address_patterns(rules.accept_these, faults);
    const list::AddressPattern one{list::AddressPattern::Kind::address, c.address};
    const auto same = [&](const list::AddressPattern& other) { return other.written() == c.address; };
    if (std::ranges::none_of(patterns, same)) {
      patterns.push_back(one);
      rules.accept_these = list::print_address_patterns(patterns);
      ++found->settings.moderation.rules_version;
      save_rules(write_, *found);
      save(write_, *found);
      event("set " + found->address() + ": accept_these has " + c.address + " now");
    }
    applied.list = std::move(*found);
    return {};
  }

 private:
  /// Takes failures back; those whose score it changes.
  std::vector<ScoredMember> undo(std::vector<ScoredMember> all, const List& of, const std::string& cause,
                                 TimePoint since) {
    std::erase_if(all, [&](ScoredMember& one) {
      const std::string before = pack(one.score);
      const bounce::Act act = bounce::undo(one.score, of.settings.bounces, cause, since);
      if (pack(one.score) == before) return true;
      event("took back failures of " + one.address + " on " + of.address() + " (" + cause + ")");
      if (act == bounce::Act::enable) enable(of.id, one.address);
      return false;
    });
    for (const ScoredMember& one : all) put_score(write_, of.id, place_of(one.address), one.score);
    return all;
  }

  /// The failures of a spike did not happen. That of the member at hand is not written yet.
  void take_back(const ScoreMember& c) {
    const mail::Address address(c.address);
    std::vector<ScoredMember> all;
    visit_scores(write_, c.list, "@" + std::string(address.domain), [&](const ScoredMember& one) {
      if (mail::Address(one.address).domain != address.domain) return false;  // they are in domain order
      if (one.address != c.address) all.push_back(one);
      return true;
    });
    (void)undo(std::move(all), applied.list, c.failure.cause, c.since);
  }

  /// A failure, as the list's spike guard lets it count.
  void count(ScoreMember& c, bounce::Score& score) {
    const list::BounceRules& rules = applied.list.settings.bounces;
    const std::string domain(mail::Address(c.address).domain);
    bounce::Guard guard =
        rules.guard == 0 ? bounce::Guard{} : guard_of(write_, c.list, domain, c.failure.cause);
    if (bounce::suspended(guard, c.failure.at)) {
      c.guarded = ScoreMember::Guarded::suspended;
      return;
    }
    const bounce::Score before = score;
    const bounce::Recorded done = bounce::record(score, rules, c.failure);
    c.counts = done.counts;
    c.act = done.act;
    if (!done.counts || rules.guard == 0) return;
    if (bounce::spike(guard, rules, c.failure.at, [&] { return members_at(write_, c.list, domain); })) {
      c.guarded = ScoreMember::Guarded::spike;
      c.since = guard.from;
      c.counts = false;
      c.act = bounce::Act::nothing;
      score = before;
    }
    put_guard(write_, c.list, domain, c.failure.cause, guard, c.failure.at);
  }

  /// What the first store decides about a score: `c` is filled in.
  void score(ScoreMember& c, std::optional<Member>& member) {
    c.act = bounce::Act::nothing;
    c.counts = false;
    c.guarded = ScoreMember::Guarded::no;
    c.after.clear();
    const std::string token = std::exchange(c.token, {});
    if (!member) return;
    bounce::Score score = score_of(write_, c.list, c.address).value_or(bounce::Score{});
    const bool by_bounce = member->delivery == list::Delivery::nomail_by_bounce;
    const bool gets_mail = member->delivery == list::Delivery::regular || list::is_digest(member->delivery);
    if (score.disabled != TimePoint{} && !by_bounce) score = {};
    const list::BounceRules& rules = applied.list.settings.bounces;
    if (c.what == ScoreMember::What::tick) {
      c.act = bounce::tick(score, rules, at_);
    } else if (!gets_mail) {
      // Residual: what is still on its way to a member who gets nothing any more.
    } else if (c.what == ScoreMember::What::probe) {
      if (score.token == token) c.act = bounce::probe_bounced(score, rules, at_);
    } else {
      count(c, score);
    }
    if (c.act == bounce::Act::probe) {
      c.token = new_operation_id();
      bounce::probe_sent(score, c.token, at_);
    }
    if (!score.empty()) c.after = pack(score);
    applied.scored = c;
  }

  void enable(ListId list, const std::string& address) {
    auto member = find_member(write_, list, address);
    if (!member || member->delivery != list::Delivery::nomail_by_bounce) return;
    member->delivery = list::Delivery::regular;
    (void)set_member(write_, list, *member, at_);
  }

  void event(std::string text) { applied.events.push_back(std::move(text)); }

  static std::string of_addresses(const std::vector<std::string>& addresses) {
    std::string text = addresses.empty() ? "without addresses" : "of";
    for (const std::string& address : addresses) text += " " + address;
    return text;
  }

  Done of_list(ListId id, const char* did, const char* where) {
    auto found = load(write_, id);
    if (!found) return no_list();
    applied.list = std::move(*found);
    for (const Member& member : applied.members) event(did + member.address + where + applied.list.address());
    return {};
  }

  Write& write_;
  const TimePoint at_;
  const bool following_;
};

}  // namespace

std::optional<Applied> applied(const Read& read, std::string_view operation) {
  if (operation.empty() || operation.size() > 64) return std::nullopt;
  const auto record = read.get(Table::applied, operation);
  if (!record) return std::nullopt;
  return unpack_applied(*record);
}

Result<Applied> apply(Write& write, const Operation& operation) {
  if (operation.id.size() > 64) return fail(Error::Kind::invalid, "an operation's id has at most 64 octets");
  if (auto before = applied(write, operation.id)) return std::move(*before);
  LoggedChange logged;
  logged.operation = operation.id;
  logged.who = operation.who;
  logged.at = write.now();
  logged.change = operation.change;
  Applying applying(write, logged.at, false);
  if (auto done = std::visit(applying, logged.change); !done) return tl::unexpected(done.error());
  log_change(write, std::move(logged), applying.applied);
  return std::move(applying.applied);
}

Result<void> follow(Write& write, const LoggedChange& change) {
  const std::uint64_t last = last_change(write);
  if (change.sequence <= last) return {};
  const std::string name = "change " + std::to_string(change.sequence) + " of the directory";
  if (change.sequence != last + 1)
    return fail(Error::Kind::conflict, name + " came behind change " + std::to_string(last));
  LoggedChange logged = change;
  Applying applying(write, logged.at, true);
  if (auto done = std::visit(applying, logged.change); !done)
    return fail(Error::Kind::conflict,
                name + " cannot be applied, so the directories differ: " + done.error().text);
  log_change(write, std::move(logged), applying.applied);
  return {};
}

}  // namespace spoold::store::directory
