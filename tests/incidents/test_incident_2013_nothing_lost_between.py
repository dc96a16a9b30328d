# ctest: slow
"""2013: an approved message vanished, because "approve" wrote a file into a queue that nobody served. Here held is a state in
the one store; nothing is lost between accept, hold, release and delivery, whatever dies in between."""
import concurrent.futures
import shutil
import unittest

import harness


class Test(harness.Case):
    def test_hold_and_release_across_crashes(self):
        sink = self.sink()
        dead = f"127.0.0.1:{harness.free_port()}"
        spoold = self.spoold("smtp://" + dead)
        people = harness.members(12)
        spoold.list(members=people)
        post = spoold.post()
        [message] = spoold.queue()
        spoold.ctl("hold", message["id"])
        spoold.kill()
        spoold.configure(relay={"smarthost": sink.url})
        spoold.start()
        [message] = spoold.queue()
        self.assertEqual({r["state"] for r in spoold.show(message["id"])["recipients"]}, {"held"})
        harness.time.sleep(1.5)
        self.assertEqual(sink.summary()["recipients"], 0, "a held message was sent")
        spoold.ctl("release", message["id"])
        spoold.kill()  # at once: the release was answered, so it is done
        spoold.start()
        sink.wait(12)
        harness.wait_until(lambda: not spoold.queue(), 10, "an empty queue")
        seen = [(a.recipient, a.message_id) for a in sink.arrivals()]
        self.assertEqual(set(seen), {(p, post) for p in people})
        # the crash may have met copies on the wire: the log states how many at most
        self.assertLessEqual(len(seen) - len(people), spoold.possible_duplicates())
        spoold.check()

    def test_killed_the_instant_of_the_250(self):
        sink_address = f"127.0.0.1:{harness.free_port()}"
        spoold = self.spoold("smtp://" + sink_address)
        people = harness.members(500)
        spoold.list(members=people)
        posts = []
        for n in range(5):
            posts.append(spoold.post(subject=f"post {n}"))
            spoold.kill()
            if n < 4:
                spoold.start()
        # the daemon is down: spoolctl reads the store itself
        queued = spoold.queue()
        self.assertEqual(len(queued), 5)
        for message in queued:
            self.assertEqual(sorted(r["address"] for r in spoold.show(message["id"])["recipients"]), sorted(people))
        sink = self.sink(listen=sink_address)
        spoold.start()
        spoold.ctl("retry", "--all")  # not after the dead hop's minute
        sink.wait(2500)
        harness.wait_until(lambda: not spoold.queue(), 10, "an empty queue")
        seen = [(a.recipient, a.message_id) for a in sink.arrivals()]
        self.assertEqual(sorted(seen), sorted((p, m) for p in people for m in posts))
        spoold.check()

    def approved_and_killed_at(self, n):
        """Approve with the daemon killed at the n-th fdatasync, approve again: whether it was reached."""
        sink = self.sink(name=f"sink{n}")
        spoold = harness.Spoold(self.folder, sink.url, name=f"run{n}", start=False)
        self.daemons.append(spoold)
        shutil.copytree(self.base, self.folder / f"run{n}.store", ignore=shutil.ignore_patterns("control", "lock*"))
        spoold.wrap = ["strace", "-D", "-f", "-qq", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:signal=KILL:when={n}", "-o", "/dev/null"]
        try:
            spoold.start()
        except AssertionError:
            if spoold.process.poll() is None:
                raise
        first = spoold.run("--json", "accept", self.held)
        if first.returncode == 0:
            # The daemon goes on until it is killed, or has nothing more to write.
            harness.wait_until(lambda: spoold.process.poll() is not None or not spoold.queue(), 20, "the delivery, or the crash", every=0.05)
        reached = spoold.process.poll() is not None
        spoold.kill()
        spoold.wrap = []
        spoold.check()
        spoold.start()
        second = spoold.run("--json", "accept", self.held)
        self.assertIn(second.returncode, (0, 1), second.stderr)
        if first.returncode == 0:
            self.assertEqual(second.returncode, 1, f"at fdatasync {n}: what was answered as accepted is accepted again")
        if second.returncode == 1:
            self.assertIn("was accepted by", second.stdout + second.stderr)
        sink.wait(len(self.people))
        harness.wait_until(lambda: not spoold.queue(), 20, "an empty queue")
        seen = [(a.recipient, a.message_id) for a in sink.arrivals()]
        self.assertEqual(set(seen), {(p, self.post) for p in self.people}, f"at fdatasync {n}")
        self.assertLessEqual(len(seen) - len(self.people), spoold.possible_duplicates(), f"at fdatasync {n}")
        posts = {e["id"] for e in spoold.ctl("trace", self.post) if e["event"] == "delivered"}
        self.assertLessEqual(len(posts), 1, f"at fdatasync {n}: the post went out as two messages")
        self.assertEqual(spoold.ctl("held"), [])
        spoold.check()
        spoold.stop()
        return reached

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_approved_twice_and_killed_at_every_flush(self):
        base = self.spoold(self.sink(name="base-sink").url, name="base")
        self.people = harness.members(30)
        base.list(members=self.people, nonmembers="hold")
        self.post = base.post(sender="outside@far.example")
        [row] = base.ctl("held")
        self.held = row["id"]
        # The notice to the owner is no part of this, and no next hop is away, for which the runs would wait.
        harness.wait_until(lambda: not base.queue(), 20, "the notices are delivered")
        self.assertEqual(base.stop(), 0)
        self.base = self.folder / "base.store"
        reached = []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for n in range(1, 30, 2):
                reached += pool.map(self.approved_and_killed_at, (n, n + 1))
                if not all(reached):
                    break
        self.assertGreaterEqual(sum(reached), 3, "too few crashes to say anything")


if __name__ == "__main__":
    harness.main()
