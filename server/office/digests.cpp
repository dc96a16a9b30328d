#include "server/office/digests.hpp"

#include <algorithm>
#include <utility>

#include "protocol/auth/dkim2_make.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/digest.hpp"
#include "protocol/list/filter.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mime/parts.hpp"
#include "server/office/dkim2.hpp"
#include "server/office/drafts.hpp"
#include "server/office/signing.hpp"
#include "store/directory/directory.hpp"
#include "store/spool/digest.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

namespace directory = store::directory;
namespace spool = store::spool;

constexpr std::size_t most_posts = 1000;

/// The post as a member would get it, without what the list puts around it; nothing: it cannot be read any more.
std::optional<std::string> cooked(const list::List& list, const std::string& content,
                                  const mail::Scanned& scanned, std::uint32_t number) {
  const auto header =
      mail::Header::scan(std::string_view(content).substr(0, static_cast<std::size_t>(scanned.header_size)));
  if (!header) return std::nullopt;
  mail::Draft draft(*header, scanned);
  std::optional<list::Filtered> filter;
  if (list.settings.filter.active()) filter = list::filtered(list, content, mime::parts_of(content));
  list::cook(draft, list, {.post = number, .filtered = filter ? &*filter : nullptr});
  const mail::Outgoing out = draft.outgoing();
  std::string text = out.head;
  for (const mail::Splice& piece : out.body) {
    text.append(content, static_cast<std::size_t>(piece.offset), static_cast<std::size_t>(piece.length));
    text += piece.own;
  }
  return text;
}

store::NewMessage message_of(const conf::Settings& settings, const list::List& list,
                             const list::DigestIssue& issue, list::Digest made, std::uint64_t offset,
                             store::Readers::Of readers) {
  store::NewMessage m;
  m.message.list = list.id;
  m.message.list_address = list.address();
  m.message.reverse_path = list::bounces_address(list);
  list::Settings copies = list::for_digest(list).settings;
  copies.one_click = list.settings.one_click;
  m.message.copies = list::copies_for(copies, issue.issue);
  m.message.verp_format = list.settings.verp_format;
  m.message.from = list.local + "-request@" + list.domain;
  m.message.subject = list::digest_title(list, issue);
  m.message.message_id = issue.message_id;
  m.readers.of = readers;
  mail::Outgoing out;
  out.size = made.head.size() + made.body.size();
  out.octets = mail::octets_of(made.head);
  out.octets |= mail::octets_of(made.body);
  out.head = std::move(made.head);
  for (mail::Own& own : made.more) {
    out.size += own.text.size();
    mail::Splice piece;
    piece.own = std::move(own.text);
    piece.blank = own.blank;
    out.body.push_back(std::move(piece));
  }
  out.body.push_back({offset, made.body.size(), {}});
  put(std::move(out), m);
  const bool dkim2 = has_dkim2(settings, list, m.message.copies);
  place_signatures(settings, list.domain, m, {}, dkim2 ? auth::instance_field(1, {}) : std::string());
  return m;
}

}  // namespace

std::optional<store::DigestPost> for_digest(const list::Settings& settings, const Arrival& arrival) {
  if (settings.digest.size == 0 && settings.digest.every == Duration{}) return std::nullopt;
  store::DigestPost post;
  post.at = arrival.at;
  post.scanned = arrival.scanned;
  post.require_tls = arrival.transaction.require_tls;
  return post;
}

std::vector<list::ListId> due_digests(store::Store& store, TimePoint now) {
  std::vector<list::ListId> due;
  for (list::ListId after = 0;;) {
    const store::Read read(store);
    after = spool::next_digest_list(read, after);
    if (after == 0) return due;
    const auto list = directory::list(read, after);
    const auto posts = spool::digest_posts(read, after, most_posts);
    std::uint64_t octets = 0;
    TimePoint first = now;
    for (const store::DigestPost& post : posts) {
      octets += post.scanned.size;
      first = std::min(first, post.at);
    }
    const bool full = posts.size() == most_posts;
    if (!list || full || list::digest_due(list->settings.digest, octets, first, now)) due.push_back(after);
  }
}

std::optional<store::Acceptance> digest_of(const conf::Settings& settings, store::Store& store,
                                           list::ListId id, TimePoint now) {
  std::optional<list::List> list;
  std::vector<store::DigestPost> waiting;
  store::DigestRotation rotation;
  {
    const store::Read read(store);
    list = directory::list(read, id);
    waiting = spool::digest_posts(read, id, most_posts);
    rotation.before = spool::digest_numbers(read, id);
  }
  if (waiting.empty()) return std::nullopt;
  rotation.list = id;
  store::Acceptance made;
  if (!list) {
    for (const store::DigestPost& post : waiting) rotation.posts.push_back(post.number);
    made.digest = std::move(rotation);
    return made;
  }
  const list::List plain = list::for_digest(*list);
  std::vector<list::DigestPost> posts;
  bool require_tls = false;  // a digest is protected as its posts are
  std::uint64_t octets = 0;
  for (const store::DigestPost& post : waiting) {
    if (octets > settings.smtp.max_message_size / 2) break;
    octets += post.scanned.size;
    require_tls = require_tls || post.require_tls;
    rotation.posts.push_back(post.number);
    std::string content;
    {
      const store::Read read(store);
      content = spool::content(read, post.content, 0, static_cast<std::size_t>(post.scanned.size));
    }
    if (auto text = cooked(plain, content, post.scanned, post.number))
      posts.push_back({post.number, std::move(*text)});
  }
  list::DigestIssue issue;
  issue.at = now;
  const std::uint32_t month = list::month_of(now);
  const bool next_volume = rotation.before.month != month;
  issue.volume = rotation.before.volume + (next_volume ? 1 : 0);
  issue.issue = next_volume ? 1 : rotation.before.issue + 1;
  issue.unique = unique_text(now);
  issue.message_id = "<" + issue.unique + ".digest@" + settings.hostname + ">";
  rotation.after = {issue.volume, issue.issue, month};

  list::Digest mime = list::digest(*list, issue, posts, list::DigestForm::mime),
               text = list::digest(*list, issue, posts, list::DigestForm::plain);
  auto content = std::make_shared<std::string>(mime.body);
  *content += text.body;
  const std::uint64_t behind = mime.body.size();
  made.content.bytes = std::move(content);
  made.messages.push_back(
      message_of(settings, *list, issue, std::move(mime), 0, store::Readers::Of::mime_digests));
  made.messages.push_back(
      message_of(settings, *list, issue, std::move(text), behind, store::Readers::Of::plain_digests));
  for (store::NewMessage& message : made.messages) message.message.require_tls = require_tls;
  store::HistoryEvent event;
  event.at = now;
  event.event = "digest";
  event.list = id;
  event.detail = list::digest_title(*list, issue) + ": " + std::to_string(posts.size()) + " posts";
  made.events.push_back(std::move(event));
  made.digest = std::move(rotation);
  return made;
}

}  // namespace spoold::server
