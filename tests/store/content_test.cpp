// Contents: cut into chunks, whole and in parts, uploaded in slices, damaged.
#include <doctest/doctest.h>

#include <random>

#include "store/broken.hpp"
#include "store/env.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "store/spool/content.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

TEST_CASE("a content of any size comes back whole and in parts, its last octets from its row") {
  Fresh s;
  std::mt19937 random(7);
  for (const std::size_t size :
       {1u,     1'999u,  2'000u,  2'001u,  4'079u,  4'080u,  4'081u,  6'080u,  6'081u,  8'176u,
        8'177u, 16'367u, 16'368u, 16'369u, 18'368u, 18'369u, 20'448u, 20'449u, 32'736u, 100'000u}) {
    CAPTURE(size);
    std::string all(size, ' ');
    for (char& c : all) c = static_cast<char>(random());
    Acceptance a = plain({"a@b.example"});
    a.content.bytes = std::make_shared<const std::string>(all);
    const auto accepted = s.accept(a);
    REQUIRE(accepted);
    const Read read(*s.store);
    const Message message = *spool::message(read, accepted->ids[0]);
    CHECK(message.size == size);
    CHECK(spool::outgoing(read, message, 0, 1 << 20) == all);
    CHECK(spool::content(read, message.content, size, 10).empty());
    for (int i = 0; i < 100; ++i) {
      const std::size_t from = random() % size, limit = random() % (i % 2 ? 100 : 20'000);
      CHECK(spool::content(read, message.content, from, limit) == all.substr(from, limit));
    }
  }
  CHECK(s.problems() == "");
}

TEST_CASE(
    "a store of format 1, without octets in the rows of contents, is read, and then is of this format") {
  Fresh s;
  std::string all(4'110, 'x');
  all.replace(4'080, 30, 30, 'y');
  Acceptance a = plain({"a@b.example"});
  a.content.bytes = std::make_shared<const std::string>(all);
  const auto accepted = s.accept(a);
  REQUIRE(accepted);
  const Id content = s.message(accepted->ids[0])->content;
  const auto as_before = [&](Write& write) -> Result<void> {
    write.put(Table::content, Key().u64(content), Packer().num(all.size()).num(1).bytes());
    write.put(Table::content, Key().u64(content).u32(0), all);
    write.put(Table::meta, "format", Key().u32(1));
    return {};
  };
  REQUIRE(s.change(as_before));
  s.reopen();
  const Read read(*s.store);
  CHECK(spool::outgoing(read, *spool::message(read, accepted->ids[0]), 0, 1 << 20) == all);
  CHECK(read.get(Table::meta, "format") == std::string_view(Key().u32(format_version)));
  CHECK(s.problems() == "");
}

TEST_CASE("an upload in slices becomes a content, or vanishes") {
  Fresh s;
  std::string all;
  const Id upload = await<Id>([&](auto cb) { s.store->stage_begin(cb); }).value();
  for (std::size_t n : {1u, 16'367u, 16'368u, 40'000u, 5u, 0u}) {
    const std::string part(n, static_cast<char>('a' + n % 26));
    all += part;
    REQUIRE(await<void>([&](auto cb) { s.store->stage_append(upload, part, cb); }));
  }
  CHECK(s.problems() == "");
  Acceptance a = plain({"a@b.example"});
  a.content = {};
  a.content.staged = upload;
  const auto accepted = s.accept(a);
  REQUIRE(accepted);
  CHECK(s.message(accepted->ids[0])->size == all.size());
  CHECK(spool::outgoing(Read(*s.store), *s.message(accepted->ids[0]), 0, 1 << 20) == all);
  CHECK(s.problems() == "");
  CHECK(s.accept(a).error().kind == Error::Kind::not_found);

  const Id lost = await<Id>([&](auto cb) { s.store->stage_begin(cb); }).value();
  REQUIRE(await<void>([&](auto cb) { s.store->stage_append(lost, std::string(100'000, 'x'), cb); }));
  s.reopen();
  while (Read(*s.store).entries(Table::stage) > 0) std::this_thread::yield();
  CHECK(spool::content(Read(*s.store), lost, 0, 1).empty());
  const Id abandoned = await<Id>([&](auto cb) { s.store->stage_begin(cb); }).value();
  REQUIRE(await<void>([&](auto cb) { s.store->stage_append(abandoned, std::string(100'000, 'x'), cb); }));
  REQUIRE(await<void>([&](auto cb) { s.store->stage_abandon(abandoned, cb); }));
  while (Read(*s.store).entries(Table::stage) > 0) std::this_thread::yield();
  CHECK(spool::content(Read(*s.store), abandoned, 0, 1).empty());
  CHECK(s.problems() == "");
}

TEST_CASE("a content with a missing or cut chunk is damage, not its end") {
  Fresh s;
  std::string bytes = "Subject: x\r\n\r\n" + std::string(100'000, 'b') + "\r\n";
  const Message m = *s.message(s.accept(plain({"a@b.example"}, bytes))->ids[0]);
  const Key second = Key().u64(m.content).u32(1);
  const std::string was(*Read(*s.store).get(Table::content, second));
  const auto thrown = [&](std::uint64_t offset, std::size_t limit) {
    try {
      spool::outgoing(Read(*s.store), m, offset, limit);
    } catch (const Broken& broken) {
      CHECK(broken.error.kind == Error::Kind::corrupt);
      return broken.error.text;
    }
    return std::string();
  };
  for (const bool cut : {false, true}) {
    CAPTURE(cut);
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      if (cut)
        write.put(Table::content, second, was.substr(0, 10));
      else
        write.del(Table::content, second);
      return {};
    }));
    CHECK(thrown(0, 16'000) == "");
    const std::string why = thrown(0, 1 << 20);
    CHECK(why.find("message " + id_text(m.id)) != std::string::npos);
    CHECK(why.find("chunk 1 of content " + id_text(m.content)) != std::string::npos);
    CHECK(why.find("spoolctl remove " + id_text(m.id)) != std::string::npos);
    CHECK(thrown(20'000, 100) != "");
    CHECK(thrown(40'000, 100) == "");
    CHECK_THROWS_AS(spool::content(Read(*s.store), m.content, 0, 1 << 20), Broken);
  }
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.put(Table::content, second, was);
    return {};
  }));
  CHECK(spool::outgoing(Read(*s.store), m, 0, 1 << 20) == bytes);
  CHECK(s.problems() == "");

  // The whole content is gone though the message is not finished.
  const std::string row(*Read(*s.store).get(Table::content, Key().u64(m.content)));
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.del(Table::content, Key().u64(m.content));
    write.del(Table::content, second);
    return {};
  }));
  CHECK(thrown(0, 1 << 20).find("promises 100016 octets") != std::string::npos);
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.put(Table::content, Key().u64(m.content), row);
    write.put(Table::content, second, was);
    return {};
  }));
  REQUIRE(s.settle(outcome_of(s.claim().at(0), Verdict::delivered))->finished);
  CHECK(spool::outgoing(Read(*s.store), m, 0, 1 << 20).empty());
}
