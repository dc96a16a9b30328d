// Private keys in PEM files: of [[tls]] and of [[dkim]]. Failures: one sentence that names the file.
#pragma once
#include <openssl/evp.h>

#include <memory>
#include <string>

#include <tl/expected.hpp>

namespace spoold::server {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeKey>;

/// The octets of a PEM file, at most 1 MiB.
tl::expected<std::string, std::string> pem_text(const std::string& path);
/// The reason of the newest error in OpenSSL's queue, which is emptied.
std::string openssl_reason();

/// Who may have access to the file of a key.
enum class KeyRights { any, owner_and_group };

/// A key without a passphrase. owner_and_group: a file that others may read or write, or that the group may write, is refused.
tl::expected<PrivateKey, std::string> read_private_key(const std::string& path,
                                                       KeyRights rights = KeyRights::any);

}  // namespace spoold::server
