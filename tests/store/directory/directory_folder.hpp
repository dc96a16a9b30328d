// A directory of its own in a folder of its own: what its tests read and write.
#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/directory/operations.hpp"
#include "store/env.hpp"
#include "tests/store/folder.hpp"

namespace spoold::store {

inline constexpr TimePoint now{std::chrono::milliseconds(1795334677000)};

class DirectoryFolder {
 public:
  void reopen() {
    env_.reset();
    env_ = open();
  }
  template <class F>
  auto write(F f) {
    auto txn = env_->begin(now);
    auto result = f(*txn);
    REQUIRE(env_->commit(std::move(txn)) == 0);
    return result;
  }
  template <class F>
  auto read(F f) {
    Read txn(*env_);
    return f(txn);
  }
  list::ListId make(std::string_view local, std::string_view domain = "lists.example") {
    list::Settings settings;
    settings.owners = {"owner@x.example"};
    auto made = write([&](Write& w) { return directory::create_list(w, local, domain, settings, now); });
    REQUIRE(made);
    return made->id;
  }
  std::vector<std::string> check() {
    return read([](const Read& r) { return directory::check(r); });
  }

 private:
  std::unique_ptr<Env> open() {
    auto env = Env::open({.path = folder_.path(), .max_size = 512 << 20});
    if (!env) FAIL(env.error().text);
    return std::move(*env);
  }
  Folder folder_;

 protected:
  std::unique_ptr<Env> env_ = open();
};

}  // namespace spoold::store
