"""Who is it: SPF, DKIM and DMARC of mail from strangers, with a name server of the test; and names that are silent, lie or loop.

The signatures are made by python3-dkim.
"""
import base64
import email
import email.policy
import pathlib
import smtplib
import socket
import ssl
import subprocess
import time

import dkim

import harness
from peers.name_server import NameServer
from peers.tls_peer import Authority

ZONE = {
    "good.example": {"TXT": ["v=spf1 ip4:127.0.0.1 -all"]},
    "bad.example": {"TXT": ["unrelated", "v=spf1 -all exp=why.bad.example"]},
    "why.bad.example": {"TXT": ["%{i} is not one of ours"]},
    "plain.example": {"TXT": ["v=spf1 ?all"]},
    "_dmarc.good.example": {"TXT": ["v=DMARC1; p=reject"]},
    "_dmarc.bad.example": {"TXT": ["v=DMARC1; p=reject"]},
    "_dmarc.plain.example": {"TXT": ["v=DMARC1; p=quarantine"]},
    "silent.example": "silent", "_dmarc.silent.example": "silent",
    "broken.example": "servfail", "_dmarc.broken.example": "servfail",
    "liar.example": "liar", "_dmarc.liar.example": "liar",
    "loop.example": {"CNAME": ["loop2.example"]}, "loop2.example": {"CNAME": ["loop.example"]},
    "_dmarc.loop.example": {"CNAME": ["_dmarc.loop.example"]},
    "include.example": {"TXT": ["v=spf1 include:include.example -all"]},
    "huge.example": {"TXT": ["v=spf1 " + "ip4:192.0.2.1 " * 4400 + "-all"]},
    "_dmarc.huge.example": {"TXT": ["v=DMARC1; p=reject; " + "".join(f"x{i}=y; " for i in range(6000))]},
}


class House(harness.Case):
    """A spoold for strangers, with a name server and a next hop; a list with one member."""

    @classmethod
    def setUpClass(cls):
        cls.key = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
        public = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=cls.key, capture_output=True, check=True).stdout
        cls.public = base64.b64encode(public).decode()

    def house(self, **smtp):
        self.dns = NameServer({**ZONE, "s._domainkey.good.example": {"TXT": [f"v=DKIM1; k=rsa; p={self.public}"]},
                               "s._domainkey.silent.example": "silent"})
        self.addCleanup(self.dns.stop)
        (self.folder / "copies").mkdir()
        self.peer_ = self.peer("--content", self.folder / "copies")
        spoold = self.spoold(self.peer_.url, settings={
            "smtp": {"trusted_networks": [], "spf": "mark", "dmarc": "mark", **smtp},
            "resolver": {"forward": [self.dns.address], "trust_anchor": "none"}})
        spoold.list(members=["anne@far.example"])
        return spoold

    @staticmethod
    def mail(author="anna@good.example", body="Hello\r\n", headers=""):
        return (f"{headers}From: Anna <{author}>\r\nTo: test@lists.example\r\nSubject: hello\r\nDate: Sun, 22 Nov 2026 10:31:07 +0000\r\n"
                f"Message-ID: <1@good.example>\r\n\r\n{body}").encode()

    def signed(self, mail, domain="good.example"):
        return dkim.sign(mail, b"s", domain.encode(), self.key, include_headers=[b"from", b"to", b"subject", b"date"]) + mail

    def send(self, spoold, mail, sender="bounce@good.example", helo="mx.good.example", to="test@lists.example", lmtp=False):
        """The reply to the end of the data."""
        kind, port = (smtplib.LMTP, self.lmtp_port) if lmtp else (smtplib.SMTP, spoold.port)
        with kind("127.0.0.1", port, local_hostname=helo) as client:
            client.sock.settimeout(60 * harness.SLOW)
            client.ehlo()
            self.assertEqual(client.mail(sender)[0], 250)
            self.assertEqual(client.rcpt(to)[0], 250)
            code, text = client.data(mail)
            return f"{code} {text.decode()}"

    def copies(self, wanted):
        harness.wait_until(lambda: len(harness.Judge(self.peer_.log).messages) == wanted, 20, f"{wanted} copies")
        return [pathlib.Path(message["file"]).read_bytes() for message in self.peer_.judge().messages]

    @staticmethod
    def results(octets):
        """The Authentication-Results of a copy, unfolded."""
        return email.message_from_bytes(octets, policy=email.policy.SMTP).get_all("Authentication-Results") or []


class Reception(House):
    def test_members_get_what_was_found_at_the_top_and_nothing_that_was_said_in_our_name(self):
        spoold = self.house()
        theirs = ("Authentication-Results: mx.lists.example; dkim=pass header.d=bank.example\r\n"
                  "authentication-results: (;) \"MX.lists.example\" 1; spf=pass\r\n"
                  "Authentication-Results: mx.other.example; spf=fail smtp.mailfrom=good.example\r\n")
        self.assertTrue(self.send(spoold, theirs.encode() + self.signed(self.mail())).startswith("250 "))
        [copy] = self.copies(1)
        self.assertTrue(copy.startswith(b"Authentication-Results: mx.lists.example;\r\n spf="), copy[:200])
        ours, other = self.results(copy)
        self.assertRegex(ours, r"^mx\.lists\.example; spf=pass smtp\.mailfrom=good\.example; dkim=pass header\.d=good\.example header\.s=s "
                         r"header\.a=rsa-sha256 header\.b=\S+; dmarc=pass header\.from=good\.example polrec\.p=reject$")
        self.assertEqual(other, "mx.other.example; spf=fail smtp.mailfrom=good.example")
        [line] = spoold.lines("accepted")
        self.assertIn('auth="spf=pass dkim=pass dmarc=pass"', line)
        self.assertEqual(spoold.ctl("stats")["dns_failures"], 0)

    def test_a_large_signed_message_is_verified_while_it_is_staged(self):
        spoold = self.house()
        mail = self.signed(self.mail(body="".join(f"line {i} {'x' * 60} \r\n" for i in range(30_000))))
        self.assertTrue(self.send(spoold, mail).startswith("250 "))
        changed = mail.replace(b"line 29999 ", b"line 99999 ")
        self.assertTrue(self.send(spoold, changed).startswith("250 "))
        self.assertEqual(["dkim=pass" in self.results(copy)[0] for copy in self.copies(2)], [True, False])
        self.assertEqual([line.split('auth="')[1].split('"')[0] for line in spoold.lines("accepted")],
                         ["spf=pass dkim=pass dmarc=pass", "spf=pass dkim=fail dmarc=pass"])

    def test_spf_refuses_where_it_is_told_to(self):
        spoold = self.house(spf="reject_fail", dmarc="off")
        said = self.send(spoold, self.mail(), sender="x@bad.example")
        self.assertTrue(said.startswith("550 5.7.23 SPF: bad.example does not allow 127.0.0.1 to send its mail"), said)
        self.assertIn("bad.example explains: 127.0.0.1 is not one of ours", said)
        self.assertTrue(self.send(spoold, self.mail(), sender="x@broken.example").startswith("451 4.7.24 "))
        self.assertTrue(self.send(spoold, self.mail(), sender="x@plain.example").startswith("250 "))
        self.assertTrue(self.send(spoold, self.mail(), sender="x@include.example").startswith("250 "))  # permerror
        [plain, include] = self.copies(2)
        self.assertEqual(self.results(plain), ["mx.lists.example; spf=neutral smtp.mailfrom=plain.example"])
        self.assertIn("spf=permerror", self.results(include)[0])
        stats = spoold.ctl("stats")
        self.assertEqual((stats["spf_refused"], stats["dmarc_refused"], stats["refused"]), (2, 0, 2))
        self.assertEqual(len([x for x in spoold.lines("refused") if "5.7.23" in x]), 1)

    def test_dmarc_refuses_what_the_authors_domain_rejects(self):
        spoold = self.house(dmarc="reject")
        forged = self.send(spoold, self.mail(), sender="x@plain.example")
        self.assertTrue(forged.startswith("550 5.7.26 DMARC: the policy of good.example rejects this message"), forged)
        self.assertTrue(self.send(spoold, self.signed(self.mail()), sender="x@plain.example").startswith("250 "))
        self.assertTrue(self.send(spoold, self.mail()).startswith("250 "))  # SPF is aligned
        self.assertTrue(self.send(spoold, self.mail("a@plain.example"), sender="x@bad.example").startswith("250 "))  # quarantine
        self.assertTrue(self.send(spoold, self.mail("a@broken.example"), sender="x@plain.example").startswith("451 4.7.26 "))
        # The key is not there yet: the signature may be the one.
        pending = self.signed(self.mail("a@bad.example"), "silent.example")
        self.assertTrue(self.send(spoold, pending, sender="x@plain.example").startswith("451 4.7.26 "))
        stats = spoold.ctl("stats")
        self.assertEqual((stats["spf_refused"], stats["dmarc_refused"]), (0, 3))

    def test_names_that_are_silent_lie_loop_or_are_huge_hold_up_a_message_for_a_bounded_time_and_nobody_else(self):
        spoold = self.house()
        for name in ("silent", "liar", "loop", "broken", "huge"):
            began = time.monotonic()
            said = self.send(spoold, self.mail(f"a@{name}.example"), sender=f"x@{name}.example")
            took = time.monotonic() - began
            self.assertTrue(said.startswith("250 "), (name, said))
            self.assertLess(took, 6 + 2 * harness.SLOW, name)
        results = [line.split('auth="')[1].split('"')[0] for line in spoold.lines("accepted")]
        self.assertEqual(results[:4], ["spf=temperror dkim=none dmarc=temperror"] * 4)
        self.assertEqual(results[4], "spf=fail dkim=none dmarc=fail")
        # A stranger whose names are silent waits alone.
        waiting = socket.create_connection(("127.0.0.1", spoold.port))
        self.addCleanup(waiting.close)
        waiting.sendall(b"EHLO x\r\nMAIL FROM:<x@silent.example>\r\nRCPT TO:<test@lists.example>\r\n")
        harness.wait_until(lambda: self.dns.asked("silent.example") >= 2, 10, "the question for silent.example")
        began = time.monotonic()
        self.assertTrue(self.send(spoold, self.signed(self.mail())).startswith("250 "))
        self.assertLess(time.monotonic() - began, 1 * harness.SLOW)

    def test_what_was_found_belongs_to_one_transaction(self):
        spoold = self.house()
        with socket.create_connection(("127.0.0.1", spoold.port), 30 * harness.SLOW) as client:
            file = client.makefile("rb")

            def until(start, count=1):
                while count:
                    line = file.readline()
                    self.assertTrue(line, "closed")
                    count -= line.startswith(start)
                return line
            until(b"220 ")
            rcpt, good = b"RCPT TO:<test@lists.example>\r\n", self.mail()
            # A sender that is given up by RSET; then one whose content is refused (a bare LF); the next MAIL is in the same packet.
            client.sendall(b"EHLO x.good.example\r\nMAIL FROM:<x@bad.example>\r\n" + rcpt + b"RSET\r\nMAIL FROM:<x@bad.example>\r\n" + rcpt + b"DATA\r\n")
            until(b"354 ")
            client.sendall(b"Subject: x\n\r\n.\r\nMAIL FROM:<x@good.example>\r\n" + rcpt + b"DATA\r\n")
            until(b"354 ")
            client.sendall(good + b".\r\nMAIL FROM:<x@plain.example>\r\n" + rcpt + b"BDAT %d\r\n" % len(good[:100]) + good[:100])
            client.sendall(b"BDAT %d LAST\r\n" % len(good[100:]) + good[100:] + b"QUIT\r\n")
            until(b"221 ")
        results = [line.split('auth="')[1].split('"')[0] for line in spoold.lines("accepted")]
        self.assertEqual(results, ["spf=pass dkim=none dmarc=pass", "spf=neutral dkim=none dmarc=fail"])

    def test_who_is_trusted_or_only_guesses_addresses_causes_no_question(self):
        spoold = self.house(trusted_networks=["127.0.0.0/8"])
        self.assertTrue(self.send(spoold, self.mail()).startswith("250 "))
        self.assertTrue(self.send(spoold, self.signed(self.mail()), to="somebody@relayed.example").startswith("250 "))
        for copy in self.copies(2):
            self.assertEqual(self.results(copy), [])
        self.assertEqual(self.dns.questions, [])
        spoold.stop()
        spoold.settings["smtp"]["trusted_networks"] = []
        spoold.start()
        with smtplib.SMTP("127.0.0.1", spoold.port, timeout=30 * harness.SLOW) as client:
            client.ehlo()
            client.mail("x@good.example")
            self.assertEqual(client.rcpt("nobody@lists.example")[0], 550)
        self.assertEqual(self.dns.questions, [])

    def test_a_stop_does_not_wait_for_the_dns(self):
        spoold = self.house()
        spoold.configure(server={"grace": "1s"})
        with socket.create_connection(("127.0.0.1", spoold.port)) as client:
            client.sendall(b"EHLO x\r\nMAIL FROM:<x@silent.example>\r\nRCPT TO:<test@lists.example>\r\nDATA\r\n")
            client.settimeout(20 * harness.SLOW)
            seen = b""
            while b"354 " not in seen:
                seen += client.recv(4096)
            client.sendall(self.mail() + b".\r\n")
            harness.wait_until(lambda: self.dns.asked("silent.example"), 10, "the question for silent.example")
            began = time.monotonic()
            self.assertEqual(spoold.stop(), 0)
            self.assertLess(time.monotonic() - began, 8 + 2 * harness.SLOW)


class Alignment(House):
    """What the author's domain vouches for in a copy."""

    def holds(self, octets):
        """Does python3-dkim verify the first signature of a copy?"""
        return dkim.verify(octets, dnsfunc=lambda name, timeout=5: f"v=DKIM1; k=rsa; p={self.public}".encode())

    def from_of(self, octets):
        message = email.message_from_bytes(octets, policy=email.policy.SMTP)
        return message["From"], message["Reply-To"]

    MUNGED = ("Anna via Test <test@lists.example>", "Anna <anna@good.example>")

    def test_from_stays_where_a_signature_of_the_author_holds(self):
        spoold = self.house()
        self.send(spoold, self.signed(self.mail()))
        self.send(spoold, self.mail())
        self.send(spoold, self.signed(self.mail()).replace(b"Hello", b"Hallo"))
        self.send(spoold, self.signed(self.mail("a@plain.example")))  # another domain's signature
        spoold.ctl("list", "set", "test@lists.example", "subject_prefix=[Test]")
        self.send(spoold, self.signed(self.mail()))
        signed, unsigned, changed, other, prefixed = self.copies(5)
        self.assertEqual(self.from_of(signed), ("Anna <anna@good.example>", None))
        self.assertTrue(self.holds(signed))
        for copy in (unsigned, changed, prefixed):
            self.assertEqual(self.from_of(copy), self.MUNGED)
        self.assertEqual(self.from_of(other), ("Anna via Test <test@lists.example>", "Anna <a@plain.example>"))
        self.assertFalse(self.holds(prefixed))

    def test_who_hands_a_post_over_is_no_reason_to_munge_it(self):
        spoold = self.house(trusted_networks=["127.0.0.0/8"])
        self.lmtp_port = harness.free_port()
        spoold.stop()
        spoold.settings["listen"].append({"address": f"127.0.0.1:{self.lmtp_port}", "protocol": "lmtp"})
        spoold.settings["aliases"] = {"team@lists.example": ["test@lists.example"]}
        spoold.start()
        theirs = "Authentication-Results: mx.lists.example; spf=pass smtp.mailfrom=good.example\r\n"
        large = self.signed(self.mail(body="".join(f"line {i} {'x' * 60} \r\n" for i in range(10_000))))
        for lmtp in (True, False):
            for mail in (theirs.encode() + self.signed(self.mail()), large, self.signed(self.mail()).replace(b"Hello", b"Hallo")):
                self.assertTrue(self.send(spoold, mail, lmtp=lmtp).startswith("250 "))
            self.assertTrue(self.send(spoold, self.signed(self.mail()), lmtp=lmtp, to="team@lists.example").startswith("250 "))
        copies = self.copies(8)
        for handed, big, changed, by_alias in (copies[:4], copies[4:]):
            for copy in (handed, big, by_alias):
                self.assertEqual(self.from_of(copy), ("Anna <anna@good.example>", None))
                self.assertTrue(self.holds(copy))
            self.assertEqual(self.from_of(changed), self.MUNGED)
            # What the front end found out stays, and nothing is added to it.
            self.assertEqual(self.results(handed), ["mx.lists.example; spf=pass smtp.mailfrom=good.example"])
            self.assertEqual(self.results(big), [])
        self.assertEqual([line.split('auth="')[1].split('"')[0] if "auth=" in line else "" for line in spoold.lines("accepted")],
                         ["dkim=pass", "dkim=pass", "dkim=fail", "dkim=pass"] * 2)
        # A whole transaction in one packet.
        mail = self.signed(self.mail())
        with socket.create_connection(("127.0.0.1", spoold.port), 30 * harness.SLOW) as client:
            client.sendall(b"EHLO x\r\nMAIL FROM:<x@good.example>\r\nRCPT TO:<test@lists.example>\r\nBDAT %d LAST\r\n" % len(mail) + mail + b"QUIT\r\n")
            while client.recv(4096):
                pass
        self.assertEqual(self.from_of(self.copies(9)[8])[0], "Anna <anna@good.example>")

    def test_policies_of_what_is_handed_over_are_asked_and_names_without_an_answer_hold_it_up_for_a_bounded_time(self):
        spoold = self.house(trusted_networks=["127.0.0.0/8"])
        spoold.ctl("list", "set", "test@lists.example", "dmarc_when=reject")
        began = time.monotonic()
        for name in ("good", "plain", "nobody", "silent"):
            self.send(spoold, self.mail(f"anna@{name}.example"))
        self.assertLess(time.monotonic() - began, 6 + 2 * harness.SLOW)
        froms = [self.from_of(copy)[0] for copy in self.copies(4)]
        via, kept = "Anna via Test <test@lists.example>", "Anna <anna@{}.example>"
        self.assertEqual(froms, [via, kept.format("plain"), kept.format("nobody"), via])

    def test_copies_that_we_sign_for_their_author_keep_from(self):
        """A user's post, and one of a trusted network, from domains that we have keys of; never a stranger's, nor by LMTP."""
        authority = Authority(self.folder)
        pem = str(authority.certificate("localhost"))
        spoold = self.house()
        self.lmtp_port, submission = harness.free_port(), harness.free_port()
        spoold.stop()
        spoold.settings["listen"] += [{"address": f"127.0.0.1:{self.lmtp_port}", "protocol": "lmtp"},
                                      {"address": f"127.0.0.1:{submission}", "protocol": "submission", "tls": "implicit"}]
        spoold.settings["tls"] = [{"certificate": pem, "key": pem}]
        records = {}
        spoold.settings["dkim"] = []
        for domain in ("good.example", "lists.example"):
            made = spoold.ctl("dkim", "create", domain, "--selector", "ours", "--algorithm", "rsa", "--folder", self.folder / "keys")["keys"]
            spoold.settings["dkim"] += [{"domain": domain, "selector": key["selector"], "key": key["file"]} for key in made]
            records.update({key["record"]["name"]: key["record"]["value"] for key in made})
        spoold.start()
        spoold.ctl("user", "add", "anna", "--address", "anna@good.example", "anna@lists.example", input="correct horse\n")
        spoold.ctl("list", "set", "test@lists.example", "subject_prefix=[Test]", "footer=bye", "personalize=full")

        def submit(author):
            context = ssl.create_default_context(cafile=authority.file)
            with smtplib.SMTP_SSL("localhost", submission, context=context, timeout=60 * harness.SLOW) as client:
                client.login("anna", "correct horse")
                self.assertEqual(client.sendmail("anna@good.example", ["test@lists.example"], self.mail(author)), {})

        def valid(copy):
            """The domains of the signatures that hold, topmost first."""
            self.assertIn(b"bye", copy)
            return [dict(tag.strip().split("=", 1) for tag in str(field).split(";") if "=" in tag)["d"]
                    for i, field in enumerate(email.message_from_bytes(copy, policy=email.policy.SMTP).get_all("DKIM-Signature"))
                    if dkim.DKIM(copy).verify(i, dnsfunc=lambda name, timeout=5: records[name.decode().rstrip(".")].encode())]
        submit("anna@good.example")
        submit("anna@lists.example")
        self.send(spoold, self.mail("anna@good.example"))  # a stranger
        self.send(spoold, self.mail("anna@lists.example"))
        self.send(spoold, self.mail("anna@good.example"), lmtp=True)
        user, of_list, stranger, forged, by_lmtp = self.copies(5)
        self.assertEqual(self.from_of(user), ("Anna <anna@good.example>", None))
        self.assertEqual(valid(user), ["good.example", "lists.example"])
        self.assertEqual(self.from_of(of_list), ("Anna <anna@lists.example>", None))
        self.assertEqual(valid(of_list), ["lists.example"])
        for copy in (stranger, forged, by_lmtp):
            self.assertEqual(self.from_of(copy)[0], "Anna via Test <test@lists.example>")
            self.assertEqual(valid(copy), ["lists.example"])
        # A trusted network; where From is munged all the same, the author's domain signs nothing.
        spoold.stop()
        spoold.settings["smtp"]["trusted_networks"] = ["127.0.0.0/8"]
        spoold.start()
        self.send(spoold, self.mail("anna@good.example"))
        spoold.ctl("list", "set", "test@lists.example", "dmarc_when=always")
        self.send(spoold, self.mail("anna@good.example"))
        spoold.ctl("list", "set", "test@lists.example", "emergency=true", "dmarc_when=unaligned")
        self.send(spoold, self.mail("anna@good.example"))
        [held] = spoold.ctl("held")
        spoold.ctl("accept", held["id"])
        trusted, always, _, moderated = self.copies(9)[5:]  # the third is the notice to the moderators
        for copy in (trusted, moderated):
            self.assertEqual((self.from_of(copy)[0], valid(copy)), ("Anna <anna@good.example>", ["good.example", "lists.example"]))
        self.assertEqual((self.from_of(always), valid(always)), (self.MUNGED, ["lists.example"]))

    def test_policies_are_asked_where_the_list_wants_it_and_what_is_unknown_counts_as_strict(self):
        spoold = self.house()
        spoold.ctl("list", "set", "test@lists.example", "dmarc_when=reject")
        for name in ("good", "plain", "nobody", "broken"):
            self.send(spoold, self.mail(f"anna@{name}.example"))
        froms = [self.from_of(copy)[0] for copy in self.copies(4)]
        via, kept = "Anna via Test <test@lists.example>", "Anna <anna@{}.example>"
        self.assertEqual(froms, [via, kept.format("plain"), kept.format("nobody"), via])

    def test_every_signature_holds_on_a_transparent_list(self):
        spoold = self.house()
        spoold.ctl("list", "set", "test@lists.example", "transparent=true", "subject_prefix=[Test]", "footer=bye", "reply_to=list")
        mail = self.mail(headers="List-Id: <other.example>\r\n")
        for headers in ([b"from", b"subject", b"to", b"date", b"list-id"], [b"from", b"from", b"subject", b"subject", b"list-unsubscribe", b"message-id", b"reply-to"]):
            for how in ((b"simple", b"simple"), (b"relaxed", b"relaxed")):
                self.send(spoold, dkim.sign(mail, b"s", b"good.example", self.key, canonicalize=how, include_headers=headers) + mail)
        copies = self.copies(4)
        for copy in copies:
            self.assertTrue(self.holds(copy), copy)
            self.assertIn(b"\r\nList-Post: <mailto:test@lists.example>\r\n", copy)
            self.assertEqual(self.from_of(copy), ("Anna <anna@good.example>", None))
        self.assertEqual([copy.count(b"\r\nList-Unsubscribe: ") for copy in copies], [1, 1, 0, 0])

    def test_a_wrapped_post_holds_its_signature(self):
        spoold = self.house()
        spoold.ctl("list", "set", "test@lists.example", "dmarc=wrap", "subject_prefix=[Test]", "footer=bye")
        self.send(spoold, self.signed(self.mail(body="Hello\r\n\r\n")))
        [copy] = self.copies(1)
        outer = email.message_from_bytes(copy, policy=email.policy.SMTP)
        self.assertEqual((str(outer["From"]), str(outer["Reply-To"]), str(outer["Subject"])), (*self.MUNGED, "[Test] hello"))
        inner, footer = outer.iter_parts()
        self.assertEqual((inner.get_content_type(), footer.get_content()), ("message/rfc822", "bye\r\n"))
        begin = copy.index(b"DKIM-Signature:")
        self.assertTrue(self.holds(copy[begin:copy.index(b"\r\n--=_spoold_", begin)]))

    def test_a_list_that_refuses_says_so_in_the_transaction_and_judge_agrees(self):
        spoold = self.house()
        spoold.ctl("list", "set", "test@lists.example", "dmarc=reject", "subject_prefix=[Test]")
        said = self.send(spoold, self.signed(self.mail()))
        self.assertTrue(said.startswith("550 5.7.1 test@lists.example cannot send on mail of good.example: "), said)
        zone = self.folder / "zone"
        zone.write_text(f's._domainkey.good.example. TXT ( "v=DKIM1; p={self.public[:200]}" "{self.public[200:]}" )\n'
                        '_dmarc.good.example. TXT "v=DMARC1; p=reject"\n')
        words, mail = ("--mail-from", "x@good.example", "--dns", zone), self.signed(self.mail()).decode()
        judged = spoold.ctl("judge", "test@lists.example", *words, input=mail)
        self.assertEqual((judged["outcome"], judged["rule"], judged["reply"]), ("reject", "dmarc", said.replace("\n", " ")))
        spoold.ctl("list", "set", "test@lists.example", "subject_prefix=")
        self.assertEqual(spoold.ctl("judge", "test@lists.example", *words, input=mail)["outcome"], "accept")
        self.assertTrue(self.send(spoold, self.signed(self.mail())).startswith("250 "))

    def test_cook_explains_and_restores(self):
        spoold = self.house()
        zone = self.folder / "zone"
        zone.write_text(f's._domainkey.good.example. TXT ( "v=DKIM1; p={self.public[:200]}" "{self.public[200:]}" )\n')
        mail = self.signed(self.mail()).decode()

        def steps(**settings):
            if settings:
                spoold.ctl("list", "set", "test@lists.example", *[f"{k}={v}" for k, v in settings.items()])
            restored = spoold.ctl("cook", "test@lists.example", "--restore", "--dns", zone, input=mail)
            self.assertEqual(restored, {"identical": True})
            return {one["setting"]: one["what"] for one in spoold.ctl("cook", "test@lists.example", "--explain", "--dns", zone, input=mail)["steps"]}
        self.assertEqual(steps(), {})
        self.assertIn("From is the list", steps(subject_prefix="[Test]")["dmarc"])
        self.assertEqual(steps(author_signatures="remove")["author_signatures"], "1 removed")
        self.assertIn("part of a message of the list", steps(dmarc="wrap")["dmarc"])
        self.assertNotIn("dmarc", steps(dmarc="accept"))
        self.assertEqual(list(steps(transparent="true")), ["transparent"])


if __name__ == "__main__":
    harness.main()
