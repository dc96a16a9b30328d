// What people ask of lists by mail, and tokens that come back: the parts of apply() that decide about them.
#include "protocol/mail/mailbox.hpp"
#include "store/directory/asked.hpp"
#include "store/directory/operations.hpp"
#include "store/directory/rows.hpp"
#include "store/directory/scores.hpp"

namespace spoold::store::directory {
namespace {

/// So many letters an address gets in a day or two, from all lists together.
constexpr std::size_t most_letters = 10;

bool is_other(const Ask& wish, const list::Asked& before) {
  return wish.delivery != before.delivery || wish.preferences != before.preferences;
}

/// Carries out the answer: the member, and what is remembered. `joined`: the id of who joins; 0: the next one, which is filled in.
Result<void> carry_out(Write& write, const List& list, list::Asked asked, list::MemberId& joined,
                       TimePoint at, Applied& applied) {
  const std::string key = key_of(asked.member_address());
  const auto member = find_member(write, list.id, key);
  const auto event = [&](const char* did, const char* where) {
    applied.events.push_back(did + asked.member_address() + where + list.address());
  };
  switch (asked.answer) {
    case list::Answer::joined: {
      Member joins;
      joins.id = joined;
      joins.address = asked.address;
      joins.name = asked.name;
      joins.delivery = asked.delivery.value_or(list::Delivery::regular);
      auto added = add_member(write, list.id, joins, at);
      if (!added) return tl::unexpected(added.error());
      joined = added->id;
      applied.members.push_back(std::move(*added));
      event("added ", " to ");
      break;
    }
    case list::Answer::left: {
      auto removed = remove_member(write, list.id, key, at);
      if (!removed) return tl::unexpected(removed.error());
      applied.members.push_back(std::move(*removed));
      event("removed ", " from ");
      break;
    }
    case list::Answer::changed: {
      Member changes = *member;
      if (auto preferences = list::with(changes.preferences, asked.preferences))
        changes.preferences = *std::move(preferences);
      // Whoever decides about a member's delivery decides with it what was counted against him.
      if (asked.delivery) {
        changes.delivery = *asked.delivery;
        del_score(write, list.id, place_of(key));
      }
      auto set = set_member(write, list.id, changes, at);
      if (!set) return tl::unexpected(set.error());
      applied.members.push_back(std::move(*set));
      event("changed ", " of ");
      break;
    }
    default:
      if (member) applied.members.push_back(*member);
      break;
  }
  const std::string asker = key_of(asked.address);
  if (asked.until > at)
    put_asked(write, list.id, asker, asked);
  else
    del_asked(write, list.id, asker, asked.what);
  applied.list = list;
  if (const auto now = load(write, list.id)) applied.list = *now;
  applied.asked = std::move(asked);
  return {};
}

}  // namespace

Result<void> ask(Write& write, Ask& c, TimePoint at, bool following, Applied& applied) {
  const auto list = load(write, c.list);
  if (!list) return fail(Error::Kind::not_found, "there is no such list");
  const std::string key = key_of(c.address);
  if (key.empty()) return fail(Error::Kind::invalid, "'" + c.address + "' is no address");
  const auto before = asked_of(write, c.list, key, c.what);
  if (!following) {
    c.member = 0;
    const auto found = find_member_or_person(write, c.list, key);
    const bool member = found.has_value();
    c.about = found && key_of(found->address) != key ? found->address : std::string();
    const list::Asking asking{.what = c.what,
                              .member = member,
                              .owner = list::is_owner(list->settings, key),
                              .another_change = c.what == list::What::set && before && is_other(c, *before)};
    const auto decision = list::answer_to(list->settings, asking, before, at);
    c.answer = decision.answer;
    c.until = decision.until;
    c.token = decision.with_token() ? new_operation_id() : std::string();
    if (!before && c.until > at && asked_count(write, key, most_letters) >= most_letters)
      c.answer = list::Answer::silence;
  }
  applied.list = *list;
  if (c.answer == list::Answer::silence) return {};
  const bool soon = before && at < before->until && before->answer == c.answer;
  return carry_out(write, *list,
                   {.what = c.what,
                    .answer = c.answer,
                    .address = c.address,
                    .name = c.name,
                    .delivery = c.delivery,
                    .words = c.words,
                    .token = c.token,
                    .since = at,
                    .until = c.until,
                    .preferences = c.preferences,
                    .about = c.about,
                    .letters = soon ? before->letters + 1 : 1},
                   c.member, at, applied);
}

Result<void> redeem(Write& write, Redeem& c, TimePoint at, bool following, Applied& applied) {
  auto row = asked_by_token(write, c.token);
  if (!row) return fail(Error::Kind::not_found, "this token is not known: it was used, or its time is over");
  const auto list = load(write, row->list);
  if (!list) return fail(Error::Kind::not_found, "there is no such list");
  list::Asked asked = std::move(row->asked);
  if (!following) {
    c.member = 0;
    const bool member = find_member(write, row->list, key_of(asked.member_address())).has_value();
    const bool by_owners = asked.answer == list::Answer::moderate;
    const auto decision = c.refuse
                              ? list::Decision{by_owners ? list::Answer::refused : list::Answer::silence, at}
                              : list::answer_to_token(list->settings, asked, member, at);
    c.answer = decision.answer;
    c.until = decision.until;
    c.next = decision.with_token() ? new_operation_id() : std::string();
    if (c.answer == list::Answer::silence && !c.refuse)
      return fail(Error::Kind::not_found, "the time of this token is over");
  }
  asked.answer = c.answer;
  asked.since = at;
  asked.until = c.until;
  asked.token = c.next;
  asked.words = c.reason;
  return carry_out(write, *list, std::move(asked), c.member, at, applied);
}

void forget_asked(Write& write, const ForgetAsked& c) {
  std::vector<AskedRow> over;  // first found, then deleted: deleting moves what a cursor stands on
  std::string after;
  while (over.size() < c.most && visit_asked(write, after, 1000, [&](const AskedRow& row) {
           if (row.asked.until <= c.before) over.push_back(row);
           return over.size() < c.most;
         })) {
  }
  for (const AskedRow& row : over) del_asked(write, row.list, row.address, row.asked.what);
}

}  // namespace spoold::store::directory
