#include "server/auth/password.hpp"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "protocol/mail/base64.hpp"
#include "protocol/mail/saslprep.hpp"

namespace spoold::server {
namespace {

using store::directory::User;
using store::directory::Verifiers;

constexpr std::size_t key_size = 32, salt_size = 16, longest_password = 500;  // crypt(3) takes 512
constexpr std::uint32_t iterations = 100'000;

unsigned char* octets(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
const unsigned char* octets(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string(what) + " failed");
}

std::string random_octets(std::size_t size) {
  std::string out(size, '\0');
  must(RAND_bytes(octets(out), static_cast<int>(size)) == 1, "random octets");
  return out;
}

std::string hmac(std::string_view key, std::string_view text) {
  std::string out(key_size, '\0');
  must(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(text), text.size(), octets(out),
            nullptr) != nullptr,
       "HMAC");
  return out;
}

std::string sha256(std::string_view text) {
  std::string out(key_size, '\0');
  must(EVP_Digest(text.data(), text.size(), octets(out), nullptr, EVP_sha256(), nullptr) == 1, "SHA-256");
  return out;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Empty: `setting` is none, or the password is too long.
std::string crypted(const std::string& password, const std::string& setting) {
  const auto data = std::make_unique<crypt_data>();
  const char* made = ::crypt_r(password.c_str(), setting.c_str(), data.get());
  std::string out = made == nullptr || *made == '*' ? "" : made;
  OPENSSL_cleanse(data.get(), sizeof(crypt_data));
  return out;
}

}  // namespace

std::optional<std::string> password_fault(std::string_view password) {
  if (password.empty()) return "the password is empty";
  const auto prepared = mail::saslprep(password, mail::Prepared::to_keep);
  if (!prepared)
    return "a password is text in UTF-8 of characters that can be seen: this one has a control character, or "
           "one that "
           "RFC 4013 prohibits";
  if (std::max(password.size(), prepared->size()) > longest_password)
    return "a password has at most " + std::to_string(longest_password) + " octets";
  return {};
}

Verifiers make_verifiers(const std::string& given) {
  const std::string password = mail::saslprep(given, mail::Prepared::to_keep).value();
  Verifiers made;
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  must(::crypt_gensalt_rn("$y$", 0, nullptr, 0, setting.data(), static_cast<int>(setting.size())) != nullptr,
       "crypt_gensalt");
  made.crypt = crypted(password, setting.data());
  must(!made.crypt.empty(), "crypt");
  // RFC 5802 section 3: SaltedPassword, ClientKey, StoredKey, ServerKey.
  made.salt = random_octets(salt_size);
  made.iterations = iterations;
  std::string salted(key_size, '\0');
  must(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                         octets(std::string_view(made.salt)), static_cast<int>(made.salt.size()),
                         static_cast<int>(iterations), EVP_sha256(), static_cast<int>(key_size),
                         octets(salted)) == 1,
       "PBKDF2");
  made.stored_key = sha256(hmac(salted, "Client Key"));
  made.server_key = hmac(salted, "Server Key");
  OPENSSL_cleanse(salted.data(), salted.size());
  return made;
}

PasswordJudge::PasswordJudge(std::string secret)
    : secret_(std::move(secret)), nobody_(make_verifiers(mail::base64_encode(random_octets(key_size)))) {}

bool PasswordJudge::right(const std::optional<User>& user, const std::string& password) const {
  const Verifiers& v = user ? user->verifiers : nobody_;
  // By PLAIN and LOGIN it comes as it was typed. What cannot be prepared is wrong, and takes as long.
  const auto prepared = mail::saslprep(password, mail::Prepared::to_compare);
  const std::string made = crypted(prepared.value_or(""), v.crypt);
  return same(made, v.crypt) && user && prepared;
}

smtp::sasl::Salt PasswordJudge::salt(std::string_view name, const std::optional<User>& user) const {
  smtp::sasl::Salt answer;
  answer.salt =
      user ? user->verifiers.salt : hmac(secret_, "salt of " + std::string(name)).substr(0, salt_size);
  answer.iterations = user ? user->verifiers.iterations : iterations;
  answer.nonce = mail::base64_encode(random_octets(18));
  return answer;
}

// RFC 5802 section 3: the client's key is its proof without the signature, and hashes to what is stored.
std::optional<smtp::sasl::Signature> PasswordJudge::signature(const std::optional<User>& user,
                                                              const smtp::sasl::ScramProof& proof) const {
  const Verifiers& v = user ? user->verifiers : nobody_;
  std::string key = hmac(v.stored_key, proof.auth_message);
  const std::string ours = hmac(v.server_key, proof.auth_message);
  const bool whole = proof.proof.size() == key.size();
  for (std::size_t i = 0; i < key.size() && whole; ++i) key[i] = static_cast<char>(key[i] ^ proof.proof[i]);
  if (!same(sha256(key), v.stored_key) || !whole || !user) return std::nullopt;
  return smtp::sasl::Signature{ours};
}

}  // namespace spoold::server
