#include "server/admin/base64.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace spoold::server::admin {

// EVP_EncodeBlock and EVP_DecodeBlock take an int: in blocks of 3 MiB, which end on whole groups.
namespace {
constexpr std::size_t octets_at_once = 3 << 20;
constexpr std::size_t letters_at_once = 4 << 20;
}  // namespace

std::string base64_encode(std::string_view octets) {
  std::string out;
  out.reserve(octets.size() / 3 * 4 + 8);
  for (std::size_t at = 0; at < octets.size(); at += octets_at_once) {
    const auto part = octets.substr(at, octets_at_once);
    std::string letters(part.size() / 3 * 4 + 5, '\0');
    const int length =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(letters.data()),
                        reinterpret_cast<const unsigned char*>(part.data()), static_cast<int>(part.size()));
    out.append(letters, 0, static_cast<std::size_t>(length));
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view letters) {
  if (letters.size() % 4 != 0) return std::nullopt;
  // EVP_DecodeBlock ignores white space at the ends and accepts padding anywhere: only the end may have it.
  const auto end = letters.find_last_not_of('=');
  const std::size_t padding = end == std::string_view::npos ? letters.size() : letters.size() - end - 1;
  if (padding > 2) return std::nullopt;
  const auto is_letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  if (!std::all_of(letters.begin(), letters.end() - static_cast<std::ptrdiff_t>(padding), is_letter))
    return std::nullopt;
  std::string out;
  out.reserve(letters.size() / 4 * 3);
  for (std::size_t at = 0; at < letters.size(); at += letters_at_once) {
    const auto part = letters.substr(at, letters_at_once);
    std::string octets(part.size() / 4 * 3 + 3, '\0');
    const int length =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(octets.data()),
                        reinterpret_cast<const unsigned char*>(part.data()), static_cast<int>(part.size()));
    if (length < 0) return std::nullopt;
    out.append(octets, 0, static_cast<std::size_t>(length));
  }
  out.resize(out.size() - padding);
  return out;
}

}  // namespace spoold::server::admin
