// spoolctl: the operator's command. Here is only its command line; the verbs are in server/admin/commands.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "conf/load.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/admin/commands.hpp"
#include "server/admin/interrupt.hpp"
#include "server/idna.hpp"
#include "server/log.hpp"
#include "server/standard_files.hpp"

namespace {

using namespace spoold;
using namespace spoold::server::admin;
using Words = std::vector<std::string>;

/// What the words of one verb were parsed into.
struct Line {
  std::string config, spool, by, what, list, address, file, sender, older, recipient, destination, states;
  Words ids, words, owners, settings, remove, add, replace, isolate;
  bool json = false, dry_run = false, all = false, all_or_nothing = false, content = false, senders = false,
       verp = false, csv = false, yes = false, repair = false;
};

/// Wrong usage, found after the parser was content.
struct Usage {
  std::string why;
};

void add_filter(CLI::App* verb, Line& line, bool ids = true) {
  if (ids) verb->add_option("ID", line.ids, "queue ids");
  verb->add_option("--recipient", line.recipient, "recipients like GLOB")->type_name("GLOB");
  verb->add_option("--sender", line.sender, "reverse path or From like GLOB")->type_name("GLOB");
  verb->add_option("--list", line.list, "posts of this list")->type_name("ADDR");
  verb->add_option("--destination", line.destination, "a domain, route or next hop")->type_name("HOST");
  verb->add_option("--state", line.states, "of recipients, with commas: queued,active,deferred,held,...")
      ->type_name("STATES");
  verb->add_option("--older", line.older, "arrived at least that long ago")->type_name("DURATION");
  verb->add_flag("--all", line.all, "every message");
}

Filter filter_of(const Line& line) {
  Filter filter;
  for (const auto& text : line.ids) {
    const auto id = store::parse_id(text);
    if (!id) throw Usage{"'" + text + "' is not a queue id"};
    filter.ids.push_back(*id);
  }
  filter.recipient = line.recipient;
  filter.sender = line.sender;
  filter.list = line.list;
  filter.destination = line.destination;
  filter.all = line.all;
  for (const auto& state : CLI::detail::split(line.states, ',')) {
    if (state.empty()) continue;
    const auto& known = recipient_states();
    if (std::find(known.begin(), known.end(), state) == known.end())
      throw Usage{"'" + state + "' is not a state of recipients"};
    filter.states.push_back(state);
  }
  if (!line.older.empty()) {
    const auto older = conf::parse_duration(line.older);
    if (!older) throw Usage{"--older: " + older.error()};
    filter.older = *older;
  }
  return filter;
}

/// `--owner a@x verp=never`: the option takes all words behind it. Those that begin with the name of a setting,
/// or cannot be an address, are settings.
void split_owners(Line& line) {
  const auto is_setting = [](const std::string& word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return false;
    return word.find('@') == std::string::npos ||
           std::any_of(list::setting_keys().begin(), list::setting_keys().end(),
                       [&](const list::SettingKey& key) { return key.name == word.substr(0, equals); });
  };
  const auto settings = std::stable_partition(line.owners.begin(), line.owners.end(),
                                              [&](const std::string& word) { return !is_setting(word); });
  line.settings.insert(line.settings.end(), settings, line.owners.end());
  line.owners.erase(settings, line.owners.end());
}

Json settings_of(const Words& words) {
  Json settings = Json::object();
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) throw Usage{"'" + word + "' is not KEY=VALUE"};
    settings[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return settings;
}

/// OLD=NEW, where local parts may hold '=' themselves: the first '=' with an address on both sides.
Json replacement_of(const std::string& word) {
  for (auto at = word.find('='); at != std::string::npos; at = word.find('=', at + 1)) {
    const auto old = word.substr(0, at), now = word.substr(at + 1);
    if (Mailbox::parse(server::ascii_domains(old), Mailbox::Allow::utf8) &&
        Mailbox::parse(server::ascii_domains(now), Mailbox::Allow::utf8))
      return Json{{"old", old}, {"new", now}};
  }
  throw Usage{"'" + word + "' is not OLD=NEW with two addresses"};
}

std::string file_of(const Line& line) {
  auto text = read_file(line.file);
  if (!text) throw Usage{text.error()};
  return mail::base64_encode(*text);
}

using Verb = std::function<int(Commands&)>;

/// Declares all verbs; `chosen` becomes the one that was named.
void declare(CLI::App& app, Line& line, Verb& chosen) {
  const auto on = [&chosen](CLI::App* verb, Verb run) {
    verb->callback([&chosen, run] { chosen = run; });
    verb->fallthrough();
    return verb;
  };
  const auto dry = [&line](CLI::App* verb) {
    verb->add_flag("--dry-run", line.dry_run, "only say what would be done");
  };
  const auto list_address = [&line](CLI::App* verb) {
    verb->add_option("LIST", line.list, "the list's address")->required();
  };
  const auto request = [&line](const char* verb) { return Json{{"verb", verb}, {"dry_run", line.dry_run}}; };

  auto* queue = on(app.add_subcommand("queue", "a line per message"),
                   [&line](Commands& c) { return c.queue(filter_of(line), line.by); });
  add_filter(queue, line);
  queue->add_option("--by", line.by, "totals instead: destination or list")
      ->check(CLI::IsMember({"destination", "list"}));

  auto* show = on(app.add_subcommand("show", "a message with every recipient"),
                  [&line](Commands& c) { return c.show(line.ids, line.content, line.senders); });
  show->add_option("ID", line.ids, "queue ids")->required();
  show->add_flag("--content", line.content, "print the message as it goes out");
  show->add_flag("--senders", line.senders, "with the envelope sender of each recipient");

  auto* edit =
      on(app.add_subcommand("edit-recipients",
                            "change the recipients of a queued message, also while it is being delivered"),
         [&line, request](Commands& c) {
           if (line.remove.empty() && line.add.empty() && line.replace.empty() && line.isolate.empty())
             return c.edit_recipients_by_editor(line.what, line.all_or_nothing, line.dry_run, line.yes);
           Json json = request("edit-recipients");
           json["id"] = line.what;
           json["remove"] = line.remove;
           json["add"] = line.add;
           json["isolate"] = line.isolate;
           json["replace"] = Json::array();
           for (const auto& word : line.replace) json["replace"].push_back(replacement_of(word));
           json["all_or_nothing"] = line.all_or_nothing;
           return c.change(json);
         });
  edit->add_option("ID", line.what, "queue id")->required();
  edit->add_option("--remove", line.remove, "take these out")->type_name("ADDR");
  edit->add_option("--add", line.add, "put these in")->type_name("ADDR");
  edit->add_option("--replace", line.replace, "put NEW in the place of OLD")->type_name("OLD=NEW");
  edit->add_option("--isolate", line.isolate, "offer these alone and last")->type_name("ADDR");
  edit->add_flag("--all-or-nothing", line.all_or_nothing, "change nothing when one is refused");
  edit->add_flag("--yes", line.yes, "do not ask after the editor");
  dry(edit);

  auto* sender = on(app.add_subcommand("edit-sender", "change the reverse path (\"<>\": the null path)"),
                    [&line, request](Commands& c) {
                      Json json = request("edit-sender");
                      json["id"] = line.what;
                      json["sender"] = line.address;
                      return c.change(json);
                    });
  sender->add_option("ID", line.what, "queue id")->required();
  sender->add_option("ADDR", line.address, "the new sender")->required();
  dry(sender);

  const std::pair<const char*, const char*> sweeps[] = {{"hold", "stop delivery until released"},
                                                        {"release", "go on with what is held"},
                                                        {"retry", "try now"},
                                                        {"remove", "forget silently"}};
  for (const auto& [name, meaning] : sweeps) {
    auto* verb = on(app.add_subcommand(name, meaning), [&line, request, verb_name = name](Commands& c) {
      Json json = request(verb_name);
      const Filter filter = filter_of(line);
      if (filter.empty()) throw Usage{"name messages by id or by a filter; --all means every message"};
      json["filter"] = to_json(filter);
      return c.change(json);
    });
    add_filter(verb, line);
    dry(verb);
  }

  auto* trace = on(app.add_subcommand("trace", "what happened to an address, a message or a post"),
                   [&line](Commands& c) { return c.trace(line.what); });
  trace->add_option("WHAT", line.what, "address, queue id or Message-ID")->required();

  on(app.add_subcommand("lists", "all lists"), [](Commands& c) { return c.lists(); });
  auto* list = app.add_subcommand("list", "one list");
  list->require_subcommand(1);
  list->fallthrough();
  auto* create = on(list->add_subcommand("create", "make a list"), [&line, request](Commands& c) {
    Json json = request("list-create");
    json["list"] = line.list;
    split_owners(line);
    json["owners"] = line.owners;
    json["settings"] = settings_of(line.settings);
    return c.change(json);
  });
  list_address(create);
  create->add_option("--owner", line.owners, "who gets mail to LIST-owner")->type_name("ADDR");
  create->add_option("KEY=VALUE", line.settings, "settings");
  dry(create);
  auto* set = on(list->add_subcommand("set", "change settings"), [&line, request](Commands& c) {
    Json json = request("list-set");
    json["list"] = line.list;
    json["settings"] = settings_of(line.settings);
    return c.change(json);
  });
  list_address(set);
  set->add_option("KEY=VALUE", line.settings, "settings")->required();
  dry(set);
  list_address(on(list->add_subcommand("show", "its settings"),
                  [&line](Commands& c) { return c.list_show(line.list); }));
  auto* gone = on(list->add_subcommand("remove", "remove it and its members"), [&line, request](Commands& c) {
    Json json = request("list-remove");
    json["list"] = line.list;
    return c.change(json);
  });
  list_address(gone);
  dry(gone);

  list_address(on(app.add_subcommand("members", "the members of a list"),
                  [&line](Commands& c) { return c.members(line.list); }));
  auto* member = app.add_subcommand("member", "members of a list");
  member->require_subcommand(1);
  member->fallthrough();
  const std::pair<const char*, const char*> changes[] = {{"add", "make members"},
                                                         {"remove", "members no more"}};
  for (const auto& [name, meaning] : changes) {
    auto* verb = on(member->add_subcommand(name, meaning),
                    [&line, request, verb_name = std::string("member-") + name](Commands& c) {
                      Json json = request(verb_name.c_str());
                      json["list"] = line.list;
                      json["addresses"] = line.words;
                      return c.change(json);
                    });
    list_address(verb);
    verb->add_option("ADDR", line.words, "addresses")->required();
    dry(verb);
  }
  auto* change = on(member->add_subcommand("set", "name=..., delivery=regular|digest|nomail..."),
                    [&line, request](Commands& c) {
                      Json json = request("member-set");
                      json["list"] = line.list;
                      json["address"] = line.address;
                      json["settings"] = settings_of(line.settings);
                      return c.change(json);
                    });
  list_address(change);
  change->add_option("ADDR", line.address, "the member")->required();
  change->add_option("KEY=VALUE", line.settings, "settings")->required();
  dry(change);
  auto* one = on(member->add_subcommand("show", "one member"),
                 [&line](Commands& c) { return c.member_show(line.list, line.address); });
  list_address(one);
  one->add_option("ADDR", line.address, "the member")->required();

  for (CLI::App* parent : {&app, member}) {
    auto* import = on(parent->add_subcommand("import", "members from a file, all or nothing"),
                      [&line, request](Commands& c) {
                        Json json = request("import");
                        json["list"] = line.list;
                        json["content"] = file_of(line);
                        return c.change(json);
                      });
    list_address(import);
    import
        ->add_option("FILE", line.file,
                     "an address or Name <addr> a line, or CSV with a header line; - is standard input")
        ->required();
    dry(import);
    auto* out = on(parent->add_subcommand("export", "members in the form that import reads"),
                   [&line](Commands& c) { return c.export_members(line.list, line.csv); });
    list_address(out);
    out->add_flag("--csv", line.csv, "with the delivery mode of each member");
  }

  auto* post = on(app.add_subcommand("post", "send a message to a list, past its rules on who may post"),
                  [&line, request](Commands& c) {
                    Json json = request("post");
                    json["list"] = line.list;
                    json["content"] = file_of(line);
                    json["verp"] = line.verp;
                    return c.change(json);
                  });
  list_address(post);
  post->add_option("FILE", line.file, "a message with its header; - is standard input")->required();
  post->add_flag("--verp", line.verp,
                 "an envelope sender of its own for each member, whatever the list says");
  dry(post);

  auto* destinations = on(app.add_subcommand("destinations", "next hops: what waits, health, learned limits"),
                          [&line](Commands& c) { return c.destinations(line.what, filter_of(line)); });
  add_filter(destinations, line, false);
  destinations->add_option("HOST", line.what, "a route, host or URL of a next hop, or a pattern");
  auto* wake = on(app.add_subcommand("wake", "try a next hop now, and all that waits for it"),
                  [&line, request](Commands& c) {
                    Json json = request("wake");
                    json["host"] = line.what;
                    return c.change(json);
                  });
  wake->add_option("HOST", line.what, "a route, host or URL of a next hop, or a pattern")->required();
  dry(wake);

  on(app.add_subcommand("stats", "counters of the running daemon"), [](Commands& c) { return c.stats(); });
  auto* backup =
      on(app.add_subcommand("backup", "a consistent copy of the store, also beside a running daemon"),
         [&line](Commands& c) { return c.backup(line.file); });
  backup->add_option("FILE", line.file, "the copy; it appears when it is whole, in the place of an older one")
      ->required();
  auto* compact =
      on(app.add_subcommand("compact", "write the store anew without its free pages; no daemon may run"),
         [&line](Commands& c) { return c.compact(line.dry_run); });
  dry(compact);
  auto* check = on(app.add_subcommand("check", "the invariants of the store, also beside a running daemon"),
                   [&line](Commands& c) {
                     if (line.dry_run && !line.repair) throw Usage{"--dry-run is for --repair"};
                     return c.check(line.repair, line.dry_run);
                   });
  check->add_flag("--repair", line.repair, "count anew what does not add up");
  dry(check);
}

/// Settings of --spool, --config, SPOOLD_CONFIG or the usual place; nothing after having said what is wrong.
std::optional<conf::Settings> settings_for(const Line& line) {
  if (!line.spool.empty()) {
    conf::Settings settings;
    settings.spool.path = line.spool;
    settings.hostname = "localhost";  // in Received of a post by hand
    return settings;
  }
  const char* named = std::getenv("SPOOLD_CONFIG");
  const std::string path = !line.config.empty() ? line.config
                           : named && *named    ? named
                                                : "/etc/spoold/spoold.toml";
  auto settings = conf::load(path);
  if (settings) return *settings;
  for (const auto& problem : settings.error()) std::fprintf(stderr, "%s\n", problem.text().c_str());
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  server::open_standard_files();
  watch_for_interrupts();
  CLI::App app("spoolctl: looks into and changes the queue and the lists of a spoold", "spoolctl");
  Line line;
  Verb chosen;
  app.add_option("--config", line.config, "spoold.toml (default: $SPOOLD_CONFIG, /etc/spoold/spoold.toml)")
      ->type_name("FILE");
  app.add_option("--spool", line.spool, "folder of the store, instead of a configuration")->type_name("DIR");
  app.add_flag("--json", line.json, "JSON instead of tables");
  app.require_subcommand(1);
  declare(app, line, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  // A change that is made here is told on standard output; the log is the daemon's.
  conf::Log quiet;
  quiet.level = "error";
  server::log::configure(quiet);
  const auto settings = settings_for(line);
  if (!settings) return 1;
  try {
    Access access(*settings);
    Commands commands(access, line.json);
    const int exit = chosen(commands);
    flush_output();
    return exit;
  } catch (const Interrupted& interrupted) {
    end_by(interrupted);
  } catch (const Usage& usage) {
    std::fprintf(stderr, "spoolctl: %s\n", usage.why.c_str());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spoolctl: %s\n", error.what());
    return 1;
  }
}
