#!/usr/bin/env python3
"""Held posts by black box: notices, decisions by spoolctl and by mail, and who is told what."""
import collections
import pathlib
import re
import smtplib

import harness

MODERATOR = "mo@hop.example"
Mail = collections.namedtuple("Mail", "recipient sender message_id text")


class Test(harness.Case):
    def served(self, **settings):
        mails = self.folder / "mails"
        mails.mkdir()
        self.hop = self.peer("--content", mails)
        spoold = self.spoold(self.hop.url)
        spoold.list(members=["anne@one.example", "bart@two.example"], nonmembers="hold", moderators=MODERATOR, **settings)
        return spoold

    def arrivals(self):
        return [Mail(r, m["sender"], m["id"], pathlib.Path(m["file"]).read_bytes().decode("utf-8", "replace").replace("\r\n", "\n"))
                for m in self.hop.judge().messages for r in m["rcpts"]]

    def arrived(self, recipient, subject="", count=1):
        """The texts of the messages that the next hop has for an address."""
        def there():
            return [a for a in self.arrivals() if a.recipient == recipient and subject in a.text]
        harness.wait_until(lambda: len(there()) >= count, 30, f"{count} message(s) for {recipient} with {subject!r}")
        return there()

    def answer(self, spoold, to, text, sender=MODERATOR, fields="", subject="Re: a post"):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60) as client:
            client.ehlo()
            client.mail(sender)
            code, said = client.rcpt(to)
            if code != 250:
                return code, said.decode()
            code, said = client.data(f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n{fields}\r\n{text}\r\n".encode())
            return code, said.decode()

    def token_address(self, notice):
        return re.search(r"^Reply-To: (\S+)", notice.text, re.M)[1]

    def test_held_and_accepted_by_spoolctl(self):
        spoold = self.served()
        message_id = spoold.post(sender="eve@far.example", subject="from outside")
        qid = spoold.last_id
        [row] = spoold.ctl("held", harness.LIST)
        self.assertEqual((row["id"], row["number"], row["sender"], row["rule"], row["list"]), (qid, 1, "eve@far.example", "nonmembers", harness.LIST))
        self.assertEqual(spoold.ctl("held"), [row])
        self.assertIn("from outside", spoold.ctl("show", qid, "--content")["content"])
        [notice] = self.arrived(MODERATOR, "from outside")
        self.assertIn("Auto-Submitted: auto-generated", notice.text)
        self.assertIn("Hello, world.", notice.text)
        self.assertEqual(spoold.ctl("accept", qid, "--dry-run")["id"], qid)
        self.assertEqual(len(spoold.ctl("held")), 1)
        answer = spoold.ctl("accept", qid)
        self.assertEqual(answer["recipients"], 2)
        for member in ("anne@one.example", "bart@two.example"):
            [copy] = self.arrived(member)
            self.assertEqual(copy.message_id, message_id)
            self.assertIn("List-Id:", copy.text)
        again = spoold.run("accept", qid)
        self.assertEqual(again.returncode, 1)
        self.assertRegex(again.stderr, rf"post {qid} was accepted by \S+ at 20\S+, as message {answer['message']} already")
        self.assertEqual(spoold.ctl("held"), [])
        self.assertIn("was held for moderation, and accepted by", spoold.run("show", qid).stderr)
        self.assertTrue(any(e["event"] == "moderation" and "accepted as message" in e["detail"] for e in spoold.ctl("trace", qid)))
        self.assertEqual(spoold.run("accept", "6H05R3BNW0001").returncode, 3)
        spoold.check()

    def test_reject_discard_forward_remember(self):
        spoold = self.served()
        ids = {}
        for name in ("rejected", "discarded", "remembered"):
            spoold.post(sender=f"{name}@far.example", subject=name)
            ids[name] = spoold.last_id
        spoold.ctl("forward", ids["rejected"], "friend@hop.example")
        [copy] = self.arrived("friend@hop.example")
        self.assertIn("\nSubject: rejected\n", copy.text)
        self.assertEqual(len(spoold.ctl("held")), 3)
        spoold.ctl("reject", ids["rejected"], "--reason", "too long")
        [told] = self.arrived("rejected@far.example")
        self.assertIn("too long", told.text)
        self.assertEqual(told.sender, "")
        spoold.ctl("discard", ids["discarded"])
        spoold.ctl("accept", ids["remembered"], "--remember")
        self.assertEqual(spoold.ctl("list", "show", harness.LIST)["accept_these"], "remembered@far.example")
        spoold.post(sender="remembered@far.example", subject="second")
        self.arrived("anne@one.example", "Subject: second")
        self.assertEqual(spoold.ctl("held"), [])
        harness.wait_until(lambda: not spoold.queue(), 30, "an empty queue")
        self.assertEqual([a for a in self.arrivals() if a.recipient == "discarded@far.example"], [])
        spoold.check()

    def test_members_with_a_flag_and_the_words_of_judge(self):
        spoold = self.served(max_recipients="2", header_rules="discard X-Spam: yes")
        spoold.ctl("member", "set", harness.LIST, "anne@one.example", "moderation=hold")
        self.assertEqual(spoold.ctl("member", "show", harness.LIST, "anne@one.example")["moderation"], "hold")

        def judged(mail, sender):
            return spoold.ctl("judge", harness.LIST, "--mail-from", sender, input=mail)
        said = judged("From: anne@one.example\n\nx\n", "anne@one.example")
        self.assertEqual((said["outcome"], said["rule"], said["reply"]), ("hold", "member_moderation", None))
        self.assertEqual(judged("From: bart@two.example\nX-Spam: yes\n\nx\n", "bart@two.example")["outcome"], "discard")
        self.assertEqual(judged("From: bart@two.example\nTo: a@x.example, b@x.example, c@x.example\n\nx\n", "bart@two.example")["rule"], "max_recipients")
        spoold.post(sender="anne@one.example", subject="by a member")
        [told] = self.arrived("anne@one.example", "waits for a moderator")
        self.assertEqual(told.sender, "")
        spoold.ctl("member", "set", harness.LIST, "anne@one.example", "moderation=default")
        spoold.post(sender="anne@one.example", subject="now")
        self.arrived("bart@two.example", "Subject: now")
        spoold.ctl("list", "set", harness.LIST, "bans=^anne@")
        with self.assertRaisesRegex(AssertionError, "refused at RCPT: 550 .*must not post"):
            spoold.post(sender="anne@one.example")

    def test_by_mail(self):
        spoold = self.served()
        notices = {}
        for n, name in enumerate(("one", "two", "three", "four"), 1):
            spoold.post(sender=f"{name}@far.example", subject=f"post {name}")
            notices[name] = self.token_address(self.arrived(MODERATOR, f"post {name}")[0])
        # What a vacation program answers, and what is not understood, decides nothing.
        self.assertEqual(self.answer(spoold, notices["one"], "accept", fields="Auto-Submitted: auto-replied\r\n")[0], 250)
        self.assertEqual(self.answer(spoold, notices["one"], "accept", sender="")[0], 250)
        self.assertEqual(self.answer(spoold, notices["one"], "I am on holiday")[0], 250)
        self.arrived(MODERATOR, "was not understood")
        self.assertEqual(len(spoold.ctl("held")), 4)
        self.assertEqual(self.answer(spoold, notices["one"], "accept\r\n> A post waits")[0], 250)
        self.arrived("anne@one.example", "Subject: post one")
        self.arrived(MODERATOR, "You have accepted the post")
        # Replayed, and by another moderator: told who and when.
        self.assertEqual(self.answer(spoold, notices["one"].upper(), "reject", sender="other@hop.example")[0], 250)
        [told] = self.arrived("other@hop.example")
        self.assertRegex(told.text, rf"was accepted by {MODERATOR} at 20")
        self.answer(spoold, notices["two"], "reject: no advertising")
        self.assertIn("no advertising", self.arrived("two@far.example")[0].text)
        self.answer(spoold, notices["three"], "", subject="discard")
        self.arrived(MODERATOR, "You have discarded the post")
        self.answer(spoold, notices["four"], "accept remember")
        self.arrived(MODERATOR, "may post without a moderator")
        self.assertEqual(spoold.ctl("held"), [])
        # Forged, or of another list.
        local, domain = notices["one"].split("@")
        forged = local[:-1] + ("a" if local[-1] != "a" else "b")
        self.assertEqual(self.answer(spoold, f"{forged}@{domain}", "accept")[0], 550)
        spoold.list("other@lists.example")
        self.assertEqual(self.answer(spoold, notices["one"].replace("test-confirm", "other-confirm"), "accept")[0], 550)
        harness.wait_until(lambda: not spoold.queue(), 30, "an empty queue")
        posts = [a for a in self.arrivals() if a.recipient == "anne@one.example" and "List-Id:" in a.text]
        self.assertEqual(len(posts), 2)
        spoold.check()

    def test_several_lists_and_a_large_post(self):
        spoold = self.served()
        for name, nonmembers in (("open", "accept"), ("shut", "reject"), ("drop", "discard")):
            spoold.list(f"{name}@lists.example", members=[f"{name}@one.example"], nonmembers=nonmembers)
        rcpts = [harness.LIST, *(f"{name}@lists.example" for name in ("open", "shut", "drop"))]
        spoold.post(sender="eve@far.example", subject="to all", rcpts=rcpts)
        [row] = spoold.ctl("held")
        self.arrived("open@one.example", "to all")
        self.assertIn("shut@lists.example", self.arrived("eve@far.example")[0].text)
        spoold.ctl("discard", row["id"])
        # Larger than what stays in memory: the content is staged, and kept while the post waits.
        spoold.post(sender="eve@far.example", subject="large", body=("x" * 70 + "\r\n") * 20_000)
        [row] = spoold.ctl("held")
        self.arrived(MODERATOR, "the begin of a long one")
        self.assertEqual(len(spoold.ctl("show", row["id"], "--content")["content"]), row["size"])
        spoold.ctl("accept", row["id"])
        [copy] = self.arrived("anne@one.example", "Subject: large")
        self.assertGreater(len(copy.text), 1_400_000)
        harness.wait_until(lambda: not spoold.queue(), 30, "an empty queue")
        spoold.check()

    def test_a_list_that_is_gone(self):
        spoold = self.served()
        spoold.list("keep@lists.example")
        spoold.post(sender="eve@far.example", subject="late")
        qid, address = spoold.last_id, self.token_address(self.arrived(MODERATOR, "late")[0])
        spoold.ctl("list", "remove", harness.LIST)
        self.assertEqual(self.answer(spoold, address, "accept")[0], 250)
        self.assertIn("does not exist any more", spoold.run("accept", qid).stderr)
        spoold.stop()
        spoold.start()  # the first tick
        harness.wait_until(lambda: not spoold.ctl("held"), 30, "the post of a list that is gone is discarded")
        spoold.check()


if __name__ == "__main__":
    harness.main()
