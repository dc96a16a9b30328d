#include "server/auth/key_file.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace spoold::server {
namespace {

constexpr std::size_t longest_file = 1 << 20;

struct File {
  explicit File(const std::string& path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const int descriptor;
};

tl::unexpected<std::string> cannot_read(const std::string& path) {
  return tl::unexpected("'" + path + "' cannot be read: " + std::strerror(errno));
}

tl::expected<std::string, std::string> text_of(const File& file, const std::string& path) {
  std::string text(longest_file + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.descriptor, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > longest_file) return tl::unexpected("'" + path + "' is no PEM file: it has more than 1 MiB");
  text.resize(size);
  return text;
}

/// Of the file that is open, not of what has its name by now. Empty: nothing is wrong.
std::string rights_fault(const File& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.descriptor, &status) != 0) return "'" + path + "' cannot be read: " + std::strerror(errno);
  if (!S_ISREG(status.st_mode) || (status.st_mode & (S_IRWXO | S_IWGRP)) == 0) return {};
  char mode[8] = "";
  std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777u);
  return "'" + path + "' has mode " + mode +
         ": others have access to the key; only its owner may write it, and its group may read it (chmod "
         "0600)";
}

}  // namespace

tl::expected<std::string, std::string> pem_text(const std::string& path) {
  const File file(path);
  if (file.descriptor < 0) return cannot_read(path);
  return text_of(file, path);
}

std::string openssl_reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* text = error == 0 ? nullptr : ERR_reason_error_string(error);
  std::string out = text == nullptr ? "no reason given" : text;
  ERR_clear_error();
  return out;
}

tl::expected<PrivateKey, std::string> read_private_key(const std::string& path, KeyRights rights) {
  const File file(path);
  if (file.descriptor < 0) return cannot_read(path);
  if (rights == KeyRights::owner_and_group)
    if (std::string fault = rights_fault(file, path); !fault.empty()) return tl::unexpected(std::move(fault));
  auto text = text_of(file, path);
  if (!text) return tl::unexpected(std::move(text.error()));
  std::string& pem = *text;
  bool asked = false;
  const auto no_passphrase = [](char*, int, int, void* was_asked) {
    *static_cast<bool*>(was_asked) = true;
    return -1;
  };
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  PrivateKey key(PEM_read_bio_PrivateKey(bio, nullptr, no_passphrase, &asked));
  BIO_free(bio);
  OPENSSL_cleanse(pem.data(), pem.size());
  const std::string why = openssl_reason();
  if (asked) return tl::unexpected("'" + path + "' has a passphrase: a key without one is needed");
  if (!key) return tl::unexpected("'" + path + "' holds no private key in PEM form: " + why);
  return key;
}

}  // namespace spoold::server
