#!/usr/bin/env python3
"""What is short here is said to clients that come now, by 452 or 421 with the reason; what is under way gets its outcome, and
reception recovers by itself."""
# ctest: slow
import os
import smtplib
import time

import harness
from peers import client

NOWHERE = "smtp://127.0.0.1:1"


class Client(client.Client):
    def reply(self):
        return super().reply().decode()


class BackPressure(harness.Case):
    def client(self, spoold, *lines):
        client = Client(spoold)
        self.addCleanup(client.close)
        client.ask("EHLO client.example", *lines)
        return client

    def refused_with(self, client, words, command="MAIL FROM:<b@c.example>"):
        """Asks until it is refused; what was accepted is given up again."""
        def refused():
            reply = client.ask(command)
            if reply.startswith("250"):
                client.ask("RSET")
                return False
            self.assertTrue(reply.startswith("452 4.3.1 "), reply)
            self.assertIn(words, reply)
            return True
        harness.wait_until(refused, 30, f"452 {words}", every=0.05)

    def taken(self, client, command="MAIL FROM:<b@c.example>"):
        harness.wait_until(lambda: client.ask("RSET", command).startswith("250"), 30, "250 again", every=0.05)

    def test_a_disk_that_is_slow(self):
        file, before = self.folder / "stalled", dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before), file.unlink(missing_ok=True)))
        os.environ.update(LD_PRELOAD=str(harness.BUILD / "stalled_disk.so"), STALLED_DISK=str(file),
                          ASAN_OPTIONS=":".join(filter(None, [before.get("ASAN_OPTIONS"), "verify_asan_link_order=0"])))
        spoold = self.spoold(NOWHERE)
        spoold.list(members=["anne@people.example"])
        waiting = [self.client(spoold, "MAIL FROM:<a@b.example>", f"RCPT TO:<{harness.LIST}>", "DATA") for _ in range(3)]
        behind = self.client(spoold, "MAIL FROM:<a@b.example>", f"RCPT TO:<{harness.LIST}>")
        file.touch()
        for client in waiting:
            client.say("From: a@b.example", "", "x", ".")
        begun = time.monotonic()
        late = self.client(spoold)
        self.refused_with(late, "the disk here is slow: mail has waited for it for ")
        self.assertGreater(time.monotonic() - begun, 4.5)
        stats = spoold.ctl("stats")
        self.assertGreaterEqual(stats["slow_disk_refused"], 1)
        self.assertGreater(stats["store"]["oldest_wait_ms"], 4500)
        self.assertIn('reply="452 4.3.1 the disk here is slow', "".join(spoold.lines("refused")))
        # A transaction that has begun goes on; its message waits with the others.
        self.assertTrue(behind.ask("DATA").startswith("354"))
        behind.say("From: a@b.example", "", "x", ".")
        file.unlink()
        for client in [*waiting, behind]:
            self.assertTrue(client.reply().startswith("250 "))
        self.taken(late)
        self.assertEqual(len(spoold.queue()), 4)

    def test_contents_of_all_sessions_together(self):
        spoold = self.spoold(NOWHERE)
        spoold.list(members=["anne@people.example"])
        late, senders = self.client(spoold), []
        # A header that is not whole stays in memory.
        header = "".join(f"X-{i}: {'x' * 900}\r\n" for i in range(270))
        while len(senders) < 700:
            sender = self.client(spoold)
            if not sender.ask("MAIL FROM:<a@b.example>").startswith("250"):
                break
            self.assertTrue(sender.ask(f"RCPT TO:<{harness.LIST}>", "DATA").startswith("354"))
            sender.say(header + "From: a@b.example")
            senders.append(sender)
        self.refused_with(late, "too much mail arrives here at a time")
        self.assertGreater(len(senders), 128 * 4 * 0.4)
        self.assertGreaterEqual(spoold.ctl("stats")["memory_refused"], 1)
        for sender in senders:
            sender.say("", "x", ".")
        replies = [sender.reply() for sender in senders]
        self.assertEqual([r for r in replies if not r.startswith("250 ")], [])
        self.taken(late)
        self.assertEqual(spoold.ctl("stats")["queue"]["messages"], len(senders))

    def test_a_list_whose_members_do_not_fit(self):
        spoold = self.spoold(NOWHERE)
        spoold.list("small@lists.example", members=["anne@people.example"])
        spoold.list("large@lists.example", members=harness.members(30000))
        spoold.stop()
        spoold.ctl("compact")
        size = (self.folder / "spoold.store" / "data.mdb").stat().st_size
        spoold.configure(spool={"max_size": f"{(size >> 10) + 600}KiB"})
        spoold.start()
        client = self.client(spoold)
        self.assertRegex(client.ask("MAIL FROM:<a@b.example> SIZE=2000000"), "^452 4.3.1 no room")
        self.assertRegex(client.ask("MAIL FROM:<a@b.example> SIZE=1000", "RCPT TO:<large@lists.example>"),
                         "^452 4.3.1 no room now for a post to the 30000 members of large@lists.example; try again later")
        self.assertTrue(client.ask("RCPT TO:<small@lists.example>").startswith("250"))
        self.assertTrue(client.ask("DATA").startswith("354"))
        self.assertTrue(client.ask("From: a@b.example\r\n\r\nx\r\n.").startswith("250"))
        self.assertEqual(spoold.ctl("stats")["room_refused"], 2)
        self.assertIn("30000 members", "".join(spoold.lines("refused")))

    def test_large_posts_that_are_held_do_not_use_up_the_room_of_all_others(self):
        spoold = self.spoold(NOWHERE, {"spool": {"max_size": "240MiB"}})
        spoold.list("moderated@lists.example", members=["anne@people.example"], nonmembers="hold")
        spoold.list("open@lists.example", members=["anne@people.example"])
        post = b"From: eve@b.example\r\nSubject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * (24 * (1 << 20) // 78)
        def send(to, octets=post):
            with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60 * harness.SLOW) as smtp:
                smtp.ehlo()
                for line in "MAIL FROM:<eve@b.example>", *(f"RCPT TO:<{one}@lists.example>" for one in to):
                    self.assertEqual(smtp.docmd(line)[0], 250)
                code, text = smtp.data(octets)
                return f"{code} {text.decode()}"
        held = [send(["moderated"]) for _ in range(2)]
        self.assertEqual([reply[:3] for reply in held], ["250", "250"])
        self.assertEqual(send(["moderated"]), "452 4.3.1 no room for more posts that wait for a moderator, such as this one to moderated@lists.example; try again later")
        self.assertEqual(spoold.ctl("stats")["room_refused"], 1)
        self.assertIn("no room for more posts that wait", "".join(spoold.lines("refused")))
        # A small one has room, and so have all others.
        self.assertEqual(send(["moderated"], post[:1000])[:3], "250")
        self.assertEqual(send(["open"])[:3], "250")
        first = spoold.ctl("held")[0]
        spoold.ctl("discard", first["id"])
        self.assertEqual(send(["moderated"])[:3], "250")
        self.assertEqual(len(spoold.ctl("held")), 3)
        spoold.check()

    def test_a_size_that_is_too_large_for_a_list_is_refused_before_the_data(self):
        spoold = self.spoold(NOWHERE)
        spoold.list("small@lists.example", members=["anne@people.example"], max_size="10KiB")
        spoold.list("large@lists.example", members=["anne@people.example"], max_size="0")
        client = self.client(spoold, "MAIL FROM:<a@b.example> SIZE=10241")
        self.assertRegex(client.ask("RCPT TO:<small@lists.example>"), "^552 5.3.4 .*small@lists.example must not be larger than 10240 octets")
        self.assertTrue(client.ask("RCPT TO:<large@lists.example>").startswith("250"))
        self.assertTrue(client.ask("RSET", "MAIL FROM:<a@b.example> SIZE=10240", "RCPT TO:<small@lists.example>").startswith("250"))

    def test_places_for_connections(self):
        spoold = self.spoold(NOWHERE, {"smtp": {"max_connections": 2, "max_connections_per_host": 2}})
        first, second, third = self.client(spoold), self.client(spoold), Client(spoold)
        self.assertRegex(third.greeting, "^421 4.3.2 too many connections; try again later")
        third.close()
        self.assertEqual(spoold.ctl("stats")["connections_refused"], 1)
        self.assertIn('reply="421 4.3.2 too many', "".join(spoold.lines("refused")))
        self.assertTrue(first.ask("NOOP").startswith("250"))
        self.assertTrue(second.ask("QUIT").startswith("221"))

        def greeted():
            client = Client(spoold)
            self.addCleanup(client.close)
            return client.greeting.startswith("220")
        harness.wait_until(greeted, what="220 again")


if __name__ == "__main__":
    harness.main()
