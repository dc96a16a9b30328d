// held, accept, reject, discard, forward: posts that wait for a moderator.
#include "server/admin/views.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {
namespace {

Exit held(const Console& console, const std::string& list) {
  return console.reading([&](const Reads& reads, TimePoint) {
    std::optional<list::List> found;
    if (!list.empty()) {
      found = reads.list(list);
      if (!found) return console.fail(Exit::nothing_matched, "there is no list " + list);
    }
    Rows rows(console.json, held_text);
    reads.held(found ? found->id : 0, [&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (!console.json && rows.count == 0) put("No post waits for a moderator.\n");
    return Exit::done;
  });
}

}  // namespace

void declare_moderation_verbs(const Verbs& verbs) {
  Verb all = verbs.add("held", "show the posts that wait for a moderator, of all lists or of one");
  const auto list = std::make_shared<std::string>();
  all.options()->add_option("LIST", *list, "the list's address")->each([list](const std::string&) {});
  all.runs([=](const Console& console) { return held(console, *list); });

  const char* const id_meaning = "the post, as `spoolctl held` shows it";
  Verb accept = verbs.add("accept", "let a held post go to the members");
  const auto accepted = accept.word("ID", id_meaning);
  const auto remember = accept.flag("--remember", "its sender may post from now on (accept_these)");
  accept.request("accept", [=](Json& request) {
    request["id"] = *accepted;
    request["remember"] = *remember;
  });

  Verb reject = verbs.add("reject", "refuse a held post; its sender is told");
  const auto rejected = reject.word("ID", id_meaning);
  const auto reason = reject.optional_word("--reason", "told to the sender, one line", "TEXT");
  reject.request("reject", [=](Json& request) {
    request["id"] = *rejected;
    request["reason"] = *reason;
  });

  Verb discard = verbs.add("discard", "throw a held post away; nobody is told");
  const auto discarded = discard.word("ID", id_meaning);
  discard.request("discard", [=](Json& request) { request["id"] = *discarded; });

  Verb forward = verbs.add("forward", "send a held post to somebody, for his opinion; it goes on waiting");
  const auto forwarded = forward.word("ID", id_meaning), to = forward.word("ADDR", "to whom");
  forward.request("forward", [=](Json& request) {
    request["id"] = *forwarded;
    request["address"] = *to;
  });
}

}  // namespace spoold::server::admin
