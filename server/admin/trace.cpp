// `spoolctl trace`: the story of an address, of a message, of a post, out of the history.
//
//   an address   what was asked in his name, how he became a member and what changed, which posts he wrote and which rule let them in,
//                held them or discarded them, each mail that went to him with what his host said, what failed and what that led to
//   an id        of a message: all that became of it; of a post that was held: who decided what
//   Message-ID   both of them, for all posts and messages that have it
#include <algorithm>
#include <set>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/admin/reads.hpp"
#include "server/admin/views.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {

constexpr std::size_t addresses_named = 100;  // of one event

/// A message that is looked for, and the numbers of the address in question.
struct Traced {
  store::Message message;
  std::vector<std::uint32_t> numbers;
};

Json accepted_row(const store::Message& message) {
  Json row{{"at", time_json(message.arrived)}, {"event", "accepted"}, {"id", store::id_text(message.id)}};
  row["detail"] =
      std::to_string(message.size) + " octets from " +
      (message.list ? message.from + " for list " + message.list_address : "<" + message.reverse_path + ">");
  return row;
}

/// The text has this address as a word of its own, in whatever case.
bool names(const std::string& text, const std::string& key) {
  const auto part = [](char c) {
    return mail::is_alpha(c) || mail::is_digit(c) || (c & 0x80) != 0 ||
           std::string_view("._%+-=@").find(c) != std::string_view::npos;
  };
  const std::string lower = mail::lower(text);
  for (std::size_t at = lower.find(key); at != lower.npos; at = lower.find(key, at + 1)) {
    const std::size_t end = at + key.size();
    const bool begins = at == 0 || !part(lower[at - 1]);
    // A dot may end the sentence.
    const bool ends = end == lower.size() || !part(lower[end]) ||
                      (lower[end] == '.' && (end + 1 == lower.size() || lower[end + 1] == ' '));
    if (begins && ends) return true;
  }
  return false;
}

class Story {
 public:
  /// `key`: of an address, or empty; `message_id`: in lower case with brackets, or empty.
  Story(const store::Store& store, std::vector<Traced> found, std::string key, const std::string& message_id)
      : store_(store),
        found_(std::move(found)),
        key_(std::move(key)),
        message_id_(message_id.empty() ? std::string() : "message-id " + message_id) {}

  void page(const std::vector<store::HistoryEvent>& events, const RowSink& sink) {
    std::vector<Json> rows;
    {
      const store::Read read(store_);
      for (const store::HistoryEvent& event : events) add(read, event, rows);
    }
    for (Json& row : rows) sink(std::move(row));
  }
  /// Of messages to which nothing has happened yet.
  void finish(const RowSink& sink) {
    for (; accepted_ < found_.size(); ++accepted_) sink(accepted_row(found_[accepted_].message));
  }

 private:
  void add(const store::Read& read, const store::HistoryEvent& event, std::vector<Json>& rows) {
    const auto traced = std::lower_bound(found_.begin(), found_.end(), event.message,
                                         [](const Traced& t, store::Id id) { return t.message.id < id; });
    const bool of_message = traced != found_.end() && traced->message.id == event.message;
    if (!of_message && !belongs(event)) return;
    // What was decided about a message has the time at which it came, a little before it existed. What led to a letter has the time at
    // which the letter was accepted, and comes before it.
    const auto begun = [&](const store::Message& m) {
      return m.arrived < event.at || (of_message && (m.arrived == event.at || m.id <= event.message));
    };
    for (; accepted_ < found_.size() && begun(found_[accepted_].message); ++accepted_)
      rows.push_back(accepted_row(found_[accepted_].message));
    if (!of_message) return rows.push_back(history_json(event));
    if (auto row = event_row(read, event, *traced)) rows.push_back(std::move(*row));
  }

  /// What became of a member, or of a post that was held or discarded, belongs to no message. Changes of the directory name in words
  /// whom they are about; a post that was held names its Message-ID, and what is decided later has its id.
  bool belongs(const store::HistoryEvent& event) {
    if (!key_.empty() &&
        (mail::lower(event.address) == key_ || (event.message == 0 && names(event.detail, key_))))
      return true;
    if (message_id_.empty() || event.event != "moderation") return false;
    if (mail::lower(event.detail).find(message_id_) == std::string::npos)
      return event.message != 0 && held_.contains(event.message);
    if (event.message != 0) held_.insert(event.message);
    return true;
  }

  /// The event as it concerns the traced recipients; nothing when it does not.
  std::optional<Json> event_row(const store::Read& read, const store::HistoryEvent& event,
                                const Traced& traced) const {
    const auto ours = [&](std::uint32_t number) {
      return key_.empty() || std::ranges::find(traced.numbers, number) != traced.numbers.end();
    };
    const bool of_all = event.recipients.empty() && event.address.empty();
    const bool concerns =
        key_.empty() || of_all || (!event.address.empty() && key_of(event.address) == key_) ||
        std::ranges::any_of(event.recipients, [&](const auto& one) { return ours(one.first); });
    if (!concerns) return std::nullopt;
    Json row = history_json(event);
    if (event.recipients.empty()) return row;
    row["recipients"] = event.recipients.size();
    row["addresses"] = Json::array();
    for (const auto& [number, words] : event.recipients) {
      if (!ours(number) || row["addresses"].size() >= addresses_named) continue;
      const auto recipients = store::spool::recipients(read, traced.message.id, number, 1);
      if (recipients.empty() || recipients[0].number != number) continue;
      row["addresses"].push_back(recipients[0].address);
      if (words.empty() || (key_.empty() && event.recipients.size() > 1)) continue;
      if (row["last_reply"].is_object())
        row["last_reply"]["text"] = words;
      else
        row["detail"] = words;
    }
    if (!key_.empty()) row["recipients"] = row["addresses"].size();
    return row;
  }

  const store::Store& store_;
  const std::vector<Traced> found_;  // in the order of ids, which is that of arrival
  const std::string key_, message_id_;
  std::set<store::Id> held_;  // posts with the Message-ID
  std::size_t accepted_ = 0;
};

}  // namespace

void Reads::trace(const std::string& what, const RowSink& sink) const {
  const TimePoint end = store_.now() + std::chrono::hours(1);
  if (const auto id = store::parse_id(what)) {
    auto one = message(*id);
    if (!one) return trace_held(*id, sink);
    Story story(store_, {{*one, {}}}, {}, {});
    scan_.history(*one, [&](const auto& page) { story.page(page, sink); });
    return story.finish(sink);
  }
  std::string bare = what;
  if (bare.starts_with('<') && bare.ends_with('>')) bare = bare.substr(1, bare.size() - 2);
  const std::string key = key_of(what);
  std::vector<Traced> by_id, by_address;
  scan_.messages(Filter{}, store_.now(), true, [&](const store::Message& message) {
    if (message.message_id == bare || message.message_id == "<" + bare + ">") {
      by_id.push_back({message, {}});
    } else if (!key.empty() && by_id.empty()) {
      const store::Read read(store_);
      std::vector<std::uint32_t> numbers;
      for (const auto& recipient : store::spool::find_recipients(read, message.id, key))
        numbers.push_back(recipient.number);
      // Of a post that he wrote: that it was accepted, and by which rule; not what became of each copy.
      const bool wrote = message.post != 0 && names(message.from, key);
      if (!numbers.empty() || wrote) by_address.push_back({message, std::move(numbers)});
    }
    return true;
  });
  const bool is_id = !by_id.empty();
  Story story(store_, is_id ? std::move(by_id) : std::move(by_address), is_id ? std::string() : key,
              "<" + mail::lower(bare) + ">");
  // One walk through all of the history: what belongs to no message may be older than all of them.
  scan_.events({}, end, 0, [&](const auto& page) { story.page(page, sink); });
  story.finish(sink);
}

}  // namespace spoold::server::admin
