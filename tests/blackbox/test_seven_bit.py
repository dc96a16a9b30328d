"""Mail of 8 bits for a next hop that does not offer 8BITMIME: every copy is ASCII and reads as it was, or fails with 5.6.3."""
import email
import email.policy
import pathlib
import re
import smtplib

import harness

TEXT = "Schöne Grüße aus Köln, à bientôt.\r\n.mit Punkt\r\n"
HTML = "<p>Тоже по-русски, и довольно длинно</p>\r\n"
POST = ("From: Jörg <poster@example.net>\r\nTo: test@lists.example\r\nSubject: Grüße\r\nMessage-ID: <8bit@example.net>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/alternative; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + TEXT +
        "--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + HTML + "--b--\r\n")
SIGNATURE = "DKIM-Signature: v=1; d=example.net; s=x; b=x\r\n"
PLAIN = "From: poster@example.net\r\nTo: test@lists.example\r\nSubject: hello\r\nMessage-ID: <7bit@example.net>\r\n\r\nHello.\r\n"


class Test(harness.Case):
    def post(self, spoold, text):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.sendmail("poster@example.net", ["test@lists.example"], text.encode(), mail_options=["BODY=8BITMIME"])

    def hop(self, name, *options, verp="always"):
        folder = self.folder / name
        folder.mkdir()
        peer = self.peer("--content", folder, *options, name="peer-" + name)
        spoold = self.spoold(peer.url, name="spoold-" + name)
        spoold.list(members=harness.members(6, 1), verp=verp, dmarc="accept")
        return peer, spoold

    def copies(self, peer):
        harness.wait_until(lambda: len(harness.Judge(peer.log).deliveries()) == 6, 20, "six copies")
        return {pathlib.Path(m["file"]).read_bytes() for m in peer.judge().messages}

    def sizes(self, peer):
        return {int(re.search(r"SIZE=(\d+)", c["line"])[1]) for c in peer.judge().commands(verb="MAIL")}

    def refused(self, spoold, *words):
        harness.wait_until(lambda: len(spoold.lines("failed")) == 6, 30, "six failures")
        for line in spoold.lines("failed"):
            self.assertIn("dsn=5.6.3", line)
            for word in words:
                self.assertIn(word, line)

    def converted(self, name, *options, verp):
        peer, spoold = self.hop(name, "--no-8bitmime", *options, verp=verp)
        self.post(spoold, POST)
        [got] = self.copies(peer)
        self.assertTrue(got.isascii())
        if "--no-chunking" in options:
            got = got.replace(b"\r\n..", b"\r\n.")
        self.assertEqual(self.sizes(peer), {len(got)})
        mails = peer.judge().commands(verb="MAIL")
        self.assertEqual([c for c in mails if "BODY" in c["line"]], [])
        self.assertEqual(len(mails), 6 if verp == "always" else 1)
        message = email.message_from_bytes(got, policy=email.policy.SMTP)
        for part, text in zip(message.iter_parts(), (TEXT, HTML), strict=True):  # the last line end is the delimiter's
            self.assertEqual(part.get_content().splitlines(), text.splitlines())
        self.assertIn("Grüße", message["Subject"])
        self.assertEqual(message["From"].addresses[0].display_name, "Jörg")
        [line] = spoold.lines("converted")
        self.assertIn(f"octets={len(got)}", line)
        spoold.check()

    def test_converted_for_data(self):
        self.converted("data", "--no-chunking", verp="always")

    def test_converted_for_bdat(self):
        self.converted("bdat", verp="always")

    def test_one_copy_for_all_is_converted(self):
        self.converted("bulk-data", "--no-chunking", verp="never")
        self.converted("bulk-bdat", verp="never")

    def test_where_8bitmime_is_offered_nothing_changes(self):
        peer, spoold = self.hop("offered")
        self.post(spoold, POST)
        [got] = self.copies(peer)
        self.assertIn(TEXT.split(".")[0].encode(), got)
        self.assertTrue(all("BODY=8BITMIME" in c["line"] for c in peer.judge().commands(verb="MAIL")))
        self.assertEqual(self.sizes(peer), {len(got)})
        self.assertEqual(spoold.lines("converted"), [])

    def test_mail_in_ascii_is_not_converted(self):
        peer, spoold = self.hop("ascii", "--no-8bitmime")
        self.post(spoold, SIGNATURE + PLAIN)
        [got] = self.copies(peer)
        self.assertTrue(got.endswith(b"Hello.\r\n"))
        self.assertEqual(spoold.lines("converted"), [])

    def test_signed_mail_fails(self):
        peer, spoold = self.hop("signed", "--no-8bitmime")
        self.post(spoold, SIGNATURE + POST)
        self.refused(spoold, "signed")
        self.assertEqual(peer.judge().messages, [])
        self.post(spoold, POST.replace("8bit@", "next@"))  # the host is not to blame
        self.assertTrue(all(copy.isascii() for copy in self.copies(peer)))
        self.assertEqual(spoold.lines("unreachable") + spoold.lines("suspect") + spoold.lines("deferred"), [])
        spoold.check()

    def test_signed_mail_among_other_mail_fails_alone(self):
        peer, spoold = self.hop("among", "--no-8bitmime", "--no-chunking")
        for i in range(5):
            self.post(spoold, PLAIN.replace("7bit@", f"before{i}@"))
            if i == 2:
                self.post(spoold, SIGNATURE + POST)
        harness.wait_until(lambda: len(spoold.lines("delivered")) == 30, 30, "thirty copies")
        self.refused(spoold, "signed")
        self.assertEqual(len(peer.judge().commands(verb="MAIL")), 30)  # the next hop was not asked about it
        self.assertEqual(spoold.lines("deferred"), [])
        spoold.check()

    def test_a_conversion_of_10_mib_stops_nobody_else(self):
        peer, spoold = self.hop("lag", "--no-8bitmime", "--no-chunking", verp="never")
        self.post(spoold, POST.replace(HTML, HTML + ("x" * 70 + "\r\n") * 140_000))
        self.copies(peer)
        [lag] = [loop["lag_ms"] for loop in spoold.ctl("stats")["loops"] if loop["name"] == "deliver 0"]
        self.assertLess(lag, 50 * harness.SLOW)
        spoold.check()

    def test_what_cannot_be_converted_fails(self):
        peer, spoold = self.hop("large", "--no-8bitmime", verp="never")
        self.post(spoold, POST.replace(HTML, HTML + ("x" * 70 + "\r\n") * 150_000))
        self.refused(spoold, "larger than the 10485760 octets")
        peer, spoold = self.hop("field", "--no-8bitmime", verp="never")
        self.post(spoold, POST.replace("<8bit@example.net>", "<größe@example.net>"))
        self.refused(spoold, "Message-ID")
        self.assertEqual(peer.judge().messages, [])


if __name__ == "__main__":
    harness.main()
