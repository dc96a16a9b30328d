"""Archives on the disk of a real daemon: what is there at the 250, what a refusal leaves, what a crash leaves, fields that tell of it."""
import base64
import hashlib
import mailbox
import os
import smtplib
import unittest

import harness

HASH_URL = "archived_at=https://a.example/list/$list_address/message/$hash/"


class Test(harness.Case):
    def begin(self, kind, wrap=(), **settings):
        self.place = self.folder / ("posts" if kind == "maildir" else "posts.mbox")
        self.sink_ = self.sink()
        spoold = self.spoold(self.sink_.url)
        spoold.list(members=["anne@people.example"], archive=f"{kind}:{self.place}", **settings)
        return spoold

    def posts(self, kind):
        """subject -> message"""
        if not self.place.exists():
            return {}
        box = mailbox.Maildir(self.place, create=False) if kind == "maildir" else mailbox.mbox(self.place, create=False)
        found = [m for m in box]
        by_subject = {m["Subject"]: m for m in found}
        self.assertEqual(len(found), len(by_subject), "a post is there twice")
        return by_subject

    def waiting(self, kind):
        folder = self.place / "tmp" if kind == "maildir" else self.folder / "posts.mbox.spoold"
        return os.listdir(folder) if folder.exists() else []

    def accepted_is_archived(self, kind):
        spoold = self.begin(kind, personalize="full", one_click="true", footer="-- \n$list_name, $user_name\n",
                            list_archive="https://a.example/list/$list_address/", archived_at=HASH_URL.partition("=")[2])
        message_id = spoold.post(subject="one", body="Hello.\r\nFrom here on.\r\n")
        spoold.kill()  # what is there at the 250 is there
        posts = self.posts(kind)
        self.assertEqual(list(posts), ["one"])
        post = posts["one"]
        digest = base64.b32encode(hashlib.sha1(message_id.strip("<>").encode()).digest()).decode()
        self.assertEqual(post["Archived-At"], f"<https://a.example/list/test@lists.example/message/{digest}/>")
        self.assertEqual(post["Message-ID-Hash"], digest)
        self.assertEqual(post["List-Archive"], "<https://a.example/list/test@lists.example/>")
        self.assertEqual(post["List-Unsubscribe"], "<mailto:test-leave@lists.example>")  # not of a member
        text = post.get_payload()
        self.assertIn("$user_name", text)
        self.assertIn(">From here on" if kind == "mbox" else "\nFrom here on", text)
        spoold.start()
        spoold.post(subject="two")
        self.assertEqual(sorted(self.posts(kind)), ["one", "two"])
        self.assertEqual(self.waiting(kind), [])
        spoold.check()

    def test_accepted_is_archived_maildir(self):
        self.accepted_is_archived("maildir")

    def test_accepted_is_archived_mbox(self):
        self.accepted_is_archived("mbox")

    def test_what_cannot_be_archived_is_refused_with_the_reason_and_nothing_is_left(self):
        spoold = self.begin("maildir")
        spoold.post(subject="one")
        new = self.place / "new"
        os.rename(new, self.place / "away")
        new.write_text("not a folder")
        with smtplib.SMTP("127.0.0.1", spoold.port, timeout=60 * harness.SLOW) as client:
            with self.assertRaises(smtplib.SMTPDataError) as refused:
                client.sendmail("poster@example.net", [harness.LIST], b"From: poster@example.net\r\nSubject: two\r\n\r\nx\r\n")
        self.assertEqual(refused.exception.smtp_code, 451)
        self.assertIn(b"the archive of test@lists.example cannot be written: Permission denied", refused.exception.smtp_error)
        self.assertNotIn(str(self.place).encode(), refused.exception.smtp_error)
        self.assertEqual(self.waiting("maildir"), [])
        [line] = spoold.lines("archive")
        self.assertIn(str(new), line)
        new.unlink()
        os.rename(self.place / "away", new)
        spoold.post(subject="three")
        self.assertEqual(sorted(self.posts("maildir")), ["one", "three"])

    def test_a_held_post_is_archived_when_it_is_accepted(self):
        spoold = self.begin("mbox", nonmembers="hold")
        spoold.post(subject="held")
        self.assertEqual(self.posts("mbox"), {})
        [held] = spoold.ctl("held")
        spoold.stop()  # spoolctl archives by itself, too
        spoold.ctl("accept", held["id"])
        self.assertEqual(list(self.posts("mbox")), ["held"])
        self.assertEqual(self.waiting("mbox"), [])

    def crash_at_each_flush(self, kind):
        """What was accepted is archived, once; what was not is in nobody's mailbox and in no archive."""
        spoold = self.begin(kind)
        for n in range(1, 6):
            spoold.stop()
            spoold.wrap = ["strace", "-D", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e",
                           f"inject=fsync,fdatasync:signal=KILL:when={n}", "-o", "/dev/null"]
            got_250 = False
            try:
                spoold.start()
                spoold.post(subject=f"post {n}", message_id=f"<{n}@x.example>")
                got_250 = True
            except (AssertionError, OSError, smtplib.SMTPException):
                pass
            spoold.wrap = []
            spoold.kill()
            spoold.start()
            harness.wait_until(lambda: not self.waiting(kind) and not spoold.queue(), 20, "an end of what was begun")
            delivered = {a.message_id for a in self.sink_.arrivals()}
            archived = {m["Message-ID"] for m in self.posts(kind).values()}
            self.assertEqual(delivered, archived, f"after a crash at flush {n}")
            if got_250:
                self.assertIn(f"<{n}@x.example>", archived)
        spoold.check()

    def test_a_crash_at_each_flush_maildir(self):
        self.crash_at_each_flush("maildir")

    def test_a_crash_at_each_flush_mbox(self):
        self.crash_at_each_flush("mbox")


if __name__ == "__main__":
    unittest.main(verbosity=2)
