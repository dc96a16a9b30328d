// The memory of contents: what is counted, and when it is given back.
#include "server/inbound/content.hpp"

#include <doctest/doctest.h>

#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;

TEST_CASE("memory of contents: the allocator gives back what it keeps of a large amount, once") {
  static int given_back = 0;
  given_back = 0;
  ContentMemory memory([](std::size_t) { return ++given_back; });
  memory.add(15 << 20);  // not much
  memory.add(-(15 << 20));
  CHECK(given_back == 0);
  memory.add(80 << 20);
  memory.add(-(59 << 20));
  CHECK(given_back == 0);  // more than a quarter is in use
  memory.add(-(2 << 20));
  CHECK(given_back == 1);
  for (int i = 0; i < 19; ++i) memory.add(-(1 << 20));
  CHECK(given_back == 2);  // 19 MiB were a large amount too; nothing is left now
  CHECK(memory == 0);
}

TEST_CASE("memory of contents: what was still in use when memory was given back is given back, too") {
  static int given_back = 0;
  given_back = 0;
  ContentMemory memory([](std::size_t) { return ++given_back; });
  memory.add(64 << 20);
  memory.add(-(49 << 20));
  CHECK(given_back == 1);  // and 15 MiB are in use
  memory.add(-(14 << 20));
  CHECK(given_back == 1);
  memory.add(-(1 << 20));
  CHECK(given_back == 2);
  memory.add(1 << 20);
  memory.add(-(1 << 20));
  CHECK(given_back == 2);
}

TEST_CASE("memory of contents: the header that stays at hand of a staged message is counted") {
  store::Folder folder;
  store::Opened opened(folder.path());
  REQUIRE(opened.open());
  asio::io_context io{1};
  const auto memory = std::make_shared<ContentMemory>();
  constexpr std::size_t header = 200 * 1024;
  {
    Content content(*opened.store, io.get_executor(), memory);
    content.bytes().assign(Content::slice, 'h');
    CHECK(content.full(header));
    bool finished = false;
    const auto stage = [&]() -> Awaitable<> {
      const auto room = co_await content.room(header);
      REQUIRE(room);
      const auto source = co_await content.finish(Content::slice);
      REQUIRE(source);
      finished = source->staged != 0;
      CHECK(content.header(*source).size() == header);
    };
    asio::co_spawn(io, stage(), asio::detached);
    io.run();
    CHECK(finished);
    CHECK(*memory == header);
    content.forget();
    CHECK(*memory == 0);
  }
  opened.store->close();
}

TEST_CASE("memory of contents: where it is short, small slices are staged, but never half a header") {
  store::Folder folder;
  store::Opened opened(folder.path());
  REQUIRE(opened.open());
  asio::io_context io{1};
  const auto memory = std::make_shared<ContentMemory>();
  Content content(*opened.store, io.get_executor(), memory);
  content.bytes().assign(20 * 1024, 'x');
  CHECK_FALSE(content.full(1000));
  memory->add(Content::all_sessions);
  CHECK(content.full(1000));
  CHECK_FALSE(content.full(20 * 1024));  // all of it may be header
  memory->add(-Content::all_sessions);

  // What is small is let in whatever the others hold, so that their ends can come.
  CHECK_FALSE(content.too_much());
  memory->add(Content::most);
  CHECK(content.too_much());
  content.bytes().resize(1024);
  CHECK_FALSE(content.too_much());
  memory->add(-Content::most);
}
