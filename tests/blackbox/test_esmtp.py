"""SMTPUTF8, BINARYMIME and REQUIRETLS through the house: from the client's MAIL to the next hop's, to those who get it and to those whose
next hop cannot take it."""
import email
import email.policy
import pathlib
import re
import smtplib
import ssl

import harness
from peers.tls_peer import TlsPeers

UTF8_HEADER = "From: Jörg <jörg@bücher.example>\r\nTo: <anne@dest.example>\r\nSubject: Grüße\r\nMessage-ID: <u@here.example>\r\n\r\nÜber\r\n"
ASCII_HEADER = "From: <s@here.example>\r\nTo: <anne@dest.example>\r\nSubject: hello\r\nMessage-ID: <a@here.example>\r\n\r\nÜber\r\n"
LIST = "test@xn--bcher-kva.example"


class Esmtp(harness.Case):
    def hop(self, *options, name="hop", **settings):
        folder = self.folder / name
        folder.mkdir()
        peer = self.peer("--content", folder, *options, name="peer-" + name)
        return peer, self.spoold(peer.url, settings, name="spoold-" + name)

    def send(self, spoold, sender, rcpts, text, options=("SMTPUTF8", "BODY=8BITMIME"), port=None, lmtp=False):
        """Each reply to RCPT; the last one is that to the content."""
        client = (smtplib.LMTP if lmtp else smtplib.SMTP)("127.0.0.1", port or spoold.port, timeout=60 * harness.SLOW)
        with client:
            client.ehlo()
            self.assertTrue(client.has_extn("smtputf8"))
            code, said = client.mail(sender, options)
            self.assertEqual(code, 250, said)
            replies = [client.rcpt(rcpt) for rcpt in rcpts]
            if any(code == 250 for code, _ in replies):
                replies.append(client.data(text.encode()))
                self.qid = re.search(rb"[0-9A-Z]{13}", replies[-1][1])[0].decode()
            self.assertTrue(all(said.isascii() for _, said in replies))
            return replies

    def mails(self, peer, count):
        harness.wait_until(lambda: len(harness.Judge(peer.log).messages) >= count, 20, f"{count} mails")
        judge = peer.judge()
        return judge.messages, [c["line"] for c in judge.commands(verb="MAIL")]

    def failed(self, spoold, count=1):
        return harness.wait_until(lambda: len(found := spoold.lines("failed")) >= count and found, 20, f"{count} failures")

    def report(self, peer, about):
        """The report that came back to the sender."""
        def found():
            return [m for m in harness.Judge(peer.log).messages if m["sender"] == "" and about in m["rcpts"]]
        [one] = harness.wait_until(found, 30, "a report")
        return pathlib.Path(one["file"]).read_bytes()


class Utf8(Esmtp):
    def test_passed_on_where_it_is_offered(self):
        peer, spoold = self.hop()
        self.assertEqual([code for code, _ in self.send(spoold, "jörg@bücher.example", ["zoë@dest.example", "anne@dest.example"], UTF8_HEADER)], [250] * 3)
        messages, mails = self.mails(peer, 1)
        self.assertEqual(messages[0]["sender"], "jörg@xn--bcher-kva.example")
        self.assertEqual(sorted(r for m in messages for r in m["rcpts"]), ["anne@dest.example", "zoë@dest.example"])
        self.assertTrue(all(line.endswith(" BODY=8BITMIME SMTPUTF8") for line in mails), mails)
        content = pathlib.Path(messages[0]["file"]).read_bytes()
        self.assertIn(b" with UTF8SMTP id ", content)
        self.assertTrue(content.endswith(UTF8_HEADER.encode()))
        spoold.check()

    def test_only_what_needs_it_fails_at_a_hop_without_it(self):
        peer, spoold = self.hop("--no-smtputf8")
        self.send(spoold, "s@here.example", ["zoë@dest.example", "anne@dest.example"], ASCII_HEADER)
        [line] = self.failed(spoold)
        self.assertIn('to="zoë@dest.example"', line)
        self.assertIn("dsn=5.6.7", line)
        report = self.report(peer, "s@here.example")
        self.assertIn(b"Final-Recipient: utf-8; zo\\x{EB}@dest.example\r\n", report)
        self.assertIn(b"Status: 5.6.7\r\n", report)
        self.assertIn(b"Content-Type: message/rfc822\r\n", report)
        messages, mails = self.mails(peer, 2)
        self.assertEqual([m["rcpts"] for m in messages if m["sender"]], [["anne@dest.example"]])  # UTF-8 in its body is 8 bit, no more
        self.assertTrue(all("SMTPUTF8" not in line for line in mails), mails)
        spoold.check()

    def test_a_header_that_needs_it_fails_with_the_whole_message(self):
        peer, spoold = self.hop("--no-smtputf8")
        self.send(spoold, "s@here.example", ["bart@dest.example", "anne@dest.example"], UTF8_HEADER)
        self.assertTrue(all("dsn=5.6.7" in line for line in self.failed(spoold, 2)))
        self.send(spoold, "s@here.example", ["cris@dest.example"], ASCII_HEADER)
        report = self.report(peer, "s@here.example")
        self.assertIn(b"Content-Type: message/global\r\n", report)
        self.assertTrue(report[:report.index(b"\r\n\r\n")].isascii())
        self.assertEqual(spoold.lines("deferred") + spoold.lines("converted") + spoold.lines("suspect"), [])
        spoold.check()

    def test_a_header_in_utf8_without_the_parameter_passes_as_before(self):
        peer, spoold = self.hop("--no-smtputf8")
        self.send(spoold, "s@here.example", ["anne@dest.example"], UTF8_HEADER, ["BODY=8BITMIME"])
        messages, [mail] = self.mails(peer, 1)
        self.assertTrue(pathlib.Path(messages[0]["file"]).read_bytes().endswith(UTF8_HEADER.encode()))
        self.assertTrue(mail.endswith(" BODY=8BITMIME"), mail)

    def test_a_list_by_the_name_that_people_write(self):
        peer, spoold = self.hop("--no-smtputf8")
        spoold.list(LIST, members=["anne@dest.example", "bart@dest.example", "zoë@dest.example"], verp="never", dmarc="accept")
        replies = self.send(spoold, "jörg@bücher.example", ["test@bücher.example"], UTF8_HEADER.replace("<jörg@bücher.example>", "<joerg@here.example>"))
        self.assertEqual(replies[-1][0], 250, replies)
        messages, _ = self.mails(peer, 1)
        self.assertEqual(sorted(r for m in messages for r in m["rcpts"]), ["anne@dest.example", "bart@dest.example"])
        content = pathlib.Path(messages[0]["file"]).read_bytes()
        self.assertTrue(content.isascii())
        self.assertIn("Grüße", email.message_from_bytes(content, policy=email.policy.SMTP)["Subject"])
        [line] = self.failed(spoold)
        self.assertIn('to="zoë@dest.example"', line)
        self.assertIn("dsn=5.6.7", line)
        self.assertEqual(spoold.ctl("bounces", LIST, ok=(0, 3)) or [], [])  # that is no fault of hers
        spoold.check()

    def test_a_held_post_needs_it_still_when_it_is_accepted(self):
        peer, spoold = self.hop()
        spoold.list(LIST, members=["anne@dest.example"], nonmembers="hold", dmarc="accept")
        self.send(spoold, "eve@here.example", ["test@bücher.example"], UTF8_HEADER)
        spoold.ctl("accept", self.qid)
        harness.wait_until(lambda: "anne@dest.example" in harness.Judge(peer.log).deliveries(), 20, "the post")
        [copy] = [m for m in peer.judge().messages if "anne@dest.example" in m["rcpts"]]
        self.assertIn("Subject: Grüße".encode(), pathlib.Path(copy["file"]).read_bytes())
        [mail] = [c["line"] for c in peer.judge().commands(verb="MAIL") if c["line"].endswith(" SMTPUTF8")]  # not the notices
        self.assertIn("test-bounces", mail)

    def test_a_relayed_domain_for_a_stranger_and_lmtp(self):
        lmtp = harness.free_port()
        peer, spoold = self.hop(smtp={"trusted_networks": []}, domain=[{"name": "xn--bcher-kva.example"}])
        spoold.stop()
        spoold.settings["listen"].append({"address": f"127.0.0.1:{lmtp}", "protocol": "lmtp"})
        spoold.start()
        replies = self.send(spoold, "jörg@here.example", ["zoë@bücher.example", "zoë@bücher2.example"], UTF8_HEADER)
        self.assertEqual([code for code, _ in replies], [250, 550, 250], replies)
        self.send(spoold, "jörg@here.example", ["anne@bücher.example"], UTF8_HEADER, port=lmtp, lmtp=True)
        messages, _ = self.mails(peer, 2)
        self.assertEqual(sorted(m["rcpts"][0] for m in messages), ["anne@xn--bcher-kva.example", "zoë@xn--bcher-kva.example"])
        contents = [pathlib.Path(m["file"]).read_bytes() for m in messages]
        self.assertEqual(sorted(b" with UTF8LMTP " in c for c in contents), [False, True])


HEADER = b"From: <s@here.example>\r\nTo: <anne@dest.example>\r\nMessage-ID: <b@here.example>\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
OCTETS = bytes(range(256)) * 40 + b"\n.\r\n.\rMAIL FROM:<evil@here.example>\r\n\r"


class Binary(Esmtp):
    def bdat(self, spoold, rcpts, content, sender="s@here.example"):
        """The reply to the content, in two chunks."""
        with smtplib.SMTP("127.0.0.1", spoold.port, timeout=60 * harness.SLOW) as client:
            client.ehlo()
            self.assertTrue(client.has_extn("binarymime"))
            self.assertEqual(client.mail(sender, ["BODY=BINARYMIME"])[0], 250)
            for rcpt in rcpts:
                self.assertEqual(client.rcpt(rcpt)[0], 250)
            client.send(b"BDAT 1000\r\n" + content[:1000])
            self.assertEqual(client.getreply()[0], 250)
            client.send(b"BDAT %d LAST\r\n" % len(content[1000:]) + content[1000:])
            return client.getreply()

    def test_passed_on_octet_for_octet(self):
        peer, spoold = self.hop("--keyword", "BINARYMIME")
        self.assertEqual(self.bdat(spoold, ["anne@dest.example", "bart@dest.example"], HEADER + OCTETS)[0], 250)
        messages, mails = self.mails(peer, 1)
        self.assertTrue(all(" BODY=BINARYMIME" in line for line in mails), mails)
        for message in messages:
            self.assertTrue(pathlib.Path(message["file"]).read_bytes().endswith(HEADER + OCTETS))
        self.assertEqual(peer.judge().commands(verb="DATA"), [])
        spoold.kill()
        spoold.start()  # and from the store, by a daemon that has not seen it come
        spoold.check()

    def test_fails_where_it_is_not_offered_and_the_report_is_made_of_lines(self):
        for name, options in (("none", ()), ("dots", ("--keyword", "BINARYMIME", "--no-chunking"))):
            peer, spoold = self.hop(*options, name=name)
            self.assertEqual(self.bdat(spoold, ["anne@dest.example"], HEADER + OCTETS)[0], 250)
            [line] = self.failed(spoold)
            self.assertIn("dsn=5.6.3", line)
            report = self.report(peer, "s@here.example")
            self.assertIn(b"text/rfc822-headers", report)
            self.assertNotIn(b"\0", report)
            self.assertEqual(report.replace(b"\r\n", b"").count(b"\n") + report.replace(b"\r\n", b"").count(b"\r"), 0)
            self.assertEqual(spoold.lines("deferred") + spoold.lines("suspect"), [])
            spoold.check()

    def test_what_is_made_of_lines_goes_everywhere_whatever_was_declared(self):
        peer, spoold = self.hop("--no-chunking")
        spoold.list(members=["bart@dest.example"], dmarc="accept")
        content = HEADER + "Grüße\r\n".encode() * 200
        self.assertEqual(self.bdat(spoold, ["anne@dest.example", harness.LIST], content)[0], 250)
        messages, mails = self.mails(peer, 2)
        self.assertEqual(sorted(m["rcpts"][0] for m in messages), ["anne@dest.example", "bart@dest.example"])
        self.assertTrue(all(" BODY=8BITMIME" in line for line in mails), mails)
        # RFC 3030 3: what says binary of itself, and comes by DATA, is accepted.
        self.assertEqual(self.send(spoold, "s@here.example", ["cris@dest.example"], content.decode(), options=("BODY=8BITMIME",))[-1][0], 250)
        messages, _ = self.mails(peer, 3)
        self.assertIn("cris@dest.example", [m["rcpts"][0] for m in messages])

    def test_a_list_takes_none(self):
        peer, spoold = self.hop("--keyword", "BINARYMIME")
        spoold.list(members=["bart@dest.example"], dmarc="accept")
        code, said = self.bdat(spoold, [harness.LIST], HEADER + OCTETS)
        self.assertEqual((code, said[:6]), (554, b"5.6.3 "))
        code, said = self.bdat(spoold, ["test-bounces@lists.example"], HEADER + OCTETS)
        self.assertEqual((code, said[:6]), (554, b"5.6.3 "))
        self.assertEqual(self.bdat(spoold, [harness.LIST, "test-owner@lists.example"], HEADER + OCTETS)[0], 250)
        messages, _ = self.mails(peer, 2)  # to the owner, and a report about the list
        self.assertEqual(sorted(m["rcpts"][0] for m in messages), [harness.OWNER, "s@here.example"])
        spoold.check()


class RequireTls(TlsPeers, Esmtp):
    def house(self, *urls, **settings):
        """A spoold that takes REQUIRETLS, and sends to these next hops in order."""
        certificate = str(self.authority.certificate("localhost"))
        settings = harness.merge({"tls": [{"certificate": certificate, "key": certificate}], "relay": {"smarthost": list(urls)},
                                  "delivery": {"ca_file": str(self.authority.file), "connections_per_destination": 1}}, settings)
        spoold = harness.Spoold(self.folder, None, settings, name=f"spoold{len(self.daemons)}", start=False)
        self.daemons.append(spoold)
        spoold.settings["listen"][0]["tls"] = "starttls"
        spoold.start()
        return spoold

    def post(self, spoold, to="anne@dest.example", sender="s@here.example", options=("REQUIRETLS",), fields=""):
        with smtplib.SMTP("localhost", spoold.port, timeout=60 * harness.SLOW) as client:
            client.ehlo()
            self.assertFalse(client.has_extn("requiretls"))
            client.starttls(context=ssl.create_default_context(cafile=self.authority.file))
            client.ehlo()
            self.assertTrue(client.has_extn("requiretls"))
            self.assertEqual(client.mail(sender, options)[0], 250)
            self.assertEqual(client.rcpt(to)[0], 250)
            code, said = client.data(f"{fields}From: <{sender}>\r\nTo: <{to}>\r\nSubject: secret\r\n\r\nSecret.\r\n".encode())
            self.assertEqual(code, 250, said)

    def arrived(self, peer, count=1):
        harness.wait_until(lambda: len(peer.mails) >= count, 30, f"{count} mails")
        return [(under_tls, mail, rcpts) for under_tls, mail, rcpts, _ in peer.mails]

    def test_passed_on_over_a_connection_made_for_it(self):
        peer = self.tls_peer(keywords=["REQUIRETLS"])
        spoold = self.house(peer.url("localhost"))
        self.post(spoold, options=())  # loopback: in plain text, on a connection that stays open
        self.assertEqual(self.arrived(peer)[0][0], False)
        self.post(spoold)
        under_tls, mail, _ = self.arrived(peer, 2)[1]
        self.assertTrue(under_tls)
        self.assertTrue(mail.endswith(" REQUIRETLS"), mail)
        self.post(spoold, to="test@dest.example", options=())
        _, mail, _ = self.arrived(peer, 3)[2]
        self.assertNotIn("REQUIRETLS", mail)
        self.assertEqual(spoold.lines("failed") + spoold.lines("deferred") + spoold.lines("unreachable"), [])
        spoold.check()

    def test_each_host_is_tried_and_the_one_that_protects_gets_it(self):
        plain, stranger = self.tls_peer(starttls=None), self.tls_peer(self.authority.certificate("x.example"), keywords=["REQUIRETLS"])
        lacks, good = self.tls_peer(), self.tls_peer(keywords=["REQUIRETLS"])
        spoold = self.house(*(p.url("localhost") for p in (plain, stranger, lacks, good)))
        self.post(spoold)
        self.assertTrue(self.arrived(good)[0][0])
        for peer in (plain, stranger, lacks):
            self.assertEqual(peer.mails, [])
            self.assertFalse([c for one in peer.connections for c in one.commands if c[1].startswith("MAIL")])
        self.assertIn((True, "QUIT"), lacks.connections[0].commands)

    def test_fails_alone_where_no_host_protects_it(self):
        for words, status, options in (("REQUIRETLS is needed", "5.7.30", {}), ("STARTTLS is not offered", "5.7.10", {"starttls": None}),
                                       ("expected localhost", "5.7.10", {"certificate": self.authority.certificate("x.example"), "keywords": ["REQUIRETLS"]})):
            with self.subTest(words):
                peer = self.tls_peer(**options)
                spoold = self.house(peer.url("localhost"))
                self.post(spoold)
                [line] = self.failed(spoold)
                self.assertIn(words, line)
                self.assertIn(f"dsn={status}", line)
                # RFC 8689 5: the report is not lost; it has the header only.
                [(_, mail, rcpts)] = self.arrived(peer)
                self.assertEqual(rcpts, ["s@here.example"])
                self.assertIn("MAIL FROM:<>", mail)
                self.assertNotIn(b"Secret.", peer.mails[0][3])
                self.post(spoold, options=())
                self.assertEqual(self.arrived(peer, 2)[1][2], ["anne@dest.example"])
                spoold.check()
                spoold.stop()

    def test_a_host_that_is_away_may_come_back(self):
        peer = self.tls_peer(keywords=["REQUIRETLS"])
        away = f"smtp://127.0.0.1:{harness.free_port()}"  # another host, by its name
        lacks = self.tls_peer()
        spoold = self.house(away, lacks.url("localhost"))
        self.post(spoold)
        line = harness.wait_until(lambda: (spoold.lines("deferred") or [None])[0], 30, "a deferral")
        self.assertIn("cannot connect", line)
        self.assertEqual(spoold.lines("failed") + lacks.mails + peer.mails, [])

    def test_posts_and_reports_are_protected_like_what_they_are_about(self):
        peer = self.tls_peer(keywords=["REQUIRETLS"], refused=["gone@dest.example"])
        spoold = self.house(peer.url("localhost"))
        spoold.list(members=["anne@dest.example"], dmarc="accept", nonmembers="hold")
        self.post(spoold, to=harness.LIST)
        self.assertTrue(all(mail.endswith(" REQUIRETLS") for _, mail, _ in self.arrived(peer)))  # the moderators' notice
        [held] = spoold.ctl("held")
        spoold.ctl("accept", held["id"])
        self.assertTrue(all(mail.endswith(" REQUIRETLS") for _, mail, _ in self.arrived(peer, 2)))
        self.post(spoold, to="gone@dest.example")
        _, mail, rcpts = self.arrived(peer, 3)[2]
        self.assertEqual(rcpts, ["s@here.example"])
        self.assertTrue(mail.startswith("MAIL FROM:<>") and mail.endswith(" REQUIRETLS"), mail)

    def test_aliases_and_digests_keep_it(self):
        """RFC 8689 4.1, 6: whoever else gets the message gets it as protected."""
        peer = self.tls_peer(keywords=["REQUIRETLS"])
        spoold = self.house(peer.url("localhost"), aliases={"all@here.example": ["p@far.example", "q@far.example"]})
        self.post(spoold, to="all@here.example")
        harness.wait_until(lambda: sum(len(rcpts) for _, _, rcpts, _ in peer.mails) == 2, 30, "both")
        before = len(peer.mails)
        spoold.list(members=["bart@people.example"], dmarc="accept", nonmembers="accept")
        spoold.ctl("member", "set", harness.LIST, "bart@people.example", "delivery=digest")
        self.post(spoold, to=harness.LIST)
        spoold.ctl("digest", harness.LIST)
        self.assertEqual(self.arrived(peer, before + 1)[-1][2], ["bart@people.example"])
        self.assertEqual([c.endswith(" REQUIRETLS") and tls for tls, c, _ in self.arrived(peer)], [True] * (before + 1))

    def test_a_report_holds_no_more_than_the_header(self):
        """Also where RET=FULL asks for all of it: the way back may be open to all (RFC 8689 5)."""
        peer = self.tls_peer(refused=["gone@dest.example"], keywords=["REQUIRETLS"])
        spoold = self.house(peer.url("localhost"))
        self.post(spoold, to="gone@dest.example", options=("REQUIRETLS", "RET=FULL"))
        self.arrived(peer)
        self.assertIn(b"Subject: secret", peer.mails[0][3])
        self.assertNotIn(b"Secret.", peer.mails[0][3])

    def test_mailboxes_on_this_machine_get_it_without_tls(self):
        peer = self.tls_peer()
        boxes = self.peer("--lmtp", name="boxes")
        spoold = self.house(peer.url("localhost"), domain=[{"name": "boxes.example", "deliver_to": boxes.url.replace("smtp:", "lmtp:")}])
        self.post(spoold, to="anne@boxes.example")
        harness.wait_until(lambda: harness.Judge(boxes.log).messages, 30, "the mail")
        self.assertEqual(spoold.lines("failed") + peer.mails, [])

    def test_users_ask_for_it(self):
        """RFC 8689 4.3: submission."""
        peer = self.tls_peer(keywords=["REQUIRETLS"])
        spoold = self.house(peer.url("localhost"))
        port = harness.free_port()
        spoold.stop()
        spoold.settings["listen"].append({"address": f"127.0.0.1:{port}", "protocol": "submission", "tls": "implicit"})
        spoold.start()
        spoold.ctl("user", "add", "anne", "--address", "anne@here.example", input="correct horse\n")
        with smtplib.SMTP_SSL("localhost", port, timeout=60 * harness.SLOW, context=ssl.create_default_context(cafile=self.authority.file)) as client:
            client.ehlo()
            client.login("anne", "correct horse")
            client.sendmail("anne@here.example", "p@far.example", ASCII_HEADER.replace("s@here", "anne@here").encode(), mail_options=["REQUIRETLS"])
        self.assertTrue(self.arrived(peer)[0][1].endswith(" REQUIRETLS"))

    def test_members_are_not_scored_for_a_next_hop_without_it(self):
        peer = self.tls_peer()
        spoold = self.house(peer.url("localhost"))
        spoold.list(members=["anne@dest.example"], dmarc="accept")
        self.post(spoold, to=harness.LIST)
        self.failed(spoold)
        self.assertEqual(spoold.ctl("bounces", harness.LIST, ok=(0, 3)) or [], [])
        self.assertEqual(peer.mails, [])

    def test_a_senders_word_weakens_no_policy(self):
        """TLS-Required: No (RFC 8689 3) is passed on, and changes nothing here."""
        peer = self.tls_peer(self.authority.certificate("x.example"))
        spoold = self.house(peer.url("localhost"), relay={"tls": "verified"})
        self.post(spoold, options=(), fields="TLS-Required: No\r\n")
        line = harness.wait_until(lambda: (spoold.lines("unreachable") or [None])[0], 30, "event=unreachable")
        self.assertIn("hostname mismatch", line)
        self.assertEqual(peer.mails, [])
        spoold.stop()
        good = self.tls_peer()
        spoold = self.house(good.url("localhost"), relay={"tls": "verified"})
        spoold.list(members=["bart@dest.example"], dmarc="accept")
        self.post(spoold, options=(), fields="TLS-Required: No\r\n")
        self.arrived(good)
        self.assertIn(b"TLS-Required: No\r\n", good.mails[0][3])
        self.post(spoold, to=harness.LIST, options=(), fields="TLS-Required: No\r\n")
        self.arrived(good, 2)
        self.assertNotIn(b"TLS-Required", good.mails[1][3])  # a copy is the list's mail


if __name__ == "__main__":
    harness.main()
