#include "store/key.hpp"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "store/broken.hpp"

namespace spoold::store {

Key& Key::big_endian(std::uint64_t v, std::size_t octets) {
  if (size_ + octets > max_size)
    throw Broken(Error::Kind::invalid, "a key of the store is longer than 511 octets");
  // One store of eight octets (the array has room behind a longest key); the next part overwrites what is too many.
  v = htobe64(v << (8 * (sizeof v - octets)));
  std::memcpy(bytes_.data() + size_, &v, sizeof v);
  size_ += octets;
  return *this;
}

Key& Key::time(TimePoint t) {
  const auto ms = t.time_since_epoch().count();
  constexpr std::int64_t latest = (std::int64_t{1} << 48) - 1;
  return big_endian(static_cast<std::uint64_t>(std::clamp<std::int64_t>(ms, 0, latest)), 6);
}

Key& Key::str(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    throw Broken(Error::Kind::invalid, "a part of a key of the store holds a NUL");
  return raw(text).u8(0);
}

Key& Key::raw(std::string_view text) {
  if (size_ + text.size() > max_size)
    throw Broken(Error::Kind::invalid, "a key of the store is longer than 511 octets");
  std::copy(text.begin(), text.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += text.size();
  return *this;
}

std::uint64_t KeyReader::big_endian(std::size_t octets) {
  if (rest_.size() < octets) bad();
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < octets; ++i) v = v << 8 | static_cast<unsigned char>(rest_[i]);
  rest_.remove_prefix(octets);
  return v;
}

void KeyReader::bad() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  for (const char octet : key_) {
    hex += digits[static_cast<unsigned char>(octet) >> 4];
    hex += digits[static_cast<unsigned char>(octet) & 15];
  }
  throw Broken(Error::Kind::corrupt, "the key " + hex + " of the store is shorter than its table demands");
}

TimePoint KeyReader::time() {
  return TimePoint(Duration(static_cast<std::int64_t>(big_endian(6))));
}

std::string_view KeyReader::str() {
  const auto end = rest_.find('\0');
  if (end == std::string_view::npos) bad();
  const auto text = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return text;
}

}  // namespace spoold::store
