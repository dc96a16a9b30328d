// Composite keys: big-endian numbers and NUL-ended strings, so that memcmp order is the order of the parts.
// A key is at most 511 octets (LMDB's limit); a longer one is a bug of the caller and throws Broken(invalid).
// KeyReader takes a key apart again; a key that is too short throws Broken(corrupt), which
// shows the key.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/time.hpp"

namespace spoold::store {

class Key {
 public:
  static constexpr std::size_t max_size = 511;

  Key& u8(std::uint8_t v) { return big_endian(v, 1); }
  Key& u16(std::uint16_t v) { return big_endian(v, 2); }
  Key& u32(std::uint32_t v) { return big_endian(v, 4); }
  Key& u40(std::uint64_t v) { return big_endian(v, 5); }
  Key& u64(std::uint64_t v) { return big_endian(v, 8); }
  Key& time(TimePoint);             // 6 octets of milliseconds since 1970; earlier times count as 1970
  Key& str(std::string_view text);  // a part that others may follow: octets (no NUL) and a NUL
  Key& raw(std::string_view text);  // octets as they are: the last part

  std::string_view view() const { return {bytes_.data(), size_}; }
  operator std::string_view() const { return view(); }  // implicit: a Key is made to be used as one

 private:
  Key& big_endian(std::uint64_t v, std::size_t octets);  // 1 to 8
  std::array<char, max_size + sizeof(std::uint64_t)> bytes_;
  std::size_t size_ = 0;
};

class KeyReader {
 public:
  explicit KeyReader(std::string_view key) : key_(key), rest_(key) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian(4)); }
  std::uint64_t u40() { return big_endian(5); }
  std::uint64_t u64() { return big_endian(8); }
  TimePoint time();
  std::string_view str();
  std::string_view rest() const { return rest_; }

 private:
  std::uint64_t big_endian(std::size_t octets);
  [[noreturn]] void bad() const;
  std::string_view key_, rest_;
};

}  // namespace spoold::store
