#include "store/record.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

#include "store/broken.hpp"
#include "store/id.hpp"
#include "store/key.hpp"

namespace spoold::store {

Packer& Packer::num(std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out_.push_back(static_cast<char>((v & 0x7f) | 0x80));
  out_.push_back(static_cast<char>(v));
  return *this;
}

Packer& Packer::time(TimePoint t) {
  return num(static_cast<std::uint64_t>(std::max<std::int64_t>(t.time_since_epoch().count(), 0)));
}

Packer& Packer::str(std::string_view text) {
  num(text.size());
  out_.append(text);
  return *this;
}

namespace {

/// For people: of a table of messages the id as they know it, and the rest in hexadecimal; else what is text as it is.
std::string key_as_text(std::string_view table, std::string_view key) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  const auto hex = [&](char c) {
    const auto octet = static_cast<unsigned char>(c);
    out += digits[octet >> 4];
    out += digits[octet & 15];
  };
  for (const std::string_view by_id :
       {"content", "message", "head", "recipients", "done", "recipient", "claim", "request"})
    if (table == by_id && key.size() >= 8) {
      out = id_text(KeyReader(key).u64());
      if (key.size() > 8) out += ' ';
      for (const char c : key.substr(8)) hex(c);
      return out;
    }
  for (const char c : key) {
    if (c > ' ' && c < '\x7f') {
      out += c;
      continue;
    }
    out += "\\x";
    hex(c);
  }
  return "'" + out + "'";
}

}  // namespace

void Unpacker::bad(const char* why) const {
  // The tables that store/spool/mend.hpp mends.
  static constexpr std::string_view mended[] = {"message", "recipient", "due",     "claim",
                                                "history", "host",      "suspect", "request"};
  const bool mends = std::find(std::begin(mended), std::end(mended), what_) != std::end(mended);
  throw Broken(
      Error::Kind::corrupt,
      std::string("the record ") +
          (key_.empty() && id_ ? key_as_text(what_, Key().u64(id_)) : key_as_text(what_, key_)) +
          " of table " + what_ + " " + why + ": the store is damaged; keep a copy of data.mdb, then " +
          (mends ? "run spoolctl check --repair while spoold does not run"
                 : "put the last file of spoolctl backup in its place (spoolctl check --repair does not "
                   "mend this table)"));
}

std::uint8_t Unpacker::u8() {
  if (rest_.empty()) bad("ends early");
  const auto v = static_cast<std::uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return v;
}

std::uint64_t Unpacker::num() {
  std::uint64_t v = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto octet = u8();
    if (shift == 63 && octet > 1) bad("holds a number that is too large");
    v |= std::uint64_t{octet & 0x7fu} << shift;
    if (octet < 0x80) return v;
    if (shift == 63) bad("holds a number that is too large");
  }
}

std::uint32_t Unpacker::num32() {
  const auto v = num();
  if (v > std::numeric_limits<std::uint32_t>::max()) bad("holds a number that is too large");
  return static_cast<std::uint32_t>(v);
}

TimePoint Unpacker::time() {
  const auto v = num();
  if (v > (std::uint64_t{1} << 48)) bad("holds an impossible time");
  return TimePoint(Duration(static_cast<std::int64_t>(v)));
}

std::string_view Unpacker::str() {
  return octets(num());
}

std::string_view Unpacker::octets(std::uint64_t size) {
  if (size > rest_.size()) bad("ends early");
  const auto text = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return text;
}

}  // namespace spoold::store
