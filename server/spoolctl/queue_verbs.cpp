// queue, show, trace, and hold, release, retry, remove, bounce.
#include <unistd.h>

#include <cstdio>

#include "server/admin/views.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

/// Mail for a terminal: whole lines, without what the terminal would obey.
class TerminalText {
 public:
  void operator()(const std::string& part) {
    rest_ += part;
    const auto end = rest_.rfind('\n');
    if (end == std::string::npos) return;
    put(printable_lines(std::string_view(rest_).substr(0, end + 1)));
    rest_.erase(0, end + 1);
  }
  void finish() const { put(printable_lines(rest_)); }

 private:
  std::string rest_;
};

Exit queue(const Console& console, const Filter& filter, const std::string& by) {
  return console.reading([&](const Reads& reads, TimePoint now) {
    if (!by.empty()) {
      const Json rows = reads.queue_by(filter, by);
      put(console.json ? dump(rows, 1) + "\n" : totals_text(rows, by, now));
      return rows.empty() && !filter.empty() ? Exit::nothing_matched : Exit::done;
    }
    Rows rows(console.json, [now](const std::vector<Json>& page) { return queue_text(page, now); });
    reads.queue(filter, [&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (!console.json && rows.count == 0 && filter.empty()) put("The queue is empty.\n");
    return rows.count == 0 && !filter.empty() ? console.nothing_matched() : Exit::done;
  });
}

void print_content(const Reads& reads, const store::Message& message) {
  if (!::isatty(STDOUT_FILENO)) return reads.content(message, put);
  TerminalText terminal;
  reads.content(message, std::ref(terminal));
  terminal.finish();
}

void print_table(const Reads& reads, const store::Message& message, TimePoint now, bool senders) {
  put(message_text(message, now) + "\n");
  Rows rows(false, [&](const std::vector<Json>& page) { return recipients_text(page, now, senders); });
  reads.recipients(message, [&](Json row) { rows(std::move(row)); });
  rows.finish();
}

/// Row by row: a message may have a million recipients.
void print_json(const Reads& reads, const store::Message& message, bool content) {
  std::string head = dump(message_json(message));
  head.pop_back();
  put(head + ",\"recipients\":[");
  bool first = true;
  reads.recipients(message, [&](Json row) {
    put((first ? "\n" : ",\n") + dump(row));
    first = false;
  });
  put("\n]");
  if (content) {
    std::string octets;
    reads.content(message, [&](const std::string& part) { octets += part; });
    put(",\"content\":" + dump(Json(octets)));
  }
  put("}\n");
}

void show_held(const Console& console, const Reads& reads, const store::HeldPost& post, bool content) {
  Json row = held_json(post);
  if (content && !console.json) {
    TerminalText terminal;
    if (!::isatty(STDOUT_FILENO)) return reads.content(post, put);
    reads.content(post, std::ref(terminal));
    return terminal.finish();
  }
  if (content) {
    std::string octets;
    reads.content(post, [&](const std::string& part) { octets += part; });
    row["content"] = octets;
  }
  console.print(row);
}

Exit show(const Console& console, const Words& ids, bool content, bool senders) {
  return console.reading([&](const Reads& reads, TimePoint now) {
    const bool array = console.json && ids.size() > 1;
    bool first = true;
    for (const auto& text : ids) {
      const auto id = store::parse_id(text);
      if (!id) return console.fail(Exit::usage, "'" + text + "' is not a queue id");
      const auto message = reads.message(*id);
      if (const auto post = message ? std::nullopt : reads.held_post(*id)) {
        if (array) put(first ? "[\n" : ",\n");
        show_held(console, reads, *post, content);
        first = false;
        continue;
      }
      if (const std::string decided = message ? "" : reads.decision(*id); !decided.empty())
        return console.fail(Exit::nothing_matched, text + " was held for moderation, and " + decided);
      if (!message) return console.fail(Exit::nothing_matched, "there is no message " + text);
      if (array) put(first ? "[\n" : ",\n");
      if (console.json) {
        print_json(reads, *message, content);
      } else if (content) {
        if (message->counts.open() == 0)
          return console.fail(Exit::failed, text + " is finished: its content is gone");
        print_content(reads, *message);
      } else {
        if (!first) put("\n");
        print_table(reads, *message, now, senders);
      }
      first = false;
    }
    if (array) put("]\n");
    return Exit::done;
  });
}

Exit trace(const Console& console, const std::string& what) {
  return console.reading([&](const Reads& reads, TimePoint) {
    Rows rows(console.json, trace_text);
    reads.trace(what, [&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (rows.count > 0) return Exit::done;
    std::fprintf(stderr, "spoolctl: nothing is known of %s\n", printable(what).c_str());
    return Exit::nothing_matched;
  });
}

}  // namespace

void declare_queue_verbs(const Verbs& verbs) {
  Verb queue_verb = verbs.add("queue", "show the queue, a line for each message");
  const auto filter = queue_verb.filter();
  auto by = std::make_shared<std::string>();
  queue_verb.options()
      ->add_option("--by", *by, "show totals for each destination, or for each list")
      ->check(CLI::IsMember({"destination", "list"}));
  queue_verb.runs([=](const Console& console) { return queue(console, filter(), *by); });

  Verb show_verb = verbs.add("show", "show a message with every recipient");
  const auto ids = show_verb.words("ID", "queue ids, as logs and Received show them");
  const auto content = show_verb.flag("--content", "print the message as it is sent");
  const auto senders = show_verb.flag("--senders", "show the envelope sender of each recipient too");
  show_verb.runs([=](const Console& console) { return show(console, *ids, *content, *senders); });

  const std::pair<const char*, const char*> sweeps[] = {
      {"hold", "stop delivery until `release`"},
      {"release", "deliver what was held"},
      {"retry", "try again now"},
      {"remove", "remove, and tell nobody"},
      {"bounce", "fail for good, with a report to the sender"}};
  for (const auto& [name, meaning] : sweeps) {
    Verb verb = verbs.add(name, meaning);
    const auto matching = verb.filter();
    verb.request(name, [=](Json& request) {
      const Filter chosen = matching();
      if (chosen.empty()) throw Usage{"name messages by id or by a filter; --all means every message"};
      request["filter"] = to_json(chosen);
    });
  }

  Verb resend = verbs.add("resend", "send a letter of a list (a confirmation, a notice, a probe) again");
  const auto again = resend.word("ID", "its queue id, as `trace` shows it");
  const auto to = resend.optional_words("--to", "only to these of its recipients", "ADDR");
  resend.request("resend", [=](Json& request) {
    request["id"] = *again;
    request["addresses"] = *to;
  });

  Verb trace_verb = verbs.add("trace", "show what happened to an address, a message or a post");
  const auto what = trace_verb.word("WHAT", "an address, a queue id or a Message-ID");
  trace_verb.runs([=](const Console& console) { return trace(console, *what); });
}

}  // namespace spoold::server::admin
