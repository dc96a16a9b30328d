// Requests that change lists and members. Each is one job of the store's writer (imports and removals go in
// slices).
#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "conf/load.hpp"
#include "protocol/list/addresses.hpp"
#include "protocol/list/import_file.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/admin/await.hpp"
#include "server/admin/requests.hpp"
#include "server/admin/views.hpp"
#include "server/idna.hpp"
#include "store/directory/directory.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

namespace {

constexpr std::size_t members_at_once = 2000;  // of one job; more come by import

using mail::lower;

/// Runs one repeatable change on the writer thread and waits for its commit.
store::Result<void> run(store::Store& store, std::function<store::Result<void>(store::Write&)> apply) {
  return await_result<void>([&](auto callback) {
    store::Job job;
    job.apply = std::move(apply);
    job.done = std::move(callback);
    store.submit(std::move(job));
  });
}

Mailbox mailbox_of(const std::string& text, Mailbox::Allow allow = Mailbox::Allow::ascii) {
  const auto mailbox = Mailbox::parse(ascii_domains(text), allow);
  if (!mailbox) throw std::invalid_argument("'" + text + "': " + mailbox.error());
  return *mailbox;
}

store::Result<list::List> find_list(const Request& request) {
  const Mailbox address = mailbox_of(request.text("list"));
  const store::Read read(request.store);
  if (const auto found = directory::find_list(read, lower(address.local()), address.domain())) return *found;
  return store::fail(store::Error::Kind::not_found, "there is no list " + address.text());
}

using Wishes = std::vector<std::pair<std::string, std::string>>;

/// {"settings": {"key": "text", ...}}
Wishes settings_of(const Json& request) {
  Wishes wishes;
  if (!request.contains("settings")) return wishes;
  for (const auto& [key, value] : request.at("settings").items())
    wishes.emplace_back(key, value.get<std::string>());
  return wishes;
}

/// Answers with the first thing that is wrong.
std::optional<std::string> apply_settings(const Wishes& wishes, list::Settings& settings) {
  for (const auto& [key, value] : wishes)
    if (const auto set = list::set(settings, key, value); !set) return set.error();
  return std::nullopt;
}

std::optional<std::string> create_fault(const Request& request, const Mailbox& address) {
  if (const auto fault = list::name_fault(address.local(), request.settings.verp.delimiter)) return fault;
  if (request.settings.aliases.contains(lower(address.text())))
    return address.text() + " is an alias in spoold.toml";
  for (const auto& domain : request.settings.domains)
    if (domain.name == address.domain())
      return "mail for " + domain.name +
             " is relayed ([[domain]] in spoold.toml): a list's domain is another one";
  return std::nullopt;
}

Json with_list(const Request& request, const list::List& list) {
  Json answer = success(request);
  answer.update(list_json(list));
  return answer;
}

}  // namespace

Json list_create(const Request& request) {
  const Mailbox address = mailbox_of(request.text("list"));
  if (const auto fault = create_fault(request, address)) return failure(Exit::usage, *fault);
  list::Settings settings;
  for (const auto& owner : request.texts("owners")) settings.owners.push_back(mailbox_of(owner).text());
  if (const auto wrong = apply_settings(settings_of(request.json), settings))
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
  auto created = std::make_shared<list::List>();
  const auto done = run(request.store, [=](store::Write& write) -> store::Result<void> {
    auto made = directory::create_list(write, local, address.domain(), settings, write.now());
    if (!made) return tl::unexpected(made.error());
    *created = *made;
    return {};
  });
  if (!done) return failure(done.error());
  audit(request, "created list " + created->address(), created->id);
  return with_list(request, *created);
}

Json list_set(const Request& request) {
  auto found = find_list(request);
  if (!found) return failure(found.error());
  const Wishes wishes = settings_of(request.json);
  if (wishes.empty()) return failure(Exit::usage, "name settings as KEY=VALUE");
  list::Settings settings = found->settings;
  if (const auto wrong = apply_settings(wishes, settings)) return failure(Exit::usage, *wrong);
  if (!request.dry_run) {
    // The keys are set again on what the list holds at that moment: two operators changing two keys both win.
    const auto id = found->id;
    const auto done = run(request.store, [wishes, id](store::Write& write) -> store::Result<void> {
      const auto now = directory::list(write, id);
      if (!now) return store::fail(store::Error::Kind::not_found, "the list was removed meanwhile");
      list::Settings changed = now->settings;
      if (const auto wrong = apply_settings(wishes, changed))
        return store::fail(store::Error::Kind::invalid, *wrong);
      return directory::set_list(write, id, changed, write.now());
    });
    if (!done) return failure(done.error());
  }
  std::string what = "set " + found->address() + ":";
  for (const auto& [key, value] : wishes) what += " " + key + "=" + value;
  audit(request, what, found->id);
  found->settings = settings;
  return with_list(request, *found);
}

Json list_remove(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  if (!request.dry_run) {
    const auto id = found->id;
    const auto done = run(
        request.store, [id](store::Write& write) { return directory::remove_list(write, id, write.now()); });
    if (!done) return failure(done.error());
    audit(request, "removed list " + found->address(), id);
    // The list is gone already; what is left of a large one goes in slices, now or at the next start.
    if (const auto swept = directory::sweep_all(request.store); !swept) return failure(swept.error());
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
  auto added = std::make_shared<std::vector<std::string>>(),
       already = std::make_shared<std::vector<std::string>>();
  const auto id = found->id;
  const auto apply = [members, id, added, already](store::Write& write) -> store::Result<void> {
    added->clear(), already->clear();
    for (const auto& member : members) {
      const auto one = directory::add_member(write, id, member, write.now());
      if (one)
        added->push_back(one->address);
      else if (one.error().kind == store::Error::Kind::conflict)
        already->push_back(member.address);
      else
        return tl::unexpected(one.error());
    }
    return {};
  };
  if (request.dry_run) {
    const store::Read read(request.store);
    for (const auto& member : members)
      (directory::find_member(read, id, mailbox_of(member.address, Mailbox::Allow::utf8).key()) ? already
                                                                                                : added)
          ->push_back(member.address);
  } else if (const auto done = run(request.store, apply); !done) {
    return failure(done.error());
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["added"] = *added;
  answer["already"] = *already;
  for (const auto& address : *added) audit(request, "added " + address + " to " + found->address(), id);
  if (added->empty())
    answer.update(
        failure(Exit::failed, already->size() == 1 ? "is a member already" : "all are members already"));
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
  auto removed = std::make_shared<std::vector<std::string>>(),
       unknown = std::make_shared<std::vector<std::string>>();
  const auto id = found->id;
  const auto apply = [=](store::Write& write) -> store::Result<void> {
    removed->clear(), unknown->clear();
    for (const auto& [text, key] : wanted) {
      const auto one = directory::remove_member(write, id, key, write.now());
      if (one)
        removed->push_back(one->address);
      else if (one.error().kind == store::Error::Kind::not_found)
        unknown->push_back(text);
      else
        return tl::unexpected(one.error());
    }
    return {};
  };
  if (request.dry_run) {
    const store::Read read(request.store);
    for (const auto& [text, key] : wanted)
      (directory::find_member(read, id, key) ? removed : unknown)->push_back(text);
  } else if (const auto done = run(request.store, apply); !done) {
    return failure(done.error());
  }
  Json answer = success(request);
  answer["list"] = found->address();
  answer["removed"] = *removed;
  answer["unknown"] = *unknown;
  for (const auto& address : *removed) audit(request, "removed " + address + " from " + found->address(), id);
  if (removed->empty())
    answer.update(failure(Exit::nothing_matched, "not a member of " + found->address()));
  else if (!unknown->empty())
    answer.update(failure(Exit::failed, "some are not members of " + found->address()));
  return answer;
}

Json member_set(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  const auto key = mailbox_of(request.text("address"), Mailbox::Allow::utf8).key();
  const Json& settings = request.json.at("settings");
  std::optional<std::string> name;
  std::optional<list::Delivery> delivery;
  for (const auto& [what, value] : settings.items()) {
    const auto text = value.get<std::string>();
    if (what == "name")
      name = text;
    else if (what == "delivery") {
      list::Delivery parsed{};
      if (!list::parse_delivery(text, parsed))
        return failure(Exit::usage, "'" + text + "' is none of: " + std::string(list::delivery_values()));
      delivery = parsed;
    } else
      return failure(Exit::usage, "a member has no setting '" + what + "': name, delivery");
  }
  if (!name && !delivery) return failure(Exit::usage, "name settings as KEY=VALUE: name, delivery");
  const auto change = [name, delivery](list::Member member) {
    if (name) member.name = *name;
    if (delivery) member.delivery = *delivery;
    return member;
  };
  const auto current = [&]() -> std::optional<list::Member> {
    const store::Read read(request.store);
    return directory::find_member(read, found->id, key);
  }();
  if (!current)
    return failure(Exit::nothing_matched,
                   request.text("address") + " is not a member of " + found->address());
  auto result = std::make_shared<list::Member>(change(*current));
  if (!request.dry_run) {
    const auto id = found->id;
    const auto done = run(request.store, [=](store::Write& write) -> store::Result<void> {
      const auto now = directory::find_member(write, id, key);
      if (!now) return store::fail(store::Error::Kind::not_found, "the member left meanwhile");
      const auto set = directory::set_member(write, id, change(*now), write.now());
      if (!set) return tl::unexpected(set.error());
      *result = *set;
      return {};
    });
    if (!done) return failure(done.error());
  }
  audit(request, "changed " + result->address + " of " + found->address(), found->id);
  Json answer = success(request);
  answer["list"] = found->address();
  answer.update(member_json(*result));
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
    const auto done = directory::import_members(request.store, found->id, std::move(file->members), now);
    if (!done) return failure(done.error());
    imported = *done;
    audit(request, "imported " + std::to_string(imported.added) + " members into " + found->address(),
          found->id);
  }
  answer["added"] = imported.added;
  answer["already"] = imported.already;
  return answer;
}

}  // namespace spoold::server::admin
