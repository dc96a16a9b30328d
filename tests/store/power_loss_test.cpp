// Loss of power, not only of the process: what LMDB writes is recorded, and at every flush and meta page the file is
// made again as a disk could have left it: with all that was flushed, and of the rest nothing, or some of its sectors.
// Each such file must open, hold its invariants, and have everything that was answered before.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/store/lists.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

/// One call on the store's file, in the order in which they ended.
struct Step {
  enum class What { write, meta, flush } what = What::write;  // meta: on the disk when it returns (O_DSYNC)
  std::uint64_t offset = 0;
  std::string bytes = {};
};

struct Recorder {
  std::mutex mutex;
  std::atomic<bool> on{false};
  struct stat file {};
  std::vector<Step> steps;

  bool mine(int fd) {
    struct stat st {};
    return on && ::fstat(fd, &st) == 0 && st.st_ino == file.st_ino && st.st_dev == file.st_dev;
  }
  void wrote(int fd, std::uint64_t offset, std::string bytes) {
    const bool at_once = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    const std::lock_guard lock(mutex);
    steps.push_back({at_once ? Step::What::meta : Step::What::write, offset, std::move(bytes)});
  }
  void flushed() {
    const std::lock_guard lock(mutex);
    steps.push_back({Step::What::flush, 0, {}});
  }
  std::size_t place() {
    const std::lock_guard lock(mutex);
    return steps.size();
  }
};

Recorder& recorder() {
  static Recorder one;
  return one;
}

}  // namespace

// LMDB's calls come here: a program's own functions go before those of its libraries.
extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const auto wrote = ::syscall(SYS_pwrite64, fd, data, size, offset);
  if (wrote > 0 && recorder().mine(fd))
    recorder().wrote(fd, static_cast<std::uint64_t>(offset),
                     std::string(static_cast<const char*>(data), static_cast<std::size_t>(wrote)));
  return wrote;
}

ssize_t writev(int fd, const struct iovec* pieces, int count) {
  const bool mine = recorder().mine(fd);
  const off_t offset = mine ? ::lseek(fd, 0, SEEK_CUR) : 0;
  const auto wrote = ::syscall(SYS_writev, fd, pieces, count);
  if (wrote > 0 && mine) {
    std::string all;
    for (int i = 0; i < count; ++i)
      all.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    all.resize(static_cast<std::size_t>(wrote));
    recorder().wrote(fd, static_cast<std::uint64_t>(offset), std::move(all));
  }
  return wrote;
}

int fdatasync(int fd) {
  const auto done = static_cast<int>(::syscall(SYS_fdatasync, fd));
  if (done == 0 && recorder().mine(fd)) recorder().flushed();
  return done;
}
}

namespace {

constexpr std::size_t sector = 512;

void put(std::string& file, std::uint64_t offset, std::string_view bytes) {
  if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(offset));
}

/// What was answered, and after how many steps.
struct Promise {
  std::size_t after = 0;
  Id id = 0;
  std::uint32_t recipients = 0;               // of an acceptance
  std::vector<std::uint32_t> delivered = {};  // of a settle
};

class Script {
 public:
  explicit Script(std::string path) : s_(std::move(path)) {
    s_.options.max_size = 1ull << 30;
    s_.options.route = [this](std::string_view) { return std::string(moved_ ? "elsewhere" : "relay"); };
  }
  Opened& store() { return s_; }

  void begin() {
    REQUIRE(s_.open());
    list_ = make_list(s_, "test", 4000);
    s_.store.reset();
    std::ifstream file(s_.options.path + "/data.mdb", std::ios::binary);
    base.assign(std::istreambuf_iterator<char>(file), {});
    REQUIRE(::stat((s_.options.path + "/data.mdb").c_str(), &recorder().file) == 0);
    recorder().steps.clear();
    recorder().on = true;
  }

  void run() {
    REQUIRE(s_.open());
    for (const std::size_t size : {10u, 4110u, 17'000u, 90'000u})
      accept(plain({"a@x.example", "b@y.example"}, "Subject: x\r\n\r\n" + std::string(size, 'x')));
    deliver(3);
    for (const bool kept : {true, false}) upload(kept);
    const Id post = accept(post_to(list_, 60'000));
    accept(post_to(list_, 100));
    deliver(700);
    REQUIRE(s_.whole(post, Store::Whole::hold));
    REQUIRE(s_.whole(post, Store::Whole::release));
    rest();
    Edit add;
    add.what = Edit::What::add;
    add.address = "late@z.example";
    REQUIRE(s_.edit(post, {add}));
    s_.pass(std::chrono::hours(1));
    moved_ = true;
    REQUIRE(await<void>([&](auto cb) { s_.store->reroute("relay", cb); }));
    deliver(300, "elsewhere");
    REQUIRE(s_.change(directory::RemoveList{list_.id}));
    rest();
    s_.pass(std::chrono::hours(24 * 20));
    swept_from = recorder().place();
    REQUIRE(await<void>([&](auto cb) { s_.store->sweep(s_.now(), cb); }));
    s_.store.reset();
    recorder().on = false;
  }

  std::string base;
  std::size_t swept_from = 0;  // from this step on messages that finished are gone
  std::vector<Promise> promises;

 private:
  Id accept(Acceptance a) {
    REQUIRE(s_.number(a));
    const auto accepted = await<Accepted>([&](auto cb) {
      s_.store->accept(std::move(a), [this, cb](Result<Accepted> r) {
        if (r) promises.push_back({recorder().place(), r->ids[0], r->recipients[0], {}});
        cb(std::move(r));
      });
    });
    REQUIRE(accepted);
    return accepted->ids[0];
  }

  void deliver(std::uint32_t limit, const std::string& route = "relay") {
    for (const Claim& c : s_.claim(limit, route)) {
      Settlement settlement = outcome_of(c, Verdict::delivered);
      for (std::size_t i = 0; i < settlement.outcomes.size(); i += 3) {
        settlement.outcomes[i].verdict = Verdict::deferred;
        settlement.outcomes[i].next_attempt = s_.now() + std::chrono::minutes(5);
      }
      Promise promise{0, c.message, 0, {}};
      for (const Outcome& o : settlement.outcomes)
        if (o.verdict == Verdict::delivered) promise.delivered.push_back(o.number);
      REQUIRE(await<Settled>([&](auto cb) {
        s_.store->settle(std::move(settlement), [this, cb, promise](Result<Settled> r) mutable {
          promise.after = recorder().place();
          if (r) promises.push_back(promise);
          cb(std::move(r));
        });
      }));
    }
  }

  void upload(bool kept) {
    const auto id = await<Id>([&](auto cb) { s_.store->stage_begin(cb); });
    REQUIRE(id);
    for (int i = 0; i < 3; ++i)
      REQUIRE(await<void>([&](auto cb) { s_.store->stage_append(*id, std::string(150'000, 'u'), cb); }));
    if (!kept) {
      REQUIRE(await<void>([&](auto cb) { s_.store->stage_abandon(*id, cb); }));
      return;
    }
    Acceptance large = plain({"c@x.example"});
    large.content.staged = *id;
    large.content.size = 450'000;
    accept(std::move(large));
  }

  void rest() {
    for (int i = 0; i < 20'000 && Read(*s_.store).entries(Table::stage) > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  Opened s_;
  list::List list_;
  bool moved_ = false;
};

/// Opens the file as a crash left it, and looks.
std::string judge(const std::string& file, std::size_t cut, const Script& script, TimePoint time) {
  Folder folder;
  {
    std::ofstream out(folder.path() + "/data.mdb", std::ios::binary);
    out.write(file.data(), static_cast<std::streamsize>(file.size()));
  }
  Opened s(folder.path());
  s.options.max_size = 1ull << 30;
  *s.clock = time.time_since_epoch().count();
  if (auto ok = s.open(); !ok) return "does not open: " + ok.error().text;
  for (int i = 0; i < 20'000 && Read(*s.store).entries(Table::stage) > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (std::string problems = s.problems(); !problems.empty()) return problems;
  if (cut > script.swept_from) return {};
  for (const Message& m : spool::messages(Read(*s.store), 0, 1000, true))
    if (m.list != 0 && directory::list(Read(*s.store), m.list) && s.post_number(m.list).value() <= m.post)
      return "a post number is given twice: " + id_text(m.id);
  std::map<Id, std::set<std::uint32_t>> delivered;
  for (const Promise& p : script.promises) {
    if (p.after > cut) continue;
    const auto message = s.message(p.id);
    if (!message) return "what was answered is lost: " + id_text(p.id);
    delivered[p.id].insert(p.delivered.begin(), p.delivered.end());
    if (p.recipients == 0) continue;
    if (message->originals != p.recipients) return "lacks recipients: " + id_text(p.id);
    if (message->state == MessageState::finished) continue;
    if (spool::outgoing(Read(*s.store), *message, 0, 1u << 30).size() != message->size)
      return "lacks octets: " + id_text(p.id);
  }
  for (const auto& [id, numbers] : delivered) {
    const auto all = s.recipients(id);
    for (const std::uint32_t number : numbers)
      if (all.at(number).state != RecipientState::delivered) return "will be sent again: " + id_text(id);
  }
  return {};
}

}  // namespace

TEST_CASE("power that is lost at any moment loses nothing that was answered") {
  Folder folder;
  Script script(folder.path());
  script.begin();
  script.run();
  const std::vector<Step>& steps = recorder().steps;
  const auto flushes =
      std::count_if(steps.begin(), steps.end(), [](const Step& s) { return s.what == Step::What::flush; });
  MESSAGE(steps.size() << " writes, " << flushes << " flushes");
  REQUIRE(flushes > 20);

  std::mt19937 random(1);
  std::string safe = script.base;  // what is on the disk for certain
  std::vector<const Step*> open;   // written, not flushed
  std::string fault;
  int files = 0;
  const auto look = [&](const std::string& file, std::size_t cut) {
    ++files;
    if (std::string found = judge(file, cut, script, noon + std::chrono::hours(2));
        !found.empty() && fault.empty())
      fault = "after step " + std::to_string(cut) + ": " + found;
  };
  for (std::size_t i = 0; i < steps.size() && fault.empty(); ++i) {
    const Step& step = steps[i];
    if (step.what == Step::What::write) {
      open.push_back(&step);
      continue;
    }
    if (step.what == Step::What::flush) {
      // Before it: some sectors of what was written are on the disk, in any order.
      std::string torn = safe;
      for (const Step* one : open)
        for (std::size_t at = 0; at < one->bytes.size(); at += sector)
          if (random() % 2 == 0) put(torn, one->offset + at, std::string_view(one->bytes).substr(at, sector));
      look(torn, i);
      for (const Step* one : open) put(safe, one->offset, one->bytes);
      open.clear();
    } else {
      put(safe, step.offset, step.bytes);
    }
    look(safe, i + 1);
  }
  MESSAGE(files << " files looked at");
  CHECK(fault == "");
}
