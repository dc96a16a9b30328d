// Messages with octets above 127, converted for next hops that do not offer 8BITMIME (protocol/mime/seven_bit);
// shared by all lanes. A conversion of 10 MiB takes a good part of a second, so all of them run on one thread of
// their own, one after the other: no loop waits for one, and no more than one message is in memory twice. A message that
// is signed by us is signed as it is converted.
//
// Guarantees: the same message gives the same octets each time; the last forms used are kept, up to 32 MiB (one
// of them may be larger), so that a fan-out converts once; no read transaction outlives a conversion; each
// conversion is logged (event=converted). Failures: what cannot be converted has a reason in words; a content
// that is damaged or not whole, and a store that cannot be read now, are an exception in the form. A failed
// conversion is not kept: the next lane that asks tries again.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include "server/asio.hpp"
#include "server/delivery/form.hpp"
#include "server/delivery/signing.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

class SevenBit {
 public:
  /// `signing`: signs what is converted, where the message is to be signed.
  SevenBit(store::Store& store, Signing& signing);
  /// Waits for the conversion that runs; those that have not begun are not made, and nobody is called.
  ~SevenBit();

  /// Any thread. Where the form is not ready() yet, `on_ready` is called when it is: it must only hand on.
  /// `personal`: the copy of a personalised post, which is converted for itself and not kept; else nothing.
  std::shared_ptr<Form> of(const store::Message& message, const std::shared_ptr<const Copy>& personal,
                           std::function<void()> on_ready, Envelope envelope = {});

 private:
  void make(const std::shared_ptr<Form>& form, const store::Message& message, const Copy* personal,
            const Envelope& envelope);
  void convert(Form& form, const store::Message& message, const Copy* personal,
               const Envelope& envelope) const;

  store::Store& store_;
  Signing& signing_;
  std::mutex mutex_;
  std::list<std::shared_ptr<Form>> kept_;  // most recently used first
  std::size_t size_ = 0;                   // octets of those that are ready
  asio::thread_pool thread_{1};
};

}  // namespace spoold::server
