#include "server/admin/reads.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "conf/load.hpp"
#include "protocol/auth/dkim2_make.hpp"
#include "protocol/list/approved.hpp"
#include "protocol/list/leave_token.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/admin/host_clocks.hpp"
#include "server/admin/views.hpp"
#include "server/office/envelope_sender.hpp"
#include "server/office/rule_book.hpp"
#include "store/directory/check.hpp"
#include "store/directory/directory.hpp"
#include "store/directory/users.hpp"
#include "store/post_numbers.hpp"
#include "store/spool/check.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

namespace {

constexpr std::size_t recipients_looked_at = 5000;  // of a message, for one line of `queue`
constexpr std::size_t slice = 256 << 10;
constexpr std::size_t rows_at_once = 1000;

bool waits(const store::Recipient& r) {
  return store::is_waiting(r.state);
}

/// What one line of `queue` says about the recipients of a message.
struct Digest {
  std::uint64_t seen = 0, matching = 0, active = 0;
  TimePoint next{};
  std::optional<LastReply> last;
  std::string host_waits;  // why one without a reply of its own does not move

  void add(const store::Recipient& r, HostClocks& clocks) {
    ++seen;
    if (!waits(r)) return;
    if (r.active) ++active;
    if (!r.active) {
      const store::HostRow* host = clocks.waits(r.address);
      const TimePoint at = host ? std::max(r.next_attempt, host->memory.until) : r.next_attempt;
      if (next == TimePoint{} || at < next) next = at;
      if (host && !r.last && host_waits.empty()) host_waits = waits_text(*host);
    }
    if (r.last && (!last || last->at < r.last->at)) last = r.last;
  }
};

std::string error_text(const std::optional<LastReply>& last) {
  if (!last) return {};
  return last->reply.code ? last->reply.oneline() : last->reply.text;
}

}  // namespace

void Reads::queue(const Filter& filter, const RowSink& sink) const {
  const TimePoint now = store_.now();
  HostClocks clocks(store_, settings_, now);
  scan_.messages(filter, now, false, [&](const store::Message& message) {
    Digest digest;
    if (message.counts.open() > 0 || filter.narrows_recipients())
      scan_.recipients(message.id, [&](const std::vector<store::Recipient>& page) {
        for (const auto& recipient : page) {
          digest.add(recipient, clocks);
          if (filter.narrows_recipients() && filter.matches(recipient, settings_)) ++digest.matching;
        }
        return filter.narrows_recipients() || digest.seen < recipients_looked_at;
      });
    if (filter.narrows_recipients() && digest.matching == 0) return true;
    Json row = message_json(message);
    row.erase("counts");
    row["recipients"] = counts_json(message.counts);
    row["recipients"]["active"] = digest.active;
    if (filter.narrows_recipients()) row["matching"] = digest.matching;
    row["age"] = std::chrono::duration_cast<std::chrono::seconds>(now - message.arrived).count();
    row["next_attempt"] = time_json(digest.next);
    row["last_error"] = digest.last                 ? Json(error_text(digest.last))
                        : digest.host_waits.empty() ? Json(nullptr)
                                                    : Json(digest.host_waits);
    sink(std::move(row));
    return true;
  });
}

Json Reads::queue_by(const Filter& filter, const std::string& what) const {
  struct Total {
    std::uint64_t messages = 0, queued = 0, active = 0, deferred = 0, held = 0;
    TimePoint oldest = TimePoint::max();
    store::Id last_message = 0;
  };
  std::map<std::string, Total> totals;
  std::string last_domain, route;
  const bool by_list = what == "list";
  scan_.messages(filter, store_.now(), false, [&](const store::Message& message) {
    scan_.recipients(message.id, [&](const std::vector<store::Recipient>& page) {
      for (const auto& r : page) {
        if (!filter.matches(r, settings_) || (!waits(r) && r.state != store::RecipientState::held)) continue;
        const auto domain = domain_of(r.address);
        if (!by_list && (route.empty() || domain != last_domain)) {  // recipients come in domain order
          last_domain = std::string(domain);
          route = conf::route_of(settings_, domain);
        }
        Total& total = totals[by_list ? message.list_address : route];
        if (total.last_message != message.id) ++total.messages, total.last_message = message.id;
        total.oldest = std::min(total.oldest, message.arrived);
        if (r.state == store::RecipientState::held)
          ++total.held;
        else if (r.active)
          ++total.active;
        else
          ++(r.state == store::RecipientState::queued ? total.queued : total.deferred);
      }
      return true;
    });
    return true;
  });
  Json rows = Json::array();
  for (const auto& [name, t] : totals) {
    Json row{{what, name.empty() ? Json(nullptr) : Json(name)}};
    if (!by_list) {
      const auto hops = conf::next_hops_of(settings_, name);
      row["next_hop"] = hops.empty() ? Json(nullptr) : Json(conf::route_text(settings_, name));
    }
    row["messages"] = t.messages;
    row["recipients"] = t.queued + t.active + t.deferred + t.held;
    row["queued"] = t.queued;
    row["active"] = t.active;
    row["deferred"] = t.deferred;
    row["held"] = t.held;
    row["oldest"] = time_json(t.oldest);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::optional<store::Message> Reads::message(store::Id id) const {
  const store::Read read(store_);
  return store::spool::message(read, id);
}

void Reads::recipients(const store::Message& message, const RowSink& sink) const {
  const EnvelopeSender sender(message, settings_.verp.delimiter, hmac_);
  // What was delivered at once has no row of its own: its reply is in the history.
  std::unordered_map<std::uint32_t, LastReply> replies;
  if (message.counts.delivered > 0)
    scan_.history(message, [&](const std::vector<store::HistoryEvent>& events) {
      for (const auto& event : events) {
        if (event.event != "delivered") continue;
        for (const auto& [number, words] : event.recipients) {
          LastReply& reply = replies[number] = event.last;
          if (!words.empty()) reply.reply.text = words;
          if (reply.at == TimePoint{}) reply.at = event.at;
        }
      }
    });
  std::map<std::string, std::map<std::string, store::Suspect>> suspects;  // route, address key
  HostClocks clocks(store_, settings_, store_.now());
  scan_.recipients(message.id, [&](const std::vector<store::Recipient>& page) {
    for (store::Recipient recipient : page) {
      if (recipient.state == store::RecipientState::delivered && !recipient.last)
        if (const auto reply = replies.find(recipient.number); reply != replies.end())
          recipient.last = reply->second;
      std::optional<store::Suspect> suspect;
      if (waits(recipient)) {
        const auto route = conf::route_of(settings_, domain_of(recipient.address));
        auto known = suspects.find(route);
        if (known == suspects.end()) {
          known = suspects.emplace(route, std::map<std::string, store::Suspect>()).first;
          const store::Read read(store_);
          for (auto& one : store::spool::suspects(read, route))
            known->second.emplace(key_of(one.address), one);
        }
        if (!known->second.empty())
          if (const auto found = known->second.find(key_of(recipient.address)); found != known->second.end())
            suspect = found->second;
      }
      const store::HostRow* host =
          waits(recipient) && !recipient.active ? clocks.waits(recipient.address) : nullptr;
      if (host) recipient.next_attempt = std::max(recipient.next_attempt, host->memory.until);
      Json row = recipient_json(recipient, sender.of(recipient), suspect);
      if (host)
        row["waits_for"] = {{"route", host->route},
                            {"error", host->memory.last_error},
                            {"until", time_json(host->memory.until)}};
      sink(std::move(row));
    }
    return true;
  });
}

void Reads::content(const store::Message& message,
                    const std::function<void(const std::string&)>& sink) const {
  for (std::uint64_t at = 0; at < message.size;) {
    between_();
    const auto part = [&] {
      const store::Read read(store_);
      return store::spool::outgoing(read, message, at, slice);
    }();
    if (part.empty()) return;  // finished meanwhile: the content is gone
    at += part.size();
    sink(part);
  }
}

void Reads::lists(const RowSink& sink) const {
  list::ListId after = 0;
  while (true) {
    between_();
    const auto page = [&] {
      const store::Read read(store_);
      auto found = directory::lists(read, after, rows_at_once);
      for (list::List& one : found) one.last_post = store::last_post(read, one);
      return found;
    }();
    if (page.empty()) return;
    for (const auto& one : page) sink(list_json(one));
    after = page.back().id;
  }
}

void Reads::users(const RowSink& sink) const {
  for (std::string after;;) {
    between_();
    const auto page = directory::users(store::Read(store_), after, rows_at_once);
    if (page.empty()) return;
    for (const auto& one : page) sink(user_json(one));
    after = page.back().name;
  }
}

std::optional<list::List> Reads::list(const std::string& address) const {
  const auto mailbox = Mailbox::parse(address);
  if (!mailbox) return std::nullopt;
  const std::string key = mailbox->key();
  const store::Read read(store_);
  auto found = directory::find_list(read, mail::Address(key).local, mailbox->domain());
  if (!found) return found;
  directory::load_rules(read, *found);
  found->last_post = store::last_post(read, *found);
  return found;
}

void Reads::members(const list::List& list, const std::function<void(const list::Member&)>& sink) const {
  std::string after;
  do {
    between_();
    const auto page = [&] {
      const store::Read read(store_);
      return directory::members(read, list.id, after, rows_at_once);
    }();
    for (const auto& member : page.members) sink(member);
    after = page.after;
  } while (!after.empty());
}

std::optional<list::Member> Reads::member(const list::List& list, const std::string& address) const {
  const std::string key = key_of(address);
  if (key.empty()) return std::nullopt;
  const store::Read read(store_);
  return directory::find_member(read, list.id, key);
}

list::Judgement Reads::judge(const list::List& list, const mail::Header& header,
                             std::string_view reverse_path, std::uint64_t size) const {
  const store::Read read(store_);
  const list::AddressPatterns bans(settings_.lists.bans);
  return list::judge(
      list, list::Rules(list.settings.moderation.rules), list::Post(header, reverse_path, size),
      member_of(read, list.id),
      {list::is_approved(list, header, hmac_), &bans, auth::dkim2_requests(header.fields()).do_not_explode});
}

std::string Reads::envelope_sender(const list::List& list, std::uint32_t post,
                                   const list::Member& member) const {
  store::Message message;
  message.list = list.id;
  message.list_address = list.address();
  message.copies = list::copies_for(list.settings, post);
  message.verp_format = list.settings.verp_format;
  message.arrived = store_.now();
  store::Recipient recipient;
  recipient.address = member.address;
  recipient.member = member.id;
  return EnvelopeSender(message, settings_.verp.delimiter, hmac_).of(recipient);
}

std::string Reads::leave_url(const list::List& list, const list::Member& member) const {
  return list::leave_url(list, member.id, settings_.verp.delimiter, hmac_);
}

Reads::Checked Reads::check() const {
  store::spool::Check spool;
  directory::Check directory;
  const auto look = [&](auto& check) {
    const store::Read read(store_);
    return check.step(read);
  };
  while (look(spool)) between_();
  while (look(directory)) between_();
  auto report = spool.report();
  for (auto& problem : directory.problems) report.problems.push_back(std::move(problem));
  Json json{{"ok", report.problems.empty()}, {"messages", report.messages}, {"recipients", report.recipients},
            {"open", report.open},           {"due", report.due},           {"claims", report.claims},
            {"contents", report.contents},   {"problems", report.problems}};
  Json repairable{{"messages", Json::array()},
                  {"contents", Json::array()},
                  {"lists", Json::array()},
                  {"rows", spool.unreadable()}};
  for (const store::Id id : report.miscounted) repairable["messages"].push_back(store::id_text(id));
  for (const store::Id id : report.miscounted_contents) repairable["contents"].push_back(store::id_text(id));
  for (const list::ListId id : directory.miscounted) repairable["lists"].push_back(id);
  return {std::move(json), std::move(repairable)};
}

}  // namespace spoold::server::admin
