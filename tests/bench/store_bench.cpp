// What the store alone can do, beside the raw commit of this machine in the same run: accepts of one
// recipient by n callers, expansion of a list, the life of VERP recipients (claim 500, settle 500) with the
// octets written for each. usage: store_bench FOLDER [MEMBERS | commits]; commits: only the accepts of one
// caller, as JSON: what a durable acceptance costs without a daemon around it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/blocking.hpp"
#include "store/directory/operations.hpp"
#include "store/spool/acceptance.hpp"
#include "store/spool/changes.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

using namespace spoold;
using namespace spoold::store;
using Clock = std::chrono::steady_clock;

namespace {

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::uint64_t written() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t value = 0;
  while (io >> key >> value)
    if (key == "wchar:") return value;
  return 0;
}

template <class T, class F>
T await(F f) {
  std::promise<Result<T>> promise;
  f([&promise](Result<T> r) { promise.set_value(std::move(r)); });
  Result<T> r = promise.get_future().get();
  if (!r) {
    std::fprintf(stderr, "store_bench: %s\n", r.error().text.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

Acceptance small(const std::shared_ptr<const std::string>& bytes) {
  Acceptance a;
  a.content.bytes = bytes;
  a.messages.emplace_back();
  a.messages[0].message.reverse_path = "sender@here.example";
  a.messages[0].recipients.push_back({"somebody@there.example"});
  return a;
}

/// Each answer starts the next accept, as a session does.
void accepts(Store& store, int callers, int each) {
  const auto bytes = std::make_shared<const std::string>(4096, 'x');
  std::atomic<int> left{callers};
  std::promise<void> done;
  std::function<void(int)> next = [&](int n) {
    if (n == 0) {
      if (--left == 0) done.set_value();
      return;
    }
    store.accept(small(bytes), [&next, n](Result<Accepted>) { next(n - 1); });
  };
  const auto commits = store.figures().commits;
  const auto begin = Clock::now();
  for (int i = 0; i < callers; ++i) next(each);
  done.get_future().wait();
  const double s = since(begin);
  std::printf("accept 4 KB, %3d callers: %8.0f /s  (%.1f a commit)\n", callers, callers * each / s,
              callers * each / static_cast<double>(store.figures().commits - commits));
}

void one_caller(Store& store, int times) {
  const auto bytes = std::make_shared<const std::string>(4096, 'x');
  std::vector<double> took;
  for (int i = 0; i < times; ++i) {
    const auto begin = Clock::now();
    await<Accepted>([&](auto cb) { store.accept(small(bytes), cb); });
    took.push_back(1000 * since(begin));
  }
  std::sort(took.begin(), took.end());
  std::printf("{\"p50_ms\":%.4f,\"p99_ms\":%.4f}\n", took[took.size() / 2], took[took.size() * 99 / 100]);
}

void raw_commits(const std::string& folder) {
  const int fd = ::open((folder + "/raw").c_str(), O_RDWR | O_CREAT, 0600);
  const std::string page(8 * 4096, 'x');
  const auto begin = Clock::now();
  for (int i = 0; i < 500; ++i) {
    if (::pwrite(fd, page.data(), page.size(), i % 10 * static_cast<off_t>(page.size())) < 0) break;
    ::fdatasync(fd);
  }
  std::printf("raw write of 32 KB + fdatasync: %.0f /s\n", 500 / since(begin));
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: store_bench FOLDER [MEMBERS]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const bool only_commits = argc > 2 && std::string_view(argv[2]) == "commits";
  const std::size_t members = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100'000;
  std::filesystem::create_directories(folder);
  if (!only_commits) raw_commits(folder);
  Options options;
  options.path = folder + "/store";
  options.max_size = 8ull << 30;
  options.reserve = 0;
  auto opened = Store::open(options);
  if (!opened) {
    std::fprintf(stderr, "store_bench: %s\n", opened.error().text.c_str());
    return 1;
  }
  Store& store = **opened;
  if (only_commits) {
    one_caller(store, 1000);
    return 0;
  }
  accepts(store, 1, 2000);
  accepts(store, 20, 2000);
  accepts(store, 100, 400);
  {
    auto begin = Clock::now();
    std::uint64_t n = 0;
    for (;;) {
      const auto claims =
          await<std::vector<Claim>>([&](auto cb) { store.claim("relay", store.now(), 1000, cb); });
      if (claims.empty()) break;
      std::vector<std::promise<void>> settled(claims.size());
      for (std::size_t i = 0; i < claims.size(); ++i) {
        Settlement s;
        s.message = claims[i].message;
        s.route = "relay";
        s.outcomes.push_back(
            {.number = 0, .verdict = Verdict::delivered, .charged = true, .next_attempt = {}, .last = {}});
        s.versions.push_back(0);
        store.settle(std::move(s), [&settled, i](Result<Settled>) { settled[i].set_value(); });
      }
      for (auto& p : settled) p.get_future().wait();
      n += claims.size();
    }
    std::printf("claim + settle of messages with 1 recipient: %.0f /s\n",
                static_cast<double>(n) / since(begin));
  }

  list::ListId list = 0;
  await<void>([&](auto cb) {
    store.submit({Job::Kind::change,
                  [&](Write& write) -> Result<void> {
                    list::Settings settings;
                    settings.owners = {"owner@x.example"};
                    auto made = directory::create_list(write, "test", "lists.example", settings, store.now());
                    if (!made) return tl::unexpected(made.error());
                    list = made->id;
                    return {};
                  },
                  cb});
  });
  std::vector<list::Member> roster(members);
  for (std::size_t i = 0; i < members; ++i)
    roster[i].address = "member" + std::to_string(i) + "@domain" + std::to_string(i % 100) + ".example";
  auto begin = Clock::now();
  if (!directory::import_members(store, list, std::move(roster), "test")) return 1;
  std::printf("import of %zu members: %.0f ms\n", members, 1000 * since(begin));

  Acceptance post;
  post.content.bytes = std::make_shared<const std::string>(4096, 'x');
  post.messages.emplace_back();
  post.messages[0].message.list = list;
  post.messages[0].message.post = 1;
  // Others go on meanwhile: how long is the longest of them?
  std::atomic<bool> over{false};
  double longest = 0;
  std::thread other([&] {
    const auto bytes = std::make_shared<const std::string>(4096, 'x');
    while (!over) {
      const auto b = Clock::now();
      await<Accepted>([&](auto cb) { store.accept(small(bytes), cb); });
      longest = std::max(longest, since(b));
    }
  });
  const auto before = written();
  begin = Clock::now();
  const Accepted accepted = await<Accepted>([&](auto cb) { store.accept(std::move(post), cb); });
  std::printf("expansion of %zu: %.1f ms; others stalled at most ", members, 1000 * since(begin));
  over = true;
  other.join();
  std::printf("%.1f ms\n", 1000 * longest);

  begin = Clock::now();
  double claiming = 0, settling = 0;
  std::size_t n = 0;
  for (;;) {
    auto b = Clock::now();
    const auto claims =
        await<std::vector<Claim>>([&](auto cb) { store.claim("relay", store.now(), 500, cb); });
    claiming += since(b);
    if (claims.empty()) break;
    for (const Claim& c : claims) {
      Settlement s;
      s.message = c.message;
      s.route = c.route;
      s.claim_first = c.first;
      for (const Recipient& r : c.recipients) {
        Outcome& o = s.outcomes.emplace_back();
        o.number = r.number;
        o.verdict = Verdict::delivered;
        o.last.reply = {250, {2, 0, 0}, "Ok: queued as 4F8A" + std::to_string(r.number)};
        o.last.remote = "mx1.example.net[192.0.2.1]:25";
        o.last.stage = Stage::dot;
        s.versions.push_back(r.version);
      }
      n += s.outcomes.size();
      b = Clock::now();
      await<Settled>([&](auto cb) { store.settle(std::move(s), cb); });
      settling += since(b);
    }
  }
  const double batches = static_cast<double>(n) / 500;
  std::printf(
      "%zu VERP recipients: claim of 500 %.2f ms, settle of 500 %.2f ms (5 ms of it waiting for company)\n",
      n, 1000 * claiming / batches, 1000 * settling / batches);
  std::printf("octets written for each, whole life: %.0f\n",
              static_cast<double>(written() - before) / static_cast<double>(n));
  return 0;
}
