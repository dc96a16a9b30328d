// edit-recipients, with options or by $EDITOR, and edit-sender.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "protocol/mail/mailbox.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/editor.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

/// OLD=NEW, where local parts may hold '=' themselves: the first '=' with an address on both sides.
Json replacement_of(const std::string& word) {
  for (auto at = word.find('='); at != std::string::npos; at = word.find('=', at + 1)) {
    const auto old = word.substr(0, at), now = word.substr(at + 1);
    if (Mailbox::parse(ascii_domains(old), Mailbox::Allow::utf8) &&
        Mailbox::parse(ascii_domains(now), Mailbox::Allow::utf8))
      return Json{{"old", old}, {"new", now}};
  }
  throw Usage{"'" + word + "' is not OLD=NEW with two addresses"};
}

Exit open_recipients(const Console& console, const std::string& text, Words& addresses) {
  return console.reading([&](const Reads& reads, TimePoint) {
    const auto id = store::parse_id(text);
    if (!id) return console.fail(Exit::usage, "'" + text + "' is not a queue id");
    const auto message = reads.message(*id);
    if (!message) return console.fail(Exit::nothing_matched, "there is no message " + text);
    reads.recipients(*message, [&](const Json& row) {
      const auto state = row.at("state").get<std::string>();
      if (state == "queued" || state == "active" || state == "deferred" || state == "held")
        addresses.push_back(row.at("address").get<std::string>());
    });
    if (addresses.empty()) return console.fail(Exit::failed, text + " is finished: no recipient is open");
    return Exit::done;
  });
}

bool confirmed() {
  std::fputs("Apply? [y/N] ", stderr);
  std::string answer;
  std::getline(std::cin, answer);
  unless_interrupted();
  return answer == "y" || answer == "Y" || answer == "yes";
}

/// What the person took out and put in, as a request to complete; without it nothing is changed.
Exit edit(const Console& console, Json request, bool ask) {
  const auto text = request.at("id").get<std::string>();
  Words before;
  if (const Exit read = open_recipients(console, text, before); read != Exit::done) return read;
  std::string lines = "# Open recipients of " + text +
                      ", one a line. Take lines out to remove recipients, add lines to add some.\n";
  for (const auto& address : before) lines += address + "\n";
  const auto after = [&] {
    const OwnIds own;  // the editor and its file are the caller's, not those of the store's owner
    return edit_text(lines);
  }();
  if (!after) return console.fail(Exit::failed, after.error());
  const auto difference = compare_recipients(before, *after);
  for (const auto& address : difference.removed) std::fprintf(stderr, "- %s\n", printable(address).c_str());
  for (const auto& address : difference.added) std::fprintf(stderr, "+ %s\n", printable(address).c_str());
  if (difference.empty() || (ask && ::isatty(STDIN_FILENO) && !confirmed())) {
    std::fputs("Nothing was changed.\n", stderr);
    return Exit::done;
  }
  request["remove"] = difference.removed;
  request["add"] = difference.added;
  return console.change(request);
}

}  // namespace

void declare_edit_verbs(const Verbs& verbs) {
  Verb verb = verbs.add("edit-recipients",
                        "change the recipients of a queued message, also while it is being delivered");
  const auto id = verb.word("ID", "the message's queue id");
  const auto remove = verb.optional_words("--remove", "take these recipients out", "ADDR");
  const auto add = verb.optional_words("--add", "add these recipients", "ADDR");
  const auto replace = verb.optional_words("--replace", "send to NEW instead of OLD", "OLD=NEW");
  const auto isolate =
      verb.optional_words("--isolate", "offer these to the next hop alone, after all others", "ADDR");
  const auto all_or_nothing =
      verb.flag("--all-or-nothing", "change nothing if one of the changes is refused");
  const auto yes = verb.flag("--yes", "do not ask before the editor's changes are applied");
  const auto dry = verb.dry_run();
  verb.runs([=](const Console& console) {
    Json request{{"verb", "edit-recipients"}, {"dry_run", *dry}};
    request["id"] = *id;
    request["all_or_nothing"] = *all_or_nothing;
    if (remove->empty() && add->empty() && replace->empty() && isolate->empty())
      return edit(console, std::move(request), !*yes && !*dry);
    request["remove"] = *remove;
    request["add"] = *add;
    request["isolate"] = *isolate;
    request["replace"] = Json::array();
    for (const auto& word : *replace) request["replace"].push_back(replacement_of(word));
    return console.change(request);
  });

  Verb sender = verbs.add("edit-sender", "change the reverse path of a queued message");
  const auto message = sender.word("ID", "the message's queue id"),
             address = sender.word("ADDR", "the new reverse path; '<>' is the null path");
  sender.request("edit-sender", [=](Json& request) {
    request["id"] = *message;
    request["sender"] = *address;
  });
}

}  // namespace spoold::server::admin
