// members, member add, remove, set, show, and import, export.
#include "protocol/list/import_file.hpp"
#include "server/admin/views.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

/// "Name <address>", as import reads it.
std::string export_line(const list::Member& member) {
  // a line that begins with '#' is a comment to import
  if (member.name.empty())
    return member.address.starts_with('#') ? "<" + member.address + ">" : member.address;
  std::string name = "\"";
  for (const char c : member.name) {
    if (c == '"' || c == '\\') name += '\\';
    name += c;
  }
  return name + "\" <" + member.address + ">";
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n;\t") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

Exit members(const Console& console, const std::string& list) {
  return console.reading_list(list, [&](const Reads& reads, const list::List& found) {
    Rows rows(console.json, members_text);
    reads.members(found, [&](const list::Member& member) { rows(member_json(member)); });
    rows.finish();
    return Exit::done;
  });
}

Exit export_members(const Console& console, const std::string& list, bool csv) {
  if (console.json) return members(console, list);
  return console.reading_list(list, [&](const Reads& reads, const list::List& found) {
    if (csv) put("email,name,delivery\r\n");
    std::string page;
    reads.members(found, [&](const list::Member& member) {
      page +=
          csv ? csv_cell(member.address) + "," + csv_cell(member.name) + "," + text(member.delivery) + "\r\n"
              : export_line(member) + "\n";
      if (page.size() < 1 << 16) return;
      put(page);
      page.clear();
    });
    put(page);
    return Exit::done;
  });
}

/// `import` and `export` are verbs of their own, and of `member`.
void declare_files(const Verbs& verbs) {
  Verb import = verbs.add("import", "add members from a file: all of them, or none");
  const auto to = import.list();
  const auto file = import.word(
      "FILE", "a line for each: ADDR, or Name <ADDR>; or CSV with a header line; - is standard input");
  import.request("import", [=](Json& request) {
    request["list"] = *to;
  request["content"] = file_in_base64(*file);
});
Verb out = verbs.add("export", "print the members of a list in the form that import reads");
const auto of = out.list();
const auto csv = out.flag("--csv", "print CSV, with the delivery mode of each member");
out.runs([=](const Console& console) { return export_members(console, *of, *csv); });
}  // namespace

}  // namespace spoold::server::admin

void declare_member_verbs(const Verbs& verbs) {
  Verb all = verbs.add("members", "show the members of a list");
  const auto whose = all.list();
  all.runs([=](const Console& console) { return members(console, *whose); });

  const Verbs of_member = verbs.group("member", "add, change, show or remove members");
  const std::tuple<const char*, const char*, const char*> changes[] = {
      {"add", "member-add", "add members"}, {"remove", "member-remove", "end memberships"}};
  for (const auto& [name, request_name, meaning] : changes) {
    Verb verb = of_member.add(name, meaning);
    const auto list = verb.list();
    const auto addresses = verb.words("ADDR", "the members' addresses");
    verb.request(request_name, [=](Json& request) {
      request["list"] = *list;
      request["addresses"] = *addresses;
    });
  }

  const std::tuple<const char*, const char*, const char*> decisions[] = {
      {"accept", "member-accept", "accept who asks to join and waits for the owners (requests)"},
      {"refuse", "member-refuse", "refuse who asks to join and waits for the owners"}};
  for (const auto& [name, request_name, meaning] : decisions) {
    Verb verb = of_member.add(name, meaning);
    const auto list = verb.list();
    const auto addresses = verb.words("ADDR", "who asks");
    const auto reason = verb.optional_word("--reason", "of a refusal: a line for the letter", "TEXT");
    verb.request(request_name, [=](Json& request) {
      request["list"] = *list;
      request["addresses"] = *addresses;
      request["reason"] = *reason;
    });
  }

  Verb set = of_member.add(
      "set",
      "change a member: name=..., delivery=regular|digest|nomail..., moderation=default|hold..., "
      "one_copy=true|false (of a post to several lists), and preferences");
  set.options()->footer(
      "Preferences:\n" + preferences_in_words() +
      "A time is 2026-12-24 (its begin, UTC) or 2026-12-24T18:00:00+01:00. What a member does not say his "
      "person\nsays (address set), then the list.");
  const auto list = set.list(), address = set.word("ADDR", "the member");
  const auto settings = set.words("KEY=VALUE", "settings, such as delivery=nomail");
  set.request("member-set", [=](Json& request) {
    request["list"] = *list;
    request["address"] = *address;
    request["settings"] = settings_of(*settings);
  });

  Verb move = of_member.add("move", "change the address of a member: name, delivery and membership stay");
  const auto moved = move.list(), old = move.word("OLD", "the member"),
             fresh = move.word("NEW", "the new address");
  move.request("member-move", [=](Json& request) {
    request["list"] = *moved;
    request["address"] = *old;
    request["to"] = *fresh;
  });

  Verb show = of_member.add("show", "show a member");
  const auto of = show.list(), one = show.word("ADDR", "the member");
  show.runs([=](const Console& console) {
    return console.reading_list(*of, [&](const Reads& reads, const list::List& found) {
      const auto member = reads.member(found, *one);
      if (!member)
        return console.fail(Exit::nothing_matched, *one + " is not a member of " + found.address());
      return console.print(member_json(*member));
    });
  });

  declare_files(verbs);
  declare_files(of_member);
}

}  // namespace spoold::server::admin
