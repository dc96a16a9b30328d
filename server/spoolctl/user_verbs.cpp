// user add, set, password, remove, list.
#include "protocol/mail/ascii.hpp"
#include "server/admin/views.hpp"
#include "server/auth/password.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/secret_input.hpp"
#include "server/spoolctl/verbs.hpp"
#include "store/directory/users.hpp"

namespace spoold::server::admin {

namespace {

constexpr const char* of_file =
    "its first line is the password; without it: asked for on a terminal, else the first line of standard "
    "input";

/// The password stays here: the daemon gets what a password can be judged by.
Json verifiers_from(const std::string& file, const std::string& name) {
  return verifiers_json(make_verifiers(read_password(file, name)));
}

void check_name(const std::string& name) {
  if (const auto fault = store::directory::user_name_fault(mail::lower(name))) throw Usage{*fault};
}

}  // namespace

void declare_user_verbs(const Verbs& verbs) {
  const Verbs of_user = verbs.group("user", "who may submit mail by AUTH");

  Verb add = of_user.add("add", "let somebody submit mail");
  const auto name = add.word("NAME", "the name to log in with, such as anne or anne@example.org");
  const auto addresses = add.optional_words(
      "--address", "addresses that he may send as; without it: the name, when it is an address", "ADDR");
  const auto file = add.optional_word("--password-file", of_file, "FILE");
  add.request("user-add", [=](Json& request) {
    check_name(*name);
    request["user"] = *name;
    request["addresses"] =
        addresses->empty() && name->find('@') != std::string::npos ? Words{*name} : *addresses;
    request["verifiers"] = verifiers_from(*file, *name);
  });

  Verb set = of_user.add("set", "other addresses that a user may send as");
  const auto whom = set.word("NAME", "the user");
  const auto changed =
      set.optional_words("--address", "all addresses that he may send as from now on", "ADDR");
  const auto none = set.flag("--no-address", "he may send as nobody");
  set.request("user-set", [=](Json& request) {
    if (changed->empty() != *none) throw Usage{"name the addresses (--address ADDR...), or say --no-address"};
    request["user"] = *whom;
    request["addresses"] = *changed;
  });

  Verb password = of_user.add("password", "another password for a user");
  const auto whose = password.word("NAME", "the user");
  const auto new_file = password.optional_word("--password-file", of_file, "FILE");
  password.request("user-password", [=](Json& request) {
    check_name(*whose);
    request["user"] = *whose;
    request["verifiers"] = verifiers_from(*new_file, *whose);
  });

  Verb remove = of_user.add("remove", "do not let somebody submit mail any more");
  const auto removed = remove.word("NAME", "the user");
  remove.request("user-remove", [=](Json& request) { request["user"] = *removed; });

  Verb list = of_user.add("list", "who may submit mail, and as whom");
  list.runs([](const Console& console) {
    return console.reading([&](const Reads& reads, TimePoint) {
      Rows rows(console.json, users_text);
      reads.users([&](Json row) { rows(std::move(row)); });
      rows.finish();
      return Exit::done;
    });
  });
}

}  // namespace spoold::server::admin
