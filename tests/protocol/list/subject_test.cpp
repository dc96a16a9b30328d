#include "protocol/list/subject.hpp"

#include <doctest/doctest.h>

using namespace spoold::list;

namespace {

std::string with(std::string_view value, std::string_view prefix = "[Test]", std::uint32_t post = 7) {
  const auto made = with_prefix(value, prefix, post);
  return made ? *made : "(as it is)" + std::string(value);
}

}  // namespace

TEST_CASE("subject: the prefix stands behind Re:, and the rest is as it was") {
  CHECK(with(" Hello") == " [Test] Hello");
  CHECK(with("Hello") == " [Test] Hello");
  CHECK(with(" Re: Hello") == " Re: [Test] Hello");
  CHECK(with(" AW: SV: re[2]: Hello") == " AW: SV: re[2]: [Test] Hello");
  CHECK(with(" Fwd: Hello") == " [Test] Fwd: Hello");
  CHECK(with(" Return: Hello") == " [Test] Return: Hello");
  CHECK(with(" long\r\n subject") == " [Test] long\r\n subject");
  CHECK(with("") == " [Test]");
  CHECK(with("  ") == "  [Test]");
  CHECK(with(" Re:") == " Re: [Test]");
  CHECK(with(" Hello", "") == "(as it is) Hello");
  CHECK(with(" Hello", "  ") == "(as it is) Hello");
}

TEST_CASE("subject: an answer that has the prefix stays byte for byte, so that its signature holds") {
  CHECK(with(" Re: [Test] Hello") == "(as it is) Re: [Test] Hello");
  CHECK(with(" [Test] Hello") == "(as it is) [Test] Hello");
  CHECK(with(" =?utf-8?q?Re=3A_=5BTest=5D_=C3=A4?=") == "(as it is) =?utf-8?q?Re=3A_=5BTest=5D_=C3=A4?=");
  CHECK(with(" Re: [Test 7] x", "[Test %d]") == "(as it is) Re: [Test 7] x");
}

TEST_CASE("subject: a prefix elsewhere goes, one with another number is replaced") {
  CHECK(with(" [Test] Re: Hello") == " Re: [Test] Hello");
  CHECK(with(" Hello [Test] world") == " [Test] Hello world");
  CHECK(with(" [Test] [Test] Hello") == " [Test] Hello");
  CHECK(with(" Re: [Test 3] Hello", "[Test %d]") == " Re: [Test 7] Hello");
  CHECK(with(" Re: [Test 00003] Hello", "[Test %05d]") == " Re: [Test 00007] Hello");
  CHECK(with(" Hello", "[Test %05d] ") == " [Test 00007] Hello");
  CHECK(with(" [Test x] Hello", "[Test %d]") == " [Test 7] [Test x] Hello");
  CHECK(with(" Hello", "100% [%s]") == " 100% [%s] Hello");
  CHECK(with(" [test] Hello") == " [Test] [test] Hello");
}

TEST_CASE("subject: encoded words stay, unless the prefix or Re: is in one") {
  CHECK(with(" =?iso-8859-1?q?Gr=FC=DFe?=") == " [Test] =?iso-8859-1?q?Gr=FC=DFe?=");
  CHECK(with(" =?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=") == " =?utf-8?q?Re=3A_=5BTest=5D_Gr=C3=BC=C3=9Fe?=");
  CHECK(with(" =?iso-8859-1?q?Re=3A_Gr=FC=DFe?=") == " [Test] =?iso-8859-1?q?Re=3A_Gr=FC=DFe?=");
  CHECK(with(" Hello", "[T\xc3\xa4st]") == " =?utf-8?q?=5BT=C3=A4st=5D?= Hello");
  CHECK(with(" Re: =?utf-8?q?=5BT=C3=A4st=5D?= Hello", "[T\xc3\xa4st]").starts_with("(as it is)"));
  CHECK(with(" =?utf-8?q?=C3=A4?=", "[T\xc3\xa4st]") == " =?utf-8?q?=5BT=C3=A4st=5D_?= =?utf-8?q?=C3=A4?=");
  CHECK(with(" Re: =?utf-8?q?=5BT=C3=A4st=5D_?= Hello", "[T\xc3\xa4st]").starts_with("(as it is)"));
}

TEST_CASE("subject: a prefix is one line of UTF-8") {
  CHECK_FALSE(prefix_fault("[T\xc3\xa4st %d] "));
  CHECK(prefix_fault("a\nb"));
  CHECK(prefix_fault("\xff"));
  CHECK(prefix_fault(std::string(101, 'x')));
}
