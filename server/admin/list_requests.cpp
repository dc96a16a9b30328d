// Requests that change lists and members. Each is one operation on the directory (an import is a chain of them).
#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "conf/load.hpp"
#include "protocol/list/addresses.hpp"
#include "protocol/list/approved.hpp"
#include "protocol/list/import_file.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/admin/directory_request.hpp"
#include "server/admin/views.hpp"
#include "server/idna.hpp"
#include "server/office/signing.hpp"
#include "server/verp_key.hpp"
#include "store/blocking.hpp"
#include "store/directory/apply.hpp"
#include "store/directory/directory.hpp"
#include "store/post_numbers.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

namespace {

constexpr std::size_t members_at_once = 2000;  // of one job; more come by import

using mail::lower;

using Wishes = directory::Texts;

std::vector<std::string> addresses_of(const std::vector<list::Member>& members) {
  std::vector<std::string> out;
  out.reserve(members.size());
  for (const list::Member& member : members) out.push_back(member.address);
  return out;
}

/// {"settings": {"key": "text", ...}}. A style stands for several: what is named beside it wins.
tl::expected<Wishes, std::string> settings_of(const Json& request) {
  Wishes wishes;
  if (!request.contains("settings")) return wishes;
  const Json& settings = request.at("settings");
  if (settings.contains("style")) {
    auto style = list::style(settings.at("style").get<std::string>());
    if (!style) return tl::unexpected(style.error());
    wishes = std::move(*style);
  }
  for (const auto& [key, value] : settings.items()) {
    if (key == "style") continue;
    std::erase_if(wishes, [&name = key](const auto& wish) { return wish.first == name; });
    wishes.emplace_back(key, value.get<std::string>());
  }
  return wishes;
}

/// Of the moderator password its hash: what is kept, and what is shown.
std::optional<std::string> seal_password(const Request& request, const std::string& list, Wishes& wishes) {
  for (auto& [key, text] : wishes) {
    if (key != "moderator_password" || text.empty()) continue;
    if (text.size() < 8) return "moderator_password: at least 8 characters, as anybody can try";
    const auto secret = verp_secret(request.settings.verp, request.store.secret());
    if (!secret) return secret.error();
    text = list::sealed_password(list, text, hmac_sha256(*secret));
  }
  return std::nullopt;
}

/// Answers with the first thing that is wrong.
std::optional<std::string> apply_settings(const Wishes& wishes, list::Settings& settings) {
  for (const auto& [key, value] : wishes)
    if (const auto set = list::set(settings, key, value); !set) return set.error();
  return std::nullopt;
}

std::optional<std::string> create_fault(const Request& request, const Mailbox& address) {
  if (auto fault = list::name_fault(address.local(), request.settings.verp.delimiter)) return fault;
  if (request.settings.aliases.contains(lower(address.text())))
    return address.text() + " is an alias in spoold.toml";
  for (const auto& domain : request.settings.domains)
    if (domain.name == address.domain())
      return "mail for " + domain.name +
             " is relayed ([[domain]] in spoold.toml): a list's domain is another one";
  return std::nullopt;
}

Json with_list(const Request& request, list::List list) {
  Json answer = success(request);
  list.last_post = store::last_post(store::Read(request.store), list);
  answer.update(list_json(list));
  return answer;
}

std::string member_settings() {
  return "name, delivery, moderation, one_copy, " + list::preference_names();
}

/// Of settings that name lists of this server: the first that is none.
std::optional<std::string> unknown_list(const Request& request, const Wishes& wishes,
                                        const list::Settings& settings) {
  const store::Read read(request.store);
  for (const auto& [key, text] : wishes) {
    if (key != "include_lists" && key != "exclude_lists") continue;
    for (const std::string& address :
         key == "include_lists" ? settings.include_lists : settings.exclude_lists)
      if (directory::list_ids(read, {address}).empty()) return key + ": there is no list " + address;
  }
  return std::nullopt;
}

/// Settings that a list cannot have together, or not with this configuration.
std::optional<std::string> misfit(const Request& request, const Wishes& wishes, std::string_view domain,
                                  const list::Settings& settings) {
  if (auto wrong = list::misfit(settings)) return wrong;
  const bool wished = std::ranges::any_of(wishes, [](const auto& wish) { return wish.first == "dkim2"; });
  if (!wished || !settings.dkim2 || has_keys(request.settings, domain)) return std::nullopt;
  return "dkim2: there is no [[dkim]] table of " + std::string(domain) +
         ", so that nothing can be signed: " + "spoolctl dkim create " + std::string(domain) + " makes keys";
}

}  // namespace

Json list_create(const Request& request) {
  const Mailbox address = mailbox_of(request.text("list"));
  if (const auto fault = create_fault(request, address)) return failure(Exit::usage, *fault);
  list::Settings settings;
  for (const auto& owner : request.texts("owners")) settings.owners.push_back(mailbox_of(owner).text());
  auto wishes = settings_of(request.json);
  if (!wishes) return failure(Exit::usage, wishes.error());
  if (const auto wrong = seal_password(request, lower(address.text()), *wishes))
    return failure(Exit::usage, *wrong);
  if (const auto wrong = apply_settings(*wishes, settings)) return failure(Exit::usage, *wrong);
  if (const auto wrong = misfit(request, *wishes, address.domain(), settings))
    return failure(Exit::usage, *wrong);
  if (settings.owners.empty())
    return failure(Exit::usage, "a list needs at least one owner: --owner ADDRESS");
  const std::string local = lower(address.local());
  if (request.dry_run) {
    const store::Read read(request.store);
    if (directory::find_list(read, local, address.domain()))
      return failure(Exit::failed, "there is a list " + address.text() + " already");
    list::List planned;
    planned.local = local, planned.domain = address.domain(), planned.settings = settings;
    return with_list(request, planned);
  }
  const Done done =
      submit(request, directory::CreateList{local, address.domain(), directory::texts_of(settings), 0});
  return done.failure.is_null() ? with_list(request, done.applied.list) : done.failure;
}

Json list_set(const Request& request) {
  auto found = find_list(request);
  if (!found) return failure(found.error());
  auto wishes = settings_of(request.json);
  if (!wishes) return failure(Exit::usage, wishes.error());
  if (const auto wrong = seal_password(request, found->address(), *wishes))
    return failure(Exit::usage, *wrong);
  if (wishes->empty()) return failure(Exit::usage, "name settings as KEY=VALUE");
  list::Settings settings = found->settings;
  if (const auto wrong = apply_settings(*wishes, settings)) return failure(Exit::usage, *wrong);
  if (const auto wrong = unknown_list(request, *wishes, settings)) return failure(Exit::usage, *wrong);
  if (const auto wrong = misfit(request, *wishes, found->domain, settings))
    return failure(Exit::usage, *wrong);
  if (!request.dry_run) {
    const Done done = submit(request, directory::SetList{found->id, *wishes});
    if (!done.failure.is_null()) return done.failure;
  }
  found->settings = settings;
  return with_list(request, *found);
}

Json list_remove(const Request& request) {
  auto found = find_list(request);
  // Asked again: the first time has removed it.
  if (!found)
    if (const auto before =
            directory::applied(store::Read(request.store), request.json.value("operation", "")))
      found = before->list;
  if (!found) return failure(found.error());
  if (!request.dry_run) {
    const Done done = submit(request, directory::RemoveList{found->id, 0});
    if (!done.failure.is_null()) return done.failure;
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["members"] = found->members;
  return answer;
}

Json member_add(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  std::string lines;  // each as in a file of members: an address, or Name <address>
  for (const auto& text : request.texts("addresses")) lines += text + "\n";
  auto file = list::read_import_file(ascii_domains(lines));
  if (!file) {
    std::string wrong = "nothing was added:";
    for (const list::BadLine& line : file.error()) wrong += "\n  '" + line.text + "': " + line.reason;
    return failure(Exit::usage, wrong);
  }
  std::vector<list::Member>& members = file->members;
  for (auto& member : members) member.joined = request.store.now();
  if (members.empty()) return failure(Exit::usage, "name at least one address");
  if (members.size() > members_at_once) return failure(Exit::usage, "more than 2000 addresses: use import");
  std::vector<std::string> added, already;
  if (request.dry_run) {
    const store::Read read(request.store);
    for (const auto& member : members) {
      const auto key = mailbox_of(member.address, Mailbox::Allow::utf8).key();
      (directory::find_member(read, found->id, key) ? already : added).push_back(member.address);
    }
  } else {
    Done done = submit(request, directory::Subscribe{found->id, std::move(members)});
    if (!done.failure.is_null()) return done.failure;
    added = addresses_of(done.applied.members);
    already = std::move(done.applied.unchanged);
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["added"] = added;
  answer["already"] = already;
  if (added.empty())
    answer.update(
        failure(Exit::failed, already.size() == 1 ? "is a member already" : "all are members already"));
  return answer;
}

Json member_remove(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  std::vector<std::pair<std::string, std::string>> wanted;  // as written, key
  for (const auto& text : request.texts("addresses"))
    wanted.emplace_back(text, mailbox_of(text, Mailbox::Allow::utf8).key());
  if (wanted.empty()) return failure(Exit::usage, "name at least one address");
  if (wanted.size() > members_at_once) return failure(Exit::usage, "more than 2000 addresses at once");
  std::vector<std::string> removed, unknown;
  if (request.dry_run) {
    const store::Read read(request.store);
    for (const auto& [text, key] : wanted)
      (directory::find_member(read, found->id, key) ? removed : unknown).push_back(text);
  } else {
    directory::Unsubscribe change{found->id, {}};
    for (const auto& [text, key] : wanted) change.addresses.push_back(key);
    const Done done = submit(request, std::move(change));
    if (!done.failure.is_null()) return done.failure;
    removed = addresses_of(done.applied.members);
    for (const std::string& key : done.applied.unchanged) {
      const auto written = [&key](const auto& one) { return one.second == key; };
      unknown.push_back(std::find_if(wanted.begin(), wanted.end(), written)->first);
    }
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["removed"] = removed;
  answer["unknown"] = unknown;
  if (removed.empty())
    answer.update(failure(Exit::nothing_matched, "not a member of " + found->address()));
  else if (!unknown.empty())
    answer.update(failure(Exit::failed, "some are not members of " + found->address()));
  return answer;
}

Json member_set(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  const auto key = mailbox_of(request.text("address"), Mailbox::Allow::utf8).key();
  const Json& settings = request.json.at("settings");
  directory::SetMember change{found->id, key, {}, {}};
  for (const auto& [what, value] : settings.items()) {
    const auto text = value.get<std::string>();
    if (what == "name")
      change.name = text;
    else if (what == "delivery") {
      list::Delivery parsed{};
      if (!list::parse_delivery(text, parsed))
        return failure(Exit::usage, "'" + text + "' is none of: " + std::string(list::delivery_values()));
      change.delivery = parsed;
    } else if (what == "moderation") {
      const auto action = list::parse_action(text);
      if (!action && text != "default")
        return failure(Exit::usage,
                       "'" + text + "' is none of: default, defer, accept, hold, reject, discard");
      change.moderation = action;
    } else if (what == "one_copy") {
      bool flag = false;
      if (auto read = list::read_flag(flag, text); !read)
        return failure(Exit::usage, "one_copy: " + read.error());
      change.one_copy = flag;
    } else if (std::ranges::find(list::preference_keys(), what, &list::PreferenceKey::name) !=
               list::preference_keys().end()) {
      list::Preferences any;
      if (const auto read = list::set(any, what, text); !read) return failure(Exit::usage, read.error());
      change.preferences.emplace_back(what, text);
    } else
      return failure(Exit::usage, "a member has no setting '" + what + "': " + member_settings());
  }
  if (settings.empty()) return failure(Exit::usage, "name settings as KEY=VALUE: " + member_settings());
  const auto current = [&]() -> std::optional<list::Member> {
    const store::Read read(request.store);
    return directory::find_member(read, found->id, key);
  }();
  if (!current)
    return failure(Exit::nothing_matched,
                   request.text("address") + " is not a member of " + found->address());
  list::Member member = *current;
  if (change.name) member.name = *change.name;
  if (change.delivery) member.delivery = *change.delivery;
  if (change.moderation) member.moderation = *change.moderation;
  if (change.one_copy) member.one_copy = *change.one_copy;
  member.preferences = list::with(member.preferences, change.preferences).value_or(member.preferences);
  if (!request.dry_run) {
    Done done = submit(request, std::move(change));
    if (!done.failure.is_null()) return done.failure;
    member = std::move(done.applied.members.at(0));
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer.update(member_json(member));
  return answer;
}

Json member_move(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  const Mailbox from = mailbox_of(request.text("address"), Mailbox::Allow::utf8),
                to = mailbox_of(request.text("to"), Mailbox::Allow::utf8);
  std::optional<list::Member> member, taken;
  {
    const store::Read read(request.store);
    member = directory::find_member(read, found->id, from.key());
    if (from.key() != to.key()) taken = directory::find_member(read, found->id, to.key());
  }
  if (!member) return failure(Exit::nothing_matched, from.text() + " is not a member of " + found->address());
  if (taken) return failure(Exit::failed, to.text() + " is a member of " + found->address() + " already");
  member->address = to.text();
  if (!request.dry_run) {
    Done done = submit(request, directory::MoveMember{found->id, from.key(), to.text()});
    if (!done.failure.is_null()) return done.failure;
    member = std::move(done.applied.members.at(0));
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["moved"] = from.text();
  answer.update(member_json(*member));
  return answer;
}

Json import_members(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  const auto text = mail::base64_decode(request.text("content"));
  if (!text) return failure(Exit::usage, "content is not base64");
  auto file = list::read_import_file(ascii_domains(*text));
  if (!file) {
    Json answer = failure(Exit::failed, std::to_string(file.error().size()) +
                                            (file.error().size() == 1 ? " bad line" : " bad lines") +
                                            ": nothing was imported");
    answer["bad_lines"] = Json::array();
    for (const list::BadLine& line : file.error())
      answer["bad_lines"].push_back({{"line", line.number}, {"text", line.text}, {"reason", line.reason}});
    return answer;
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["repeated"] = file->repeated;
  const TimePoint now = request.store.now();
  for (auto& member : file->members) member.joined = now;
  directory::Imported imported;
  if (request.dry_run) {
    // In pages: the file may be long, and a Read must be short.
    constexpr std::size_t at_once = 1000;
    for (std::size_t from = 0; from < file->members.size(); from += at_once) {
      const store::Read read(request.store);
      for (std::size_t i = from; i < std::min(from + at_once, file->members.size()); ++i)
        ++(directory::find_member(read, found->id,
                                  mailbox_of(file->members[i].address, Mailbox::Allow::utf8).key())
               ? imported.already
               : imported.added);
    }
  } else {
    const auto done =
        directory::import_members(request.store, found->id, std::move(file->members), request.who);
    if (!done) return failure(done.error());
    imported = *done;
    audit(request, "imported " + std::to_string(imported.added) + " members into " + found->address());
  }
  answer["added"] = imported.added;
  answer["already"] = imported.already;
  return answer;
}

}  // namespace spoold::server::admin
