// lists, list create, set, show, remove, post and digest.
#include <algorithm>

#include "protocol/list/settings_table.hpp"
#include "server/admin/views.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

/// `--owner a@x verp=never`: the option takes all words behind it. Those that begin with the name of a setting,
/// or cannot be an address, are settings.
void split_owners(Words& owners, Words& settings) {
  const auto is_owner = [](const std::string& word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return true;
    return word.find('@') != std::string::npos && !word.starts_with("style=") &&
           std::none_of(list::setting_keys().begin(), list::setting_keys().end(),
                        [&](const list::SettingKey& key) { return key.name == word.substr(0, equals); });
  };
  const auto rest = std::stable_partition(owners.begin(), owners.end(), is_owner);
  settings.insert(settings.end(), rest, owners.end());
  owners.erase(rest, owners.end());
}

Exit all_lists(const Console& console) {
  return console.reading([&](const Reads& reads, TimePoint) {
    Rows rows(console.json, lists_text);
    reads.lists([&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (!console.json && rows.count == 0) put("There are no lists.\n");
    return Exit::done;
  });
}

/// A line a setting: its name, what may be written, and below that what it means.
std::string settings_in_words() {
  std::string out = "Settings:\n";
  for (const list::SettingKey& key : list::setting_keys())
    out.append("  ")
        .append(key.name)
        .append("=")
        .append(key.values)
        .append("\n      ")
        .append(key.meaning)
        .append("\n");
  return out +
         "style=discussion | announcement | transparent sets several of them: nonmembers, member_moderation, "
         "one_click,\ntransparent and dmarc. What is named beside it wins.\n"
         "A header or footer may say $list_name, $list_address, $description, $unsubscribe_address, and to "
         "each member, with\n"
         "personalize=full, $user_name, $user_address, $user_delivered_to, $user_name_or_address.";
}

}  // namespace

void declare_list_verbs(const Verbs& verbs) {
  verbs.add("lists", "show all lists").runs(all_lists);
  const Verbs of_list = verbs.group("list", "create, change, show or remove a list");

  Verb create = of_list.add("create", "create a list");
  const auto made = create.list();
  const auto owners = create.optional_words("--owner", "who receives mail to LIST-owner", "ADDR"),
             settings = create.optional_words("KEY=VALUE", "settings, such as verp=always");
  create.request("list-create", [=](Json& request) {
    split_owners(*owners, *settings);
    request["list"] = *made;
    request["owners"] = *owners;
    request["settings"] = settings_of(*settings);
  });

  Verb set = of_list.add("set", "change settings of a list");
  const auto changed = set.list();
  const auto changes = set.optional_words("KEY=VALUE", "settings, such as verp=always");
  const auto files = std::make_shared<Words>();
  set.options()
      ->add_option("--file", *files, "the text of this setting is in a file; may be given several times")
      ->type_name("KEY=FILE")
      ->allow_extra_args(false);
  set.options()->footer(settings_in_words());
  set.request("list-set", [=](Json& request) {
    request["list"] = *changed;
    Json wanted = settings_of(*changes);
    const Json by_file = settings_of(*files);
    for (const auto& [key, file] : by_file.items()) wanted[key] = text_of_file(file.get<std::string>());
    request["settings"] = wanted;
  });

  Verb show = of_list.add("show", "show a list's settings");
  const auto shown = show.list();
  show.runs([=](const Console& console) {
    return console.reading_list(
        *shown, [&](const Reads&, const list::List& found) { return console.print(list_json(found)); });
  });

  Verb remove = of_list.add("remove", "remove a list and its members");
  const auto removed = remove.list();
  remove.request("list-remove", [=](Json& request) { request["list"] = *removed; });

  Verb post = verbs.add("post", "post a message to a list, whoever may post there");
  const auto to = post.list(), file = post.word("FILE", "a message with its header; - is standard input");
  const auto verp =
      post.flag("--verp", "give each member an envelope sender of his own, whatever the list's settings say");
  post.request("post", [=](Json& request) {
    request["list"] = *to;
    request["content"] = file_in_base64(*file);
    request["verp"] = *verp;
  });

  Verb digest = verbs.add("digest", "send what waits for the next digest of a list now");
  const auto digested = digest.list();
  digest.request("digest", [=](Json& request) { request["list"] = *digested; });
}

}  // namespace spoold::server::admin
