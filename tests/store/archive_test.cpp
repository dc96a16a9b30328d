// Archives: archived if and only if accepted, whatever ends the process where.
#include "store/archive.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "protocol/list/settings_table.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::store;
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& one : fs::directory_iterator(folder, missing)) names.push_back(one.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

/// A store and an archive beside it, both copied as a crash would leave them.
struct House {
  explicit House(bool with_mbox, const fs::path& at) : mbox(with_mbox), root(at), s(store_folder()) {}
  bool mbox;
  fs::path root;
  Opened s;
  list::List list;

  std::string store_folder() const { return (root / "store").string(); }
  fs::path archive() const { return root / (mbox ? "posts.mbox" : "posts"); }
  std::string place() const { return (mbox ? "mbox:" : "maildir:") + archive().string(); }

  void begin() {
    fs::create_directories(root);
    REQUIRE(s.open());
    list = make_list(s, "test", 3);
    use(place());
  }
  void use(const std::string& where) {
    directory::SetList set;
    set.list = list.id;
    set.settings = {{"archive", where}};
    REQUIRE(s.change(set));
  }
  Acceptance post(const std::string& subject, std::size_t octets = 100) {
    Acceptance a = post_to(list, octets);
    a.messages.front().message.id = s.store->new_id();
    a.messages.front().message.arrived = s.now();
    a.messages.front().message.reverse_path = "test-bounces@lists.example";
    a.messages.front().head = "Subject: " + subject + "\r\n\r\n";
    a.messages.front().archive = Archived{place(), {}, {}};
    return a;
  }
  /// The subjects of the posts in the archive, and of those in the queue.
  std::vector<std::string> archived() const {
    std::vector<std::string> found;
    if (!mbox) {
      for (const std::string& name : files_in(archive() / "new"))
        found.push_back(text_of(archive() / "new" / name).substr(9, 1));
    } else {
      const std::string all = text_of(archive());
      for (std::size_t at = all.find("\nSubject: "); at != all.npos; at = all.find("\nSubject: ", at + 1))
        found.push_back(all.substr(at + 10, 1));
      CHECK(count(all, "From test-bounces@lists.example ") == found.size());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::vector<std::string> left() const {
    return files_in(mbox ? fs::path(archive().string() + ".spoold") : archive() / "tmp");
  }
  std::size_t rows() const { return Read(*s.store).entries(Table::archive); }
};

}  // namespace

TEST_CASE("archive: a post is there when its acceptance is answered, in the form of local mail") {
  for (const bool mbox : {false, true}) {
    Folder folder;
    House h(mbox, folder.path());
    h.begin();
    REQUIRE(h.s.accept(h.post("a")));
    REQUIRE(h.s.accept(h.post("b", 600'000)));
    CHECK(h.archived() == std::vector<std::string>{"a", "b"});
    CHECK(h.left().empty());
    CHECK(wait_until([&] { return h.rows() == 0; }));
    if (mbox) {
      const std::string all = text_of(h.archive());
      CHECK(all.find('\r') == all.npos);
      CHECK(all.ends_with("y\n\n"));
      CHECK(all.size() > 600'000);
      CHECK_FALSE(fs::exists(h.archive().string() + ".lock"));
    } else {
      const auto names = files_in(h.archive() / "new");
      REQUIRE(names.size() == 2);
      CHECK(text_of(h.archive() / "new" / names.front()) == "Subject: a\n\n" + std::string(100, 'y') + "\n");
    }
  }
}

TEST_CASE("archive: what cannot be written refuses the post, and nothing of it is left") {
  for (const bool mbox : {false, true}) {
    Folder folder;
    House h(mbox, folder.path());
    std::vector<std::string> told;
    h.s.options.on_archive = [&](const std::string& text) { told.push_back(text); };
    h.begin();
    // The parent is a file.
    std::ofstream(h.root / "nothing") << "x";
    Acceptance a = h.post("a");
    a.messages.front().archive->place = (mbox ? "mbox:" : "maildir:") + (h.root / "nothing/here").string();
    const auto refused = h.s.accept(std::move(a));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::archive);
    CHECK(refused.error().text == "the archive of test@lists.example cannot be written: Not a directory");
    REQUIRE(told.size() == 1);
    CHECK(told.front().find("nothing/here") != std::string::npos);
    CHECK(spool::messages(Read(*h.s.store), 0, 10).empty());
    CHECK(h.rows() == 0);
    // One of two lists: neither is accepted, and what the other one had written is gone.
    Acceptance both = h.post("b");
    both.messages.push_back(h.post("c").messages.front());
    both.messages.back().archive->place = (mbox ? "mbox:" : "maildir:") + (h.root / "nothing/here").string();
    CHECK_FALSE(h.s.accept(std::move(both)));
    CHECK(h.archived().empty());
    CHECK(h.left().empty());
    CHECK(h.s.problems().empty());
  }
}

TEST_CASE("archive: a commit that has no room takes the file away again") {
  for (const bool mbox : {false, true}) {
    Folder folder;
    House h(mbox, folder.path());
    std::atomic<bool> full = false;
    h.s.options.fault = [&](const char* point) {
      return full && std::string_view(point) == "commit" ? ENOSPC : 0;
    };
    h.begin();
    REQUIRE(h.s.accept(h.post("a")));
    CHECK(wait_until([&] { return h.rows() == 0; }));
    Acceptance next = h.post("b");
    REQUIRE(h.s.number(next));
    full = true;
    const auto refused = await<Accepted>([&](auto cb) { h.s.store->accept(std::move(next), cb); });
    full = false;
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::full);
    CHECK(h.archived() == std::vector<std::string>{"a"});
    CHECK(h.left().empty());
  }
}

TEST_CASE(
    "archive: after a crash at each step a post is archived once if it was accepted, and not at all if not") {
  for (const bool mbox : {false, true})
    for (const std::string_view point : {"archive staged", "committed", "archive published"}) {
      Folder folder;
      House h(mbox, folder.path() + "/live");
      const fs::path crashed = folder.path() + "/crashed";
      std::atomic<bool> armed = false;
      h.s.options.fault = [&](const char* at) {
        if (point == at && armed.exchange(false)) fs::copy(h.root, crashed, fs::copy_options::recursive);
        return 0;
      };
      h.begin();
      REQUIRE(h.s.accept(h.post("a")));
      CHECK(wait_until([&] { return h.rows() == 0; }));
      Acceptance next = h.post("b");
      REQUIRE(h.s.number(next));
      armed = true;
      REQUIRE(await<Accepted>([&](auto cb) { h.s.store->accept(std::move(next), cb); }));
      REQUIRE(wait_until([&] { return !armed; }));
      h.s.store.reset();
      // The names of its files are those of the folder where it lived.
      fs::rename(h.root, folder.path() + "/gone");
      fs::rename(crashed, h.root);
      const bool accepted = point != "archive staged";
      for (int start = 0; start < 2; ++start) {
        h.s.reopen();
        CHECK(wait_until([&] { return h.rows() == 0 && h.left().empty(); }));
        const std::size_t messages = spool::messages(Read(*h.s.store), 0, 10).size();
        CHECK_MESSAGE(messages == (accepted ? 2 : 1), point);
        CHECK_MESSAGE(h.archived().size() == messages, point << (mbox ? " mbox" : " maildir"));
      }
      CHECK(h.s.problems().empty());
    }
}

TEST_CASE("archive: an entry that was cut off in the mbox is written anew, at the same place") {
  Folder folder;
  House h(true, folder.path());
  h.begin();
  REQUIRE(h.s.accept(h.post("a")));
  CHECK(wait_until([&] { return h.rows() == 0; }));
  const std::string before = text_of(h.archive());
  ArchiveFiles files(*list::archive_place(h.place()));
  const Id id = h.s.store->new_id();
  bool once = false;
  REQUIRE(files.write(id, "x@y.example", h.s.now(), [&](std::string& out) {
    out += "Subject: b\r\n\r\n" + std::string(200'000, 'z') + "\r\n";
    return std::exchange(once, true);
  }));
  REQUIRE(files.sync());
  const fs::path waiting = h.archive().string() + ".spoold/" + id_text(id);
  const std::string entry = text_of(waiting);
  for (const std::size_t written :
       {std::size_t{0}, std::size_t{1}, entry.size() / 2, entry.size() - 1, entry.size()}) {
    std::ofstream(h.archive(), std::ios::binary) << before << entry.substr(0, written);
    std::ofstream(waiting.string() + "." + std::to_string(before.size()), std::ios::binary) << entry;
    fs::remove(waiting);
    REQUIRE(files.publish({&id, 1}));
    CHECK(text_of(h.archive()) == before + entry);
    CHECK(h.left().empty());
    REQUIRE(files.publish({&id, 1}));  // again: nothing happens
    CHECK(text_of(h.archive()) == before + entry);
  }
  // Somebody else has written there meanwhile: his octets stay.
  std::ofstream(h.archive(), std::ios::binary) << before << "From other\nx\n";
  std::ofstream(waiting.string() + "." + std::to_string(before.size()), std::ios::binary) << entry;
  REQUIRE(files.publish({&id, 1}));
  CHECK(text_of(h.archive()) == before + "From other\nx\n" + entry);
}

TEST_CASE("archive: an mbox that somebody has locked gets its post later; the post is accepted") {
  Folder folder;
  House h(true, folder.path());
  std::atomic<int> told = 0;
  h.s.options.on_archive = [&](const std::string&) { ++told; };
  h.begin();
  std::ofstream(h.archive().string() + ".lock") << ::getpid() << "\n";
  REQUIRE(h.s.accept(h.post("a")));
  CHECK(told == 1);
  CHECK(h.rows() == 1);
  CHECK(h.archived().empty());
  SUBCASE("the daemon goes on") {
    fs::remove(h.archive().string() + ".lock");
    CHECK(wait_until([&] { return h.rows() == 0; }));
  }
  SUBCASE("it is started again; and a lock of a dead process is none") {
    h.s.store.reset();
    std::ofstream(h.archive().string() + ".lock") << 4'000'000 << "\n";
    h.s.reopen();
    CHECK(wait_until([&] { return h.rows() == 0; }));
  }
  CHECK(h.archived() == std::vector<std::string>{"a"});
  CHECK(h.left().empty());
}

TEST_CASE("archive: many at a time are flushed together, and each is there once") {
  for (const bool mbox : {false, true}) {
    Folder folder;
    House h(mbox, folder.path());
    h.begin();
    constexpr std::size_t posts = 50;
    std::atomic<std::size_t> done = 0, failed = 0;
    for (std::size_t i = 0; i < posts; ++i) {
      Acceptance a = h.post("a");
      REQUIRE(h.s.number(a));
      h.s.store->accept(std::move(a), [&](const Result<Accepted>& r) {
        if (!r) ++failed;
        ++done;
      });
    }
    CHECK(wait_until([&] { return done == posts; }));
    CHECK(failed == 0);
    CHECK(h.archived().size() == posts);
    CHECK(h.left().empty());
  }
}

TEST_CASE("archive: a stop waits for what is being archived") {
  Folder folder;
  House h(false, folder.path());
  h.begin();
  std::atomic<std::size_t> accepted = 0, refused = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    Acceptance a = h.post("a");
    REQUIRE(h.s.number(a));
    h.s.store->accept(std::move(a), [&](const Result<Accepted>& r) { ++(r ? accepted : refused); });
  }
  h.s.store->close();
  CHECK(accepted + refused == 20);
  CHECK(h.archived().size() == accepted);
  h.s.reopen();
  CHECK(wait_until([&] { return h.rows() == 0 && h.left().empty(); }));
  CHECK(h.archived().size() == accepted);
}
