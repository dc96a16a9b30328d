#include "server/auth/signing_keys.hpp"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "server/auth/crypto.hpp"

namespace spoold::server {
namespace {

using auth::KeyType;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

[[noreturn]] void failed(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + openssl_reason());
}

}  // namespace

/// Ed25519: a context is made ready once, and signs any number of times: to make it ready takes OpenSSL's locks. As many as
/// threads sign at a time.
struct SigningKey::Contexts {
  std::mutex mutex;
  std::vector<Context> free;

  Context take() {
    const std::lock_guard lock(mutex);
    if (free.empty()) return nullptr;
    Context one = std::move(free.back());
    free.pop_back();
    return one;
  }
  void put(Context one) {
    const std::lock_guard lock(mutex);
    free.push_back(std::move(one));
  }
};

SigningKey::SigningKey(PrivateKey key, auth::KeyType type)
    : key_(std::move(key)), type_(type), contexts_(std::make_shared<Contexts>()) {}

tl::expected<SigningKey, std::string> SigningKey::read(const std::string& path) {
  auto key = read_private_key(path, KeyRights::owner_and_group);
  if (!key) return tl::unexpected(std::move(key.error()));
  const int kind = EVP_PKEY_get_base_id(key->get());
  if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_ED25519)
    return tl::unexpected("'" + path + "' holds a key that DKIM does not know: expected rsa or ed25519");
  SigningKey made(std::move(*key), kind == EVP_PKEY_RSA ? KeyType::rsa : KeyType::ed25519);
  if (made.type() == KeyType::rsa && made.bits() < fewest_bits)
    return tl::unexpected("'" + path + "' is an RSA key of " + std::to_string(made.bits()) +
                          " bits: no receiver accepts less than 1024 (RFC 8301)");
  return made;
}

SigningKey SigningKey::make(KeyType type) {
  PrivateKey key(type == KeyType::rsa ? EVP_RSA_gen(static_cast<unsigned>(good_bits))
                                      : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) failed("no key could be made");
  return {std::move(key), type};
}

int SigningKey::bits() const {
  return type_ == KeyType::rsa ? EVP_PKEY_get_bits(key_.get()) : 256;
}

std::string SigningKey::public_key() const {
  if (type_ == KeyType::ed25519) {
    std::string octets(32, '\0');
    std::size_t size = octets.size();
    if (EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(octets.data()), &size) != 1)
      failed("the public key cannot be had");
    return octets;
  }
  const int size = i2d_PUBKEY(key_.get(), nullptr);
  if (size <= 0) failed("the public key cannot be had");
  std::string octets(static_cast<std::size_t>(size), '\0');
  auto* at = reinterpret_cast<unsigned char*>(octets.data());
  i2d_PUBKEY(key_.get(), &at);
  return octets;
}

std::string SigningKey::pem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  const bool done =
      PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(std::max(size, 0L)));
  BIO_free(bio);
  if (!done) failed("the key cannot be written");
  return pem;
}

std::string SigningKey::sign(std::string_view octets) const {
  std::string hash;
  if (type_ == KeyType::ed25519) {  // RFC 8463 3: Ed25519 signs the hash
    const auto digest = new_sha256();
    digest->update(octets);
    octets = hash = digest->finish();
  }
  Context context = contexts_->take();
  const bool ready = context != nullptr;
  if (!ready) context.reset(EVP_MD_CTX_new());
  const EVP_MD* md = type_ == KeyType::rsa ? EVP_sha256() : nullptr;
  const auto* in = reinterpret_cast<const unsigned char*>(octets.data());
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0');
  std::size_t size = signature.size();
  if (!context || (!ready && EVP_DigestSignInit(context.get(), nullptr, md, nullptr, key_.get()) != 1) ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, in,
                     octets.size()) != 1)
    failed("a signature could not be made");
  signature.resize(size);
  if (type_ == KeyType::ed25519) contexts_->put(std::move(context));
  return signature;
}

tl::expected<std::shared_ptr<const SigningKeys>, std::vector<conf::Problem>> SigningKeys::read(
    const conf::Settings& settings, const std::string& file) {
  auto made = std::make_shared<SigningKeys>();
  std::vector<conf::Problem> problems;
  for (const conf::Dkim& wanted : settings.dkim_keys) {
    const auto problem = [&](std::string what) {
      return conf::Problem{file, wanted.key_at.line, wanted.key_at.column, std::move(what)};
    };
    auto key = SigningKey::read(wanted.key);
    if (!key) {
      problems.push_back(problem(std::move(key.error())));
      continue;
    }
    if (key->bits() < SigningKey::good_bits && key->type() == KeyType::rsa)
      made->warnings_.push_back(
          problem("warning: '" + wanted.key + "' is an RSA key of " + std::to_string(key->bits()) +
                  " bits: 2048 are usual, and some receivers ask for them; see spoolctl dkim rotate")
              .text());
    made->by_domain_[wanted.domain].push_back({wanted.selector, std::move(*key)});
  }
  if (!problems.empty()) return tl::unexpected(std::move(problems));
  return made;
}

std::string SigningKeys::signatures(const std::string& domain, const std::vector<mail::Field>& fields,
                                    std::string_view body_hash, TimePoint at) const {
  std::string all;
  const auto found = by_domain_.find(domain);
  if (found == by_domain_.end()) return all;
  for (const One& one : found->second) {
    const auth::ToSign made = auth::to_sign(fields, body_hash, {domain, one.selector, one.key.type()}, at);
    all += auth::signed_field(made, one.key.sign(made.octets));
  }
  return all;
}

std::optional<bool> SigningKeys::verifies(const auth::Dkim2Returned& copy) const {
  const auto found = by_domain_.find(copy.domain);
  if (found == by_domain_.end()) return std::nullopt;
  const auto one = std::ranges::find(found->second, copy.selector, &One::selector);
  if (one == found->second.end()) return std::nullopt;
  return verify({one->key.type(), one->key.public_key(), copy.signature, copy.octets}) == auth::Proved::yes;
}

std::string SigningKeys::dkim2_signature(const std::string& domain, const auth::Dkim2Chain& chain,
                                         std::string_view hash_value, auth::Dkim2SignAs as) const {
  const auto found = by_domain_.find(domain);
  if (found == by_domain_.end()) return {};
  const auto ed25519 =
      std::ranges::find_if(found->second, [](const One& one) { return one.key.type() == KeyType::ed25519; });
  const One& one = ed25519 != found->second.end() ? *ed25519 : found->second.front();
  as.domain = domain;
  as.selector = one.selector;
  as.type = one.key.type();
  const auth::Dkim2ToSign made = auth::dkim2_to_sign(chain, hash_value, as);
  return auth::dkim2_signed_field(made, one.key.sign(made.octets));
}

}  // namespace spoold::server
