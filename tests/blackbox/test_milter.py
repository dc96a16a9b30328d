"""Filters (milters): what they are told and what they may do. When they are away or lie: test_milter_trouble.py."""
import pathlib
import signal
import smtplib
import ssl

import harness
from peers.milter import ACCEPT, CONTINUE, DISCARD, PROGRESS, REJECT, SILENT, SKIP, TEMPFAIL, Milter, frame
from peers.tls_peer import Authority

MAIL = "From: <anne@here.example>\r\nTo: <x@far.example>\r\nSubject: one\r\n two\r\nX-Old: 1\r\nX-Old: 2\r\n\r\nHello\r\n..dots\r\nlast\r\n"
AWAY = b"4.7.1 a filter of this server is not available; try again later"


class Case(harness.Case):
    def milter(self, plan=None, **keys):
        filter = Milter(plan, **keys)
        self.addCleanup(filter.stop)
        return filter

    def house(self, *filters, settings=None, **keys):
        (self.folder / "copies").mkdir()
        self.hop = self.peer("--content", self.folder / "copies")
        rows = [{"address": f.address, "timeout": "20s", **keys} if isinstance(f, Milter) else f for f in filters]
        return self.spoold(self.hop.url, settings=harness.merge({"milter": rows} if rows else {}, settings or {}))

    def client(self, spoold, helo="client.example"):
        client = smtplib.SMTP("127.0.0.1", spoold.port, local_hostname=helo, timeout=60 * harness.SLOW)
        self.addCleanup(client.close)
        client.ehlo()
        return client

    def send(self, spoold, mail=MAIL, to=("x@far.example",), sender="anne@here.example", client=None):
        """The reply that ends the transaction: the first one that is no success, or that to the data."""
        client = client or self.client(spoold)
        code, said = client.mail(sender)
        if code != 250:
            return code, said
        taken = 0
        for one in to:
            code, said = client.rcpt(one)
            taken += code == 250
        if not taken:
            client.rset()
            return code, said
        return client.data(mail.encode() if isinstance(mail, str) else mail)

    def copies(self, number=1):
        """What came to the next hop: the envelope's sender and recipients, and the octets."""
        harness.wait_until(lambda: len(self.hop.judge().messages) >= number, 20 * harness.SLOW, "the copies")
        return [(m["sender"], m["rcpts"], pathlib.Path(m["file"]).read_bytes().decode().replace("\r\n", "\n")) for m in self.hop.judge().messages]

    def nothing_came(self, spoold):
        self.assertEqual(spoold.queue(), [])
        self.assertEqual(self.hop.judge().messages, [])


class Test(Case):
    def test_what_a_filter_is_told(self):
        filter = self.milter()
        spoold = self.house(filter)
        client = self.client(spoold)
        self.assertEqual(filter.connections, 0)  # not before there is mail
        self.assertEqual(self.send(spoold, client=client)[0], 250)
        self.assertEqual(filter.commands(), "C H M R T L L L L L N B E")
        self.assertRegex(filter.data("C")[0], rb"^\[127\.0\.0\.1\]\x004..127\.0\.0\.1\x00$")
        self.assertEqual(filter.data("H"), [b"client.example\0"])
        self.assertRegex(filter.data("M")[0], rb"^<anne@here\.example>\x00(SIZE=\d+\x00)?$")
        self.assertEqual(filter.data("R"), [b"<x@far.example>\0"])
        self.assertEqual(filter.data("L")[2:4], [b"Subject\0one\n two\0", b"X-Old\x001\0"])
        self.assertEqual(filter.data("B"), [b"Hello\r\n..dots\r\nlast\r\n"])  # no Received of ours, no dots of SMTP
        macros = filter.macros("C")
        self.assertEqual((macros["j"], macros["{client_addr}"], macros["{daemon_name}"]), ("mx.lists.example", "127.0.0.1", spoold.address))
        self.assertEqual(filter.macros("M"), {"{mail_addr}": "anne@here.example", "{mail_host}": "here.example"})
        self.assertEqual(filter.macros("R"), {"{rcpt_addr}": "x@far.example", "{rcpt_host}": "far.example"})
        self.assertIn(f'qid={filter.macros("E")["i"]} ', spoold.lines("accepted")[0])
        # The next message, and one that is given up: on the same connection, each fresh.
        client.mail("anne@here.example")
        client.rcpt("x@far.example")
        client.rset()
        self.assertEqual(self.send(spoold, client=client)[0], 250)
        client.quit()
        harness.wait_until(lambda: filter.commands().endswith("Q"), 10, "the quit")
        self.assertEqual(filter.commands(), "C H M R T L L L L L N B E M R A M R T L L L L L N B E Q")
        self.assertEqual(filter.connections, 1)
        self.assertEqual(len(self.copies(2)), 2)

    def test_only_what_a_filter_asks_for_is_sent(self):
        filter = self.milter({"B": SILENT}, steps=0x1 | 0x2 | 0x20 | 0x40 | 0x200 | 0x400 | 0x80000 | 0x100000, macros={2: "{mail_addr} j", 5: ""})
        spoold = self.house(filter)
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertEqual(filter.commands(), "M R B E")
        self.assertEqual(filter.macros("M"), {"{mail_addr}": "anne@here.example", "j": "mx.lists.example"})
        self.assertEqual(filter.macros("E"), {})

    def test_skip_ends_the_body(self):
        filter = self.milter({"B": SKIP}, steps=0x400)
        spoold = self.house(filter)
        self.assertEqual(self.send(spoold, MAIL + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 4000)[0], 250)
        self.assertEqual(filter.commands().count("B"), 1)
        self.assertEqual(len(self.copies()), 1)

    def test_verdicts_at_each_step_reach_the_client_word_for_word(self):
        filter = self.milter()
        spoold = self.house(filter)
        own = Milter.reply("554-5.7.1 no mail\r\n554 5.7.1 from 100%% bots")
        for letter in "CHMRTLNBE":
            for action, code, words in ((REJECT, 550, b"5.7.1 refused by a filter of this server"), (TEMPFAIL, 451, b"4.7.1 "),
                                        (own, 554, b"5.7.1 no mail\n5.7.1 from 100% bots")):
                with self.subTest(letter=letter, code=code):
                    filter.plan = {letter: action}
                    said = self.send(spoold)
                    self.assertEqual(said[0], code)
                    self.assertIn(words, said[1])
        self.nothing_came(spoold)
        self.assertEqual(spoold.ctl("stats")["milter_refused"], 27)
        for letter in "MRE":
            filter.plan = {letter: Milter.reply("421 4.7.0 go away")}
            client = self.client(spoold)
            try:
                self.assertEqual(self.send(spoold, client=client), (421, b"4.7.0 go away"))
                self.assertRaises((smtplib.SMTPServerDisconnected, ConnectionError), client.noop)
            except smtplib.SMTPServerDisconnected:  # at the RSET of send()
                self.assertEqual(letter, "R")
        # One recipient refused is one recipient.
        filter.plan = {"R": lambda _, data: REJECT if b"bad" in data else CONTINUE}
        self.assertEqual(self.send(spoold, to=["bad@far.example", "good@far.example"])[0], 250)
        self.assertEqual(self.copies()[0][1], ["good@far.example"])

    def test_accept_ends_the_questions(self):
        for letter, seen in (("C", "C"), ("M", "C H M"), ("R", "C H M R"), ("N", "C H M R T L L L L L N")):
            filter = self.milter({letter: ACCEPT})
            if letter == "C":
                spoold = self.house(filter)
            else:
                spoold.configure(milter=[{"address": filter.address}])
                spoold.process.send_signal(signal.SIGHUP)
                harness.wait_until(lambda n=letter: len(spoold.lines("reload")) >= "CMRN".index(n), 10, "the reload")
            self.assertEqual(self.send(spoold)[0], 250)
            self.assertEqual(filter.commands().removesuffix(" Q"), seen)

    def test_all_changes_are_made(self):
        filter = self.milter({"E": [
            Milter.field("X-Spam", "yes\n folded"), Milter.insert(0, "X-Top", "t"), Milter.change(1, "Subject", "new"), Milter.change(2, "x-old", ""),
            Milter.change(1, "X-New", "n"), Milter.envelope("e", "<boss@here.example>", "SIZE=1"), Milter.envelope("+", "<y@far.example>"),
            Milter.envelope("2", "<z@far.example>", "NOTIFY=NEVER"), Milter.envelope("-", "<x@far.example>"),
            Milter.body(b"first\n.second\r\n"), PROGRESS, Milter.body(b"third"), ACCEPT]})
        spoold = self.house(filter)
        self.assertEqual(self.send(spoold)[0], 250)
        sender, recipients, copy = self.copies()[0]
        self.assertEqual((sender, sorted(recipients)), ("boss@here.example", ["y@far.example", "z@far.example"]))
        received, own = copy.split("X-Top:", 1)
        self.assertTrue(received.startswith("Received: from client.example ([127.0.0.1])"), copy)
        self.assertEqual("X-Top:" + own, "X-Top: t\nFrom: <anne@here.example>\nTo: <x@far.example>\nSubject: new\nX-Old: 1\n"
                                         "X-Spam: yes\n folded\nX-New: n\n\nfirst\n.second\nthird\n")
        spoold.check()

    def test_changes_of_a_large_message_octet_for_octet(self):
        filter = self.milter({"E": [Milter.field("X-Large", "1"), CONTINUE]})
        spoold = self.house(filter)
        mail = MAIL + "".join(f"{i:07d} " + "x" * 60 + "\r\n" for i in range(15000))
        self.assertEqual(self.send(spoold, mail)[0], 250)
        came = b"".join(filter.data("B"))
        self.assertEqual(came.decode(), mail.split("\r\n\r\n", 1)[1])
        self.assertTrue(all(len(one) <= 65535 for one in filter.data("B")))
        copy = self.copies()[0][2]
        self.assertEqual(copy[copy.index("From:"):], mail.replace("\r\n\r\n", "\r\nX-Large: 1\r\n\r\n", 1).replace("\r\n", "\n"))
        # And a large new body, in many pieces.
        new = b"".join(b"%07d new\r\n" % i for i in range(60000))
        filter.plan["E"] = [Milter.body(new), CONTINUE]
        self.assertEqual(self.send(spoold, mail)[0], 250)
        self.assertEqual(self.copies(2)[1][2].split("\n\n", 1)[1], new.decode().replace("\r\n", "\n"))
        filter.plan["E"] = [Milter.body(new), REJECT]
        self.assertEqual(self.send(spoold, mail)[0], 550)
        harness.wait_until(lambda: not spoold.queue(), 20, "an empty queue")
        spoold.check()

    def test_all_or_none(self):
        filter = self.milter()
        spoold = self.house(filter, settings={"aliases": {"all@alias.example": ["p@far.example", "q@far.example"]}})
        spoold.list(members=["m@far.example"])
        changes = [Milter.field("X-A", "1"), Milter.envelope("+", "<all@alias.example>")]
        # A recipient who is unknown refuses the whole message.
        filter.plan["E"] = [*changes, Milter.envelope("+", "<nobody@lists.example>"), CONTINUE]
        code, said = self.send(spoold)
        self.assertEqual((code, said[:72]), (550, b"5.1.1 a filter of this server adds the recipient <nobody@lists.example>:"))
        # What is no change at all is a fault of the filter.
        for bad in (Milter.envelope("+", "<no address>"), Milter.envelope("e", "<a@b> SIZE"), Milter.field("X Y", "1"), Milter.body(b"\0"), frame("h", b"X")):
            filter.plan["E"] = [*changes, bad, CONTINUE]
            self.assertEqual(self.send(spoold), (451, AWAY), bad)
        self.nothing_came(spoold)
        filter.plan["E"] = [*changes, CONTINUE]
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertEqual(sorted(sum((m[1] for m in self.copies()), [])), ["p@far.example", "q@far.example", "x@far.example"])

    def test_a_change_that_was_not_agreed_on(self):
        filter = self.milter({"E": [Milter.field("X-A", "1"), CONTINUE]}, actions=0x2)
        spoold = self.house(filter)
        self.assertEqual(self.send(spoold), (451, AWAY))
        self.assertIn("a change that was not agreed on: 'h'", spoold.lines("milter")[0])

    def test_quarantine_holds_and_an_operator_releases(self):
        filter = self.milter({"E": [frame("q", b"looks bad\0"), Milter.field("X-Q", "1"), CONTINUE]})
        spoold = self.house(filter)
        spoold.list(members=["m@far.example"])
        self.assertEqual(self.send(spoold)[0], 250)
        qid = spoold.queue()[0]["id"]
        self.assertEqual({r["state"] for r in spoold.recipients(qid).values()}, {"held"})
        self.assertIn("milter: looks bad", spoold.run("trace", qid).stdout + spoold.run("show", qid).stdout)
        self.assertEqual(self.hop.judge().messages, [])
        spoold.ctl("release", qid)
        self.assertIn("X-Q: 1\n", self.copies()[0][2])
        # A post waits for the moderators of its list.
        self.assertEqual(self.send(spoold, to=[harness.LIST])[0], 250)
        held = spoold.ctl("held")
        self.assertEqual((len(held), held[0]["reason"]), (1, "milter: looks bad"))
        spoold.ctl("accept", held[0]["id"])
        self.assertIn("X-Q: 1\n", self.copies(2)[1][2])
        spoold.check()

    def test_discard(self):
        filter = self.milter()
        spoold = self.house(filter)
        for letter in "MRTE":
            filter.plan = {letter: DISCARD}
            self.assertEqual(self.send(spoold)[0], 250, letter)
        filter.plan = {"E": [Milter.envelope("-", "<x@far.example>"), CONTINUE]}
        self.assertEqual(self.send(spoold)[0], 250)
        self.nothing_came(spoold)
        self.assertEqual(len(spoold.lines("milter")), 5)
        self.assertIn("discarded by a filter", spoold.lines("milter")[0])
        self.assertIn(f"discarded by a filter: {filter.address}; to x@far.example", spoold.run("trace", "anne@here.example").stdout)
        spoold.check()

    def test_list_rules_see_what_filters_added(self):
        filter = self.milter({"E": [Milter.field("X-Spam-Flag", "YES"), CONTINUE]})
        spoold = self.house(filter)
        spoold.list(members=["m@far.example"], header_rules="reject X-Spam-Flag: ^yes", nonmembers="defer")
        said = self.send(spoold, to=[harness.LIST])
        self.assertEqual(said[0], 550)

    def test_results_that_filters_add_stay_and_those_of_strangers_go(self):
        def results(name):
            return f"Authentication-Results: {name}; dkim=pass header.d=bank.example\r\n"
        filter = self.milter({"E": [Milter.insert(0, "Authentication-Results", "mx.lists.example; x-filter=pass"), CONTINUE]})
        spoold = self.house(filter, settings={"smtp": {"trusted_networks": []}, "domain": [{"name": "far.example"}]})
        self.assertEqual(self.send(spoold, results("mx.lists.example") + results("other.example") + MAIL)[0], 250)
        copy = self.copies()[0][2]
        self.assertEqual(copy.count("Authentication-Results:"), 2)
        self.assertIn("Authentication-Results: mx.lists.example; x-filter=pass\nAuthentication-Results: other.example;", copy)

    def test_users_and_tls_are_told(self):
        authority, port = Authority(self.folder), harness.free_port()
        pem = authority.certificate("localhost")
        filter = self.milter()
        spoold = self.house(filter, settings={"tls": [{"certificate": str(pem), "key": str(pem)}], "submission": {"senders": "any"},
                                              "listen": [{"address": f"127.0.0.1:{port}", "protocol": "submission", "tls": "implicit"}]})
        spoold.ctl("user", "add", "anne", "--address", "anne@here.example", input="correct horse\n")
        context = ssl.create_default_context(cafile=str(authority.file))
        context.check_hostname = False
        with smtplib.SMTP_SSL("127.0.0.1", port, local_hostname="client.example", context=context) as client:
            client.login("anne", "correct horse")
            client.sendmail("anne@here.example", ["x@far.example"], MAIL)
        macros = filter.macros("M")
        self.assertEqual(macros["{auth_authen}"], "anne")
        self.assertIn(macros["{auth_type}"], ("PLAIN", "LOGIN"))
        self.assertRegex(filter.macros("H")["{tls_version}"] + " " + filter.macros("H")["{cipher}"], r"^TLSv1\.3 TLS_\w+$")

    def test_several_in_order(self):
        first = self.milter({"E": [Milter.field("X-First", "1"), Milter.body(b"by the first\r\n"), CONTINUE]})
        second = self.milter({"E": [Milter.change(1, "X-First", ""), Milter.field("X-Second", "2"), CONTINUE]}, path=self.folder / "second.sock")
        spoold = self.house(first, second)
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertIn(b"X-First\x001\0", second.data("L"))
        self.assertEqual(second.data("B"), [b"by the first\r\n"])
        copy = self.copies()[0][2]
        self.assertNotIn("X-First", copy)
        self.assertTrue(copy.endswith("X-Second: 2\n\nby the first\n"), copy)
        first.plan = {"R": REJECT}
        self.assertEqual(self.send(spoold)[0], 550)
        self.assertEqual(second.commands(2).removesuffix(" Q"), "C H M")

    def test_lmtp_is_not_filtered(self):
        filter = self.milter({"M": REJECT})
        port = harness.free_port()
        spoold = self.house(filter, settings={"listen": [{"address": f"127.0.0.1:{port}", "protocol": "lmtp"}]})
        spoold.list(members=["m@far.example"])
        client = smtplib.LMTP("127.0.0.1", port)
        client.sendmail("anne@here.example", [harness.LIST], MAIL)
        client.quit()
        self.assertEqual(len(self.copies()), 1)
        self.assertEqual(filter.connections, 0)

    def test_a_reload_brings_filters_and_takes_them_away(self):
        first, second = self.milter({"M": REJECT}), self.milter({"M": Milter.reply("550 5.7.1 second")})
        spoold = self.house()
        old = self.client(spoold)
        for row, code in (([{"address": first.address}], 550), ([{"address": second.address}], 550)):
            before = len(spoold.lines("reload"))
            spoold.configure(milter=row)
            spoold.process.send_signal(signal.SIGHUP)
            harness.wait_until(lambda n=before: len(spoold.lines("reload")) > n, 10, "the reload")
            self.assertEqual(self.send(spoold)[0], code)
        self.assertEqual(self.send(spoold)[1], b"5.7.1 second")
        self.assertEqual(self.send(spoold, client=old)[0], 250)  # its rules are those it began with


if __name__ == "__main__":
    harness.main()
