// The files of one archive (protocol/list/archive.hpp). A post is written under a name that its queue id gives, where no reader of the
// archive looks; published when its message exists. Everything here blocks.
//
//   maildir   DIR/tmp/SECONDS.Q<id>.spoold   -> DIR/new/...: one rename
//   mbox      FILE.spoold/<id>               -> FILE.spoold/<id>.OFFSET, which says where it is being appended, -> the end of FILE
//
// Guarantees: publish() may be repeated, also after a crash anywhere in it: a post is in the archive once. What a crash left of an mbox entry
// is cut off before the entry is appended again. FILE is locked by fcntl and by FILE.lock, at most 2 s are waited for either.
// Failures: the first one, with the name of the file; what was not published stays, and is published when it is asked for again.
// See also: archive.hpp (who asks when).
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/list/archive.hpp"
#include "store/id.hpp"

namespace spoold::store {

struct FileFault {
  std::string what;  // "open /var/mail/test/tmp/..."
  int code = 0;      // errno
};
template <class T>
using Filed = tl::expected<T, FileFault>;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

class ArchiveFiles {
 public:
  explicit ArchiveFiles(list::ArchivePlace place) : place_(std::move(place)) {}

  /// Makes what is missing of it, and looks whether it can be written.
  Filed<void> prepare();
  /// `next` appends octets as a message has them; false: these were the last. On the disk only after sync().
  Filed<void> write(Id id, std::string_view sender, TimePoint at,
                    const std::function<bool(std::string&)>& next);
  Filed<void> sync();
  void withdraw(Id);
  Filed<void> publish(std::span<const Id>);
  /// Posts that were written and not published.
  std::vector<Id> waiting() const;

 private:
  std::string folder() const { return place_.mbox ? place_.path + ".spoold" : place_.path + "/tmp"; }
  std::string name(Id) const;
  struct Begun;
  std::vector<Begun> begun() const;
  Filed<void> publish_maildir(std::span<const Id>);
  Filed<void> append(std::span<const Id>);
  Filed<void> settle_begun(int mbox);

  const list::ArchivePlace place_;
  std::vector<Descriptor> written_;  // not yet on the disk
};

}  // namespace spoold::store
