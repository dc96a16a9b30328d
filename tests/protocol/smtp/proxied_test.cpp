// The client that a proxy names: PROXY headers of both versions, and XCLIENT.
#include "protocol/smtp/proxied.hpp"

#include <doctest/doctest.h>

#include "protocol/dns/records.hpp"

using namespace spoold;
using namespace spoold::smtp;
using namespace std::string_literals;

namespace {

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;
const std::string v4 = "\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\0\x19"s;
const std::string v6 =
    "\x20\1\x0d\xb8"s + std::string(11, '\0') + "\1"s + std::string(16, '\2') + "\x9c\x40\0\x19"s;

std::string v2(int command, int family, const std::string& body) {
  const auto octet = [](std::size_t value) { return static_cast<char>(value); };
  return signature + octet(0x20u | static_cast<unsigned>(command)) + octet(static_cast<unsigned>(family)) +
         octet(body.size() >> 8) + octet(body.size() & 255) + body;
}

std::string text_of(const ProxiedClient& client) {
  if (!client.address) return "unknown";
  const dns::Address address{client.address->v6, client.address->octets};
  return dns::text(address) + " " + std::to_string(client.port);
}

/// "192.0.2.1 40000", "unknown", "more", or the fault; and what is left, behind a bar.
std::string read(const std::string& octets, std::size_t piece = 100000) {
  ProxyHeader header;
  std::string_view rest = octets;
  while (!rest.empty() && header.state() == ProxyHeader::State::more)
    rest.remove_prefix(header.feed(rest.substr(0, piece)));
  if (header.state() == ProxyHeader::State::bad) return header.fault();
  if (header.state() == ProxyHeader::State::more) return "more";
  return text_of(header.client()) + "|" + std::string(rest);
}

std::string xclient(const std::string& argument) {
  const auto client = parse_xclient(argument);
  if (!client) return client.error().oneline();
  return text_of(*client);
}

}  // namespace

TEST_CASE("PROXY: what is behind the header is not taken, in whatever pieces it comes") {
  for (const std::size_t piece : {1u, 2u, 7u, 100000u}) {
    CHECK(read("PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\r\nEHLO x\r\n", piece) ==
          "192.0.2.1 40000|EHLO x\r\n");
    CHECK(read("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n\r\n", piece) == "2001:db8::1 0|\r\n");
    CHECK(read("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 1\r\n", piece) == "192.0.2.1 1|");
    CHECK(read("PROXY UNKNOWN\r\nx", piece) == "unknown|x");
    CHECK(read("PROXY UNKNOWN ffff::1 what ever it is\r\nx", piece) == "unknown|x");
    CHECK(read(v2(1, 0x11, v4) + "EHLO", piece) == "192.0.2.1 40000|EHLO");
    CHECK(read(v2(1, 0x21, v6) + "EHLO", piece) == "2001:db8::1 40000|EHLO");
    CHECK(read(v2(1, 0x11, v4 + std::string(3000, 't')) + "EHLO", piece) == "192.0.2.1 40000|EHLO");
    CHECK(read(v2(0, 0x11, v4) + "x", piece) == "unknown|x");
    CHECK(read(v2(0, 0, "") + "x", piece) == "unknown|x");
    CHECK(read(v2(1, 0, "tlv") + "x", piece) == "unknown|x");
    CHECK(read(v2(1, 0x31, std::string(216, 'u')) + "x", piece) == "unknown|x");
  }
}

TEST_CASE("PROXY: a header that is cut off is waited for") {
  for (const std::string& whole :
       {"PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\r\n"s, v2(1, 0x21, v6 + "tlv")})
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK(read(whole.substr(0, size)) == "more");
}

TEST_CASE("PROXY: nothing is guessed") {
  const auto is_bad = [](const std::string& octets) {
    const std::string said = read(octets);
    return said != "more" && said.find('|') == said.npos;
  };
  for (const std::string& bad : {"EHLO x\r\n"s,
                                 "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n"s,
                                 "PROXYTCP4"s,
                                 "\r\n\r\nQUIT"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\n"s,
                                 "PROXY TCP4  192.0.2.1 198.51.100.1 40000 25\r\n"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 40000 25 \r\n"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 40000\r\n"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 40000 25 1\r\n"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 040 25\r\n"s,
                                 "PROXY TCP4 192.0.2.1 198.51.100.1 -1 25\r\n"s,
                                 "PROXY TCP4 192.0.2 198.51.100.1 1 25\r\n"s,
                                 "PROXY TCP4 192.0.2.0/24 198.51.100.1 1 25\r\n"s,
                                 "PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"s,
                                 "PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n"s,
                                 "PROXY UDP4 192.0.2.1 192.0.2.2 1 25\r\n"s,
                                 "PROXY UNKNOWN " + std::string(100, 'x') + "\r\n",
                                 "PROXY TCP4 " + std::string(200, ' '),
                                 v2(1, 0x12, v4),
                                 v2(1, 0x21, v4),
                                 v2(1, 0x11, v4.substr(1)),
                                 v2(2, 0x11, v4),
                                 signature + "\x31\x11\0\x0c"s + v4,
                                 signature + "\x21\x11\xff\xff"s})
    CHECK_MESSAGE(is_bad(bad), bad);
  ProxyHeader header;
  CHECK(header.feed("EHLO x\r\n") == 0);
  CHECK(header.feed("PROXY UNKNOWN\r\n") == 0);  // too late
  CHECK(header.state() == ProxyHeader::State::bad);
}

TEST_CASE("XCLIENT: the address, and nothing that needs a password") {
  CHECK(xclient("ADDR=192.0.2.1 NAME=client.example") == "192.0.2.1 0");
  CHECK(xclient("addr=192.0.2.1  port=40000 PROTO=ESMTP HELO=a+2Bb DESTADDR=10.0.0.1 DESTPORT=25") ==
        "192.0.2.1 40000");
  CHECK(xclient("ADDR=IPV6:2001:db8::1 LOGIN=[UNAVAILABLE]") == "2001:db8::1 0");
  CHECK(xclient("ADDR=IPV6:::ffff:192.0.2.1") == "192.0.2.1 0");
  CHECK(xclient("NAME=[UNAVAILABLE] ADDR=[unavailable]") == "unknown");
  CHECK(xclient("ADDR=[TEMPUNAVAIL]") == "unknown");
  CHECK(xclient("LOGIN= ADDR=192.0.2.1") == "192.0.2.1 0");
  CHECK(xclient("ADDR=192.0.2.1 LOGIN=anne").starts_with("550 5.7.0 "));
  for (const char* bad : {"", "ADDR", "ADDR=", "ADDR=2001:db8::1", "ADDR=IPV6:192.0.2.1", "ADDR=192.0.2.256",
                          "PORT=70000", "PORT=", "WHO=me", "ADDR=192.0.2.1 HELO=+4", "HELO=+zz", "HELO=\x7f"})
    CHECK_MESSAGE(xclient(bad).starts_with("501 5.5.4 "), bad);
}
