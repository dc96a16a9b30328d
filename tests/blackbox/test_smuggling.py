"""SMTP smuggling and injection, over real sockets: ends of the data that some server takes for one, content that looks like commands, limits of a header; and what
goes out is what another spoold takes. The published sequences: SEC Consult 2023, CVE-2023-51764, -51765, -51766."""
import pathlib
import random
import re
import socket

import harness

TO, SMUGGLED = "anne@far.example", "victim@far.example"
BARE = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r.\n", b"\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n",
        b"\n\n.\r\n", b"\r\n.\r\0\n", b"\n.\n\n", b"\r\n\r.\r\n"]
# Lines that end as they should, and are not the end: a dot that was doubled, or is not alone.
CONTENT = [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n .\r\n", b"\r\n\x0b.\r\n", b"\r\n\x85.\r\n", b"\r\n.\x1a\r\n", b"\r\n\xe2\x80\xa8.\r\n", b"\r\n.\x0c\r\n"]
HIDDEN = b"MAIL FROM:<admin@mx.lists.example>\r\nRCPT TO:<" + SMUGGLED.encode() + b">\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"


class Client:
    def __init__(self, test, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=30 * harness.SLOW)
        test.addCleanup(self.s.close)
        self.lines = self.s.makefile("rb")
        test.addCleanup(self.lines.close)
        self.reply()
        self.ask(b"EHLO client.example")

    def reply(self):
        while True:
            line = self.lines.readline()
            if line[3:4] != b"-":
                return line.decode().rstrip()

    def ask(self, command):
        self.s.sendall(command + b"\r\n")
        return self.reply()

    def envelope(self):
        for command in (b"MAIL FROM:<s@client.example> BODY=8BITMIME", b"RCPT TO:<" + TO.encode() + b">"):
            if not self.ask(command).startswith("250 "):
                raise AssertionError(command)

    def by_data(self, content):
        """Content with its dots as they are: the first real end of the data ends it."""
        self.envelope()
        self.ask(b"DATA")
        self.s.sendall(content + b"\r\n.\r\n")
        return self.reply()

    def by_chunk(self, content):
        self.envelope()
        self.s.sendall(b"BDAT %d LAST\r\n" % len(content) + content)
        return self.reply()


class Smuggling(harness.Case):
    def test_no_other_end_of_the_data(self):
        """One reply each, and the session is in step: whatever stands behind a false end is content of the message, which is refused."""
        spoold = self.spoold("smtp://127.0.0.1:9")
        client = Client(self, spoold.port)
        for end in BARE:
            for send in (client.by_data, client.by_chunk):
                self.assertRegex(send(b"Subject: x\r\n\r\nfirst" + end + HIDDEN), r"^550 5\.5\.2 the message holds a (bare <CR>|bare <LF>|NUL)", end)
                self.assertEqual(client.ask(b"NOOP"), "250 2.0.0 ok", end)
                if end is BARE[len(BARE) // 2]:  # fewer commands than end a session
                    client = Client(self, spoold.port)
        self.assertEqual(spoold.queue(), [])

    def test_lines_that_are_content(self):
        spoold = self.spoold("smtp://127.0.0.1:9")
        client = Client(self, spoold.port)
        for end in CONTENT:
            for send in (client.by_data, client.by_chunk):
                content = b"Subject: x\r\n\r\nfirst" + end + HIDDEN
                said = send(content)
                self.assertRegex(said, r"^250 ", end)
                self.assertEqual(client.ask(b"NOOP"), "250 2.0.0 ok", end)
                qid = said.split()[-1]
                self.assertEqual(set(spoold.recipients(qid)), {TO})
        self.assertEqual(len(spoold.queue()), 2 * len(CONTENT))

    def test_what_goes_out_is_what_would_be_taken(self):
        """Dots and line ends in every position, by DATA and by BDAT, pass a second spoold; each message arrives as it was sent, and none is two."""
        for options in ({}, {"destination": [{"match": "127.0.0.1", "pipelining": "none"}]}):
            number = len(self.daemons)
            last = self.peer("--no-chunking", "--content", self.made(f"mails{number}"), name=f"peer{number}")
            second = self.spoold(last.url, options, name=f"second{number}")
            first = self.spoold(f"smtp://127.0.0.1:{second.port}", options, name=f"first{number}")
            pieces, dice = [b"\r\n", b".", b"..", b".\r\n", b"\r\n.", b"\r\n.\r\n.", b"x", b"MAIL FROM:<a@b.example>\r\n", b"\xc3\xa9", b"QUIT\r\n", b"y" * 997], random.Random(2026)
            client, bodies = Client(self, first.port), []
            for i in range(40):
                body = b"".join(dice.choice(pieces) for _ in range(dice.randrange(12)))
                if i % 2 == 0 and not body.endswith(b"\r\n"):
                    body += b"\r\n"
                head = b"Subject: %d\r\n\r\n" % i
                stuffed = re.sub(rb"(?m)^\.", b"..", head + body)
                said = client.by_data(stuffed.removesuffix(b"\r\n")) if i % 2 == 0 else client.by_chunk(head + body)
                self.assertTrue(said.startswith("250 "), (i, body, said))
                bodies.append(body if body.endswith(b"\r\n") or not body else body + b"\r\n")
            harness.wait_until(lambda: len(last.judge().messages) >= len(bodies), 30, "all messages", every=0.2)
            judge = last.judge()
            self.assertEqual((len(judge.messages), judge.violations), (len(bodies), []))
            got = {}
            for message in judge.messages:
                content = re.sub(rb"(?m)^\.", b"", pathlib.Path(message["file"]).read_bytes())  # what it took by DATA, with its dots doubled
                self.assertEqual((message["rcpts"], content.count(b"\r\n\r\n") > 0), ([TO], True))
                self.assertIsNone(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content))
                head, _, body = content.partition(b"\r\n\r\n")
                got[int(re.search(rb"Subject: (\d+)", head)[1])] = body
            self.assertEqual(got, dict(enumerate(bodies)))

    def made(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def test_headers_and_lines_over_the_limits(self):
        """Refused with a status of their own; the session goes on."""
        spoold = self.spoold("smtp://127.0.0.1:9")
        client = Client(self, spoold.port)
        for content, words in ((b"Subject: x\r\n" + b"X: y\r\n" * 45000 + b"\r\nbody", "550 5.6.0 "), (b"X: " + b"y" * 300000 + b"\r\n\r\nbody", "550 5.6.0 "),
                               (b"Subject: x\r\n\r\n" + b"z" * 65537, "550 5.6.0 "), (b"Received: x\r\n" * 101 + b"\r\nbody", "55. 5.4.6 ")):
            for send in (client.by_data, client.by_chunk):
                self.assertRegex(send(content), "^" + words, content[:30])
                self.assertEqual(client.ask(b"NOOP"), "250 2.0.0 ok")
        for content in (b"Subject: x\r\n" + (b"X: " + b"y" * 990 + b"\r\n") * 250 + b"\r\nbody", b"Subject: x\r\n\r\n" + b"z" * 65534, b"Received: x\r\n" * 100 + b"\r\nbody"):
            self.assertRegex(client.by_data(content), "^250 ", content[:30])

    def test_octets_that_no_command_has(self):
        """Control characters and 8 bits in commands: refused, and shown in no reply and no line of the log as they are."""
        spoold = self.spoold("smtp://127.0.0.1:9")
        for command in (b"MAIL FROM:<a\x08b@c.example>", b"MAIL FROM:<a@c.example> X\x1b[2J=1", b"MAIL FROM:<a@c.example>\x00", b"EHLO a\x07b", b"EHLO \xff", b"MAIL\x0bFROM:<a@c.example>",
                        b"MAIL FROM:<\xe4@c.example>", b"RCPT TO:<a@c.example\x7f>", b"NO\rOP", b"NOOP\n", b"N\x00OP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"VRFY\xa0anne"):
            client = Client(self, spoold.port)
            said = client.ask(command)
            self.assertRegex(said, r"^5\d\d [ -~]+$", command)
        for line in spoold.lines(whole=True):
            self.assertRegex(line, r"^[ -~]*$")
        self.assertEqual(spoold.queue(), [])


if __name__ == "__main__":
    harness.main()
