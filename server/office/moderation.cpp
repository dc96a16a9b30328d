#include "server/office/moderation.hpp"

#include <algorithm>
#include <utility>

#include "protocol/list/moderator_reply.hpp"
#include "server/office/acceptance.hpp"
#include "server/office/drafts.hpp"
#include "server/office/moderation_mail.hpp"
#include "store/directory/changes.hpp"
#include "store/spool/moderation.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"

namespace spoold::server {
namespace {

namespace directory = store::directory;
namespace spool = store::spool;

constexpr std::uint64_t share_of_held = 4;
constexpr std::size_t most_header = (256 << 10) + 4;  // mail::HeaderLimits, and the blank line

store::Result<store::HeldPost> waiting(const store::Read& read, store::Id id) {
  if (auto post = spool::held_post(read, id)) return std::move(*post);
  if (const auto decided = spool::decision(read, id))
    return store::fail(store::Error::Kind::conflict,
                       "post " + store::id_text(id) + " was " + spool::said(*decided) + " already");
  return store::fail(store::Error::Kind::not_found,
                     "no post " + store::id_text(id) + " is held for moderation");
}

store::Decision::What decision_of(Moderation::What what) {
  return what == Moderation::What::accept   ? store::Decision::What::accept
         : what == Moderation::What::reject ? store::Decision::What::reject
                                            : store::Decision::What::discard;
}

store::Decision decided(const Moderation& asked) {
  store::Decision decision;
  decision.what = decision_of(asked.what);
  decision.held = asked.post;
  decision.who = asked.who;
  decision.reason = asked.reason;
  return decision;
}

/// `post`: the mail quotes it, and is protected as it is (RFC 8689 6).
void add(store::Acceptance& into, ModerationMail::Mail mail, const store::HeldPost* post = nullptr) {
  if (!mail) return;
  mail->message.require_tls = post != nullptr && post->require_tls;
  into.messages.push_back(std::move(*mail));
}

void use_content(store::Acceptance& acceptance, const store::HeldPost& post) {
  acceptance.content.kept = post.content;
  acceptance.content.size = post.scanned.size;
}

/// The post as it would be if it came now, by the settings and members of now.
store::Result<void> accept(const conf::Settings& settings, store::Store& store, const Moderation& asked,
                           const std::string& header, Moderated& made) {
  const store::HeldPost& post = made.post;
  smtp::Transaction transaction;
  transaction.open = true;
  transaction.reverse_path = post.reverse_path;
  transaction.utf8 = post.utf8;
  transaction.require_tls = post.require_tls;
  transaction.recipients.push_back({post.list_address, smtp::to::Post{post.list}});
  Arrival arrival{.transaction = transaction,
                  .header = header,
                  .content = {},
                  .scanned = post.scanned,
                  .client = post.client,
                  .protocol = post.protocol,
                  .tls = post.tls,
                  .at = post.at,
                  .by_operator = true,
                  .numbers = asked.dry_run ? nullptr : &store.post_numbers(),
                  .vouched = post.vouched,
                  .been_there = post.been_there,
                  .given_to = &post.given_to};
  arrival.content.kept = post.content;
  arrival.content.size = post.scanned.size;
  Disposition disposition = dispose(settings, store, std::move(arrival));
  made.unnumbered = disposition.unnumbered;
  if (made.unnumbered) return {};
  if (disposition.all_refused())
    return store::fail(store::Error::Kind::not_found, disposition.fates.front().refusal->text);
  made.acceptance = std::move(disposition.acceptance);
  const store::Id message = made.acceptance.messages.front().message.id;
  made.acceptance.decision = decided(asked);
  made.acceptance.decision->message = message;
  made.acceptance.events.push_back(moderation_event(store.now(), post.list, post.id, asked.who, post.poster,
                                                    "accepted as message " + store::id_text(message)));
  made.acceptance.events.push_back(moderation_event(
      store.now(), post.list, message, asked.who, post.poster,
      "accepted; it was held as " + store::id_text(post.id) + ": " + post.rule + ": " + post.reason));
  if (asked.remember)
    made.acceptance.operations.push_back(directory::pack(directory::Operation{
        directory::new_operation_id(), asked.who, directory::AcceptSender{post.list, post.poster}}));
  return {};
}

/// For `spoolctl trace MESSAGE-ID`, when no message of it is there.
std::string named(const std::string& message_id) {
  return message_id.empty() ? std::string() : " (Message-ID " + message_id + ")";
}

}  // namespace

store::HistoryEvent moderation_event(TimePoint at, list::ListId list, store::Id post, std::string who,
                                     std::string address, std::string what) {
  store::HistoryEvent event;
  event.at = at;
  event.message = post;
  event.event = "moderation";
  event.who = std::move(who);
  event.list = list;
  event.address = std::move(address);
  event.detail = std::move(what);
  return event;
}

std::optional<smtp::Reply> too_much_held(const store::Read& read, const conf::Settings& settings,
                                         const list::List& list, const store::Acceptance& made,
                                         const Arrival& arrival) {
  // Those of this transaction are all of this mail.
  const std::uint64_t octets = spool::held_octets(read) + (made.held.size() + 1) * arrival.scanned.size;
  if (octets <= settings.spool.max_size / share_of_held) return {};
  return smtp::Reply{452,
                     {4, 3, 1},
                     "no room for more posts that wait for a moderator, such as this one to " +
                         list.address() + "; try again later"};
}

std::optional<std::size_t> set_aside(store::Acceptance& into, const store::Read& read, const list::List& list,
                                     const list::Judgement& judgement, const Arrival& arrival,
                                     Drafts& drafts) {
  const AddressBook* const book = arrival.addresses;
  const std::string why = std::string(judgement.rule) + ": " + judgement.reason;
  if (judgement.outcome == list::Outcome::discard) {
    into.events.push_back(moderation_event(arrival.at, list.id, 0, {}, judgement.poster,
                                           "discarded: " + why + named(drafts.message().message.message_id)));
    return std::nullopt;
  }
  const store::NewMessage shown = drafts.message();
  store::HeldPost post;
  post.id = shown.message.id;
  post.list = list.id;
  post.list_address = list.address();
  post.at = arrival.at;
  post.until = arrival.at + list.settings.moderation.held_lifetime;
  post.rule = judgement.rule;
  post.reason = judgement.reason;
  post.reverse_path = arrival.transaction.reverse_path;
  post.poster = judgement.poster;
  post.from = shown.message.from;
  post.subject = shown.message.subject;
  post.message_id = shown.message.message_id;
  post.scanned = arrival.scanned;
  post.client = arrival.client;
  post.protocol = arrival.protocol;
  post.tls = arrival.tls;
  post.utf8 = arrival.transaction.utf8;
  post.require_tls = arrival.transaction.require_tls;
  post.vouched = arrival.vouched;
  post.told = book != nullptr && (judgement.member || !arrival.user.empty());
  if (book != nullptr) {
    const ModerationMail mail(book->settings(), list, post);
    std::vector<std::string> moderators = book->moderators_of(read, list);
    if (!moderators.empty())
      add(into,
          mail.to_moderators(std::move(moderators), book->moderation_address(list, post.id),
                             arrival.verified == nullptr ? std::string() : auth::summary(*arrival.verified)),
          &post);
    if (post.told) add(into, mail.to_poster(), &post);
  }
  into.events.push_back(moderation_event(arrival.at, list.id, post.id, {}, post.poster,
                                         "held: " + why + named(post.message_id)));
  into.held.push_back(std::move(post));
  return into.held.size() - 1;
}

store::Result<Moderated> moderate(const conf::Settings& settings, store::Store& store,
                                  const Moderation& asked) {
  Moderated made;
  std::string header;
  std::optional<list::List> list;
  {
    const store::Read read(store);
    auto post = waiting(read, asked.post);
    if (!post) return tl::unexpected(post.error());
    made.post = std::move(*post);
    list = directory::list(read, made.post.list);
    header = spool::content(read, made.post.content, 0,
                            std::min<std::size_t>(most_header, made.post.scanned.header_size));
  }
  if (!list && asked.what != Moderation::What::discard)
    return store::fail(store::Error::Kind::not_found,
                       "the list " + made.post.list_address + " does not exist any more");
  if (asked.what == Moderation::What::accept) {
    if (auto done = accept(settings, store, asked, header, made); !done) return tl::unexpected(done.error());
    return made;
  }
  const TimePoint now = store.now();
  const auto note = [&](std::string what) {
    made.acceptance.events.push_back(
        moderation_event(now, made.post.list, made.post.id, asked.who, made.post.poster, std::move(what)));
  };
  if (asked.what == Moderation::What::forward) {
    use_content(made.acceptance, made.post);
    add(made.acceptance, ModerationMail(settings, *list, made.post).forwarded(asked.address, asked.who, now),
        &made.post);
    note("forwarded to " + asked.address);
    return made;
  }
  made.acceptance.decision = decided(asked);
  if (asked.what == Moderation::What::reject) {
    use_content(made.acceptance, made.post);
    add(made.acceptance, ModerationMail(settings, *list, made.post).rejection(asked.reason, now), &made.post);
  }
  note(std::string(text(made.acceptance.decision->what)) + (asked.reason.empty() ? "" : ": " + asked.reason));
  return made;
}

void answered_by_mail(Disposition& into, const store::Read& read, const smtp::to::Moderation& to,
                      const mail::Header& header, std::string_view mail, const Arrival& arrival) {
  const std::string& sender = arrival.transaction.reverse_path;
  const bool automatic = sender.empty() || list::is_automatic(header);
  into.acceptance.events.push_back(
      moderation_event(arrival.at, to.list, to.post, {}, sender,
                       automatic ? "automatic mail to moderate it: ignored" : "answered by mail"));
  const auto same = [&](const ModerationByMail& one) { return one.post == to.post; };
  if (automatic || std::ranges::any_of(into.moderations, same)) return;
  ModerationByMail& made = into.moderations.emplace_back();
  made.post = to.post;
  made.answer_to = sender;
  made.message_id = mail::message_id(header).substr(0, 200);
  if (const auto list = directory::list(read, to.list)) made.list_address = list->address();
  const auto reply = list::moderator_reply(mail);
  if (!reply) return;
  using What = list::ModeratorReply::What;
  Moderation& asked = made.asked.emplace();
  asked.what = reply->what == What::accept   ? Moderation::What::accept
               : reply->what == What::reject ? Moderation::What::reject
                                             : Moderation::What::discard;
  asked.post = to.post;
  asked.who = sender;
  asked.reason = reply->reason;
  asked.remember = reply->remember;
}

std::vector<store::Acceptance> expired(const conf::Settings& settings, store::Store& store, TimePoint now,
                                       std::size_t most) {
  std::vector<Moderation> due;
  spool::HeldPlace after;
  for (bool more = true; more && due.size() < most;) {
    const store::Read read(store);
    const auto page = spool::held_posts(read, 0, after, 500);
    more = !page.empty();
    for (const store::HeldPost& post : page) {
      after = {post.list, post.number};
      const auto list = directory::list(read, post.list);
      if (list && now < post.until) continue;
      if (due.size() == most) break;
      const bool reject = list && list->settings.moderation.held_expiry == list::Action::reject;
      due.push_back({.what = reject ? Moderation::What::reject : Moderation::What::discard,
                     .post = post.id,
                     .who = list ? "held_expiry" : "spoold",
                     .reason = !list    ? "the list does not exist any more"
                               : reject ? "no moderator has decided about it in time"
                                        : "nobody has decided about it in time"});
    }
  }
  std::vector<store::Acceptance> made;
  for (const Moderation& one : due)
    if (auto done = moderate(settings, store, one)) made.push_back(std::move(done->acceptance));
  return made;
}

std::vector<store::Acceptance> summaries(const AddressBook& book, store::Store& store, TimePoint now) {
  using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;
  const TimePoint today{std::chrono::floor<Days>(now.time_since_epoch())};
  std::vector<store::Acceptance> made;
  list::ListId list_after = 0;
  for (;;) {
    const store::Read read(store);
    const auto next = spool::held_posts(read, 0, {list_after, UINT32_MAX}, 1);
    if (next.empty()) return made;
    list_after = next.front().list;
    const auto list = directory::list(read, list_after);
    if (!list) continue;
    constexpr std::size_t most_named = 100;
    auto posts = spool::held_posts(read, list_after, {}, most_named);
    std::erase_if(posts, [&](const store::HeldPost& post) { return post.at >= today; });
    if (posts.empty() || !spool::may_tell(read, ModerationMail::summary_limit(*list), now)) continue;
    auto to = book.moderators_of(read, *list);
    if (to.empty()) continue;
    store::Acceptance& acceptance = made.emplace_back();
    acceptance.content.bytes = std::make_shared<const std::string>();
    add(acceptance, ModerationMail::summary(book.settings(), *list, posts,
                                            spool::count_held(read, list_after), std::move(to), now));
  }
}

store::Acceptance answer_to_moderator(const conf::Settings& settings, const std::string& address,
                                      const std::string& list_address, const std::string& words,
                                      const std::string& in_reply_to, TimePoint now) {
  store::Acceptance made;
  made.content.bytes = std::make_shared<const std::string>();
  add(made, ModerationMail::answer(settings, address, list_address, words, in_reply_to, now));
  return made;
}

}  // namespace spoold::server
