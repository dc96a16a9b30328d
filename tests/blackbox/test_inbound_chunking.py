"""BDAT from clients (RFC 3030): large messages in chunks, another spoold as client, and clients that lie."""
import socket

import harness

TO = "anne@dest.example"
DEAD = "smtp://127.0.0.1:9"
HEAD = b"From: <s@client.example>\r\nSubject: chunks\r\n\r\n"


class InboundChunking(harness.Case):
    def session(self, spoold, *commands):
        s = socket.create_connection(("127.0.0.1", spoold.port), timeout=30 * harness.SLOW)
        self.addCleanup(s.close)
        self.lines = s.makefile("rb")
        self.reply()
        for command in (b"EHLO client.example", *commands):
            s.sendall(command + b"\r\n")
            self.assertTrue(self.reply().startswith(b"250"))
        return s

    def reply(self):
        while True:
            line = self.lines.readline()
            if line[3:4] != b"-":
                return line

    def envelope(self, spoold):
        return self.session(spoold, b"MAIL FROM:<s@client.example>", b"RCPT TO:<%s>" % TO.encode())

    def content(self, spoold, qid):
        done = spoold.run("show", qid, "--content")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.replace("\r\n", "\n").encode()

    def test_a_large_message_in_chunks_of_many_sizes(self):
        spoold = self.spoold(DEAD)
        body = b"".join(b"%s%d %s\r\n" % (b"." * (i % 3), i, b"x" * (i % 70)) for i in range(60000))
        for size in (700, 70_000, 1_000_000):
            s, rest = self.envelope(spoold), HEAD + body
            while rest:
                chunk, rest = rest[:size], rest[size:]
                s.sendall(b"BDAT %d%s\r\n%s" % (len(chunk), b"" if rest else b" LAST", chunk))
                told = self.reply()
                self.assertTrue(told.startswith(b"250 2.0.0 "), told)
            qid = told.split()[-1].decode()
            self.assertTrue(self.content(spoold, qid).endswith((HEAD + body).replace(b"\r\n", b"\n")))
            s.sendall(b"QUIT\r\n")
            self.assertTrue(self.reply().startswith(b"221"))
        spoold.check()

    def test_all_in_one_write(self):
        spoold = self.spoold(DEAD)
        s = self.session(spoold)
        one = b"MAIL FROM:<s@client.example>\r\nRCPT TO:<%s>\r\nBDAT %d LAST\r\n%s" % (TO.encode(), len(HEAD) + 2, HEAD + b"x.")
        s.sendall(one * 20 + b"QUIT\r\n")
        told = [self.reply() for _ in range(61)]
        self.assertEqual([line[:3] for line in told], [b"250"] * 60 + [b"221"])
        self.assertEqual(len(spoold.queue()), 20)

    def test_another_spoold_as_client(self):
        sink = self.sink()
        inner = self.spoold(sink.url, name="inner")
        outer = self.spoold(f"smtp://{inner.address}", name="outer")
        for i in range(30):
            outer.post(to=f"u{i}@dest.example", body="." * (i % 3) + "x" * 100 * i + "\r\n")
        sink.wait(30, 30)
        self.assertEqual(len({a.recipient for a in sink.arrivals()}), 30)

    def test_a_client_that_leaves_within_a_chunk(self):
        spoold = self.spoold(DEAD)
        for sent in (b"BDAT 1000\r\n" + HEAD, b"BDAT %d\r\n" % len(HEAD) + HEAD, b"BDAT 1000 LAST\r\n" + HEAD, b"BDAT 600000\r\n" + HEAD + b"x\r\n" * 190000):
            s = self.envelope(spoold)
            s.sendall(sent)
            s.close()
            self.lines.close()
        harness.wait_until(lambda: spoold.ctl("stats")["open_in"] == 0, 10, "the ends of the sessions")
        self.assertEqual(spoold.queue(), [])
        spoold.check()

    def test_what_is_staged_of_chunks_that_are_refused_is_not_the_next_message(self):
        spoold = self.spoold(DEAD)
        s = self.envelope(spoold)
        first = HEAD + b"a line of the first message\r\n" * 20000
        s.sendall(b"BDAT %d\r\n" % len(first) + first)
        self.assertTrue(self.reply().startswith(b"250"))
        second = b"Subject: second\r\n\r\nthe second\r\n"
        s.sendall(b"BDAT 5\r\nx\ny\r\nMAIL FROM:<s@client.example>\r\nRCPT TO:<%s>\r\nBDAT %d LAST\r\n%s" % (TO.encode(), len(second), second))
        told = [self.reply() for _ in range(4)]
        self.assertEqual([line[:3] for line in told], [b"550", b"250", b"250", b"250"])
        content = self.content(spoold, told[-1].split()[-1].decode())
        self.assertTrue(content.endswith(b"\nSubject: second\n\nthe second\n"), content)


if __name__ == "__main__":
    harness.main()
