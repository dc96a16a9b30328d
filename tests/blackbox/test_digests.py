"""Digests as members get them: both forms, read by Python's own parser; bounces of a digest count; delivery by mail and by spoolctl."""
import email
import email.policy
import pathlib
import re
import smtplib
import unittest
import urllib.parse

import harness

PEOPLE = ["anne@people.example", "bart@people.example", "cris@people.example", "dirk@gone.example"]


class Test(harness.Case):
    def test_two_forms(self):
        folder = self.folder / "got"
        folder.mkdir()
        peer = self.peer("--content", folder, plan={"rcpt": ["dirk@gone.example=550 5.1.1 no such user"]})
        spoold = self.spoold(peer.url)
        spoold.list(members=PEOPLE, footer="-- \nsent by $list_name\n")
        self.assertNotEqual(spoold.run("digest", harness.LIST).returncode, 0)
        for address, delivery in (("bart@people.example", "digest"), ("cris@people.example", "digest_plain"), ("dirk@gone.example", "digest_mime")):
            spoold.ctl("member", "set", harness.LIST, address, f"delivery={delivery}")
        for n in (1, 2):
            spoold.post(subject=f"post {n}", message_id=f"<{n}@x.example>", body=f"Text {n}.\r\n")
        harness.wait_until(lambda: sum(peer.judge().deliveries().values()) == 2, 20, "Anne's posts")
        spoold.stop()
        spoold.start()  # they wait on
        self.assertEqual(spoold.ctl("digest", "--dry-run", harness.LIST)["posts"], 2)
        sent = spoold.ctl("digest", harness.LIST)
        self.assertEqual((sent["posts"], sent["recipients"], sent["subject"]), (2, 3, "Test Digest, Vol 1, Issue 1"))
        self.assertEqual(spoold.run("digest", harness.LIST).returncode, 3)
        harness.wait_until(lambda: sum(peer.judge().deliveries().values()) == 4 and not spoold.queue(), 20, "the digests")
        copies = {m["rcpts"][0]: email.message_from_bytes(pathlib.Path(m["file"]).read_bytes(), policy=email.policy.SMTP)
                  for m in peer.judge().messages}
        bart, cris = copies["bart@people.example"], copies["cris@people.example"]
        for copy in (bart, cris):
            self.assertEqual(copy["Subject"], sent["subject"])
            self.assertEqual(copy["List-Id"], "<test.lists.example>")
            self.assertEqual(copy.defects, [])
        self.assertEqual(bart.get_content_type(), "multipart/mixed")
        contents, posts, footer = bart.iter_parts()
        self.assertIn("   1. post 1 (poster@example.net)\n   2. post 2 (poster@example.net)\n", contents.get_content().replace("\r\n", "\n"))
        self.assertEqual(posts.get_content_type(), "multipart/digest")
        inner = [part.get_content() for part in posts.iter_parts()]
        self.assertEqual([m["Message-ID"] for m in inner], ["<1@x.example>", "<2@x.example>"])
        self.assertEqual([m.get_content().strip() for m in inner], ["Text 1.", "Text 2."])
        self.assertIn("sent by test", footer.get_content())
        text = cris.get_content().replace("\r\n", "\n")
        self.assertIn("\n" + "-" * 70 + "\n\nDate: ", text)
        self.assertEqual(text.count("\n\n" + "-" * 30 + "\n\n"), 3)
        self.assertIn("Message-ID: <2@x.example>\nMessage: 2\n\nText 2.\n", text)
        # What failed counts against Dirk.
        [row] = spoold.ctl("bounces", harness.LIST)
        self.assertEqual((row["address"], row["score"]), ("dirk@gone.example", 1.0))
        spoold.check()

    def test_each_member_has_an_address_to_leave_in_his_digest(self):
        folder = self.folder / "got"
        folder.mkdir()
        peer = self.peer("--content", folder)
        spoold = self.spoold(peer.url)
        spoold.list(members=PEOPLE[:3], one_click="true", verp="never")
        for address, delivery in zip(PEOPLE, ("digest", "digest_plain", "digest_mime")):
            spoold.ctl("member", "set", harness.LIST, address, f"delivery={delivery}")
        spoold.post()
        spoold.ctl("digest", harness.LIST)
        harness.wait_until(lambda: sum(peer.judge().deliveries().values()) == 3 and not spoold.queue(), 20, "the digests")
        addresses = {}
        for m in peer.judge().messages:
            copy = email.message_from_bytes(pathlib.Path(m["file"]).read_bytes(), policy=email.policy.SMTP)
            self.assertEqual(len(m["rcpts"]), 1)
            self.assertEqual(copy.defects, [])
            self.assertEqual(copy["List-Owner"], "<mailto:test-owner@lists.example>")
            [addresses[m["rcpts"][0]]] = re.findall(r"^<mailto:(test-leave\+[a-z2-7]{28}@lists\.example)>$", urllib.parse.unquote(copy["List-Unsubscribe"]))
        self.assertEqual(len(set(addresses.values())), 3)
        with smtplib.SMTP("127.0.0.1", spoold.port, timeout=30 * harness.SLOW) as client:
            client.sendmail("anybody@far.example", [addresses[PEOPLE[1]]], "From: anybody@far.example\r\nSubject: x\r\n\r\n")
        self.assertEqual({row["address"] for row in spoold.ctl("members", harness.LIST)}, {PEOPLE[0], PEOPLE[2]})
        spoold.check()


if __name__ == "__main__":
    unittest.main(verbosity=2)
