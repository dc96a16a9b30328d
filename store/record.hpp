// Packed records: variable-length numbers (7 bits an octet, low first) and strings with their length before
// them. Every read is checked against the record's end: a record that ends early, or a number that does not
// fit, throws Broken(corrupt) naming what was read; so stored bytes may be hostile. A record that grew a
// field at its end is read by an older reader as it was, and at_end() tells a newer one that the field is not
// there.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/time.hpp"

namespace spoold::store {

class Packer {
 public:
  Packer& u8(std::uint8_t v) {
    out_.push_back(static_cast<char>(v));
    return *this;
  }
  Packer& flag(bool v) { return u8(v ? 1 : 0); }
  Packer& num(std::uint64_t v);
  Packer& time(TimePoint);  // milliseconds since 1970; earlier times count as 1970
  Packer& str(std::string_view);
  template <class E>
  Packer& word(E value) {
    return u8(static_cast<std::uint8_t>(value));
  }

  void reserve(std::size_t octets) { out_.reserve(octets); }
  void clear() { out_.clear(); }
  std::size_t size() const { return out_.size(); }
  const std::string& bytes() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class Unpacker {
 public:
  /// `what` is the record's table, and `key` its key there, for the text of an error; both must outlive the
  /// Unpacker.
  Unpacker(std::string_view record, const char* what, std::string_view key = {})
      : rest_(record), what_(what), key_(key) {}
  /// The key is this number, as of the tables of messages.
  Unpacker(std::string_view record, const char* what, std::uint64_t id)
      : rest_(record), what_(what), id_(id) {}
  std::uint8_t u8();
  bool flag() { return u8() != 0; }
  std::uint64_t num();
  std::uint32_t num32();  // corrupt when it does not fit
  TimePoint time();
  std::string_view str();                       // points into the record
  std::string_view octets(std::uint64_t size);  // as many as asked for
  std::string text() { return std::string(str()); }
  /// An enumerator not above `last`.
  template <class E>
  E word(E last) {
    const auto v = u8();
    if (v > static_cast<std::uint8_t>(last)) bad("holds an unknown word");
    return static_cast<E>(v);
  }
  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  [[noreturn]] void bad(const char* why) const;

 private:
  std::string_view rest_;
  const char* what_;
  std::string_view key_ = {};
  std::uint64_t id_ = 0;
};

}  // namespace spoold::store
