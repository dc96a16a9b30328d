// Lists: create, set, remove, read.
#include <cstdint>

#include "protocol/list/addresses.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/domain.hpp"
#include "store/directory/operations.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store::directory {

namespace {

tl::unexpected<Error> no_list() {
  return fail(Error::Kind::not_found, "there is no such list");
}

std::optional<std::string> settings_fault(const list::Settings& settings) {
  if (settings.owners.empty()) return "a list needs at least one owner";
  for (const std::string& owner : settings.owners)
    if (auto mailbox = Mailbox::parse(owner); !mailbox) return "owner '" + owner + "': " + mailbox.error();
  return {};
}

}  // namespace

std::optional<List> find_list(const Read& read, std::string_view local, std::string_view domain) {
  if (local.size() > list::max_name || domain.size() > 255)
    return {};  // also: no key is made of a peer's long text
  if (local.empty() || local.find('\0') != std::string_view::npos ||
      domain.find('\0') != std::string_view::npos)
    return {};
  const auto id = read.get(Table::list_name, list_name_key(local, domain));
  if (!id) return {};
  return load(read, KeyReader(*id).u32());
}

std::optional<List> list(const Read& read, ListId id) {
  return load(read, id);
}

std::optional<std::uint64_t> roster_version(const Read& read, ListId id) {
  const auto record = read.get(Table::list, list_key(id));
  if (!record) return std::nullopt;
  return roster_version(id, *record);
}

std::vector<List> lists(const Read& read, ListId after, std::size_t limit) {
  std::vector<List> found;
  Cursor cursor = read.cursor(Table::list);
  for (bool more = after != 0xffffffff && cursor.seek(list_key(after + 1)); more && found.size() < limit;
       more = cursor.next())
    found.push_back(unpack_list(KeyReader(cursor.key()).u32(), cursor.value()));
  return found;
}

std::vector<ListId> list_ids_of_domain(const Read& read, std::string_view domain, std::size_t limit) {
  std::vector<ListId> found;
  if (limit == 0 || domain.size() > 255 || domain.find('\0') != std::string_view::npos) return found;
  read.each(Table::list_name, Key().str(domain), [&](std::string_view, std::string_view id) {
    found.push_back(KeyReader(id).u32());
    return found.size() < limit;
  });
  return found;
}

std::vector<List> lists_of_domain(const Read& read, std::string_view domain) {
  std::vector<List> found;
  for (const ListId id : list_ids_of_domain(read, domain, SIZE_MAX))
    if (auto one = load(read, id)) found.push_back(std::move(*one));
  return found;
}

bool is_list_domain(const Read& read, std::string_view domain) {
  if (domain.size() > 255 || domain.find('\0') != std::string_view::npos) return false;
  const Key prefix = Key().str(domain);
  Cursor cursor = read.cursor(Table::list_name);
  return cursor.seek(prefix) && cursor.at(prefix);
}

std::optional<std::string> own_address_fault(const Read& read, ListId id, std::string_view place) {
  const auto nul = place.find('\0');
  const std::string_view domain = place.substr(0, nul), local = place.substr(nul + 1);
  if (!is_list_domain(read, domain)) return {};
  // Which delimiter is configured is not known here: '+' finds the VERP forms of all but a few.
  const auto sub = list::sub_address(local, '+');
  if (!sub) return {};
  const std::string address = std::string(local).append("@").append(domain);
  if (sub->list.empty()) {
    if (sub->role != list::Role::bounces) return {};
    return address + " is where bounces of all lists go: it cannot be a member";
  }
  const auto owner = find_list(read, sub->list, domain);
  if (!owner) return {};
  if (sub->role != list::Role::post)
    return address + " is an address of the list " + owner->address() + ": it cannot be a member";
  if (owner->id == id) return "a list cannot be a member of itself: " + address;
  if (leads_to(read, owner->id, id))
    return "posts would go round in a circle: the members of " + address +
           " include this list, or a list with it";
  return {};
}

Result<List> create_list(Write& write, std::string_view local, std::string_view domain,
                         list::Settings settings, TimePoint now, ListId id, const Texts& unread) {
  List made;
  made.local = mail::lower(local);
  made.domain = mail::lower(domain);
  // The delimiter belongs to the configuration: the caller has checked it; NUL is in no name.
  if (auto fault = list::name_fault(made.local, '\0')) return fail(Error::Kind::invalid, *fault);
  if (auto fault = mail::domain_fault(made.domain)) return fail(Error::Kind::invalid, *fault);
  if (!Mailbox::parse(made.address()))
    return fail(Error::Kind::invalid, "the address of the list is longer than 254 octets");
  if (auto fault = settings_fault(settings)) return fail(Error::Kind::invalid, *fault);
  if (write.has(Table::list_name, list_name_key(made.local, made.domain)))
    return fail(Error::Kind::conflict, "the list " + made.address() + " exists already");
  made.settings = std::move(settings);
  made.created = now;
  made.id = next_list_id(write, id);
  if (made.settings.moderation.rules != list::RuleTexts{}) {
    made.settings.moderation.rules_version = 1;
    save_rules(write, made);
  }
  save(write, made, unread);
  write.put(Table::list_name, list_name_key(made.local, made.domain), Key().u32(made.id));
  return made;
}

Result<List> set_list(Write& write, ListId id, const Texts& settings, bool keep_unread) {
  auto found = load(write, id);
  if (!found) return no_list();
  Texts unread = unread_of(write, id);
  load_rules(write, *found);
  const list::RuleTexts rules = found->settings.moderation.rules;
  for (const auto& [name, text] : settings) {
    const auto set = list::set(found->settings, name, text, true);
    if (!set && !keep_unread) return fail(Error::Kind::invalid, set.error());
    std::erase_if(unread, [&name = name](const auto& one) { return one.first == name; });
    if (!set) unread.emplace_back(name, text);
  }
  if (auto fault = settings_fault(found->settings)) return fail(Error::Kind::invalid, *fault);
  if (found->settings.moderation.rules != rules) {
    ++found->settings.moderation.rules_version;
    save_rules(write, *found);
  }
  save(write, *found, unread);
  return std::move(*found);
}

Result<List> remove_list(Write& write, ListId id, ImportId leftover_id) {
  auto found = load(write, id);
  if (!found) return no_list();
  write.del(Table::list, list_key(id));
  del_rules(write, id);
  write.del(Table::list_name, list_name_key(found->local, found->domain));
  // An import that runs finds its own row gone and gives up; its member rows go with the others.
  for (std::uint64_t import : pending_imports(write, id)) write.del(Table::import, Key().u64(import));
  ImportRow leftover;
  leftover.kind = ImportRow::Kind::list_removed;
  leftover.list = id;
  write.put(Table::import, Key().u64(next_import_id(write, leftover_id)), pack(leftover));
  write.leaves_work();
  return std::move(*found);
}

}  // namespace spoold::store::directory
