// The content of one inbound message while it arrives: in memory up to 256 KiB, beyond that (or when all
// sessions together hold 64 MiB) staged in the store slice by slice, two slices in flight at most.
//
// Guarantees: the header block stays at hand (header()). What was staged and not accepted is abandoned. The
// memory of all sessions is counted, also that of slices on their way. Failures: the store's error of a
// slice, from room() or finish(). Lives on the session's thread; awaits resume there. See also: session.cpp,
// store/store.hpp (staging).
#pragma once
#include <malloc.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "server/asio.hpp"
#include "store/spool/acceptance.hpp"
#include "store/store.hpp"

namespace spoold::server {

/// Octets of content that all sessions hold. When most of a large amount has gone, the allocator gives back
/// what it keeps of it: a disk that hung for a while leaves nothing behind.
class ContentMemory {
 public:
  explicit ContentMemory(int (*give_back)(std::size_t) = &::malloc_trim) : give_back_(give_back) {}
  operator std::int64_t() const { return now_.load(std::memory_order_relaxed); }
  void add(std::int64_t octets);  // any thread

 private:
  static constexpr std::int64_t large = 16 << 20;
  int (*const give_back_)(std::size_t);
  std::atomic<std::int64_t> now_{0}, peak_{0};
  // A good part of a large amount was still in use when the allocator gave back what it kept.
  std::atomic<bool> rest_{false};
};

class Content {
 public:
  static constexpr std::size_t slice = 256 << 10;
  // Of all sessions together: from where small slices are staged, from where no new sender is taken, and from where what
  // comes is read and thrown away: its message is refused.
  static constexpr std::int64_t all_sessions = 64 << 20, no_new_sender = 128 << 20, most = 256 << 20;

  using Memory = std::shared_ptr<ContentMemory>;  // of all sessions
  Content(store::Store& store, asio::any_io_executor executor, Memory memory)
      : store_(store), executor_(std::move(executor)), memory_(std::move(memory)) {}
  ~Content() { forget(); }
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  std::string& bytes() { return bytes_; }  // what the dialog appends to
  /// A message of about this size begins.
  void expect(std::uint64_t size);
  /// To be called after each append: counts memory; true: await room() before reading on.
  bool full(std::uint64_t header_size);
  /// To be called after full(): all sessions hold too much, and this one is to give its message up.
  bool too_much() const { return *memory_ > most && bytes_.size() >= small_slice; }
  /// Sends the bytes at hand to the store; waits while two slices are on their way.
  Awaitable<store::Result<void>> room(std::uint64_t header_size);
  /// The content is complete: everything is in memory, or everything is staged.
  Awaitable<store::Result<store::ContentSource>> finish(std::uint64_t size);
  /// The begin of the content, at least the header block. After finish().
  std::string_view header(const store::ContentSource& source) const;
  /// The store has taken it over.
  void accepted() { staged_ = 0; }
  /// Nothing is in memory, nothing staged.
  bool empty() const { return staged_ == 0 && bytes_.empty(); }
  /// Ready for the next message; abandons what was staged.
  void forget();

 private:
  struct Flight {  // shared with the callbacks of slices, which may outlive the session
    explicit Flight(const asio::any_io_executor& executor) : landed(executor) {}
    asio::steady_timer landed;  // cancelled when a slice has landed
    int slices = 0;
    std::optional<store::Error> error;
  };

  static constexpr std::size_t small_slice = 16 << 10;

  void count(std::size_t octets);
  Awaitable<store::Result<void>> send(std::uint64_t header_size);
  Awaitable<store::Result<void>> wait_for(int slices);

  store::Store& store_;
  asio::any_io_executor executor_;
  Memory memory_;
  std::string bytes_, header_;
  std::size_t counted_ = 0;
  store::Id staged_ = 0;
  std::shared_ptr<Flight> flight_;
};

}  // namespace spoold::server
