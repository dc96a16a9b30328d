// Messages with octets above 127, converted for next hops that do not offer 8BITMIME (protocol/mime/seven_bit);
// shared by all lanes of a thread.
//
// Guarantees: the same message gives the same octets each time; the last ones used are kept, up to 32 MiB (one
// of them may be larger), so that a fan-out converts once; no read transaction outlives a call; each conversion
// is logged (event=converted). Failures: what cannot be converted has a reason in words; a content that is
// damaged or not whole throws store's Broken, as in wire.hpp.
#pragma once
#include <cstdint>
#include <list>
#include <string>

#include "server/delivery/wire.hpp"

namespace spoold::server {

class SevenBit {
 public:
  struct Form {
    store::Id message = 0;
    std::string why_not;     // empty: it is converted
    std::uint64_t size = 0;  // of the converted message
    Wire chunk, data;        // for BDAT, of which the first `size` octets are the message; for DATA
  };

  explicit SevenBit(store::Store& store) : store_(store) {}

  /// Good until the next call.
  const Form& of(const store::Message& message);
  /// As WireCache::get(), of a message that of() has converted.
  Wire wire(const store::Message& message, bool chunk);

 private:
  Form made(const store::Message& message) const;
  static std::size_t octets(const Form& form);

  store::Store& store_;
  std::list<Form> kept_;  // most recently used first
  std::size_t size_ = 0;
};

}  // namespace spoold::server
