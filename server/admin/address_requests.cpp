// Requests that change persons: their addresses, their preferences (store/directory/persons.hpp). Each is one operation.
#include <algorithm>
#include <stdexcept>

#include "server/admin/directory_request.hpp"
#include "server/admin/reads.hpp"
#include "server/admin/views.hpp"
#include "store/directory/persons.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

namespace {

constexpr std::size_t persons_at_once = 100;

std::string asked_key(const std::string& text) {
  return mailbox_of(text, Mailbox::Allow::utf8).key();
}

std::optional<directory::Person> person_with(const store::Store& store, const std::string& key) {
  return directory::person_of(store::Read(store), key);
}

Json nobody(const std::string& address) {
  return failure(Exit::nothing_matched, address + " is no address of a person with several addresses");
}

Json with_person(const Request& request, const std::optional<directory::Person>& person) {
  Json answer = success(request);
  if (person) answer.update(person_json(*person));
  return answer;
}

}  // namespace

Json address_add(const Request& request) {
  const std::string of = mailbox_of(request.text("address"), Mailbox::Allow::utf8).text();
  const bool verified = !request.json.value("unverified", false);
  std::vector<std::string> fresh;
  for (const std::string& text : request.texts("addresses"))
    fresh.push_back(mailbox_of(text, Mailbox::Allow::utf8).text());
  if (fresh.empty()) return failure(Exit::usage, "name the further addresses of " + of);
  const auto owner = person_with(request.store, asked_key(of));
  std::size_t count = owner ? owner->addresses.size() : 1;
  for (const std::string& address : fresh) {
    const auto other = person_with(request.store, asked_key(address));
    if (other && (!owner || other->id != owner->id))
      return failure(Exit::failed, address + " is an address of another person already");
    if (!other) ++count;
  }
  if (count > directory::most_addresses)
    return failure(Exit::failed,
                   "a person has at most " + std::to_string(directory::most_addresses) + " addresses");
  if (request.dry_run) return with_person(request, owner);
  for (const std::string& address : fresh) {
    const Done done = submit(request, directory::AddAddress{of, address, verified}, address);
    if (!done.failure.is_null()) return done.failure;
  }
  return with_person(request, person_with(request.store, asked_key(of)));
}

Json address_remove(const Request& request) {
  const std::string key = asked_key(request.text("address"));
  const auto before = person_with(request.store, key);
  if (!before) return nobody(request.text("address"));
  Json answer = success(request);
  answer["removed"] = key;
  answer["person"] = before->uuid;
  if (request.dry_run) return answer;
  const Done done = submit(request, directory::RemoveAddress{key});
  return done.failure.is_null() ? answer : done.failure;
}

Json address_set(const Request& request) {
  directory::SetPerson change;
  change.address = asked_key(request.text("address"));
  const Json& settings = request.json.at("settings");
  for (const auto& [what, value] : settings.items()) {
    const auto text = value.get<std::string>();
    const bool on = text == "true";
    if (what == "name") {
      if (const auto fault = list::member_name_fault(text)) return failure(Exit::usage, *fault);
      change.name = text;
    } else if (what == "verified" && (on || text == "false")) {
      change.verified = on;
    } else if (what == "preferred" && on) {
      change.preferred = true;
    } else if (what == "verified" || what == "preferred") {
      return failure(Exit::usage,
                     what + ": '" + text + "' is not " + (what == "verified" ? "true or false" : "true"));
    } else {
      list::Preferences any;
      if (const auto read = list::set(any, what, text); !read)
        return failure(Exit::usage, read.error() + "; beside them: name, verified, preferred");
      change.preferences.emplace_back(what, text);
    }
  }
  if (settings.empty())
    return failure(Exit::usage,
                   "name settings as KEY=VALUE: name, verified, preferred, " + list::preference_names());
  if (!person_with(request.store, change.address)) return nobody(request.text("address"));
  if (!request.dry_run)
    if (const Done done = submit(request, change); !done.failure.is_null()) return done.failure;
  return with_person(request, person_with(request.store, change.address));
}

void Reads::persons(const RowSink& sink) const {
  for (directory::PersonId after = 0;;) {
    between_();
    const auto page = directory::persons(store::Read(store_), after, persons_at_once);
    if (page.empty()) return;
    for (const auto& one : page) sink(person_json(one));
    after = page.back().id;
  }
}

std::optional<Json> Reads::person(const std::string& address) const {
  const auto found = directory::person_of(store::Read(store_), asked_key(address));
  if (!found) return std::nullopt;
  return person_json(*found);
}

}  // namespace spoold::server::admin
