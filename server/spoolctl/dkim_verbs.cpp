#include "server/spoolctl/dkim_verbs.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "conf/addresses.hpp"
#include "protocol/auth/canonical.hpp"
#include "protocol/auth/lookups.hpp"
#include "server/auth/crypto.hpp"
#include "server/auth/signing_keys.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/circumstances.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/new_file.hpp"
#include "server/spoolctl/print.hpp"

namespace spoold::server::admin {

namespace {

using auth::KeyType;

const char* name_of(KeyType type) {
  return type == KeyType::rsa ? "rsa" : "ed25519";
}

/// As the configuration has it; throws Usage.
std::string domain_from(const std::string& written) {
  std::string domain = conf::lower(auth::as_name(ascii_domains("@" + written).substr(1)));
  if (!conf::is_domain(domain)) throw Usage{"'" + written + "' is not a domain"};
  return domain;
}

std::vector<conf::Dkim> tables_of(const Console& console, const std::string& domain) {
  std::vector<conf::Dkim> found;
  for (const conf::Dkim& one : console.access.settings().dkim_keys)
    if (domain.empty() || one.domain == domain) found.push_back(one);
  return found;
}

// ---- keys for people

Json key_json(const conf::Dkim& table, const SigningKey& key) {
  const std::string value = auth::key_record(key.type(), key.public_key());
  return {{"domain", table.domain},
          {"selector", table.selector},
          {"algorithm", name_of(key.type())},
          {"bits", key.bits()},
          {"file", table.key},
          {"record",
           {{"name", table.selector + "._domainkey." + table.domain},
            {"type", "TXT"},
            {"value", value},
            {"strings", auth::txt_strings(value)}}}};
}

/// The record as a master file has it (RFC 1035 5.1).
std::string record_text(const Json& key) {
  const Json& record = key.at("record");
  std::string text = record.at("name").get<std::string>() + ". IN TXT";
  if (record.at("strings").size() == 1) return text + " \"" + record.at("value").get<std::string>() + "\"\n";
  text += " (";
  for (const Json& one : record.at("strings")) text += "\n    \"" + one.get<std::string>() + "\"";
  return text + " )\n";
}

std::string table_text(const Json& key) {
  const auto line = [&](const char* name, const char* field) {
    return std::string(name) + " = " + Json(key.at(field)).dump() + "\n";
  };
  return "[[dkim]]\n" + line("domain", "domain") + line("selector", "selector") + line("key", "file");
}

std::string records_text(const Json& keys) {
  std::string text = "Publish in the DNS:\n\n";
  for (const Json& key : keys) text += record_text(key);
  text += "\nIn the configuration, once the DNS shows them (then: systemctl reload spoold):\n";
  for (const Json& key : keys) text += "\n" + table_text(key);
  return text;
}

std::string keys_text(const std::vector<Json>& rows) {
  Table table({"DOMAIN", "SELECTOR", "ALGORITHM", ">BITS", "FILE", "PROBLEM"});
  for (const Json& row : rows) {
    const auto cell = [&](const char* field) {
      return row.at(field).is_null() ? std::string() : printable(row.at(field).get<std::string>());
    };
    table.row({cell("domain"), cell("selector"), cell("algorithm"),
               row.at("bits").is_null() ? "" : std::to_string(row.at("bits").get<int>()), cell("file"),
               cell("problem")});
  }
  return table.text();
}

// ---- new keys

[[noreturn]] void cannot(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

/// Whom the daemon runs as: root gives him what it makes.
struct Owner {
  explicit Owner(const std::string& user) {
    if (::geteuid() != 0 || user.empty()) return;
    const passwd* who = ::getpwnam(user.c_str());
    if (who == nullptr)
      throw std::runtime_error("there is no user \"" + user +
                               "\" ([server] user), who must be able to read the key");
    uid = who->pw_uid;
    gid = who->pw_gid;
  }
  void give(int file, const std::string& path) const {
    if (uid != 0 && ::fchown(file, uid, gid) != 0) cannot("cannot give " + path + " to the daemon's user");
  }
  uid_t uid = 0;
  gid_t gid = 0;
};

void make_folder(const std::string& folder, const Owner& owner) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return;
  if (::mkdir(folder.c_str(), 0700) != 0) cannot("cannot make the folder " + folder);
  if (owner.uid != 0 && ::lchown(folder.c_str(), owner.uid, owner.gid) != 0)
    cannot("cannot give " + folder + " to the daemon's user");
}

void write_key(const std::string& path, const SigningKey& key, const Owner& owner) {
  auto file = NewFile::make(path);  // mode 0600
  if (!file) throw std::runtime_error(file.error());
  const std::string pem = key.pem();
  for (std::size_t at = 0; at < pem.size();) {
    const ssize_t put = ::write((*file)->descriptor(), pem.data() + at, pem.size() - at);
    if (put < 0 && errno != EINTR) cannot("cannot write " + path);
    if (put > 0) at += static_cast<std::size_t>(put);
  }
  owner.give((*file)->descriptor(), path);
  if (auto kept = (*file)->keep(); !kept) throw std::runtime_error(kept.error());
}

/// What `create` and `rotate` take.
struct Wishes {
  explicit Wishes(Verb& verb)
      : domain(verb.word("DOMAIN", "whose mail is to be signed")),
        selector(
            verb.optional_word("--selector", "the key's name in the DNS; default: made of the day", "NAME")),
        folder(verb.optional_word("--folder", "where key files are kept (default: /etc/spoold/dkim)", "DIR")),
        now(verb.optional_word("--now", "make the selector of this day", "TIME")),
        dry_run(verb.dry_run()) {}

  Given<std::string> domain, selector, folder, now;
  Given<bool> dry_run;

  std::string first_selector() const {
    if (!selector->empty()) return conf::lower(*selector);
    TimePoint at = std::chrono::floor<Duration>(std::chrono::system_clock::now());
    if (!now->empty()) {
      const auto time = parse_rfc3339(*now);
      if (!time) throw Usage{"--now: '" + *now + "' is not a time like 2026-11-22T10:31:07Z"};
      at = *time;
    }
    std::string day = rfc3339(at).substr(0, 10);
    std::erase(day, '-');
    return "s" + day;
  }
};

/// One key for each algorithm. Nothing is made when one of them exists already.
Json made_keys(const Console& console, const Wishes& wishes, const std::vector<KeyType>& types) {
  const std::string domain = domain_from(*wishes.domain), first = wishes.first_selector();
  const std::string folder = wishes.folder->empty() ? "/etc/spoold/dkim" : *wishes.folder;
  std::vector<conf::Dkim> tables;
  for (const KeyType type : types) {
    conf::Dkim table;
    table.domain = domain;
    table.selector = types.size() == 1 ? first : first + "-" + name_of(type);
    table.key = folder + "/" + table.selector + "." + domain + ".pem";
    if (!conf::is_domain(table.selector + ".x") || table.selector.size() + domain.size() > 240)
      throw Usage{"'" + table.selector + "' cannot be a selector: letters, digits and hyphens"};
    struct stat status {};
    if (::lstat(table.key.c_str(), &status) == 0)
      throw std::runtime_error(table.key + " exists already: name another --selector");
    for (const conf::Dkim& used : tables_of(console, domain))
      if (used.selector == table.selector)
        throw std::runtime_error("the configuration has a key " + used.selector +
                                 " already: name another --selector");
    tables.push_back(std::move(table));
  }
  Json keys = Json::array();
  if (*wishes.dry_run) {
    for (const conf::Dkim& table : tables)
      keys.push_back({{"domain", table.domain}, {"selector", table.selector}, {"file", table.key}});
    return keys;
  }
  const Owner owner(console.access.settings().server.user);
  make_folder(folder, owner);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const SigningKey key = SigningKey::make(types[i]);
    write_key(tables[i].key, key, owner);
    keys.push_back(key_json(tables[i], key));
  }
  return keys;
}

Exit tell_made(const Console& console, const Wishes& wishes, const Json& keys, const Json& old,
               const std::string& behind) {
  if (console.json) {
    Json all{{"domain", domain_from(*wishes.domain)}, {"dry_run", *wishes.dry_run}, {"keys", keys}};
    if (!old.is_null()) all["replaces"] = old;
    put(dump(all) + "\n");
    return Exit::done;
  }
  for (const Json& key : keys)
    put((*wishes.dry_run ? "would make " : "made ") + key.at("file").get<std::string>() + "\n");
  if (!*wishes.dry_run) put("\n" + records_text(keys) + behind);
  return Exit::done;
}

void declare_create(const Verbs& dkim) {
  Verb create = dkim.add("create", "make keys for a domain, and show the DNS records and what to configure");
  const Wishes wishes(create);
  const auto algorithm =
      create.optional_word("--algorithm", "rsa (2048 bits) or ed25519; default: one of each", "NAME");
  create.runs_without_configuration([=](const Console& console) {
    std::vector<KeyType> types{KeyType::rsa, KeyType::ed25519};
    if (*algorithm == "rsa" || *algorithm == "ed25519")
      types = {*algorithm == "rsa" ? KeyType::rsa : KeyType::ed25519};
    else if (!algorithm->empty())
      throw Usage{"--algorithm: '" + *algorithm + "' is neither rsa nor ed25519"};
    return tell_made(console, wishes, made_keys(console, wishes, types), {}, "");
  });
}

void declare_rotate(const Verbs& dkim) {
  Verb rotate = dkim.add("rotate", "make new keys for a domain that has some, and show what to change");
  const Wishes wishes(rotate);
  rotate.runs([=](const Console& console) {
    const auto tables = tables_of(console, domain_from(*wishes.domain));
    if (tables.empty())
      return console.fail(Exit::nothing_matched, "the configuration has no [[dkim]] of " + *wishes.domain);
    std::vector<KeyType> types;
    Json old = Json::array();
    std::string behind = "\nThey replace these tables:\n\n";
    for (const conf::Dkim& table : tables) {
      const auto key = SigningKey::read(table.key);
      if (!key) return console.fail(Exit::failed, key.error());
      if (std::ranges::find(types, key->type()) == types.end()) types.push_back(key->type());
      old.push_back({{"domain", table.domain}, {"selector", table.selector}, {"file", table.key}});
      behind += "  selector = \"" + table.selector + "\", key = \"" + table.key + "\"\n";
    }
    behind +=
        "\nKeep the records of the old keys for two weeks after the reload: mail that is under way is signed "
        "by them. "
        "Then\npublish them with an empty p=, and delete the files.\n";
    return tell_made(console, wishes, made_keys(console, wishes, types), old, behind);
  });
}

void declare_list_and_show(const Verbs& dkim) {
  Verb list = dkim.add("list", "the keys of the configuration ([[dkim]])");
  const auto domain = list.optional_word("DOMAIN", "only those of this domain");
  list.runs([=](const Console& console) {
    Rows rows(console.json, keys_text);
    for (const conf::Dkim& table : tables_of(console, domain->empty() ? "" : domain_from(*domain))) {
      const auto key = SigningKey::read(table.key);
      rows({{"domain", table.domain},
            {"selector", table.selector},
            {"algorithm", key ? Json(name_of(key->type())) : Json()},
            {"bits", key ? Json(key->bits()) : Json()},
            {"file", table.key},
            {"problem", key ? Json() : Json(key.error())}});
    }
    rows.finish();
    if (rows.count == 0) return console.nothing_matched();
    return Exit::done;
  });

  Verb show = dkim.add("show", "the DNS records of a domain's keys, and their tables in the configuration");
  const auto whose = show.word("DOMAIN", "the domain");
  show.runs([=](const Console& console) {
    Json keys = Json::array();
    for (const conf::Dkim& table : tables_of(console, domain_from(*whose))) {
      const auto key = SigningKey::read(table.key);
      if (!key) return console.fail(Exit::failed, key.error());
      keys.push_back(key_json(table, *key));
    }
    if (keys.empty())
      return console.fail(Exit::nothing_matched, "the configuration has no [[dkim]] of " + *whose +
                                                     "; spoolctl dkim create makes keys");
    put(console.json ? dump({{"domain", domain_from(*whose)}, {"keys", keys}}) + "\n" : records_text(keys));
    return Exit::done;
  });
}

void declare_sign(const Verbs& dkim) {
  Verb sign = dkim.add("sign", "print the mail on standard input with signatures by the keys of a domain");
  const auto whose = sign.word("DOMAIN", "the domain of the keys ([[dkim]])");
  const Circumstances when(sign);
  sign.runs([=](const Console& console) {
    const std::string domain = domain_from(*whose);
    conf::Settings of_domain;
    of_domain.dkim_keys = tables_of(console, domain);
    if (of_domain.dkim_keys.empty())
      return console.fail(Exit::nothing_matched, "the configuration has no [[dkim]] of " + domain);
    const auto keys = SigningKeys::read(of_domain, "[[dkim]]");
    if (!keys) return console.fail(Exit::failed, keys.error().front().what);
    const std::string mail = mail_from_input();
    const auto header = mail::Header::scan(mail);
    if (!header) throw std::runtime_error(std::string("bad header: ") + mail::text(header.error()));
    auth::BodyHash body(true, std::nullopt, new_sha256);
    body.update(std::string_view(mail).substr(header->end()));
    const std::string fields = (*keys)->signatures(domain, header->fields(), *body.finish(), when.now());
    put(fields + mail);
    return Exit::done;
  });
}

}  // namespace

void declare_dkim_verbs(const Verbs& dkim) {
  declare_create(dkim);
  declare_rotate(dkim);
  declare_list_and_show(dkim);
  declare_sign(dkim);
}

}  // namespace spoold::server::admin
