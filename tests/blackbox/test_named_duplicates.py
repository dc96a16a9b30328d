# ctest: slow serial
"""Nobody gets a copy twice without being named: a peer that is only slow, replies that are lost, a cut of our own, a crash. What
is judged is the peer's own log; what is named is event=indoubt, and possible_duplicate in the row."""
import collections
import re
import signal
import time

import harness
from peers import postfix


def limits(seconds):
    return {name: f"{seconds * harness.SLOW}s" for name in ("rcpt", "mail", "data", "dot")}


class Case(harness.Case):
    def named(self, spoold):
        return {word[3:] for line in spoold.lines("indoubt") for word in line.split() if word.startswith("to=")}

    def waiting(self, spoold, qid):
        """Those who are neither delivered nor given up, with their rows."""
        return {a: r for a, r in spoold.recipients(qid).items() if r["state"] != "delivered"}

    def in_doubt(self, spoold, qid, innocent=()):
        """Waits until only those in doubt (and `innocent`, who wait for another reason) are left; nobody of them is charged or suspect."""
        named = lambda: self.named(spoold)
        left = harness.wait_until(lambda: (w := self.waiting(spoold, qid)) and named() and set(w) <= named() | set(innocent)
                                  and all(r["state"] == "deferred" for r in w.values()) and w, 60, "all others delivered", every=0.3)
        for address in set(left) & named():
            row = left[address]
            self.assertEqual((row["attempts"], row.get("possible_duplicate"), row.get("suspect")), (0, True, None), row)
        return set(left) & named()

    def everybody_once(self, spoold, qid, copies, members, most_twice):
        """They are tried again by an operator's wish; only who was named may have two copies."""
        spoold.ctl("retry", qid)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue", every=0.2)
        took = harness.wait_until(lambda: (t := copies()) and set(t) == set(members) and t, 10, "a copy for everybody")
        twice = {r for r, n in took.items() if n > 1}
        self.assertEqual(twice - self.named(spoold), set(), "twice, and not named")
        self.assertLessEqual(max(took.values()), 2)
        self.assertLessEqual(len(twice), most_twice)
        spoold.check()


class Slow(Case):
    """One RCPT takes longer than its time limit; the peer works through what it has read."""

    def run_post(self, verp, *options, n=120, number=0):
        members = harness.members(n, 1)
        slow = members[n // 2]
        peer = self.peer(*options, name=f"peer{number}", plan={"rcpt": [f"{slow}=stall:{4 * harness.SLOW}"]})
        spoold = self.spoold(peer.url, name=f"spoold{number}", settings={"delivery": {"connections_per_destination": 1, "timeouts": limits(2)}})
        spoold.list(members=members, verp=verp)
        spoold.post()
        harness.wait_until(lambda: spoold.lines("dropped"), 30, "a time-out")
        peer.plan()  # it was a bad moment
        return spoold, peer, members, slow

    def test_verp_chunking(self):
        spoold, peer, members, slow = self.run_post("always")
        qid = spoold.last_id
        doubtful = self.in_doubt(spoold, qid)
        self.assertIn(slow, doubtful)
        self.assertLessEqual(len(doubtful), 32)
        copies = lambda: peer.judge().deliveries()
        harness.wait_until(lambda: doubtful <= set(copies()), 30, "the peer has worked through it")
        self.everybody_once(spoold, qid, copies, members, 32)

    def test_the_others_keep_their_one_copy(self):
        """By DATA, and in bulk by either: a content leaves when each RCPT is answered, so nobody is in doubt; the slow one waits alone."""
        for number, (verp, options) in enumerate([("never", []), ("never", ["--no-chunking"]), ("always", ["--no-chunking"])]):
            with self.subTest(verp=verp, options=options):
                spoold, peer, members, slow = self.run_post(verp, *options, number=number)
                harness.wait_until(lambda: set(peer.judge().deliveries()) >= set(members) - {slow}, 60, "the others delivered", every=0.2)
                time.sleep(4 * harness.SLOW)  # until the peer has gone through what it had read
                self.assertEqual(set(peer.judge().deliveries().values()), {1})
                self.assertEqual(self.named(spoold), set())
                self.daemons.pop().kill()
                self.end_programs()

    def test_real_postfix_that_sleeps_at_one_rcpt(self):
        if not postfix.available():
            self.skipTest("needs root and Debian's postfix")
        for verp in ("always", "never"):
            with self.subTest(verp=verp):
                members = harness.members(120, 1)
                folder = self.folder / verp
                folder.mkdir()
                self.folder.chmod(0o755)  # Postfix' own user passes through it
                sink = self.sink(name=f"sink-{verp}")
                server = postfix.Postfix(folder, {
                    **postfix.relaying(sink.port), "smtpd_restriction_classes": "slow", "slow": f"sleep {6 * harness.SLOW:.0f}",
                    "smtpd_recipient_restrictions": "check_recipient_access inline:{ { %s = slow } }, permit" % members[60]})
                try:
                    spoold = self.spoold(f"smtp://127.0.0.1:{server.port}", name=f"spoold-{verp}",
                                         settings={"delivery": {"connections_per_destination": 1, "timeouts": limits(3)}})
                    spoold.list(members=members, verp=verp)
                    spoold.post()
                    harness.wait_until(lambda: spoold.lines("dropped"), 30, "a time-out")
                    took = lambda: collections.Counter(a.recipient for a in sink.arrivals())
                    harness.wait_until(lambda: set(took()) >= set(members) - {members[60]} - self.named(spoold), 60, "the others", every=0.3)
                    time.sleep(8 * harness.SLOW)  # it wakes up, and goes on with what it has read
                    self.assertEqual({r for r, n in took().items() if n > 1} - self.named(spoold), set(), "twice, and not named")
                    self.assertEqual(bool(self.named(spoold)), verp == "always")
                    self.daemons.pop().kill()
                finally:
                    server.stop()


class Lost(Case):
    def test_a_second_without_replies_in_a_fan_out(self):
        """The way back is lost for a second under four connections with CHUNKING: in doubt is what was in flight, and nobody else."""
        members = harness.members(8000, 1)  # half a second for a fast machine
        peer = self.peer()
        link = harness.Program([harness.PYTHON, "-B", harness.SOURCE / "tests/peers/oneway.py", peer.port], self.folder, "link")
        self.addCleanup(link.stop)
        spoold = self.spoold(link.url, settings={"delivery": {"connections_per_destination": 4, "timeouts": limits(3)}})
        spoold.list(members=members, verp="always")
        spoold.post()
        harness.wait_until(lambda: len(harness.Judge(peer.log).messages) > 500, 30, "under way", every=0.02)
        link.process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        link.process.send_signal(signal.SIGUSR2)
        qid = spoold.last_id
        doubtful = self.in_doubt(spoold, qid)
        copies = lambda: peer.judge().deliveries()
        self.assertEqual(set(copies()), set(members))  # the way there was whole
        self.assertEqual(set(copies().values()), {1}, "sent again while it was in doubt")
        self.assertEqual(doubtful, self.named(spoold))
        self.assertLessEqual(len(doubtful), 4 * 32)
        print(f"{len(doubtful)} in doubt, named")
        self.everybody_once(spoold, qid, copies, members, len(doubtful))


class Ours(Case):
    def test_a_stop_while_one_rcpt_is_slow(self):
        """The grace ends and the connection is cut: nobody is suspect, nobody is charged, and who can have a copy is named."""
        for number, (verp, options) in enumerate((("never", []), ("always", ["--no-chunking"]), ("always", []))):
            with self.subTest(verp=verp, options=options):
                members = harness.members(20, 1)
                slow = members[10]
                peer = self.peer(*options, name=f"peer{number}", plan={"rcpt": [f"{slow}=stall:{6 * harness.SLOW}"]})
                spoold = self.spoold(peer.url, name=f"spoold{number}", settings={"server": {"grace": "300ms"}, "delivery": {"connections_per_destination": 1}})
                spoold.list(members=members, verp=verp)
                spoold.post()
                qid = spoold.last_id
                harness.wait_until(lambda: len(peer.judge().rcpt_tries()) == 10, 10, "it waits for the reply to the slow one")
                time.sleep(0.5)
                self.assertEqual(spoold.stop(), 0)
                lines = spoold.lines(whole=True)
                self.assertEqual([line for line in lines if "event=suspect" in line], [])
                self.assertEqual(len([line for line in lines if "event=dropped" in line and "we ended the connection" in line]), 1)
                peer.plan()
                spoold.start()
                self.assertEqual(spoold.possible_duplicates(), 0, "an orderly stop leaves no claim")
                named = {word[3:] for line in lines if "event=indoubt" in line for word in line.split() if word.startswith("to=")}
                self.assertEqual(bool(named), verp == "always" and not options)
                harness.wait_until(lambda: set(members) - named <= set(peer.judge().deliveries()), 20, "the others delivered, the slow one too")
                for address, row in spoold.recipients(qid).items():
                    self.assertIsNone(row.get("suspect"), address)
                    self.assertLessEqual(row["attempts"], 1)
                    self.assertEqual(bool(row.get("possible_duplicate")), address in named, row)
                self.assertEqual({r for r, n in peer.judge().deliveries().items() if n > 1}, set())
                self.daemons.pop().kill()
                self.end_programs()


class Killed(Case):
    def test_in_the_middle_of_a_fan_out(self):
        """SIGKILL: who has it twice is a possible duplicate by the next start's own count, and by the row; few have it twice."""
        members = harness.members(4000, 5)
        for kill in range(3):
            with self.subTest(kill=kill):
                sink = self.sink(name=f"sink{kill}")
                spoold = self.spoold(sink.url, name=f"spoold{kill}")
                spoold.list(members=members, verp="always")
                spoold.post()
                qid = spoold.last_id
                harness.wait_until(lambda: sink.summary()["recipients"] > 300 * (kill + 1), 60, "under way", every=0.002)
                spoold.kill()
                before = sink.arrivals()
                spoold.start()
                announced = spoold.possible_duplicates()
                harness.wait_until(lambda: not spoold.queue(), 120, "an empty queue", every=0.2)
                took = collections.Counter(a.recipient for a in sink.arrivals())
                twice = {r for r, n in took.items() if n > 1}
                last = max(a.time for a in before)
                lately = [a for a in before if a.time > last - 0.01]
                print(f"{len(before)} delivered at the kill; {len(twice)} twice, {len(lately)} delivered in the 10 ms before, {announced} announced")
                self.assertEqual(set(took), set(members))
                self.assertLessEqual(len(twice), announced)
                self.assertLessEqual(twice, {a for a, r in spoold.recipients(qid).items() if r.get("possible_duplicate")})
                spoold.check()
                self.daemons.pop().kill()
                self.end_programs()


if __name__ == "__main__":
    harness.main()
