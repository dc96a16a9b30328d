// bounces: the bounce scores of a list's members, what one member's failures were, and taking failures back.
#include "protocol/mail/mailbox.hpp"
#include "protocol/rfc3339.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {
namespace {

Exit all_scores(const Console& console, const std::string& list) {
  return console.reading([&](const Reads& reads, TimePoint now) {
    const auto found = reads.list(list);
    if (!found) return console.fail(Exit::nothing_matched, "there is no list " + list);
    Rows rows(console.json, [now](const std::vector<Json>& page) { return scores_text(page, now); });
    reads.scores(*found, {}, [&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (rows.count == 0 && !console.json)
      put("No failure counts against a member of " + found->address() + ".\n");
    return Exit::done;
  });
}

/// The score of one member, and behind it what the history knows.
Exit one_member(const Console& console, const std::string& list, const std::string& address) {
  const auto mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
  if (!mailbox) throw Usage{"'" + address + "': " + mailbox.error()};
  return console.reading([&](const Reads& reads, TimePoint now) {
    const auto found = reads.list(list);
    if (!found) return console.fail(Exit::nothing_matched, "there is no list " + list);
    std::vector<Json> scores, events;
    reads.scores(*found, mailbox->key(), [&](Json row) { scores.push_back(std::move(row)); });
    reads.bounces(*found, mailbox->key(), [&](Json row) { events.push_back(std::move(row)); });
    if (scores.empty() && events.empty())
      return console.fail(Exit::nothing_matched,
                          "no failure of " + mailbox->text() + " on " + found->address() + " is remembered");
    if (console.json)
      return console.print({{"score", scores.empty() ? Json(nullptr) : scores.front()}, {"events", events}});
    put(scores_text(scores, now));
    if (!scores.empty() && !events.empty()) put("\n");
    put(trace_text(events));
    return Exit::done;
  });
}

Exit undo(const Console& console, const std::string& list, const std::string& address,
          const std::string& cause, const std::string& since, bool dry_run) {
  if (cause.empty() || since.empty())
    throw Usage{
        "--undo needs --cause, a rule of the table of replies, and --since, a time like "
        "2026-11-22T10:31:07Z"};
  if (!parse_rfc3339(since)) throw Usage{"--since: '" + since + "' is not a time like 2026-11-22T10:31:07Z"};
  Json request{
      {"verb", "bounces-undo"}, {"list", list}, {"cause", cause}, {"since", since}, {"dry_run", dry_run}};
  if (!address.empty()) request["address"] = address;
  return console.change(request);
}

}  // namespace

void declare_bounce_verbs(const Verbs& verbs) {
  Verb verb =
      verbs.add("bounces", "show the bounce scores of a list's members, or what one member's failures were");
  const auto list = verb.list();
  const auto address = std::make_shared<std::string>();
  verb.options()->add_option("ADDR", *address, "the member")->each([address](const std::string&) {});
  const auto take_back = verb.flag("--undo", "failures of a cause since a time did not happen");
  const auto cause = verb.optional_word("--cause", "of --undo: as the scores show it", "CAUSE");
  const auto since = verb.optional_word("--since", "of --undo: 2026-11-22T10:31:07Z", "TIME");
  const auto dry = verb.dry_run();
  verb.runs([=](const Console& console) {
    if (*take_back) return undo(console, *list, *address, *cause, *since, *dry);
    if (!cause->empty() || !since->empty()) throw Usage{"--cause and --since belong to --undo"};
    return address->empty() ? all_scores(console, *list) : one_member(console, *list, *address);
  });
}

}  // namespace spoold::server::admin
