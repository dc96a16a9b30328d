"""What RFC 5321 and its extensions require of a server, as it is seen from outside, where no other test says it. protocol/smtp/requirements names
the test of each requirement."""
import re
import smtplib
import socket

import harness
from peers.tls_peer import Authority

DEAD = "smtp://127.0.0.1:9"
TO, OTHER = "anne@far.example", "bart@far.example"
# IANA, SMTP service extensions, as far as a server of today may offer them (RFC 5321 2.2.2).
REGISTERED = {"PIPELINING", "SIZE", "8BITMIME", "CHUNKING", "BINARYMIME", "DSN", "LIMITS", "STARTTLS", "AUTH", "ENHANCEDSTATUSCODES", "SMTPUTF8", "REQUIRETLS"}
# RFC 5321 4.2.2, 3207 4, 4954 6, and 504 and 521 for what they are there for.
CODES = {211, 214, 220, 221, 235, 250, 252, 334, 354, 421, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 530, 535, 538, 550, 552, 553, 554, 555}


class Client:
    """A connection that says what it is told, and hears one reply for each command."""

    def __init__(self, test, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=30 * harness.SLOW)
        test.addCleanup(self.s.close)
        self.lines = self.s.makefile("rb")
        test.addCleanup(self.lines.close)
        self.reply()

    def reply(self):
        """The lines of a reply, which must have the form of RFC 5321 4.2."""
        reply = []
        while True:
            line = self.lines.readline()
            if not re.fullmatch(rb"[2-5][0-5][0-9][ -][\t -~]+\r\n", line) or len(line) > 512:
                raise AssertionError(f"no line of a reply: {line}")
            reply.append(line.decode().rstrip("\r\n"))
            if line[3:4] == b" ":
                return reply

    def ask(self, command):
        self.s.sendall((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.reply()


class Requirements(harness.Case):
    def house(self, **settings):
        pem = str(Authority(self.folder).certificate("localhost"))
        self.lmtp, self.submission = harness.free_port(), harness.free_port()
        spoold = harness.Spoold(self.folder, DEAD, {"tls": [{"certificate": pem, "key": pem}], **settings}, start=False)
        self.daemons.append(spoold)
        spoold.settings["listen"] = [{"address": spoold.address, "tls": "starttls"}, {"address": f"127.0.0.1:{self.lmtp}", "protocol": "lmtp"},
                                     {"address": f"127.0.0.1:{self.submission}", "protocol": "submission", "tls": "starttls"}]
        spoold.start()
        return spoold

    def sent(self, spoold, content, rcpts=(TO,), sender="s@client.example"):
        """The content of the message that came of it, as the next hop would get it."""
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.ehlo()
            self.assertEqual(client.mail(sender)[0], 250)
            for rcpt in rcpts:
                self.assertEqual(client.rcpt(rcpt)[0], 250)
            code, said = client.data(content)
        self.assertEqual(code, 250, said)
        qid = said.decode().split()[-1]
        shown = spoold.run("show", qid, "--content")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return qid, shown.stdout.replace("\r\n", "\n")

    def test_keywords_are_registered(self):
        """And none of the commands that EHLO offers is answered 500 or 502."""
        self.house()
        for port, hello in ((self.daemons[0].port, "EHLO"), (self.lmtp, "LHLO"), (self.submission, "EHLO")):
            client = Client(self, port)
            keywords = {line[4:].split()[0].upper() for line in client.ask(f"{hello} client.example")[1:]}
            self.assertLessEqual(keywords, REGISTERED, port)
            self.assertLessEqual({"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"}, keywords)
            for keyword, command in (("STARTTLS", "STARTTLS x"), ("CHUNKING", "BDAT 0"), ("AUTH", "AUTH")):
                if keyword in keywords:
                    self.assertNotIn(client.ask(command)[0][:3], ("500", "502"), (port, command))

    def test_each_command_has_one_reply_in_form(self):
        """One reply for each, with a code of the RFC, lines of at most 512 octets of ASCII, all with the same code."""
        spoold = self.house()
        long = "x" * 300
        commands = ["NOOP", "HELP", "HELP MAIL", "VRFY x", b"VRFY \xc3\xa4", b"VRFY \xc3\xa4 SMTPUTF8", "EXPN x", b"EXPN \xc3\xa4 SMTPUTF8", "RSET", "MAIL FROM:<a@b.example>",
                    "EHLO " + "h" * 255, "FROB " + long, b"FR\xff\xfeOB", "MAIL", f"MAIL FROM:<{long}@b.example>", b"MAIL FROM:<\xc3\xa4@b.example>", "RCPT TO:<a@b.example>",
                    "MAIL FROM:<a@b.example> " + long, f"MAIL FROM:<a@b.example> {long}={long}", "MAIL FROM:<a@b.example> SIZE=999999999999", "MAIL FROM:<>",
                    "MAIL FROM:<>", f"RCPT TO:<{long}@far.example>", f"RCPT TO:<{'l' * 64}@{'d' * 60}.{'e' * 60}.example>", "RCPT TO:<nobody@mx.lists.example>",
                    b"RCPT TO:<\xc3\xa4@far.example>", "RCPT TO:<a@far.example> X=" + long, "RCPT TO:<a@far.example> NOTIFY=SOMETIMES", "AUTH PLAIN", "BDAT 0", "ETRN x",
                    "XFOO " + long, "LHLO x", "EHLO", "HELO client.example", "DATA", "QUIT x"]
        for port in (spoold.port, self.lmtp, self.submission):
            client = Client(self, port)
            client.ask("LHLO client.example" if port == self.lmtp else "EHLO client.example")
            for i, command in enumerate(commands):
                if i and i % 12 == 0:  # fewer errors than end a session
                    self.assertEqual(client.ask("QUIT")[0][:3], "221")
                    client = Client(self, port)
                    client.ask("LHLO client.example" if port == self.lmtp else "EHLO client.example")
                reply = client.ask(command)
                self.assertEqual({line[:3] for line in reply}, {reply[0][:3]}, command)
                self.assertIn(int(reply[0][:3]), CODES, (command, reply))
                self.assertEqual(client.ask("NOOP"), ["250 2.0.0 ok"], command)  # nothing else was said to it
            self.assertEqual(client.ask("QUIT")[0][:3], "221")

    def test_the_least_sizes(self):
        """RFC 5321 4.5.3.1: what every server must take."""
        spoold = self.house()
        label = "d" * 61
        local = "l" * 64
        domain = f"{label}.{label}.{'d' * 57}.example"  # with the local part and the brackets a path of 256 octets
        recipients = [f"{local}@{domain}"] + [f"r{i}@far.example" for i in range(99)]
        self.assertEqual(len(recipients[0]), 254)
        body = ("y" * 998 + "\r\n") * 66
        qid, content = self.sent(spoold, f"Subject: large\r\n\r\n{body}".encode(), recipients, sender=recipients[0])
        self.assertGreaterEqual(len(body), 65536)
        self.assertIn("\n\n" + body.replace("\r\n", "\n"), content)
        self.assertEqual(set(spoold.recipients(qid)), set(recipients))
        client = Client(self, spoold.port)
        self.assertEqual(client.ask("EHLO " + "h" * 63 + "." + "h" * 63 + "." + "h" * 63 + "." + "h" * 63)[0][:3], "250")
        self.assertEqual(client.ask("NOOP " + "x" * 505)[0][:3], "250")  # 512 octets with CRLF

    def test_odd_header_fields_are_no_reason_to_refuse(self):
        spoold = self.house()
        head = ["Resent-To: x@y.example", "Resent-To: z@y.example", "Resent-From: a@y.example", "Received: once upon a time", "Received:", "received: from ; by",
                "Received: from x by y with magic; 31 Feb 99 25:61 XYZ", "Return-Path: <old@y.example>", "Return-Path: nonsense", "From: nobody at all", "Date: yesterday",
                "Date: again", "Message-ID: none", "X", "To: " + ", ".join(f"t{i}@y.example" for i in range(400)), "Content-Type: multipart/mixed", "MIME-Version: 17"]
        # "X" is no field: the header ends before it, whatever follows is the body.
        for lines in (head[:13], head[:13] + head[14:], head):
            text = "\n".join(lines) + "\n\nbody\n"
            _, content = self.sent(spoold, text.replace("\n", "\r\n").encode())
            if lines is not head:
                self.assertTrue(content.endswith("\n" + text), content)
            for line in lines:
                self.assertIn("\n" + line + "\n", content)

    def test_received_is_put_on_top_of_what_is_there(self):
        spoold = self.house()
        before = "Received: from a.example by b.example; Mon, 1 Jun 2026 10:00:00 +0200\nReceived: from z.example\n\tby a.example; Mon, 1 Jun 2026 09:00:00 +0000\n"
        rest = before + "From: s@client.example\nTo: someone@else.example\nSubject: hello\n\nbody\n"
        date = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [123]?\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d [+-]\d{4}"
        for rcpts in ((TO,), (TO, OTHER)):
            qid, content = self.sent(spoold, rest.replace("\n", "\r\n").encode(), rcpts)
            of = rf"\n\tfor <{TO}>" if len(rcpts) == 1 else ""
            self.assertRegex(content, rf"\AReceived: from client\.example \(\[127\.0\.0\.1\]\)\n\tby mx\.lists\.example \(spoold\) with ESMTP id {qid}{of}; {date}\n")
            self.assertTrue(content.endswith("\n" + rest))
            self.assertEqual(content.count(OTHER), 0)
            self.assertEqual(content.count(TO), 1 if len(rcpts) == 1 else 0)
            self.assertNotIn("Apparently-To", content)
            self.assertNotIn("Return-Path", content)

    def test_a_declared_size_does_not_end_the_content(self):
        spoold = self.house()
        for declared in (1, 20, 1000):
            client = Client(self, spoold.port)
            client.ask("EHLO client.example")
            self.assertEqual(client.ask(f"MAIL FROM:<s@client.example> SIZE={declared}")[0][:3], "250")
            client.ask(f"RCPT TO:<{TO}>")
            self.assertEqual(client.ask("DATA")[0][:3], "354")
            said = client.ask("Subject: hello\r\n\r\nwhole\r\nand whole\r\n.")[0]
            self.assertEqual(said[:3], "250")
            shown = spoold.run("show", said.split()[-1], "--content").stdout.replace("\r\n", "\n")
            self.assertTrue(shown.endswith("\nSubject: hello\n\nwhole\nand whole\n"), shown)

    def test_lmtp_answers_for_each_rcpt_also_of_the_same_address(self):
        spoold = self.house(domain=[{"name": "far.example"}])
        client = Client(self, self.lmtp)
        client.ask("LHLO client.example")
        client.ask("MAIL FROM:<s@client.example>")
        for rcpt, code in ((TO, "250"), (OTHER, "250"), (TO, "250"), ("nobody@mx.lists.example", "550"), (TO, "250")):
            self.assertEqual(client.ask(f"RCPT TO:<{rcpt}>")[0][:3], code)
        self.assertEqual(client.ask("DATA")[0][:3], "354")
        replies = [client.ask("Subject: hello\r\n\r\nbody\r\n.")] + [client.reply() for _ in range(3)]
        self.assertEqual([reply[0][:3] for reply in replies], ["250"] * 4)
        self.assertEqual(client.ask("NOOP"), ["250 2.0.0 ok"])
        [message] = spoold.queue()
        self.assertEqual(set(spoold.recipients(message["id"])), {TO, OTHER})

    def test_a_report_asks_for_no_reports(self):
        """RFC 3461 6.1: neither RET nor a NOTIFY other than NEVER, though the next hop offers DSN."""
        hop = self.peer("--keyword", "DSN", "--rcpt", f"{TO}=550 5.1.1 no such user")
        spoold = self.spoold(hop.url, {"delivery": {"report_wait": "200ms"}})
        spoold.post(to=TO, sender="s@client.example")
        harness.wait_until(lambda: [e for e in hop.judge().commands(verb="RCPT") if "s@client.example" in e["line"]], 15, "the report", every=0.1)
        # The peer asks nobody to report but by these parameters.
        mails = [e["line"] for e in hop.judge().commands(verb="MAIL") if e["line"].startswith("MAIL FROM:<>")]
        self.assertEqual(len(mails), 1)
        self.assertNotIn("RET=", mails[0])
        for line in [e["line"] for e in hop.judge().commands(verb="RCPT") if "s@client.example" in e["line"]]:
            self.assertRegex(line, r"^RCPT TO:<s@client\.example>( NOTIFY=NEVER)?$")

    def test_a_refused_sender_is_asked_about_again(self):
        """RFC 5321 4.5.4.1: a 5xx to MAIL is that message's; the next one of the same sender asks anew."""
        hop = self.peer(plan={"at": ["mail=550 5.7.1 not you"]})
        spoold = self.spoold(hop.url, {"delivery": {"report_wait": "1h"}})
        for state, plan in (("failed", {}), ("delivered", None)):
            spoold.post(to=TO, sender="s@client.example")
            qid = spoold.last_id
            harness.wait_until(lambda: spoold.recipients(qid)[TO]["state"] == state, 15, state, every=0.05)
            if plan is not None:
                hop.plan(**plan)


if __name__ == "__main__":
    harness.main()
