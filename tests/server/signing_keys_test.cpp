// Signatures by real keys, verified by our own verifier; files that are no keys to sign with.
#include "server/auth/signing_keys.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <openssl/pem.h>

#include <fstream>

#include "protocol/auth/dkim.hpp"
#include "protocol/dns/zone_file.hpp"
#include "server/auth/crypto.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

constexpr TimePoint arrived{std::chrono::seconds(1'795'862'191)};

struct Keys {
  store::Folder folder;
  conf::Settings settings;
  std::string zone;

  std::string put(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder.path() + "/" + name;
    std::ofstream(path) << text;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
  void add(const std::string& domain, const std::string& selector, auth::KeyType type) {
    const SigningKey key = SigningKey::make(type);
    settings.dkim_keys.push_back({domain, selector, put(selector + ".pem", key.pem()), {3, 7}});
    zone += selector + "._domainkey." + domain + ". TXT (";
    for (const std::string& part : auth::txt_strings(auth::key_record(type, key.public_key())))
      zone += " \"" + part + "\"";
    zone += " )\n";
  }
  std::string fault(const std::string& path) {
    settings.dkim_keys = {{"lists.example", "s", path, {3, 7}}};
    const auto keys = SigningKeys::read(settings, "t");
    return keys ? std::string() : keys.error().front().text();
  }
};

std::string hash_of(std::string_view body) {
  auth::BodyHash hash(true, std::nullopt, new_sha256);
  hash.update(body);
  return *hash.finish();
}

std::string with_signatures(const SigningKeys& keys, const std::string& domain, const std::string& text) {
  const auto header = mail::Header::scan(text);
  REQUIRE(header);
  return keys.signatures(domain, header->fields(), hash_of(std::string_view(text).substr(header->end())),
                         arrived) +
         text;
}

std::string results(const std::string& mail, const std::string& records) {
  const auto header = mail::Header::scan(mail);
  const auto zone = dns::ZoneFile::parse(records);
  REQUIRE(zone);
  auth::DkimCheck check(*header, arrived, new_sha256);
  check.body(std::string_view(mail).substr(header->end()));
  check.body_end();
  for (const auto& question : check.ask()) check.answered(question, zone->answer(question));
  prove(check);
  std::string all;
  for (const auto& one : check.verdicts())
    all += one.selector + " " + auth::text(one.result) + (one.reason.empty() ? "" : " (" + one.reason + ")") +
           "; ";
  return all;
}

const std::string mail_of_list =
    "From: Anne <anne@north.example>\r\nTo: test@lists.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    "List-Id: <test.lists.example>\r\nList-Unsubscribe: <mailto:test-leave@lists.example>\r\n\r\nHello.\r\n";

}  // namespace

TEST_CASE("signing keys: both algorithms sign, and our verifier takes both; any change breaks both") {
  Keys made;
  made.add("lists.example", "rsa1", auth::KeyType::rsa);
  made.add("lists.example", "ed1", auth::KeyType::ed25519);
  const auto keys = SigningKeys::read(made.settings, "t");
  REQUIRE(keys);
  CHECK((*keys)->warnings().empty());
  const std::string mail = with_signatures(**keys, "lists.example", mail_of_list);
  CHECK(results(mail, made.zone) == "rsa1 pass; ed1 pass; ");
  CHECK(with_signatures(**keys, "lists.example", mail_of_list) == mail);  // the same octets after a restart
  CHECK(with_signatures(**keys, "other.example", mail_of_list) == mail_of_list);

  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string changed = mail;
    changed.replace(changed.find(from), from.size(), to);
    const std::string all = results(changed, made.zone);
    return all.find("pass") == std::string::npos;
  };
  CHECK(broken("Hello.", "Hullo."));
  CHECK(broken("From: Anne", "From: Eve <eve@evil.example>\r\nFrom: Anne"));
  CHECK(broken("List-Id:", "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Id:"));
  CHECK(broken("List-Id:", "Reply-To: eve@evil.example\r\nList-Id:"));
  CHECK(!broken("From: Anne", "X-Spam-Score: 1\r\nFrom: Anne"));
}

TEST_CASE("signing keys: a file that is written by spoolctl dkim create is read again") {
  Keys made;
  for (const auth::KeyType type : {auth::KeyType::rsa, auth::KeyType::ed25519}) {
    const SigningKey key = SigningKey::make(type);
    const auto read = SigningKey::read(made.put("k.pem", key.pem()));
    REQUIRE_MESSAGE(read, read.error());
    CHECK(read->type() == type);
    CHECK(read->public_key() == key.public_key());
    CHECK(read->sign("octets") == key.sign("octets"));
  }
}

TEST_CASE("signing keys: what is no key to sign with is refused with its place, and says why") {
  Keys made;
  const std::string good = SigningKey::make(auth::KeyType::ed25519).pem();
  CHECK(made.fault(made.put("good", good, 0640)) == "");
  CHECK(made.fault(made.folder.path() + "/none").find("t:3:7: '") == 0);
  CHECK(made.fault(made.folder.path() + "/none").find("cannot be read: No such file") != std::string::npos);
  CHECK(made.fault(made.folder.path()).find("cannot be read: Is a directory") != std::string::npos);
  CHECK(made.fault(made.put("open", good, 0644)).find("has mode 0644: others have access to the key") !=
        std::string::npos);
  CHECK(made.fault(made.put("shared", good, 0660)).find("has mode 0660") != std::string::npos);
  CHECK(made.fault(made.put("text", "hello")).find("holds no private key in PEM form") != std::string::npos);
  const std::string x25519 =
      "-----BEGIN PRIVATE "
      "KEY-----\nMC4CAQAwBQYDK2VuBCIEIKhsCW0QPxcHvRIGk1nAkWQpFcYbkh2gX9KiZ7QpWWFg\n-----END PRIVATE "
      "KEY-----\n";
  CHECK(made.fault(made.put("x", x25519)).find("expected rsa or ed25519") != std::string::npos);
}

TEST_CASE("signing keys: weak RSA keys: under 1024 bits refused, under 2048 named by --check") {
  Keys made;
  const auto rsa = [&](unsigned bits) {
    const PrivateKey key(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{bits}));
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    const std::string pem(text, static_cast<std::size_t>(size));
    BIO_free(bio);
    return made.put("rsa" + std::to_string(bits), pem);
  };
  CHECK(made.fault(rsa(512)).find("is an RSA key of 512 bits") != std::string::npos);
  CHECK(made.fault(rsa(1024)) == "");
  const auto keys = SigningKeys::read(made.settings, "t");
  REQUIRE((*keys)->warnings().size() == 1);
  CHECK((*keys)->warnings().front().find("t:3:7: warning: '") == 0);
}
