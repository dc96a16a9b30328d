// Tables in files of their own that the configuration names: what replies mean, what providers take.
#include <unistd.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "conf/load.hpp"
#include "conf/providers.hpp"
#include "conf/replies.hpp"

using namespace spoold::conf;

namespace {

class File {
 public:
  explicit File(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / ("spoold-table-" + std::to_string(getpid()))) {
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

auto settings_with(const char* key, const File& file) {
  return parse("[relay]\nsmarthost = \"smtp://mail.example.org\"\n[delivery]\n" + std::string(key) + " = \"" +
                   file.path() + "\"\n",
               "/etc/spoold/t");
}

}  // namespace

TEST_CASE("own rows of replies are read with the configuration, and an empty file has none") {
  const File file("[[reply]]\nrule = \"parked\"\ntext = [\"is parked\"]\naction = \"soft\"\nwait = \"5m\"\n");
  const auto settings = settings_with("replies", file);
  REQUIRE(settings);
  REQUIRE(settings->replies);
  REQUIRE(settings->replies->size() == 1);
  CHECK(settings->replies->front().action == ReplyAction::soft);
  CHECK(settings->replies->front().wait == std::chrono::minutes(5));
  CHECK_FALSE(settings->providers);
  CHECK(settings_with("replies", File(""))->replies->empty());
}

TEST_CASE("all faults of an own table are named at once, by its own lines") {
  const File file(
      "[[reply]]\nrule = \"a\"\naction = \"wait\"\n[[reply]]\nrule = \"b\"\ncode = [\"5x\"]\naction = "
      "\"ours\"\nmxx = 1\n");
  const auto settings = settings_with("replies", file);
  REQUIRE_FALSE(settings);
  std::string all;
  for (const Problem& problem : settings.error()) all += problem.text() + "\n";
  CHECK(all.find(file.path() + ":3:10: 'wait' is no action") != std::string::npos);
  CHECK(all.find(file.path() + ":6:9: '5x': expected a reply code") != std::string::npos);
  CHECK(all.find(file.path() + ":8:1: unknown key 'mxx' of a reply; did you mean 'mx'?") !=
        std::string::npos);

  const File providers(
      "[[provider]]\nnaem = \"x\"\nmx = [\"*.x.example\"]\nmessages = 0\n[[provider]]\nname = \"y\"\n");
  const auto others = settings_with("providers", providers);
  REQUIRE_FALSE(others);
  all.clear();
  for (const Problem& problem : others.error()) all += problem.text() + "\n";
  CHECK(all.find(":2:1: unknown key 'naem' of a provider; did you mean 'name'?") != std::string::npos);
  CHECK(all.find(":1:1: a provider needs a name") != std::string::npos);
  CHECK(all.find(":4:12: ") != std::string::npos);
  CHECK(all.find(":5:1: a provider needs mx") != std::string::npos);
}

TEST_CASE("the table of providers that is built in: each has a name and hosts of its own") {
  std::set<std::string> names, hosts;
  for (const Provider& provider : built_in_providers()) {
    CHECK(names.insert(provider.name).second);
    for (const std::string& host : provider.mx) CHECK(hosts.insert(host).second);
    CHECK_FALSE(provider.mx.empty());
  }
  CHECK(names.size() > 20);
}
