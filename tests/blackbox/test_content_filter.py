"""The content filter: parts that members do not get, on the wire; what becomes of a post of which nothing is left."""
import email
import email.policy
import pathlib
import smtplib

import harness

MEMBERS = ["anne@north.example", "bart@east.example"]
HEAD = "From: poster@example.net\r\nTo: test@lists.example\r\nSubject: x\r\nDate: Mon, 01 Jun 2026 10:00:00 +0000\r\nMessage-ID: <p@example.net>\r\nMIME-Version: 1.0\r\n"
TEXT = "Content-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n"
PICTURE = HEAD + "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nUE5H\r\n"


def mixed(text="Hello", file="a.exe"):
    return (HEAD + "Content-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
            "--i\r\n" + TEXT.format(text) + "--i\r\nContent-Type: text/html\r\n\r\n<p>Hello\r\n--i--\r\n--o\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*0=\"{file[:-1]}\"; filename*1={file[-1]}\r\n\r\nMZ\r\n--o--\r\n")


class Test(harness.Case):
    def hop(self, **settings):
        (self.folder / "copies").mkdir()
        peer = self.peer("--content", self.folder / "copies")
        spoold = self.spoold(peer.url)
        spoold.list(members=MEMBERS, **settings)
        return peer, spoold

    def send(self, spoold, text):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.ehlo()
            client.mail("poster@example.net")
            client.rcpt("test@lists.example")
            code, said = client.data(text.encode())
        return code, said.decode()

    def copies(self, peer, wanted):
        harness.wait_until(lambda: len(harness.Judge(peer.log).messages) >= wanted, 60, f"{wanted} copies")
        messages = peer.judge().messages
        self.assertEqual(len(messages), wanted)
        return [email.message_from_bytes(pathlib.Path(m["file"]).read_bytes(), policy=email.policy.SMTP) for m in messages]

    def test_parts_go_and_the_footer_stands_in_the_text_that_is_left(self):
        peer, spoold = self.hop(filter_types="text/html", filter_extensions="exe", footer="-- \nfooter\n")
        self.assertEqual(self.send(spoold, mixed())[0], 250)
        for copy in self.copies(peer, 2):
            self.assertEqual(copy.get_content_type(), "text/plain")
            self.assertEqual(copy.get_content(), "Hello\r\n-- \r\nfooter\r\n")
            self.assertEqual(copy.defects, [])
        spoold.check()

    def test_a_large_post_is_filtered_too(self):
        peer, spoold = self.hop(filter_extensions="exe")
        text = "\r\n".join(["x" * 70] * 20_000)
        self.assertEqual(self.send(spoold, mixed(text))[0], 250)
        for copy in self.copies(peer, 2):
            self.assertEqual([p.get_content_type() for p in copy.walk()], ["multipart/alternative", "text/plain", "text/html"])
            self.assertEqual(copy.get_body(("plain",)).get_content().rstrip(), text)
            self.assertNotIn(b"MZ", bytes(copy))
        spoold.check()

    def test_a_post_of_which_nothing_is_left_is_refused_held_or_discarded(self):
        peer, spoold = self.hop(pass_types="text")
        code, said = self.send(spoold, PICTURE)
        self.assertEqual(code, 550)
        self.assertIn("5.6.1", said)
        self.assertIn("image/png is not accepted, only text/*", said)
        spoold.ctl("list", "set", "test@lists.example", "filter_action=discard")
        self.assertEqual(self.send(spoold, PICTURE)[0], 250)
        self.assertEqual(spoold.queue(), [])
        spoold.ctl("list", "set", "test@lists.example", "filter_action=hold")
        self.assertEqual(self.send(spoold, PICTURE)[0], 250)
        [held] = spoold.ctl("held")
        self.assertEqual(held["rule"], "pass_types")
        # A moderator has seen what it is: accepted, it goes out as it came.
        spoold.ctl("accept", held["id"])
        copies = [c for c in self.copies(peer, 3) if c["Subject"] == "x"]  # and the notice to the owner
        self.assertEqual([c.get_content() for c in copies], [b"PNG"] * 2)
        spoold.check()

    def test_a_held_post_of_which_something_is_left_is_filtered_when_it_is_accepted(self):
        peer, spoold = self.hop(filter_types="text/html", filter_extensions="exe", emergency="true")
        self.assertEqual(self.send(spoold, mixed())[0], 250)
        [held] = spoold.ctl("held")
        spoold.ctl("accept", held["id"])
        copies = [c for c in self.copies(peer, 3) if c["Subject"] == "x"]
        self.assertEqual([c.get_content() for c in copies], ["Hello\r\n"] * 2)

    def test_cook_and_judge_say_what_is_done_and_the_way_back_is_known(self):
        _, spoold = self.hop(filter_types="text/html", filter_extensions="exe", footer="footer")
        steps = spoold.ctl("cook", "test@lists.example", "--explain", input=mixed())["steps"]
        self.assertEqual([s["setting"] for s in steps], ["filter_types", "filter_extensions", "footer", "dmarc"])
        self.assertEqual(steps[1]["what"], "part 2 (application/octet-stream) removed: files whose name ends in .exe are not accepted")
        self.assertEqual(spoold.ctl("cook", "test@lists.example", "--restore", input=mixed()), {"identical": True})
        self.assertEqual(spoold.ctl("judge", "test@lists.example", "--mail-from", "poster@example.net", input=mixed())["outcome"], "accept")
        spoold.ctl("list", "set", "test@lists.example", "filter_types=image")
        judged = spoold.ctl("judge", "test@lists.example", "--mail-from", "poster@example.net", input=PICTURE)
        self.assertEqual((judged["outcome"], judged["rule"]), ("reject", "filter_types"))
        self.assertNotEqual(spoold.run("cook", "test@lists.example", input=PICTURE).returncode, 0)

    def test_digests_and_archives_lack_what_members_do_not_get(self):
        archive = self.folder / "archive"
        peer, spoold = self.hop(filter_types="text/html", filter_extensions="exe", archive=f"maildir:{archive}")
        spoold.ctl("member", "set", "test@lists.example", MEMBERS[0], "delivery=digest")
        self.assertEqual(self.send(spoold, mixed())[0], 250)
        [post] = [p.read_bytes() for p in (archive / "new").iterdir()]
        self.copies(peer, 1)
        spoold.ctl("digest", "test@lists.example")
        digest = bytes(self.copies(peer, 2)[1])
        for text in (post, digest):
            self.assertIn(b"Hello", text)
            self.assertNotIn(b"MZ", text)
            self.assertNotIn(b"<p>", text)


if __name__ == "__main__":
    harness.main()
