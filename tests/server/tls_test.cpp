// Certificates good and bad, DANE, resumption, and the octets of a TlsStream.
#include <doctest/doctest.h>
#include <malloc.h>

#include "server/delivery/tls_client.hpp"
#include "tests/server/tls_peer.hpp"
#include "tests/store/folder.hpp"

using namespace spoold;
using namespace spoold::server;
using namespace spoold::tests;
using delivery::TlsPlan;
using Trust = TlsPlan::Trust;
using Want = TlsStream::Want;

namespace {

const char* const host = "mx1.example.net";

TlsPlan plan(Trust trust, std::vector<std::string> names = {host}) {
  TlsPlan p;
  p.use = TlsPlan::Use::must;
  p.trust = trust;
  p.names = std::move(names);
  p.server_name = host;
  return p;
}

struct Try {
  std::string used, failure;
  std::unique_ptr<TlsStream> stream;
};

Try connect(TlsClient& client, TlsPeer& peer, const TlsPlan& p, const std::vector<Tlsa>& tlsa = {}) {
  Target target;
  target.host = host;
  target.text = "mx1.example.net[192.0.2.1]:25";
  target.tlsa = tlsa;
  auto begun = client.begin(peer.connect(), target, p);
  REQUIRE(begun);
  Try made;
  made.stream = std::move(*begun);
  for (int i = 0; i < 20; ++i) {
    const Want want = made.stream->handshake();
    peer.go_on();
    if (want == Want::failed) {
      made.failure = made.stream->failure();
      return made;
    }
    if (want != Want::done) continue;
    peer.go_on();
    made.used = made.stream->used();
    return made;
  }
  FAIL("the handshake does not end");
  return made;
}

struct House {
  House() : ca(certificate("Test CA", nullptr, true)) {
    write_pem(folder.path() + "/ca.pem", ca);
    client = std::make_shared<TlsClient>(TlsContext::make(folder.path() + "/ca.pem").value());
  }
  store::Folder folder;
  Certificate ca;
  std::shared_ptr<TlsClient> client;
};

std::string heard(TlsStream& stream) {
  std::string in(65536, '\0');
  std::error_code error;
  const std::size_t n = stream.read_some(asio::buffer(in), error);
  return error ? "(" + error.message() + ")" : in.substr(0, n);
}

}  // namespace

TEST_CASE("certificates: who is accepted, and what is said of the others") {
  House house;
  const Certificate good = certificate(host, &house.ca), other = certificate("mx.other.example", &house.ca),
                    expired = certificate(host, &house.ca, false, -1), self = certificate(host);
  struct Row {
    const Certificate* own;
    const char* reason;
  };
  for (const Row& row : std::initializer_list<Row>{
           {&good, ""},
           {&other,
            "TLS handshake failed: certificate not accepted: hostname mismatch: it is for mx.other.example, "
            "expected mx1.example.net or example.org"},
           {&expired, "TLS handshake failed: certificate not accepted: certificate has expired"},
           {&self, "TLS handshake failed: certificate not accepted: self-signed certificate"}}) {
    TlsPeer peer(*row.own);
    const Try verified = connect(*house.client, peer, plan(Trust::pkix, {host, "example.org"}));
    CHECK(verified.failure == row.reason);
    const std::string cipher = "TLSv1.3 TLS_AES_256_GCM_SHA384 ";
    CHECK(verified.used == (*row.reason == 0 ? cipher + "verified" : ""));
    // Whoever is there will do: it says which it was.
    CHECK(connect(*house.client, peer, plan(Trust::anyone)).used ==
          cipher + (*row.reason == 0 ? "verified" : "untrusted"));
    CHECK(peer.server_name() == std::string(host));
  }
  TlsPeer domain(certificate("example.org", &house.ca));
  CHECK(connect(*house.client, domain, plan(Trust::pkix, {host, "example.org"})).failure == "");
}

TEST_CASE("the certificates of ca_file count beside the system's, not in every client") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  const auto stranger = std::make_shared<TlsClient>(TlsContext::make("").value());
  CHECK(connect(*stranger, peer, plan(Trust::pkix)).failure.find("unable to get local issuer certificate") !=
        std::string::npos);
  const auto broken = TlsContext::make(house.folder.path() + "/none.pem");
  REQUIRE(!broken);
  CHECK(broken.error().find("none.pem holds no certificates that this process can read") !=
        std::string::npos);
  CHECK_FALSE(std::make_shared<TlsClient>(nullptr)->begin(0, Target{}, plan(Trust::anyone)));
}

TEST_CASE("a demand that OpenSSL does not take ends the attempt: nobody passes unchecked") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  const auto begin = [&](const TlsPlan& p, const std::vector<Tlsa>& tlsa = {}) {
    Target target;
    target.tlsa = tlsa;
    const auto begun = house.client->begin(peer.connect(), target, p);
    return begun ? std::string() : begun.error();
  };
  for (const std::string& name : {std::string(), host + std::string(1, '\0') + ".example"})
    CHECK(begin(plan(Trust::pkix, {name})).find("cannot check a certificate") != std::string::npos);
  CHECK(begin(plan(Trust::pkix, {})) != "");
  TlsPlan long_name = plan(Trust::pkix);
  long_name.server_name = std::string(300, 'x');
  CHECK(begin(long_name).find("takes no server name") != std::string::npos);
  // A zone is no part of a certificate: the octets are what is compared.
  CHECK(begin(plan(Trust::pkix, {"fe80::1%lo"})) == "");
  CHECK(connect(*house.client, peer, plan(Trust::pkix, {"fe80::1%lo"})).failure.find("IP address mismatch") !=
        std::string::npos);
}

TEST_CASE(
    "DANE: a record of the key or of the authority must match; names and dates count for the latter only") {
  House house;
  const Certificate authority = certificate("Some CA", nullptr, true);
  const Certificate self = certificate("whatever.example", nullptr, false, -1);
  const Certificate issued = certificate(host, &authority), misnamed = certificate("x.example", &authority);
  const Tlsa key{3, 1, 1, digest(self, 1)}, whole{3, 0, 1, digest(self, 0)},
      wrong{3, 1, 1, digest(issued, 1)}, anchor{2, 0, 1, digest(authority, 0)},
      pkix{1, 1, 1, digest(self, 1)};
  TlsPeer own(self), under(issued, &authority), stranger(misnamed, &authority);
  const TlsPlan dane = plan(Trust::dane);
  const std::string used = "TLSv1.3 TLS_AES_256_GCM_SHA384 dane";
  CHECK(connect(*house.client, own, dane, {key}).used == used);
  CHECK(connect(*house.client, own, dane, {whole}).used == used);
  CHECK(connect(*house.client, own, dane, {wrong, key}).used == used);
  CHECK(connect(*house.client, under, dane, {anchor}).used == used);
  CHECK(connect(*house.client, own, dane, {wrong}).failure.find("o matching DANE TLSA records") !=
        std::string::npos);
  CHECK(connect(*house.client, under, dane, {key}).failure.find("o matching DANE TLSA records") !=
        std::string::npos);
  CHECK(connect(*house.client, stranger, dane, {anchor}).failure.find("ostname mismatch") !=
        std::string::npos);
  // A record whose data OpenSSL cannot use: TLS all the same, with whoever is there (RFC 7672 2.2).
  const Tlsa no_key{3, 1, 0, "this is no key"};
  CHECK(connect(*house.client, own, dane, {no_key, pkix}).used.ends_with(" untrusted"));
}

TEST_CASE("a session is resumed, towards the same host under the same demands only") {
  House house;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    TlsPeer peer(certificate(host, &house.ca), nullptr, version);
    Try first = connect(*house.client, peer, plan(Trust::anyone));
    CHECK(!peer.resumed());
    peer.say("220 ticket\r\n");
    CHECK(heard(*first.stream) == "220 ticket\r\n");
    peer.hang_up();  // without close_notify, as many do
    CHECK(heard(*first.stream).starts_with("("));
    first.stream.reset();
    CHECK(connect(*house.client, peer, plan(Trust::pkix)).failure == "");
    CHECK(!peer.resumed());
    CHECK(connect(*house.client, peer, plan(Trust::anyone)).used.ends_with(" verified"));
    CHECK(peer.resumed());
    Target target;
    target.text = "mx1.example.net[192.0.2.1]:25";
    house.client->forget(target, plan(Trust::anyone));
    CHECK(connect(*house.client, peer, plan(Trust::anyone)).failure == "");
    CHECK(!peer.resumed());
    for (const Trust trust : {Trust::anyone, Trust::pkix}) house.client->forget(target, plan(trust));
  }
}

TEST_CASE("commands and content are gathered into whole records") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  Try made = connect(*house.client, peer, plan(Trust::anyone));
  const std::string before = "MAIL FROM:<a@b>\r\n", content(40000, 'x'), after = "QUIT\r\n";
  const std::string all = before + content + after;
  std::size_t done = 0;
  std::string got;
  while (done < all.size()) {
    std::array<asio::const_buffer, 3> buffers;
    std::size_t skip = done, count = 0;
    for (const std::string* part : {&before, &content, &after}) {
      const std::size_t gone = std::min(skip, part->size());
      skip -= gone;
      buffers[count++] = asio::buffer(part->data() + gone, part->size() - gone);
    }
    std::error_code error;
    const std::size_t n = made.stream->write_some(buffers, error);
    REQUIRE(!error);
    done += n;
    got += peer.hear();
  }
  CHECK(got == all);
  CHECK(peer.records == std::vector<int>{16384, 16384, static_cast<int>(all.size()) - 2 * 16384});
}

TEST_CASE("a full socket: nothing is counted before its record is out, and nothing is sent twice") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  Try made = connect(*house.client, peer, plan(Trust::anyone));
  std::string all, got;
  for (int i = 0; all.size() < 3'000'000; ++i) all += "line " + std::to_string(i) + "\r\n";
  std::size_t done = 0, full = 0;
  while (done < all.size()) {
    std::error_code error;
    const std::array<asio::const_buffer, 2> buffers{
        asio::buffer(all.data() + done, std::min<std::size_t>(7, all.size() - done)),
        asio::buffer(all.data() + std::min(done + 7, all.size()),
                     all.size() - std::min(done + 7, all.size()))};
    const std::size_t n = made.stream->write_some(buffers, error);
    done += n;
    if (!error) continue;
    REQUIRE(error == asio::error::would_block);
    CHECK(n == 0);
    ++full;
    got += peer.hear();
  }
  got += peer.hear();
  CHECK(full > 0);
  CHECK(got == all);
}

TEST_CASE("what the peer said before it went is heard after a write has failed") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  Try made = connect(*house.client, peer, plan(Trust::anyone));
  REQUIRE(peer.say("250 one\r\n"));
  REQUIRE(peer.say("550 two\r\n"));
  peer.hang_up();
  std::error_code error;
  const std::array<asio::const_buffer, 1> one{asio::buffer("RCPT\r\n", 6)};
  CHECK(made.stream->write_some(one, error) == 0);
  CHECK(error == asio::error::broken_pipe);
  CHECK(heard(*made.stream) == "250 one\r\n550 two\r\n");
  std::string in(100, '\0');
  CHECK(made.stream->read_some(asio::buffer(in), error) == 0);
  CHECK(error == asio::error::eof);
}

TEST_CASE("close_notify is the end, and so is an end without it") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  for (const bool notify : {true, false}) {
    Try made = connect(*house.client, peer, plan(Trust::anyone));
    peer.say("221 bye\r\n");
    if (notify) peer.finish();
    peer.hang_up();
    CHECK(heard(*made.stream) == "221 bye\r\n");
    std::error_code error;
    std::string in(100, '\0');
    CHECK(made.stream->read_some(asio::buffer(in), error) == 0);
    CHECK(error == asio::error::eof);
  }
}

TEST_CASE("a peer that speaks no TLS, or leaves") {
  House house;
  TlsPeer peer(certificate(host, &house.ca));
  for (const std::string said : {"500 what is this\r\n", ""}) {
    Target target;
    const int fd = peer.connect();
    auto begun = house.client->begin(fd, target, plan(Trust::anyone));
    REQUIRE(begun);
    CHECK((*begun)->handshake() == Want::read);
    peer.say_plainly(said);
    CHECK((*begun)->handshake() == Want::failed);
    CHECK((*begun)->failure() == (said.empty() ? "connection closed during the TLS handshake"
                                               : "TLS handshake failed: wrong version number"));
  }
}
