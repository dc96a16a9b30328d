# ctest: slow
"""DANE for SMTP (RFC 7672) end to end: signed zones by knot, TLS peers on loopback addresses. What a peer heard, in
plain text or under TLS, judges; `last_reply.tls` and the log say what the operator is told."""
import hashlib
import smtplib

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import harness
from peers.knot import Knot
from peers.tls_peer import Authority, TlsPeer

UNREAD = "00" * 32  # a digest of nothing that anybody has


def certificate_in(file):
    return x509.load_pem_x509_certificate(file.read_bytes())


def of_key(file):
    """What 3 1 1 says of the certificate in this file."""
    return hashlib.sha256(certificate_in(file).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def of_certificate(file):
    """What 2 0 1 says of it."""
    return hashlib.sha256(certificate_in(file).public_bytes(serialization.Encoding.DER)).hexdigest()


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.port = harness.free_port()
        self.authority = Authority(self.folder)
        self.peers, self.domains = {}, []

    def peer_at(self, last, certificate, **options):
        peer = TlsPeer(certificate, listen=(f"127.0.0.{last}", self.port), **options)
        self.addCleanup(peer.close)
        return peer

    def one(self, name, certificate, tlsa, **options):
        """A host of its own for the domain `name`.ZONE, with the peer there; the lines of the zone."""
        last = 10 + len(self.peers)
        self.peers[name] = self.peer_at(last, certificate, **options)
        return f"{name} MX 10 mx.{name}\nmx.{name} A 127.0.0.{last}\n" + "".join(f"{self.owner('mx.' + name)} TLSA {t}\n" for t in tlsa)

    def owner(self, host):
        return f"_{self.port}._tcp.{host}"

    def house(self, zones, signed, broken=(), post=(), relay=None, destinations=(), **more):
        dns = Knot(self.folder, zones, signed, broken)
        self.addCleanup(dns.stop)
        self.house_of = self.spoold(settings={
            **more,
            "resolver": {"forward": [dns.address], "trust_anchor": dns.anchors()}, "delivery": {"retry": ["1h"], **more.get("delivery", {})},
            "destination": [*destinations, {"match": "mx:*", "port": self.port}], **({"relay": relay} if relay else {})})
        if post:
            self.house_of.post(post[0], rcpts=post)
        return self.house_of

    def row(self, address):
        return self.house_of.recipients(self.house_of.last_id)[address]

    def delivered(self, address, trust, peer):
        """Delivered once, to this peer, under TLS that is worth `trust`; None: in plain text."""
        spoold = self.house_of
        try:
            harness.wait_until(lambda: self.row(address)["state"] == "delivered", 20, f"{address} is delivered", every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.row(address)}\n{spoold.tail()}") from None
        used = self.row(address)["last_reply"]["tls"]
        line = harness.wait_until(lambda: [x for x in spoold.lines("delivered") if f"to={address} " in x], 5, f"the log says so of {address}")
        self.assertEqual(len(line), 1, line)
        if trust is None:
            self.assertIsNone(used)
        else:
            self.assertEqual(used, f"TLSv1.3 TLS_AES_256_GCM_SHA384 {trust}", address)
            self.assertIn(f'tls="{used}"', line[0])
        self.assertEqual([(under_tls, rcpts) for under_tls, _, rcpts, _ in peer.mails], [(trust is not None, [address])])

    def held(self, address, *words, stage="STARTTLS", host=None):
        """The host is at fault, not the recipient, which stays in the queue."""
        domain = address.split("@")[1]
        relay = f"relay={domain} " if stage == "DNS" else f"relay={host or 'mx.' + domain}["
        spoold = self.house_of
        try:
            line = harness.wait_until(lambda: [x for x in spoold.lines("unreachable") if relay in x], 20, f"unreachable {relay}", every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{spoold.tail()}") from None
        self.assertEqual(len(line), 1, line)
        for word in (f"stage={stage}", *words):
            self.assertIn(word, line[0])
        row = self.row(address)
        self.assertEqual((row["state"], row["attempts"]), ("queued", 0))

    def nothing_in_plain(self, peer):
        """One connection, and on it no more than what leads to TLS."""
        self.assertEqual(peer.mails, [])
        self.assertEqual(len(peer.connections), 1, [c.commands for c in peer.connections])
        heard = [text.split(" ")[0] for under_tls, text in peer.connections[0].commands if not under_tls]
        self.assertEqual([verb for verb in heard if verb not in ("EHLO", "STARTTLS", "QUIT")], [], heard)
        self.assertEqual([text for under_tls, text in peer.connections[0].commands if under_tls], [])

    def test_records_that_match(self):
        """3 1 1: the key is all that counts; 2 0 1: an authority of the peer's chain, and the name."""
        strange = self.authority.certificate("strange.example", days=-1, self_signed=True)  # expired, of another name
        other = self.authority.certificate("strange.example")
        names = {name: self.authority.certificate(host) for name, host in
                 (("anchor", "mx.anchor.secure.test"), ("domain", "domain.secure.test"), ("alien", "alien.example"),
                  ("short", "mx.short.secure.test"))}
        for name, file in names.items():
            if name != "short":
                file.write_bytes(file.read_bytes() + self.authority.file.read_bytes())
        anchor = "2 0 1 " + of_certificate(self.authority.file)
        zone = (self.one("key", strange, [f"3 1 1 {of_key(strange)}"])
                + self.one("rolled", other, [f"3 1 1 {UNREAD}", f"3 1 1 {of_key(other)}"])
                + "".join(self.one(name, names[name], [anchor]) for name in names)
                + self.one("bare", other, []) + f"_25._tcp.mx.bare TLSA 3 1 1 {UNREAD}\n")  # of another port
        addresses = [f"a@{name}.secure.test" for name in self.peers]
        self.house({}, {"secure.test": zone}, post=addresses)
        for name in ("key", "rolled", "anchor", "domain"):
            self.delivered(f"a@{name}.secure.test", "dane", self.peers[name])
        self.delivered("a@bare.secure.test", "untrusted", self.peers["bare"])
        self.held("a@alien.secure.test", "ostname mismatch", "alien.example")
        self.held("a@short.secure.test", "TLS handshake failed")
        for name in ("alien", "short"):
            self.nothing_in_plain(self.peers[name])

    def test_requiretls_goes_to_hosts_whose_names_are_validated(self):
        """RFC 8689 4.2.1: by DANE, or by the certificate of a host that a signed zone names."""
        certificates = {name: self.authority.certificate(host) for name, host in
                        (("key", "strange.example"), ("pkix", "mx.pkix.secure.test"), ("other", "strange.example"), ("open", "mx.open.plain.test"))}
        make = lambda name, *tlsa: self.one(name, certificates[name], tlsa, keywords=["REQUIRETLS"])
        signed = make("key", f"3 1 1 {of_key(certificates['key'])}") + make("pkix") + make("other")
        here, port = str(self.authority.certificate("localhost")), harness.free_port()
        spoold = self.house({"plain.test": make("open")}, {"secure.test": signed}, tls=[{"certificate": here, "key": here}],
                            listen=[{"address": f"127.0.0.1:{port}", "tls": "starttls"}], delivery={"ca_file": str(self.authority.file)})
        addresses = ["a@key.secure.test", "a@pkix.secure.test", "a@other.secure.test", "a@open.plain.test"]
        with smtplib.SMTP("127.0.0.1", port, timeout=60 * harness.SLOW) as client:
            client.starttls()
            client.ehlo()
            client.mail("s@key.secure.test", ["REQUIRETLS"])
            self.assertEqual([client.rcpt(a)[0] for a in addresses], [250] * 4)
            self.assertEqual(client.data(b"Subject: secret\r\n\r\n")[0], 250)
        failed = harness.wait_until(lambda: len(lines := spoold.lines("failed")) == 2 and lines, 20, "two failures")
        for address, words in (("a@other.secure.test", "ostname mismatch"), ("a@open.plain.test", "not validated by DNSSEC")):
            [line] = [x for x in failed if f"to={address} " in x]
            self.assertIn(words, line)
            self.assertIn("dsn=5.7.10", line)
        for name, mails in (("pkix", 1), ("key", 2)):  # and a report
            harness.wait_until(lambda: len(self.peers[name].mails) >= mails, 20, "delivered")
            for under_tls, mail, _, _ in self.peers[name].mails:
                self.assertTrue(under_tls and mail.endswith(" REQUIRETLS"), mail)
        self.assertEqual(self.peers["other"].mails + self.peers["open"].mails, [])

    def test_records_that_do_not_match(self):
        """Wrong records hold the mail until the certificate is the right one; meanwhile another MX host may do."""
        right, wrong = self.authority.certificate("mx.wrong.secure.test"), self.authority.certificate("mx.wrong.secure.test")
        zone = (self.one("wrong", wrong, [f"3 1 1 {of_key(right)}"]) + self.one("first", wrong, [f"3 1 1 {UNREAD}"])
                + self.one("second", wrong, [f"3 1 1 {of_key(wrong)}"]) + "first MX 20 mx.second\n")
        spoold = self.house({}, {"secure.test": zone}, post=["a@wrong.secure.test", "a@first.secure.test"])
        self.held("a@wrong.secure.test", "o matching DANE TLSA records")
        self.nothing_in_plain(self.peers["wrong"])
        self.delivered("a@first.secure.test", "dane", self.peers["second"])
        self.nothing_in_plain(self.peers["first"])
        self.peers["wrong"].context.load_cert_chain(right)
        spoold.ctl("retry", spoold.last_id)
        self.delivered("a@wrong.secure.test", "dane", self.peers["wrong"])
        spoold.check()

    def test_no_tls_where_records_say_there_is(self):
        """Also records that nobody can use say so (RFC 7672 2.2); in an unsigned zone they say nothing."""
        any_ = self.authority.certificate("x.example")
        good, pkix, odd = f"3 1 1 {of_key(any_)}", f"1 1 1 {of_key(any_)}", "3 1 9 abcd"
        how = {"none": None, "refused": "454 4.7.0 not now", "close": "close", "half": "half"}
        zone = "".join(self.one(name, any_, [good], starttls=starttls) for name, starttls in how.items())
        zone += self.one("useless", any_, [pkix, odd]) + self.one("uselessnone", any_, [pkix, odd], starttls=None)
        zone += self.one("without", any_, [], starttls=None)
        secure = list(self.peers)
        plain = self.one("stripped", any_, [f"3 1 1 {UNREAD}"]) + self.one("open", any_, [good], starttls=None)
        self.house({"plain.test": plain}, {"secure.test": zone},
                   post=[f"a@{name}.secure.test" for name in secure] + ["a@stripped.plain.test", "a@open.plain.test"])
        for name, words in (("none", "STARTTLS is not offered"), ("refused", "454 4.7.0 not now"), ("close", "connection closed"),
                            ("half", "wrong version number"), ("uselessnone", "STARTTLS is not offered")):
            self.held(f"a@{name}.secure.test", words)
            self.nothing_in_plain(self.peers[name])
        self.assertEqual(self.house_of.lines("plaintext"), [])
        self.delivered("a@useless.secure.test", "untrusted", self.peers["useless"])
        self.delivered("a@without.secure.test", None, self.peers["without"])
        self.delivered("a@stripped.plain.test", "untrusted", self.peers["stripped"])
        self.delivered("a@open.plain.test", None, self.peers["open"])

    def test_lookups_that_fail(self):
        """RFC 7672 2.1.2: a host whose TLSA records cannot be had is one that cannot be reached; others are tried."""
        any_ = self.authority.certificate("x.example")
        good = f"3 1 1 {of_key(any_)}"
        zone = "".join(self.one(name, any_, [good]) for name in ("servfail", "unsigned", "both")) + self.one("spare", any_, [])
        zone += "both MX 20 mx.spare\n"
        # The signed zone has them, but the server answers from others at _tcp.HOST: one without data, one that nobody signed.
        forged = {"_tcp.mx.unsigned.secure.test": f"_{self.port} TLSA {good}\n"}
        broken = ["_tcp.mx.servfail.secure.test", "_tcp.mx.both.secure.test"]
        self.house(forged, {"secure.test": zone}, broken, post=[f"a@{name}.secure.test" for name in ("servfail", "unsigned", "both")])
        self.held("a@servfail.secure.test", f"4.4.3 DNS: TLSA of {self.owner('mx.servfail.secure.test')}: the name servers failed", stage="DNS")
        self.held("a@unsigned.secure.test", f"4.7.0 DNS: the signature of TLSA of {self.owner('mx.unsigned.secure.test')} is not valid", stage="DNS")
        self.delivered("a@both.secure.test", "untrusted", self.peers["spare"])
        for name in ("servfail", "unsigned", "both"):
            self.assertEqual(self.peers[name].connections, [], f"{name} is not even connected to")

    def test_lookups_that_fail_where_no_policy_asks_for_them(self):
        """TLSA records are of no use with tls = none, required or verified: a host is not lost for want of them."""
        names = {name: self.authority.certificate(f"mx.{name}.secure.test") for name in ("none", "required")}
        zone = "".join(self.one(name, file, [f"3 1 1 {UNREAD}"]) for name, file in names.items())
        self.house({}, {"secure.test": zone}, [f"_tcp.mx.{name}.secure.test" for name in names], [f"a@{name}.secure.test" for name in names],
                   destinations=[{"match": f"{name}.secure.test", "tls": name} for name in names])
        self.delivered("a@none.secure.test", None, self.peers["none"])
        self.delivered("a@required.secure.test", "untrusted", self.peers["required"])

    def test_aliases(self):
        """RFC 7672 2.2.2: the end of the alias first, then the alias; the alias alone where the end is not signed."""
        cert = self.authority.certificate("x.example")
        key, wrong = f"3 1 1 {of_key(cert)}", f"3 1 1 {UNREAD}"
        zone = "".join(self.one(name, cert, tlsa) for name, tlsa in (("end", [key]), ("alias", []), ("out", [])))
        plain = self.one("lies", cert, [wrong])
        hosts = {"atend": ("mx.end", wrong), "atalias": ("mx.alias", key), "abroad": ("mx.lies.plain.test.", key), "held": ("mx.out", wrong)}
        for name, (host, tlsa) in hosts.items():
            zone += f"{name} MX 10 alias.{name}\nalias.{name} CNAME {host}\n{self.owner('alias.' + name)} TLSA {tlsa}\n"
        self.house({"plain.test": plain}, {"secure.test": zone}, post=[f"a@{name}.secure.test" for name in hosts])
        for name, peer in (("atend", "end"), ("atalias", "alias"), ("abroad", "lies")):
            self.delivered(f"a@{name}.secure.test", "dane", self.peers[peer])
        self.held("a@held.secure.test", "o matching DANE TLSA records", host="alias.held.secure.test")
        self.nothing_in_plain(self.peers["out"])

    def test_smarthost(self):
        """A next hop by name, asked for DANE: its own name is what counts, and a wrong one gives way to the second."""
        cert = self.authority.certificate("x.example")
        zone = self.one("wrong", cert, [f"3 1 1 {UNREAD}"]) + self.one("good", cert, [f"3 1 1 {of_key(cert)}"])
        hops = [f"smtp://mx.{name}.secure.test:{self.port}" for name in self.peers]
        self.house({}, {"secure.test": zone}, post=["a@elsewhere.example"], relay={"smarthost": hops, "tls": "dane"})
        self.delivered("a@elsewhere.example", "dane", self.peers["good"])
        self.nothing_in_plain(self.peers["wrong"])


if __name__ == "__main__":
    harness.main()
