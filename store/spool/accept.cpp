#include "store/spool/accept.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "store/spool/content.hpp"
#include "store/spool/due.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/moderation.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/outbox.hpp"
#include "store/spool/post_blocks.hpp"
#include "store/spool/request.hpp"
#include "store/spool/rows.hpp"
#include "store/spool/work.hpp"

namespace spoold::store::spool {
namespace {

using Kind = Error::Kind;
using mail::lower;
constexpr std::uint32_t chunks_a_step = 32;
constexpr std::size_t recipients_a_step = 4096;

/// Domain order, each address once. Addresses that differ in the case of their local part are two: what it
/// means, its host decides (RFC 5321 2.4).
void put_in_order(std::vector<PlainRecipient>& recipients) {
  if (recipients.size() < 2) return;
  struct Entry {
    std::string domain, local;
    PlainRecipient recipient;
  };
  std::vector<Entry> entries;
  entries.reserve(recipients.size());
  for (PlainRecipient& r : recipients) {
    const std::string_view domain = domain_of(r.address);
    const std::string_view local = std::string_view(r.address).substr(0, r.address.size() - domain.size());
    Entry e{lower(domain), lower(local), {}};
    e.recipient = std::move(r);
    entries.push_back(std::move(e));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.domain, a.local, a.recipient.address) <
           std::tie(b.domain, b.local, b.recipient.address);
  });
  recipients.clear();
  for (Entry& e : entries) {
    const auto same = [&](const PlainRecipient& last) {
      return domain_of(last.address).size() == e.domain.size() &&
             lower(domain_of(last.address)) == e.domain &&
             last.address.compare(0, e.local.size(), e.recipient.address, 0, e.local.size()) == 0;
    };
    if (recipients.empty() || !same(recipients.back())) recipients.push_back(std::move(e.recipient));
  }
}

}  // namespace

/// How far one message's expansion has come.
struct Accepting::Part {
  Id id = 0;
  bool complete = false;
  bool skipped = false;  // its limit is used up
  std::size_t next = 0;  // plain recipients
  std::string after;     // members
  std::uint32_t count = 0;
  PageWriter page;
  RequestWriter requests;
  DueRuns runs;
  std::string domain, route;  // of the last recipient
  bool any = false;
  bool digests = false;  // the list has members who get digests
};

struct Accepting::Progress {
  bool begun = false;
  TimePoint at{};
  Id content = 0;
  bool content_complete = false;
  std::uint32_t chunk = 0;
  std::vector<Part> parts;
  bool staged = false;
  Accepted accepted;
};

Accepting::Accepting(Acceptance acceptance, std::function<std::string(std::string_view)> route,
                     const Roster& roster)
    : acceptance_(std::move(acceptance)),
      route_(acceptance_.route ? acceptance_.route : std::move(route)),
      roster_(roster),
      progress_(std::make_unique<Progress>()) {
  for (NewMessage& m : acceptance_.messages) {
    put_in_order(m.recipients);
    std::ranges::sort(m.readers.except);
  }
}

Accepting::~Accepting() = default;

bool Accepting::staged() const {
  return progress_->staged;
}
Accepted Accepting::take() {
  Accepted accepted = std::move(progress_->accepted);
  progress_.reset();
  return accepted;
}

// Called when the slice's commit is on the disk, so what it did is not done again.
void Accepting::advance() {
  if (next_) progress_ = std::move(next_);
}

Result<bool> Accepting::slice(Write& write, const Enough& enough) {
  if (acceptance_.messages.empty() && acceptance_.held.empty()) {
    // A refused, discarded or rejected message is a decision too: its events and operations are one commit.
    if (acceptance_.events.empty() && acceptance_.operations.empty() && !acceptance_.decision &&
        !acceptance_.digest)
      return fail(Kind::invalid, "there is no recipient to accept a message for");
    return note(write).map([] { return true; });
  }
  for (const NewMessage& m : acceptance_.messages)
    if (m.message.list != 0 && m.message.post == 0 && m.recipients.empty() && !m.is_digest())
      return fail(Kind::invalid, "the post has no number");
  // Of an acceptance in several slices the first one says when it was.
  for (NewMessage& m : acceptance_.messages)
    if (m.readers.at == TimePoint{}) m.readers.at = write.now();
  // On a copy: a slice whose transaction is aborted is run again from the same place, and advance() alone moves on.
  next_ = std::make_unique<Progress>(*progress_);
  Progress& p = *next_;
  const ContentSource& source = acceptance_.content;
  // Ids and the time of arrival are those of the first slice that was committed: `stage` names the ids.
  if (!p.begun) {
    p.begun = true;
    p.at = write.now();
    p.content = source.staged ? source.staged : source.kept ? source.kept : write.next_id();
    p.content_complete = source.staged != 0 || source.kept != 0;
    for (const NewMessage& m : acceptance_.messages) {
      if (m.message.id != 0) write.covers(m.message.id);
      const Id id = m.message.id != 0 ? m.message.id : write.next_id();
      p.parts.push_back({.id = id,
                         .complete = false,
                         .skipped = m.limit && !may_tell(write, *m.limit, write.now()),
                         .next = 0,
                         .after = {},
                         .count = 0,
                         .page = {},
                         .requests = {},
                         .runs = DueRuns(id, p.at, 0),
                         .domain = {},
                         .route = {},
                         .any = false,
                         .digests = false});
      p.parts.back().complete = p.parts.back().skipped;
    }
  }
  // Recipients before the content: only then is known whether anybody gets it.
  bool complete = true;
  for (std::size_t i = 0; complete && i < p.parts.size(); ++i) {
    if (p.parts[i].complete) continue;
    if (auto ok = expand(write, p, i, enough); !ok) return tl::unexpected(ok.error());
    complete = p.parts[i].complete;
  }
  // A content that nobody gets is dropped by the commit that would write it: a post to a list without a regular
  // member. Its chunks are not written at all.
  const auto for_nobody = [](const Part& part) { return part.count == 0; };
  if (complete && p.chunk == 0 && acceptance_.held.empty() && waiting(p) == 0 &&
      std::all_of(p.parts.begin(), p.parts.end(), for_nobody))
    p.content_complete = true;
  for (bool any = false; complete && !p.content_complete && !(any && enough()); any = true) {
    const auto chunks =
        std::string_view(*source.bytes).substr(0, source.bytes->size() - tail_size(source.bytes->size()));
    p.content_complete = put_chunks(write, p.content, chunks, p.chunk, chunks_a_step);
    p.chunk += chunks_a_step;
  }
  complete = complete && p.content_complete;
  if (complete) {
    if (auto ok = make_exist(write, p); !ok) return tl::unexpected(ok.error());
    return true;
  }
  // This will take another slice: from here on a crash must find what was written. (An upload has its row already.)
  if (!p.staged) {
    p.staged = true;
    if (!source.staged && !source.kept) write.put(Table::stage, stage_key(StageKind::accept, p.content), {});
    for (const Part& part : p.parts) write.put(Table::stage, stage_key(StageKind::accept, part.id), {});
  }
  return false;
}

Result<void> Accepting::expand(Write& write, Progress& p, std::size_t index, const Enough& enough) const {
  const NewMessage& m = acceptance_.messages[index];
  Part& part = p.parts[index];
  const bool due = m.message.state != MessageState::held;  // what is held gets its due rows at its release
  const auto add = [&](std::string_view address, std::uint64_t member) {
    // Recipients come in domain order: the route is asked for once a domain.
    const auto domain = domain_of(address);
    if (!part.any || domain != part.domain) {
      part.domain = domain;
      part.route = route_(domain);
      part.any = true;
    }
    part.page.add(address, member);
    if (due) part.runs.add(write, part.count, part.route);
    ++part.count;
    if (part.page.count() == page_size) {
      write.put(Table::recipients, Key().u64(part.id).u32((part.count - 1) / page_size), part.page.take());
      part.requests.put(write, part.id, part.count - 1);
    }
  };
  // At least one step in each slice: also beside others an acceptance comes to its end.
  do {
    if (m.message.post == 0 && !m.is_digest()) {
      const std::size_t end = std::min(m.recipients.size(), part.next + recipients_a_step);
      for (; part.next < end; ++part.next) {
        part.requests.add(part.count, m.recipients[part.next].dsn);
        add(m.recipients[part.next].address, m.recipients[part.next].member);
      }
      part.complete = part.next == m.recipients.size();
    } else {
      Roster::Page page = roster_.page(write, m.message.list, m.readers, part.after);
      part.digests = part.digests || page.digests;
      part.after = std::move(page.after);
      std::size_t from = 0;
      for (const auto& [id, end] : page.members) {
        add(std::string_view(page.addresses).substr(from, end - from), id);
        from = end;
      }
      part.complete = part.after.empty();
    }
  } while (!part.complete && !enough());
  if (part.complete) part.runs.finish(write);
  return {};
}

// The commit of this transaction is what the 250 promises: before it nothing of the message can be seen, behind it all of
// it can. So the rows that only a whole message has are written here: content, message, post number, digest and archive.
Result<void> Accepting::make_exist(Write& write, Progress& p) const {
  std::uint64_t size =
      acceptance_.content.bytes ? acceptance_.content.bytes->size() : acceptance_.content.size;
  if (acceptance_.content.staged) {
    const Key key = stage_key(StageKind::content, p.content);
    const auto stage = write.get(Table::stage, key);
    if (!stage) return fail(Kind::not_found, "the staged content of a message is gone");
    size = Unpacker(*stage, "stage", key).num();
    write.del(Table::stage, key);
  }
  // Each message, held post and post that waits for a digest holds the content once: the last of them drops it.
  const auto users = static_cast<std::uint32_t>(std::ranges::count(p.parts, false, &Part::skipped) +
                                                std::ssize(acceptance_.held)) +
                     waiting(p);
  if (acceptance_.content.kept) {
    auto ok = use_kept_content(write, users);
    if (!ok) return tl::unexpected(ok.error());
    size = *ok;
  } else {
    std::string_view tail;
    if (!acceptance_.content.staged)
      tail = std::string_view(*acceptance_.content.bytes).substr(size - tail_size(size));
    if (users > 0 || acceptance_.content.staged) put_content(write, p.content, {size, users, tail});
  }
  if (p.staged) {
    // Without its row in `stage` a part may have been swept: to make it exist then would promise what is gone.
    bool whole = acceptance_.content.staged != 0 || acceptance_.content.kept != 0 ||
                 write.del(Table::stage, stage_key(StageKind::accept, p.content));
    for (const Part& part : p.parts)
      whole = write.del(Table::stage, stage_key(StageKind::accept, part.id)) && whole;
    if (!whole)
      return fail(Kind::conflict, "what was written of a message is gone from the store: send it again");
  }
  std::vector<std::string>& routes = p.accepted.routes;
  for (std::size_t i = 0; i < p.parts.size(); ++i) {
    const NewMessage& m = acceptance_.messages[i];
    Part& part = p.parts[i];
    if (part.skipped) {
      p.accepted.ids.push_back(0);
      p.accepted.recipients.push_back(0);
      continue;
    }
    if (m.limit) count_told(write, *m.limit);
    MessageRow row;
    static_cast<Message&>(row) = m.message;
    row.id = part.id;
    row.content = p.content;
    row.arrived = p.at;
    row.originals = part.count;
    row.requests = part.requests.any();
    if (row.requests) part.requests.put(write, part.id, part.count - 1);
    row.added = 0;
    row.counts = {};
    (row.state == MessageState::held ? row.counts.held : row.counts.queued) = part.count;
    if (row.state != MessageState::held) row.state = MessageState::queued;
    // Recipients that are few stand in the message's own row: mail to one person costs no page.
    if (part.count <= few_recipients && part.page.size() <= few_octets) {
      row.few = true;
      row.page = part.page.take();
    } else if (part.page.count() > 0) {
      write.put(Table::recipients, Key().u64(part.id).u32((part.count - 1) / page_size), part.page.take());
    }
    if (row.post != 0) {
      const auto version = roster_.version(write, row.list);
      if (!version) return fail(Kind::not_found, "the list " + row.list_address + " was removed meanwhile");
      row.roster_version = *version;
      use_post_number(write, row.list, row.post);
    }
    if (m.is_digest()) row.roster_version = roster_.version(write, row.list).value_or(0);
    if (m.for_digest && part.digests) {
      DigestPost post = *m.for_digest;
      post.list = row.list;
      post.number = row.post;
      post.message = row.id;
      post.content = p.content;
      put_digest_post(write, post);
    }
    if (m.archive) write.put(Table::archive, Key().u64(row.id), m.archive->place);
    // Only what cooking made differs from the content is kept: all copies share the rest.
    const bool cooked = !m.head.empty() || !m.body.empty();
    if (cooked) put_head(write, row.id, m.head, m.body);
    if (row.size == 0) {
      row.size = cooked ? m.head.size() : size;
      for (const Splice& s : m.body) row.size += s.length + s.own.size();
    }
    // A post that nobody gets is finished at once.
    if (!finish_if_done(write, row)) put_message(write, row);
    p.accepted.ids.push_back(row.id);
    p.accepted.recipients.push_back(part.count);
    routes.insert(routes.end(), part.runs.routes().begin(), part.runs.routes().end());
  }
  std::sort(routes.begin(), routes.end());
  routes.erase(std::unique(routes.begin(), routes.end()), routes.end());
  for (HeldPost post : acceptance_.held) {
    if (post.id == 0) post.id = write.next_id();
    write.covers(post.id);
    post.content = p.content;
    put_held(write, post);
    p.accepted.held.push_back(post.id);
  }
  return note(write);
}

// The content of a held post that a moderator decides now. Two of them at once: the second finds it gone, or finds the
// decision, and is told whose it was.
Result<std::uint64_t> Accepting::use_kept_content(Write& write, std::uint32_t users) const {
  const auto row = find_content(write, acceptance_.content.kept);
  if (!row) {
    if (acceptance_.decision)
      if (auto decided = decide(write, *acceptance_.decision); !decided)
        return tl::unexpected(decided.error());  // says who and when
    return fail(Kind::not_found, "the content of the held post is gone: it was decided meanwhile");
  }
  const std::string tail(row->tail);  // a view of the row that is overwritten
  put_content(write, acceptance_.content.kept, {row->size, row->references + users, tail});
  return row->size;
}

/// How many of them wait for a digest.
std::uint32_t Accepting::waiting(const Progress& p) const {
  std::uint32_t posts = 0;
  for (std::size_t i = 0; i < p.parts.size(); ++i)
    if (acceptance_.messages[i].for_digest && p.parts[i].digests) ++posts;
  return posts;
}

Result<void> Accepting::note(Write& write) const {
  if (acceptance_.digest)
    if (auto rotated = rotate_digest(write, *acceptance_.digest); !rotated) return rotated;
  if (acceptance_.decision)
    if (auto decided = decide(write, *acceptance_.decision); !decided) return decided;
  for (const HistoryEvent& event : acceptance_.events) add_history(write, event);
  for (const std::string& operation : acceptance_.operations) put_outbox(write, operation);
  return {};
}

// The rows in `stage` go at once, so that no later slice makes this exist; the pages are swept as work of the background.
void Accepting::abandon(Write& write) const {
  const auto give_up = [&](StageKind kind, Id id) {
    if (write.del(Table::stage, stage_key(kind, id)))
      leave_work(write, stage_key(StageKind::abandoned, id), {});
  };
  for (const Part& part : progress_->parts) give_up(StageKind::accept, part.id);
  give_up(StageKind::accept, progress_->content);
  if (acceptance_.content.staged) give_up(StageKind::content, acceptance_.content.staged);
}

}  // namespace spoold::store::spool
