#include "store/record.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "store/broken.hpp"
#include "store/key.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/rows.hpp"
#include "store/spool/types.hpp"

using namespace spoold;
using namespace spoold::store;

TEST_CASE("what is packed is read back") {
  CHECK(rc::check([](std::uint64_t n, std::uint32_t m, std::string text, std::uint8_t octet) {
    const auto t = TimePoint(Duration(*rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 47)));
    const std::string bytes = Packer().num(n).str(text).u8(octet).num(m).time(t).take();
    Unpacker u(bytes, "test");
    RC_ASSERT(u.num() == n);
    RC_ASSERT(u.text() == text);
    RC_ASSERT(u.u8() == octet);
    RC_ASSERT(u.num32() == m);
    RC_ASSERT(u.time() == t);
    RC_ASSERT(u.at_end());
    // Cut anywhere, it is refused, never read beyond its end.
    const auto cut = *rc::gen::inRange<std::size_t>(0, bytes.size());
    const std::string part = bytes.substr(0, cut);
    Unpacker v(part, "test");
    RC_ASSERT_THROWS_AS((v.num(), v.str(), v.u8(), v.num(), v.time()), Broken);
  }));
}

TEST_CASE("hostile numbers and lengths are corrupt") {
  for (const std::string& bytes :
       {std::string(11, '\xff'), std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10)}) {
    Unpacker u(bytes, "test");
    CHECK_THROWS_AS(u.num(), Broken);
  }
  const std::string huge = Packer().num(~std::uint64_t{0}).take();
  CHECK(Unpacker(huge, "test").num() == ~std::uint64_t{0});
  Unpacker length(huge, "test");
  CHECK_THROWS_AS(length.str(), Broken);
  Unpacker narrow(huge, "test");
  CHECK_THROWS_AS(narrow.num32(), Broken);
  Unpacker word("\x07", "test");
  CHECK_THROWS_AS(word.word(MessageState::removable), Broken);
}

TEST_CASE("keys sort as their parts do") {
  CHECK(rc::check([](std::uint64_t a, std::uint64_t b) {
    RC_ASSERT((Key().u64(a).view() < Key().u64(b).view()) == (a < b));
  }));
  CHECK(Key().str("relay").u8(0xff).view() < Key().str("relay2").u8(0).view());
  CHECK(Key().str("a").str("z").view() < Key().str("ab").str("a").view());
  const Key key =
      Key().str("relay").time(TimePoint(Duration(1234567890123))).u64(7).u32(9).u40(5).u16(3).raw("rest");
  KeyReader reader(key.view());
  CHECK(reader.str() == "relay");
  CHECK(reader.time() == TimePoint(Duration(1234567890123)));
  CHECK(reader.u64() == 7);
  CHECK(reader.u32() == 9);
  CHECK(reader.u40() == 5);
  CHECK(reader.u16() == 3);
  CHECK(reader.rest() == "rest");
  CHECK_THROWS_AS(reader.u64(), Broken);
  CHECK_THROWS_AS(Key().raw(std::string(512, 'x')), Broken);
  CHECK_THROWS_AS(Key().str(std::string_view("a\0b", 3)), Broken);
}

TEST_CASE(
    "a message row: what a next hop must offer is kept; a row without any is as a version before wrote it") {
  spool::MessageRow row;
  row.eight_bit = row.personal = true;
  const auto packed = [&row] {
    Packer out;
    spool::pack(out, row);
    return out.take();
  };
  const std::string before = packed();
  const auto old = spool::unpack_message(7, before);
  CHECK((old.eight_bit && old.personal && !old.utf8 && !old.binary && !old.require_tls));
  for (const unsigned bits : {1u, 2u, 4u, 5u, 7u}) {
    row.utf8 = (bits & 1) != 0;
    row.binary = (bits & 2) != 0;
    row.require_tls = (bits & 4) != 0;
    row.requests = bits == 5;
    const std::string now = packed();
    CHECK(now.size() > before.size());
    const auto read = spool::unpack_message(7, now);
    CHECK((read.utf8 == row.utf8 && read.binary == row.binary && read.require_tls == row.require_tls));
    CHECK((read.eight_bit && read.personal && read.requests == row.requests));
    CHECK_THROWS_AS(spool::unpack_message(7, now.substr(0, now.size() - 1)), Broken);
  }
}

TEST_CASE("a message row that claims to hold more recipients than fit is corrupt, not undefined") {
  spool::MessageRow row;
  row.few = true;
  const auto read = [&row](std::uint32_t originals) {
    row.originals = originals;
    Packer out;
    spool::pack(out, row);
    return spool::unpack_message(7, out.bytes());
  };
  CHECK(read(spool::few_recipients).originals == spool::few_recipients);
  for (const std::uint32_t hostile : {spool::few_recipients + 1, 64u, 65u, 1u << 31})
    CHECK_THROWS_AS(read(hostile), Broken);
}
