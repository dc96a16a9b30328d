#include "protocol/list/verp.hpp"

#include <chrono>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/list/addresses.hpp"
#include "protocol/list/base32.hpp"
#include "tests/protocol/list/mixer.hpp"

using namespace spoold;
using namespace spoold::list;
using Kind = DecodedVerp::Kind;

namespace {

constexpr MemberId member = 0x0123456789;
constexpr std::uint32_t epoch = 741;

std::string encode(std::string_view address, const List& list = test_list(),
                   VerpFormat format = VerpFormat::classic, char delimiter = '+') {
  std::string out;
  VerpEncoder(list, format, delimiter, epoch, mixer(1)).append(out, address, member);
  return out;
}

struct Back {
  std::string list, member;
  bool operator==(const Back&) const = default;
};

/// The way of an inbound bounce: mailbox, list address, VERP; member as its address or its number.
Back decode(std::string_view path, char delimiter = '+') {
  auto mailbox = Mailbox::parse(path);
  RC_ASSERT(mailbox.has_value());
  auto sub = sub_address(mailbox->local(), delimiter);
  RC_ASSERT(sub.has_value());
  RC_ASSERT(sub->role == Role::bounces);
  auto verp = decode_verp(sub->detail, epoch, mixer(1));
  RC_ASSERT(verp.has_value());
  if (verp->kind == Kind::classic) return {sub->list, verp->address};
  RC_ASSERT(verp->kind == Kind::opaque);
  RC_ASSERT(verp->list == test_list().id);
  return {sub->list, std::to_string(verp->member)};
}

}  // namespace

TEST_CASE("base32: the vectors of RFC 4648 section 10") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "my"},
                                                         {"fo", "mzxq"},
                                                         {"foo", "mzxw6"},
                                                         {"foob", "mzxw6yq"},
                                                         {"fooba", "mzxw6ytb"},
                                                         {"foobar", "mzxw6ytboi"}};
  for (auto [plain, coded] : vectors) {
    std::string_view text(plain);
    std::vector<std::uint8_t> octets(text.begin(), text.end()), back(text.size());
    std::string out;
    base32_append(out, octets);
    CHECK(out == coded);
    CHECK(base32_decode(coded, back));
    CHECK(back == octets);
  }
  std::array<std::uint8_t, 1> one{};
  CHECK(base32_decode("MY", one));
  CHECK(!base32_decode("mz", one));  // bits behind the last octet
  CHECK(!base32_decode("m1", one));
  CHECK(!base32_decode("mya", one));
}

TEST_CASE("verp: classic, Mailman's form") {
  CHECK(encode("aperson@example.com") == "test-bounces+aperson=example.com@lists.example");
  CHECK(encode("A.Person+x@example.com") == "test-bounces+A.Person+x=example.com@lists.example");
  CHECK(encode("srs0=abc=def@x.example") == "test-bounces+srs0=abc=def=x.example@lists.example");
  CHECK(encode("a@b.example", test_list(), VerpFormat::classic, '=') ==
        "test-bounces=a=b.example@lists.example");
  CHECK(bounces_address(test_list()) == "test-bounces@lists.example");
}

TEST_CASE("verp: srs0=abc=def@x.example round-trips (Mailman reads it as srs0@abc=def=x.example)") {
  auto verp = decode_verp("srs0=abc=def=x.example", epoch, mixer(1));
  REQUIRE(verp);
  CHECK(verp->kind == Kind::classic);
  CHECK(verp->address == "srs0=abc=def@x.example");
}

TEST_CASE("verp: what classic cannot say is opaque") {
  const std::string local(60, 'a');
  for (const char* address : {"\"two words\"@x.example", "\"a@b\"@x.example", "u@[192.0.2.1]",
                              "m\xc3\xbcller@x.example", "b@abcdefghijklmnopqrstuvwxyz23"}) {
    CAPTURE(address);
    std::string path = encode(address);
    CHECK(path.starts_with("test-bounces+b="));
    CHECK(path.size() == std::string("test-bounces+b=").size() + 28 + std::string("@lists.example").size());
  }
  CHECK(encode(local + "@x.example").starts_with("test-bounces+b="));
  // 64 octets of local part are the last that fit
  const std::string fits(64 - 13 - 10, 'a');
  CHECK(encode(fits + "@x.example").starts_with("test-bounces+aaa"));
  CHECK(encode(fits + "a@x.example").starts_with("test-bounces+b="));
}

TEST_CASE("verp: opaque in the list's name up to 25 octets, else in the domain's") {
  List list = test_list(std::string(25, 'x'));
  CHECK(encode("a@b.example", list, VerpFormat::opaque).starts_with(list.local + "-bounces+b="));
  CHECK(Mailbox::parse(encode("a@b.example", list, VerpFormat::opaque)));
  list.local += 'x';
  CHECK(encode("a@b.example", list, VerpFormat::opaque).starts_with("bounces+b="));
}

TEST_CASE("verp: a tag holds for its epoch and the two after, for its own list and member and secret only") {
  std::string path = encode("a@b.example", test_list(), VerpFormat::opaque);
  const std::string detail = path.substr(13, 30);
  for (std::uint32_t now : {epoch, epoch + 1, epoch + 2})
    CHECK(decode_verp(detail, now, mixer(1))->kind == Kind::opaque);
  for (std::uint32_t now : {epoch - 1, epoch + 3, 0u, 0xffffffffu})
    CHECK(decode_verp(detail, now, mixer(1))->kind == Kind::forged);
  CHECK(decode_verp(detail, epoch, mixer(2))->kind == Kind::forged);
  for (std::size_t i = 2; i < detail.size(); ++i) {
    std::string forged = detail;
    forged[i] = forged[i] == 'a' ? 'b' : 'a';
    auto verp = decode_verp(forged, epoch, mixer(1));
    CAPTURE(i);
    CHECK((!verp ||
           verp->kind != Kind::opaque));  // nothing: the last character has bits that belong to nothing
  }
  std::string upper = detail;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  CHECK(decode_verp(upper, epoch, mixer(1))->member == member);
}

TEST_CASE("verp: no form of ours") {
  for (const char* detail :
       {"", "x", "=", "a=", "=b", "a b=c", "a=b!c", "0123456789abcdef0123456789abcdef01234567"}) {
    CAPTURE(detail);
    CHECK(!decode_verp(detail, epoch, mixer(1)));
  }
}

TEST_CASE("verp: epochs are 28 days") {
  using std::chrono::days;
  CHECK(verp_epoch(TimePoint{}) == 0);
  CHECK(verp_epoch(TimePoint(days(28)) - std::chrono::milliseconds(1)) == 0);
  CHECK(verp_epoch(TimePoint(days(28))) == 1);
}

TEST_CASE(
    "verp: property: every member's address comes back, and every path is a plain one within the limits") {
  CHECK(rc::check([] {
    const auto letters = *rc::gen::element<std::string>("ab=+-_", "abcAB=", "az+=", "xyz", "a b\"\\@<>,=+",
                                                        "\xc3\xbc\xc3\xa9"
                                                        "az",
                                                        "b");
    auto local = *rc::gen::resize(70, rc::gen::container<std::string>(rc::gen::elementOf(letters)));
    const auto domain = *rc::gen::element<std::string>(
        "example.com", "x.example", "[192.0.2.1]", "xn--mller-kva.example", "abcdefghijklmnopqrstuvwxyz23",
        "a.very.long.domain.of.some.company.example");
    const char delimiter = *rc::gen::element('+', '=', '-', '#');
    std::string text = local + "@" + domain;
    auto box = Mailbox::parse(text, Mailbox::Allow::utf8);
    if (!box) {
      std::string quoted = "\"";
      for (char c : local) (c == '"' || c == '\\') ? quoted += '\\', quoted += c : quoted += c;
      box = Mailbox::parse(quoted + "\"@" + domain, Mailbox::Allow::utf8);
    }
    RC_PRE(box.has_value());
    List list = test_list(
        *rc::gen::element<std::string>("t", "test", "test.list", std::string(25, 'x'), std::string(52, 'x')));
    const auto format = *rc::gen::element(VerpFormat::classic, VerpFormat::opaque);

    const std::string path = encode(box->text(), list, format, delimiter);
    RC_ASSERT(path.find('"') == std::string::npos);
    const Back back = decode(path, delimiter);
    RC_ASSERT(back.list == list.local || back.list.empty());
    RC_ASSERT(back.member == box->key() || back.member == std::to_string(member));
    if (format == VerpFormat::opaque || !box->is_ascii()) RC_ASSERT(back.member == std::to_string(member));
    RC_CLASSIFY(back.member == box->key(), "classic");
  }));
}

TEST_CASE("signed VERP: readable, verified for its list and address, in three epochs, in any case") {
  const List list = test_list();
  const std::string path = encode("Anne@north.example", list, VerpFormat::signed_);
  CHECK(path.starts_with("test-bounces+Anne=north.example="));
  const auto detail_of = [](const std::string& whole) {
    return sub_address(Mailbox::parse(whole)->local(), '+')->detail;
  };
  const std::string detail = detail_of(path);
  for (std::uint32_t later = 0; later < 3; ++later) {
    const auto verp = decode_verp(detail, epoch + later, mixer(1), list.id);
    REQUIRE(verp);
    CHECK(verp->kind == Kind::signed_);
    CHECK(verp->address == "anne@north.example");
  }
  CHECK(decode_verp(detail, epoch + 3, mixer(1), list.id)->kind == Kind::forged);
  CHECK(decode_verp(detail, epoch, mixer(2), list.id)->kind == Kind::forged);
  CHECK(decode_verp(detail, epoch, mixer(1), list.id + 1)->kind == Kind::forged);
  CHECK(decode_verp(detail, epoch, mixer(1))->kind == Kind::forged);
  std::string upper = detail;
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  CHECK(decode_verp(upper, epoch, mixer(1), list.id)->kind == Kind::signed_);
  std::string other = detail;
  other.replace(0, 4, "bart");
  CHECK(decode_verp(other, epoch, mixer(1), list.id)->kind == Kind::forged);
  CHECK(has_tag(detail));
  CHECK_FALSE(has_tag("anne=north.example"));
  // What would be too long is opaque.
  CHECK(encode(std::string(40, 'a') + "@north.example", list, VerpFormat::signed_).find("+b=") !=
        std::string::npos);
}

TEST_CASE("signed VERP round-trips with any address, and no tag fits another one") {
  rc::check([] {
    const auto local =
        *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::elementOf(std::string("abcXYZ019=+_-"))));
    const auto domain =
        *rc::gen::elementOf(std::vector<std::string>{"north.example", "abcdefgh", "x.y.example"});
    const std::string address = local.substr(0, 30) + "@" + domain;
    RC_PRE(Mailbox::parse(address).has_value());
    for (const VerpFormat format : {VerpFormat::classic, VerpFormat::signed_}) {
      const std::string path = encode(address, test_list(), format);
      const auto sub = sub_address(Mailbox::parse(path)->local(), '+');
      RC_ASSERT(sub.has_value());
      const auto verp = decode_verp(sub->detail, epoch, mixer(1), test_list().id);
      RC_ASSERT(verp.has_value());
      RC_ASSERT(verp->kind != Kind::forged);
      if (verp->kind == Kind::opaque)
        RC_ASSERT(verp->member == member);
      else
        RC_ASSERT(verp->address == Mailbox::parse(address)->key());
      if (format == VerpFormat::signed_) RC_ASSERT(verp->kind != Kind::classic);
    }
  });
}
