#include "server/verp_key.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace spoold::server {

tl::expected<std::string, std::string> verp_secret(const conf::Verp& verp, const std::string& of_store) {
  if (verp.secret_file.empty()) return of_store;
  std::ifstream file(verp.secret_file, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file) return tl::unexpected("cannot read [verp] secret_file " + verp.secret_file);
  std::string secret = bytes.str();
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!secret.empty() && space(secret.back())) secret.pop_back();
  secret.erase(0, secret.find_first_not_of(" \t\r\n"));
  if (secret.size() < 16)
    return tl::unexpected("[verp] secret_file " + verp.secret_file + " holds less than 16 octets");
  return secret;
}

list::Hmac hmac_sha256(std::string secret) {
  return [secret = std::move(secret)](std::string_view data) {
    std::array<std::uint8_t, 32> digest{};
    unsigned size = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
    if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes, data.size(), digest.data(),
             &size) == nullptr)
      throw std::runtime_error("HMAC-SHA-256 failed");
    return digest;
  };
}

}  // namespace spoold::server
