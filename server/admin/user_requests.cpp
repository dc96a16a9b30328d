// Requests that change users. Passwords do not come here: spoolctl makes the verifiers (server/auth/password.hpp).
#include <stdexcept>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "server/admin/directory_request.hpp"
#include "server/admin/views.hpp"
#include "store/directory/users.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

namespace {

std::string name_of(const Request& request) {
  std::string name = mail::lower(request.text("user"));
  if (const auto fault = directory::user_name_fault(name)) throw std::invalid_argument(*fault);
  return name;
}

std::vector<std::string> addresses_of(const Request& request) {
  std::vector<std::string> addresses;
  for (const std::string& text : request.texts("addresses")) addresses.push_back(mailbox_of(text).text());
  return addresses;
}

directory::Verifiers verifiers_of(const Request& request) {
  const Json& json = request.json.at("verifiers");
  const auto octets = [&json](const char* name) {
    const auto decoded = mail::base64_decode(json.at(name).get<std::string>());
    if (!decoded) throw std::invalid_argument(std::string("verifiers: ") + name + " is not base64");
    return *decoded;
  };
  directory::Verifiers verifiers;
  verifiers.crypt = json.at("crypt").get<std::string>();
  verifiers.salt = octets("salt");
  verifiers.iterations = json.at("iterations").get<std::uint32_t>();
  verifiers.stored_key = octets("stored_key");
  verifiers.server_key = octets("server_key");
  return verifiers;
}

Json with_user(const Request& request, const std::string& name, const std::vector<std::string>& addresses) {
  Json answer = success(request);
  answer["user"] = name;
  answer["addresses"] = addresses;
  return answer;
}

std::optional<directory::User> found(const Request& request, const std::string& name) {
  return directory::find_user(store::Read(request.store), name);
}

Json no_user(const std::string& name) {
  return failure(Exit::nothing_matched, "there is no user " + name);
}

}  // namespace

Json verifiers_json(const directory::Verifiers& verifiers) {
  return {{"crypt", verifiers.crypt},
          {"salt", mail::base64_encode(verifiers.salt)},
          {"iterations", verifiers.iterations},
          {"stored_key", mail::base64_encode(verifiers.stored_key)},
          {"server_key", mail::base64_encode(verifiers.server_key)}};
}

Json user_add(const Request& request) {
  directory::User user;
  user.name = name_of(request);
  user.addresses = addresses_of(request);
  user.verifiers = verifiers_of(request);
  if (request.dry_run) {
    if (found(request, user.name)) return failure(Exit::failed, "there is a user " + user.name + " already");
  } else if (const Done done = submit(request, directory::AddUser{user}); !done.failure.is_null()) {
    return done.failure;
  }
  return with_user(request, user.name, user.addresses);
}

Json user_set(const Request& request) {
  directory::SetUser change;
  change.name = name_of(request);
  if (request.json.contains("addresses")) change.addresses = addresses_of(request);
  if (request.json.contains("verifiers")) change.verifiers = verifiers_of(request);
  if (!change.addresses && !change.verifiers) return failure(Exit::usage, "nothing is to be set");
  const auto before = found(request, change.name);
  if (!before) return no_user(change.name);
  const auto addresses = change.addresses.value_or(before->addresses);
  if (!request.dry_run)
    if (const Done done = submit(request, change); !done.failure.is_null()) return done.failure;
  return with_user(request, change.name, addresses);
}

Json user_remove(const Request& request) {
  const std::string name = name_of(request);
  if (request.dry_run) {
    if (!found(request, name)) return no_user(name);
  } else if (const Done done = submit(request, directory::RemoveUser{name}); !done.failure.is_null()) {
    return done.failure;
  }
  Json answer = success(request);
  answer["user"] = name;
  return answer;
}

}  // namespace spoold::server::admin
