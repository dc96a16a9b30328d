#include "store/archive_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "store/mailbox_lock.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t block = 64 << 10;
constexpr ::mode_t file_mode = 0660, folder_mode = 0770;  // the umask takes from them

tl::unexpected<FileFault> fault(std::string what) {
  return tl::unexpected(FileFault{std::move(what), errno});
}

Filed<void> write_all(int fd, std::string_view octets, const std::string& name) {
  while (!octets.empty()) {
    const ::ssize_t n = ::write(fd, octets.data(), octets.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fault("write " + name);
    octets.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Filed<void> sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fault("open " + path);
  if (::fsync(folder.get()) != 0) return fault("flush " + path);
  return {};
}

/// True: it was not there.
Filed<bool> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), folder_mode) == 0) return true;
  if (errno != EEXIST) return fault("make the folder " + path);
  return false;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Octets [from, from + size) of a file, fewer at its end.
Filed<std::string> read_at(int fd, std::uint64_t from, std::size_t size, const std::string& name) {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ::ssize_t n = ::pread(fd, out.data() + have, size - have, static_cast<::off_t>(from + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fault("read " + name);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  out.resize(have);
  return out;
}

Filed<std::uint64_t> size_of(int fd, const std::string& name) {
  struct stat known {};
  if (::fstat(fd, &known) != 0) return fault("look at " + name);
  return static_cast<std::uint64_t>(known.st_size);
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

/// A post of an mbox whose appending was begun.
struct ArchiveFiles::Begun {
  Id id = 0;
  std::optional<std::uint64_t> offset;
  std::string path;
};

std::string ArchiveFiles::name(Id id) const {
  if (place_.mbox) return id_text(id);
  // The id begins with the milliseconds of its time: so the name is the same whenever it is asked for.
  return std::to_string((id >> 22) / 1000) + ".Q" + id_text(id) + ".spoold";
}

Filed<void> ArchiveFiles::prepare() {
  bool made = false;
  const auto make = [&](const std::string& path) -> Filed<void> {
    const auto done = make_folder(path);
    if (!done) return tl::unexpected(done.error());
    made = made || *done;
    return {};
  };
  if (place_.mbox) {
    const Descriptor file(::open(place_.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, file_mode));
    if (!file) return fault("open " + place_.path);
    if (auto done = make(folder()); !done) return done;
  } else {
    for (const char* sub : {"", "/tmp", "/new", "/cur"})
      if (auto done = make(place_.path + sub); !done) return done;
    // A folder that cannot be renamed into would only be noticed when the message exists.
    if (::access((place_.path + "/new").c_str(), W_OK | X_OK) != 0)
      return fault("write into " + place_.path + "/new");
    if (made)
      if (auto done = sync_folder(place_.path); !done) return done;
  }
  return made ? sync_folder(parent_of(place_.path)) : Filed<void>();
}

Filed<void> ArchiveFiles::write(Id id, std::string_view sender, TimePoint at,
                                const std::function<bool(std::string&)>& next) {
  const std::string path = folder() + "/" + name(id);
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, file_mode));
  if (!file) return fault("open " + path);
  list::ArchiveForm form(place_.mbox);
  std::string out = place_.mbox ? list::ArchiveForm::from_line(sender, at) : std::string(), octets;
  for (bool more = true; more;) {
    octets.clear();
    more = next(octets);
    form.add(octets, out);
    if (!more) form.finish(out);
    if (more && out.size() < block) continue;
    if (auto done = write_all(file.get(), out, path); !done) return done;
    out.clear();
  }
  // The disk begins with it while the next post is written.
  (void)::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  written_.push_back(std::move(file));
  return {};
}

Filed<void> ArchiveFiles::sync() {
  Filed<void> all;
  for (const Descriptor& file : written_)
    if (all && ::fsync(file.get()) != 0) all = fault("flush a post in " + folder());
  written_.clear();
  if (!all) return all;
  return sync_folder(folder());
}

void ArchiveFiles::withdraw(Id id) {
  if (::unlink((folder() + "/" + name(id)).c_str()) == 0 || !place_.mbox) return;
  for (const Begun& one : begun())
    if (one.id == id) ::unlink(one.path.c_str());
}

std::vector<ArchiveFiles::Begun> ArchiveFiles::begun() const {
  std::vector<Begun> found;
  const std::unique_ptr<::DIR, int (*)(::DIR*)> all(::opendir(folder().c_str()), &::closedir);
  if (!all) return found;
  while (const ::dirent* one = ::readdir(all.get())) {
    const std::string_view file = one->d_name;
    Begun post;
    std::string_view id = file;
    if (place_.mbox) {
      id = file.substr(0, file.find('.'));
      if (id.size() < file.size()) {
        std::uint64_t offset = 0;
        const auto [end, error] = std::from_chars(id.end() + 1, file.end(), offset);
        if (error != std::errc() || end != file.end()) continue;
        post.offset = offset;
      }
    } else {
      const std::size_t from = file.find(".Q");
      if (from == file.npos || !file.ends_with(".spoold")) continue;
      id = file.substr(from + 2, file.size() - from - 2 - std::string_view(".spoold").size());
    }
    const auto known = parse_id(id);
    if (!known || id.empty()) continue;
    post.id = *known;
    post.path = folder() + "/" + std::string(file);
    found.push_back(std::move(post));
  }
  return found;
}

std::vector<Id> ArchiveFiles::waiting() const {
  std::vector<Id> ids;
  for (const Begun& one : begun()) ids.push_back(one.id);
  std::ranges::sort(ids);
  return ids;
}

Filed<void> ArchiveFiles::publish(std::span<const Id> ids) {
  return place_.mbox ? append(ids) : publish_maildir(ids);
}

Filed<void> ArchiveFiles::publish_maildir(std::span<const Id> ids) {
  for (const Id id : ids) {
    const std::string from = folder() + "/" + name(id), to = place_.path + "/new/" + name(id);
    // Not there any more: it was published before.
    if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) return fault("rename " + from);
  }
  if (auto done = sync_folder(place_.path + "/new"); !done) return done;
  return sync_folder(folder());
}

/// Those whose appending was begun by a process that has ended, or could not go on: what is in the mbox of each is recognised by
/// its octets. A whole one is done; of a begun one at the end of the file the begin is cut off.
Filed<void> ArchiveFiles::settle_begun(int mbox) {
  for (const Begun& one : begun()) {
    if (!one.offset) continue;
    const Descriptor post(::open(one.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!post) return fault("open " + one.path);
    const auto size = size_of(post.get(), one.path), end = size_of(mbox, place_.path);
    if (!size) return tl::unexpected(size.error());
    if (!end) return tl::unexpected(end.error());
    const std::uint64_t there = *end > *one.offset ? std::min(*size, *end - *one.offset) : 0;
    bool same = true;
    for (std::uint64_t at = 0; same && at < there; at += block) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(block, there - at));
      const auto ours = read_at(post.get(), at, part, one.path),
                 theirs = read_at(mbox, *one.offset + at, part, place_.path);
      if (!ours) return tl::unexpected(ours.error());
      if (!theirs) return tl::unexpected(theirs.error());
      same = *ours == *theirs;
    }
    if (same && there == *size) {
      if (::unlink(one.path.c_str()) != 0) return fault("remove " + one.path);
      continue;
    }
    if (same && there > 0 && ::ftruncate(mbox, static_cast<::off_t>(*one.offset)) != 0)
      return fault("cut off " + place_.path);
    const std::string again = folder() + "/" + name(one.id);
    if (::rename(one.path.c_str(), again.c_str()) != 0) return fault("rename " + one.path);
  }
  return {};
}

Filed<void> ArchiveFiles::append(std::span<const Id> ids) {
  const Descriptor mbox(::open(place_.path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, file_mode));
  if (!mbox) return fault("open " + place_.path);
  const MailboxLock lock(mbox.get(), place_.path, std::chrono::seconds(2));
  if (lock.fault() != 0) return tl::unexpected(FileFault{"lock " + place_.path, lock.fault()});
  if (auto done = settle_begun(mbox.get()); !done) return done;

  auto offset = size_of(mbox.get(), place_.path);
  if (!offset) return tl::unexpected(offset.error());
  const std::uint64_t begin = *offset;
  if (begin > 0) {  // an entry begins where a line begins, whoever wrote the last one
    const auto last = read_at(mbox.get(), begin - 1, 1, place_.path);
    if (!last) return tl::unexpected(last.error());
    if (*last != "\n") {
      if (auto done = write_all(mbox.get(), "\n", place_.path); !done) return done;
      ++*offset;
    }
  }
  // First it is on the disk where each will be, then they are written.
  std::vector<Begun> posts;
  for (const Id id : ids) {
    const std::string path = folder() + "/" + name(id);
    const Descriptor post(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!post && errno == ENOENT) continue;  // it was appended before
    if (!post) return fault("open " + path);
    const auto size = size_of(post.get(), path);
    if (!size) return tl::unexpected(size.error());
    posts.push_back({id, *offset, path + "." + std::to_string(*offset)});
    if (::rename(path.c_str(), posts.back().path.c_str()) != 0) return fault("rename " + path);
    *offset += *size;
  }
  if (posts.empty()) return {};
  if (auto done = sync_folder(folder()); !done) return done;
  auto written = [&]() -> Filed<void> {
    for (const Begun& one : posts) {
      const Descriptor post(::open(one.path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!post) return fault("open " + one.path);
      for (std::uint64_t at = 0;; at += block) {
        const auto part = read_at(post.get(), at, block, one.path);
        if (!part) return tl::unexpected(part.error());
        if (part->empty()) break;
        if (auto done = write_all(mbox.get(), *part, place_.path); !done) return done;
      }
    }
    if (::fsync(mbox.get()) != 0) return fault("flush " + place_.path);
    return {};
  }();
  if (!written) {
    // Where that fails too, settle_begun() does it the next time.
    [[maybe_unused]] const int cut = ::ftruncate(mbox.get(), static_cast<::off_t>(begin));
    return written;
  }
  for (const Begun& one : posts)
    if (::unlink(one.path.c_str()) != 0) return fault("remove " + one.path);
  return {};
}

}  // namespace spoold::store
