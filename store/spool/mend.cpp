#include "store/spool/mend.hpp"

#include <map>
#include <optional>

#include "protocol/mail/mailbox.hpp"
#include "store/broken.hpp"
#include "store/spool/check.hpp"
#include "store/spool/content.hpp"
#include "store/spool/due.hpp"
#include "store/spool/history.hpp"
#include "store/spool/host.hpp"
#include "store/spool/moderation.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/post_blocks.hpp"
#include "store/spool/repair.hpp"
#include "store/spool/request.hpp"
#include "store/spool/suspect.hpp"
#include "store/spool/work.hpp"

namespace spoold::store::spool {
namespace {

constexpr const char* no_address = "unreadable@invalid";

/// The message that a row belongs to, as far as its key tells.
std::optional<Id> message_of(Table table, std::string_view key) {
  KeyReader k(key);
  try {
    if (table == Table::due) {
      k.str();
      k.time();
    }
    return k.u64();
  } catch (const Broken&) {
    return std::nullopt;
  }
}

class Mending {
 public:
  Mending(Write& write, const RouteOf& route) : write_(write), route_(route) {}

  std::vector<std::string> run() {
    // Messages first: what is made of the other rows depends on whether their message is there.
    for (const Table table : mended_tables)
      for (const Row& row : unreadable(table)) mend(table, row);
    for (const auto& [id, maybe_sent] : touched_) cover_again(id, maybe_sent);
    if (lost_messages_) count_contents();
    count_held_octets();
    return std::move(said_);
  }

 private:
  struct Row {
    std::string key, fault;
  };

  std::vector<Row> unreadable(Table table) {
    std::vector<Row> found;
    Cursor c = write_.cursor(table);
    for (bool more = c.first(); more; more = c.next()) try {
        read_row(table, c.key(), c.value());
      } catch (const Broken& broken) {
        if (broken.error.kind != Error::Kind::corrupt) throw;
        found.push_back(
            {std::string(c.key()), broken.error.text.substr(0, broken.error.text.find(": the store"))});
      }
    return found;
  }

  void mend(Table table, const Row& row) {
    write_.del(table, row.key);
    std::string became = "it is deleted, and what it told is lost";
    const auto id = message_of(table, row.key);
    if (id && (table == Table::message || table == Table::finished)) {
      became = give_up(*id, table);
    } else if (id && table == Table::recipient) {
      became = hold(*id, row.key);
    } else if (id && (table == Table::due || table == Table::claim)) {
      bool& maybe_sent = touched_[*id];
      maybe_sent = maybe_sent || table == Table::claim;
      became = "the recipients that it covered are due now";
      if (table == Table::claim) became += ", as possible duplicates";
    }
    said_.push_back(row.fault + ": " + became);
  }

  /// The rows of its recipients go as those of an acceptance that was given up; entries in `due` are void without it.
  std::string give_up(Id id, Table table) {
    leave_work(write_, stage_key(StageKind::abandoned, id), {});
    drop(Table::report, [id](std::string_view key) {
      KeyReader k(key);
      k.time();
      return k.u64() == id;
    });
    if (table == Table::finished) return "what is known of this finished message is deleted";
    lost_messages_ = true;
    drop(Table::claim, [id](std::string_view key) { return KeyReader(key).u64() == id; });
    return "this message is given up, and those of its recipients who have not got it do not get it" +
           names(id);
  }

  template <class F>
  void drop(Table table, F is_one) {
    Cursor c = write_.cursor(table);
    for (bool more = c.first(); more; more = c.next())
      if (is_one(c.key())) c.del(write_);
  }

  /// The first recipients of a message, from its pages (which a message with few recipients has not).
  std::string names(Id id) {
    std::string text;
    std::size_t count = 0;
    try {
      write_.each(Table::recipients, Key().u64(id), [&](auto, auto value) {
        for (PageReader page(value); page.next(); ++count)
          if (count < 10) text += (count == 0 ? ": " : ", ") + page.address();
        return true;
      });
    } catch (const Broken& broken) {
      if (broken.error.kind != Error::Kind::corrupt) throw;
    }
    return count > 10 ? text + " and " + std::to_string(count - 10) + " others" : text;
  }

  std::string hold(Id id, std::string_view key_text) {
    auto message = find_message(write_, id);
    KeyReader key(key_text);
    key.u64();
    std::uint32_t number = 0;
    try {
      number = key.u32();
    } catch (const Broken&) {
      return "it is deleted";
    }
    if (!message || number >= message->numbers()) return "it is deleted, as there is no such recipient";
    touched_[id];
    RecipientRow row;
    row.version = 1;
    row.possible_duplicate = true;
    row.last.emplace();
    row.last->reply.text =
        "the record of this recipient could not be read: whether it got the message is not known";
    const bool added = number >= message->originals;
    if (added) row.address = no_address;
    row.state =
        added || message->state == MessageState::finished ? RecipientState::failed : RecipientState::held;
    put_recipient(write_, id, number, row);
    return row.state == RecipientState::held ? "the recipient is held, as a possible duplicate"
                                             : "the recipient counts as failed";
  }

  /// Recipients that nothing covers become due; then all is counted anew.
  void cover_again(Id id, bool maybe_sent) {
    auto message = find_message(write_, id);
    if (!message) return;
    std::vector<Span> spans = spans_of(write_, *message);
    const Sum sum = sum_of(write_, *message, spans, [](const std::string&) {});
    if (message->state == MessageState::finished) {
      message->counts = sum.counts;
      return put_message(write_, *message);
    }
    FreeTimes times(write_, id);
    for (const std::uint32_t number : sum.uncovered) {
      Numbers numbers(write_, *message, number, 1);
      RecipientRow row = numbers.row_or_new(number);
      std::string address = row.address;
      if (address.empty())
        each_original(write_, *message, number, 1,
                      [&](std::uint32_t, const PageReader& at) { address = at.address(); });
      DueRow due{route_(domain_of(address)), write_.now(), id, number, 1, message->generation};
      row.next = put_due_alone(write_, std::move(due), times);
      row.possible_duplicate = row.possible_duplicate || maybe_sent;
      numbers.put(write_, number, std::move(row));
    }
    repair_message(write_, id);
  }

  void count_contents() {
    std::vector<Id> contents;
    Cursor c = write_.cursor(Table::content);
    for (bool more = c.first(); more;) {
      contents.push_back(KeyReader(c.key()).u64());
      more = c.seek(Key().u64(contents.back() + 1));
    }
    for (const auto& [id, used] : count_references(write_, contents)) {
      const auto row = find_content(write_, id);
      if (row && row->references != used) repair_content(write_, id);
    }
  }

  void count_held_octets() {
    const std::uint64_t said = held_octets(write_), sum = sum_of_held_octets(write_);
    if (said == sum) return;
    put_held_octets(write_, sum);
    said_.push_back("the posts held for moderation have " + std::to_string(sum) + " octets, not " +
                    std::to_string(said));
  }

  Write& write_;
  const RouteOf& route_;
  std::vector<std::string> said_;
  std::map<Id, bool>
      touched_;  // messages with recipients that nothing may cover now; whether a copy may be on its way
  bool lost_messages_ = false;
};

}  // namespace

void read_row(Table table, std::string_view key, std::string_view value) {
  switch (table) {
    case Table::message:
    case Table::finished:
      (void)unpack_message(KeyReader(key).u64(), value);
      break;
    case Table::recipient: {
      KeyReader k(key);
      k.u64();
      k.u32();
      (void)unpack_recipient(value, key);
      break;
    }
    case Table::due:
      (void)unpack_due(key, value);
      break;
    case Table::claim:
      (void)unpack_claim(key, value);
      break;
    case Table::history:
      (void)unpack_event(key, value);
      break;
    case Table::host:
      (void)unpack_host(key, value);
      break;
    case Table::suspect:
      (void)unpack_suspect(key, value);
      break;
    case Table::request:
      (void)unpack_requests(key, value);
      break;
    case Table::post_blocks:
      KeyReader(key).u32();
      (void)unpack_post_blocks(key, value);
      break;
    default:
      break;
  }
}

std::vector<std::string> mend(Write& write, const RouteOf& route) {
  return Mending(write, route).run();
}

}  // namespace spoold::store::spool
