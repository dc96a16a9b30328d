#include "server/office/posting.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "protocol/auth/dkim2_make.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/filter.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/verp.hpp"
#include "server/office/address_book.hpp"
#include "server/office/authors.hpp"
#include "server/office/cross_posts.hpp"
#include "server/office/digests.hpp"
#include "server/office/dkim2.hpp"
#include "server/office/refusals.hpp"
#include "server/office/requests.hpp"
#include "store/directory/directory.hpp"
#include "store/directory/persons.hpp"

namespace spoold::server {

namespace directory = store::directory;

class Posting::Inside {
 public:
  Inside(const conf::Settings& settings, const store::Read& read, const Arrival& arrival,
         const mail::Header& header, Drafts& drafts, Disposition& made)
      : settings_(settings),
        read_(read),
        arrival_(arrival),
        header_(header),
        drafts_(drafts),
        made_(made),
        authors_(settings, header, arrival) {}

  Fate post(list::ListId id) {
    if (const auto known = posts_.find(id); known != posts_.end()) return known->second;
    return posts_.emplace(id, judged_post(id)).first->second;
  }

  void finish() {
    to_nested_lists();
    if (made_.unnumbered) return;
    const bool siblings = std::ranges::any_of(posted_, [](const Posted& post) {
      return !post.list.settings.include_lists.empty() || !post.list.settings.exclude_lists.empty();
    });
    std::vector<list::ListId> given_to;
    if (arrival_.given_to != nullptr) given_to = *arrival_.given_to;
    if (siblings || posted_.size() > 1 || !given_to.empty())
      arrange_readers(read_, posted_, siblings ? the_post().addressed() : std::vector<std::string>(),
                      given_to, made_.acceptance);
    // Who decides later about a post that is held must know who has it.
    for (const Posted& post : posted_) {
      const auto& include = made_.acceptance.messages[post.message].readers.include;
      given_to.push_back(post.list.id);
      given_to.insert(given_to.end(), include.begin(), include.end());
    }
    for (store::HeldPost& held : made_.acceptance.held) held.given_to = given_to;
  }

  bool by_member(list::ListId list) const { return members_posts_.contains(list); }

 private:
  // Members that are lists get no copy: the lists do, behind all that the sender names. posted_ grows on the way.
  void to_nested_lists() {
    for (std::size_t i = 0; i < posted_.size(); ++i) {
      for (const list::ListId id : directory::lists_among_members(read_, posted_[i].list.id)) {
        const auto nested = directory::list(read_, id);
        if (!nested) continue;
        made_.acceptance.messages[posted_[i].message].readers.except.push_back(nested->address());
        if (posts_.contains(id) || was_given_to(id)) continue;
        const Posted through = posted_[i];
        const Fate fate = is_too_much()
                              ? Fate{smtp::Reply{552, {5, 3, 4}, "too many lists for this header"}, {}}
                              : judged_post(id, &through);
        posts_.emplace(id, fate);
        if (made_.unnumbered) return;
        if (fate.refusal) not_nested(through, nested->address(), *fate.refusal);
      }
    }
  }

  bool was_given_to(list::ListId id) const {
    return arrival_.given_to != nullptr &&
           std::ranges::find(*arrival_.given_to, id) != arrival_.given_to->end();
  }

  // The lists through which the post comes.
  std::string_view been_there(const Posted* through) const {
    return through != nullptr ? std::string_view(through->been_there) : arrival_.been_there;
  }

  std::string_view tail_for(const list::Settings& settings) {
    if (settings.header.empty() && settings.footer.empty()) return {};
    if (!tail_) tail_ = drafts_.tail(read_, made_.acceptance.content, list::most_tail);
    return *tail_;
  }

  // All of the content: only for a list that must look into it.
  std::string_view whole_content() {
    const store::ContentSource& content = made_.acceptance.content;
    if (content.bytes) return *content.bytes;
    if (!whole_) whole_ = drafts_.tail(read_, content, arrival_.scanned.size);
    return *whole_;
  }

  list::Filtered filtered(const list::List& list) {
    if (!parts_) parts_ = mime::parts_of(whole_content());
    return list::filtered(list, whole_content(), *parts_);
  }

  const list::Post& the_post() {
    if (!post_) post_.emplace(header_, arrival_.transaction.reverse_path, arrival_.scanned.size);
    return *post_;
  }

  // As server::refusal() says of the lists that the sender names.
  bool is_too_much() const {
    return posted_.size() > 20 && posted_.size() * arrival_.header.size() > (4u << 20);
  }

  // The poster has not named this list: the history of the one whose member it is says what became of the copy.
  void not_nested(const Posted& through, std::string address, const smtp::Reply& reply) {
    store::HistoryEvent event;
    event.at = arrival_.at;
    event.event = "failed";
    event.list = through.list.id;
    event.address = std::move(address);
    event.detail = reply.oneline();
    made_.acceptance.events.push_back(std::move(event));
  }

  list::Judgement judgement_of(const list::List& list, const list::Post& post) {
    const auto rules = arrival_.addresses != nullptr ? arrival_.addresses->rules().of(read_, list)
                                                     : RuleBook::compiled(read_, list);
    list::Besides besides;
    if (arrival_.addresses != nullptr)
      besides = {arrival_.addresses->approves(list, header_), &arrival_.addresses->bans()};
    besides.do_not_explode = asked().do_not_explode;
    return list::judge(list, *rules, post, member_of(read_, list.id), besides);
  }

  const auth::Dkim2Requests& asked() {
    if (!asked_) asked_ = auth::dkim2_requests(header_.fields());
    return *asked_;
  }

  /// Whatever becomes of it: also a post that is held would be refused when it is accepted.
  std::optional<smtp::Reply> unchangeable(const list::List& list, const list::Filtered* filter) {
    if (!asked().do_not_modify) return std::nullopt;
    mail::Draft trial(header_, arrival_.scanned);
    const std::string_view end =
        filter != nullptr ? whole_content().substr(0, filter->end) : std::string_view();
    (void)list::cook(trial, list,
                     {.message_id = drafts_.own_id(),
                      .date = header_.find("Date") == nullptr ? "x" : "",
                      .tail = filter != nullptr ? list::tail_of(end) : tail_for(list.settings),
                      .authenticity = &authors_.authenticity(),
                      .filtered = filter});
    return forbids_changes(trial, list);
  }

  // `through`: the post comes from a list whose member this list is: to its rules that list is the envelope's sender.
  Fate judged_post(list::ListId id, const Posted* through = nullptr) {
    auto list = directory::list(read_, id);
    if (!list) return {smtp::Reply{550, {5, 1, 1}, "this list does not exist any more"}, {}};
    if (arrival_.scanned.binary) return {no_binary(list->address()), {}};
    // An operator's post is not judged; its author is still left out where own_posts says so.
    list::Judgement judgement;
    const bool by_operator = arrival_.by_operator && through == nullptr;
    if (by_operator) {
      if (auto unfit = list::form_refusal(the_post())) return {std::move(unfit), {}};
      judgement.poster = the_post().author.address->mailbox.key();
    } else if (through == nullptr) {
      judgement = judgement_of(*list, the_post());
    } else {
      const std::string sender = through->list.address();
      judgement = judgement_of(*list, list::Post(header_, sender, arrival_.scanned.size));
    }
    if (judgement.member) members_posts_.insert(id);
    if (!arrival_.quarantine.empty() && judgement.outcome == list::Outcome::accept) {
      judgement.outcome = list::Outcome::hold;
      judgement.rule = "milter";
      judgement.reason = arrival_.quarantine;
    }
    std::optional<list::Filtered> filter;
    if (list->settings.filter.active() && judgement.outcome == list::Outcome::accept) {
      filter = filtered(*list);
      if (!by_operator) list::judge(judgement, *list, *filter);
    }
    if (judgement.refusal) return {std::move(judgement.refusal), {}};
    if (auto unfit = by_operator ? std::nullopt : unchangeable(*list, filter ? &*filter : nullptr))
      return {std::move(unfit), {}};
    if (judgement.outcome == list::Outcome::hold)
      if (auto full = too_much_held(read_, settings_, *list, made_.acceptance, arrival_))
        return {std::move(full), {}};
    if (judgement.outcome != list::Outcome::accept) {
      const auto held = set_aside(made_.acceptance, read_, *list, judgement, arrival_, drafts_);
      if (held) made_.acceptance.held[*held].been_there = been_there(through);
      return {{}, {}, held};
    }
    std::uint32_t number = 0;
    if (arrival_.numbers != nullptr) {
      number = arrival_.numbers->take(read_, id).value_or(0);
      if (number == 0) {
        made_.unnumbered = id;
        return {};
      }
    }
    store::NewMessage made = drafts_.message();
    made.message.list = id;
    made.message.post = number;
    made.message.copies = arrival_.copies.value_or(list::copies_for(list->settings, number));
    made.message.list_address = list->address();
    made.message.reverse_path = list::bounces_address(*list);
    made.message.verp_format = list->settings.verp_format;
    leave_out(made.readers, *list, judgement.poster);
    mail::Draft draft = drafts_.of(made, !list->settings.anonymous);
    draft.prepend(std::string(been_there(through)));
    const std::string unique = store::id_text(made.message.id),
                      poster = Authors::name_of(read_, id, the_post(), judgement.poster);
    const std::string date = header_.find("Date") == nullptr ? rfc5322_date(arrival_.at) : std::string();
    const list::Cooking cooking{
        .message_id = drafts_.own_id(),
        .date = date,
        .post = number,
        .tail = filter ? list::tail_of(whole_content().substr(0, filter->end)) : tail_for(list->settings),
        .unique = unique,
        .authenticity = &authors_.authenticity(),
        .poster_name = poster,
        .filtered = filter ? &*filter : nullptr};
    list::Cooked cooked = list::cook(draft, *list, cooking);
    if (cooked.refusal && !by_operator) return {std::move(cooked.refusal), {}};
    const std::string by_author = drafts_.keeps_from(draft) ? authors_.signing_domain() : std::string();
    std::string instance;
    if (has_dkim2(settings_, *list, made.message.copies))
      instance = dkim2_instance(draft, *list, whole_content(), filter && !filter->idle(),
                                arrival_.holds != nullptr ? arrival_.holds : arrival_.verified,
                                std::max(arrival_.at, TimePoint(Duration(made.message.id >> 22))));
    put(draft.outgoing(), made);
    if (!list->settings.archive.place.empty()) archive(*list, cooking, through, made, !instance.empty());
    made.for_digest = for_digest(list->settings, arrival_);
    drafts_.sign(made, by_author, std::move(instance));
    note_rule(judgement, *list, made.message.id);
    const std::string before(been_there(through));
    std::string all = before + list::been_there(*list);
    posted_.push_back({made_.acceptance.messages.size(), *std::move(list), !before.empty(), std::move(all)});
    made_.acceptance.messages.push_back(std::move(made));
    return {{}, made_.acceptance.messages.size() - 1};
  }

  /// The poster where he does not want his own posts, by each of his addresses; and whom the sender has named, for those who avoid
  /// duplicates.
  void leave_out(store::Readers& readers, const list::List& list, const std::string& poster) {
    const auto member = directory::find_member(read_, list.id, poster);
    const bool own_posts =
        member ? directory::preferences_of(read_, *member).own_posts.value_or(list.settings.own_posts)
               : list.settings.own_posts;
    if (!own_posts && !poster.empty())
      readers.except = member ? directory::address_keys_of(read_, *member) : std::vector<std::string>{poster};
    readers.avoid_duplicates = list.settings.avoid_duplicates;
    if (!named_) named_ = std::make_shared<const std::vector<std::string>>(the_post().addressed());
    readers.named = named_;
  }

  /// Which rule has let it in: where it is not that a member wrote it, from the address that he is a member with.
  void note_rule(const list::Judgement& judgement, const list::List& list, store::Id id) {
    const std::string_view rule = judgement.rule;
    const auto& author = the_post().author.address;
    const bool plain = author && author->mailbox.key() == judgement.poster;
    if (rule.empty() || (rule == "member" && plain)) return;
    made_.acceptance.events.push_back(
        moderation_event(arrival_.at, list.id, id, {}, judgement.poster,
                         "accepted: " + std::string(rule) + (plain ? "" : ", as " + judgement.poster)));
  }

  /// What members get, but without the values of single members.
  void archive(const list::List& list, const list::Cooking& cooking, const Posted* through,
               store::NewMessage& made, bool dkim2) {
    store::Archived& archived = made.archive.emplace();
    archived.place = list.settings.archive.place;
    if (!made.message.personal && !dkim2) return;
    list::List same_for_all = list;
    same_for_all.settings.personalize = list::Personalize::none;
    same_for_all.settings.one_click = false;
    mail::Draft draft = drafts_.of(made, !list.settings.anonymous);
    draft.prepend(std::string(been_there(through)));
    list::cook(draft, same_for_all, cooking);
    mail::Outgoing outgoing = draft.outgoing();
    archived.head = std::move(outgoing.head);
    archived.body = std::move(outgoing.body);
  }

  const conf::Settings& settings_;
  const store::Read& read_;
  const Arrival& arrival_;
  const mail::Header& header_;
  Drafts& drafts_;
  Disposition& made_;
  Authors authors_;
  std::optional<auth::Dkim2Requests> asked_;
  std::optional<list::Post> post_;
  std::optional<std::string> tail_;                        // of the content
  std::optional<std::string> whole_;                       // the content, where it was staged
  std::optional<list::Parts> parts_;                       // of it
  std::shared_ptr<const std::vector<std::string>> named_;  // by To and Cc
  std::unordered_map<list::ListId, Fate> posts_;
  std::vector<Posted> posted_;                      // of these the accepted ones
  std::unordered_set<list::ListId> members_posts_;  // lists whose member the poster is
};

Posting::Posting(const conf::Settings& settings, const store::Read& read, const Arrival& arrival,
                 const mail::Header& header, Drafts& drafts, Disposition& made)
    : inside_(std::make_unique<Inside>(settings, read, arrival, header, drafts, made)) {}
Posting::~Posting() = default;

Fate Posting::post(list::ListId list) {
  return inside_->post(list);
}
void Posting::finish() {
  inside_->finish();
}
bool Posting::by_member(list::ListId list) const {
  return inside_->by_member(list);
}

}  // namespace spoold::server
