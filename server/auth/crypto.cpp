#include "server/auth/crypto.hpp"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdexcept>

namespace spoold::server {
namespace {

constexpr int fewest_rsa_bits = 1024;  // RFC 8301 3.2

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Context = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

const unsigned char* bytes(std::string_view octets) {
  return reinterpret_cast<const unsigned char*>(octets.data());
}

class Sha : public auth::Digest {
 public:
  explicit Sha(const EVP_MD* which) : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), which, nullptr) != 1)
      throw std::runtime_error("SHA failed");
  }
  void update(std::string_view octets) override {
    if (EVP_DigestUpdate(context_.get(), octets.data(), octets.size()) != 1)
      throw std::runtime_error("SHA failed");
  }
  std::string finish() override {
    std::string hash(EVP_MAX_MD_SIZE, '\0');
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(hash.data()), &size) != 1)
      throw std::runtime_error("SHA failed");
    hash.resize(size);
    return hash;
  }

  std::unique_ptr<auth::Digest> copy() const override {
    auto other = std::make_unique<Sha>(EVP_MD_CTX_get0_md(context_.get()));
    if (EVP_MD_CTX_copy_ex(other->context_.get(), context_.get()) != 1)
      throw std::runtime_error("SHA failed");
    return other;
  }

 private:
  Context context_;
};

/// RFC 6376 3.6.1 and erratum 3017: SubjectPublicKeyInfo, or RSAPublicKey as some publish it.
Key rsa_key(const std::string& octets) {
  const unsigned char* at = bytes(octets);
  if (Key key(d2i_PUBKEY(nullptr, &at, static_cast<long>(octets.size()))); key) return key;
  at = bytes(octets);
  return Key(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, static_cast<long>(octets.size())));
}

}  // namespace

std::unique_ptr<auth::Digest> new_sha256() {
  return std::make_unique<Sha>(EVP_sha256());
}

std::unique_ptr<auth::Digest> new_sha512() {
  return std::make_unique<Sha>(EVP_sha512());
}

auth::Proved verify(const auth::Proof& proof) {
  const bool rsa = proof.type == auth::KeyType::rsa;
  const Key key =
      rsa ? rsa_key(proof.key)
          : Key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(proof.key), proof.key.size()));
  if (!key || (rsa && EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA)) return auth::Proved::no_key;
  if (rsa && EVP_PKEY_bits(key.get()) < fewest_rsa_bits) return auth::Proved::weak_key;
  std::string signed_octets = proof.octets;
  if (!rsa) {  // RFC 8463 3: Ed25519 signs the hash
    const auto hash = new_sha256();
    hash->update(proof.octets);
    signed_octets = hash->finish();
  }
  const Context context(EVP_MD_CTX_new());
  if (!context ||
      EVP_DigestVerifyInit(context.get(), nullptr, rsa ? EVP_sha256() : nullptr, nullptr, key.get()) != 1)
    return auth::Proved::no_key;
  const int holds = EVP_DigestVerify(context.get(), bytes(proof.signature), proof.signature.size(),
                                     bytes(signed_octets), signed_octets.size());
  return holds == 1 ? auth::Proved::yes : auth::Proved::no;
}

void prove(auth::DkimCheck& check) {
  while (const auto proof = check.next_proof()) check.proved(verify(*proof));
}

}  // namespace spoold::server
