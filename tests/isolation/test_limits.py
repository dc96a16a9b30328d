# ctest: serial
"""Limits that look like culprits (protocol/delivery/isolation.md section 6), over sockets: a peer that always closes after the 20th RCPT, after
20 rejects, after a time or after every 10th message is learned as a limit: everybody is delivered once, nobody is suspect."""
import time

import harness


class Limits(harness.Case):
    def run_post(self, peer, members, verp, refused=(), seconds=60, connections=20, name="spoold", doubtful=0):
        spoold = self.spoold(peer.url, name=name, settings={"delivery": {"isolation_waits": ["100ms", "200ms", "400ms"],
                                                              "connections_per_destination": connections}})
        spoold.list(members=members, verp="always" if verp else "never", bounce_guard="off")
        began = time.monotonic()
        spoold.post()
        innocents = set(members) - set(refused)
        harness.wait_until(lambda: len(harness.Judge(peer.log).deliveries()) >= len(innocents) - doubtful, seconds, "everybody delivered", every=0.1)
        took = time.monotonic() - began
        # A connection cut behind the content leaves its recipient in doubt for ten minutes; nobody else may wait.
        rows = lambda: [r for m in spoold.queue() for r in spoold.recipients(m["id"]).values() if r["state"] not in ("delivered", "failed")]
        harness.wait_until(lambda: len(rows()) <= doubtful, 10, "an empty queue", every=0.2)
        self.assertEqual([r for r in rows() if (r["last_reply"] or {}).get("stage") != "DOT"], [])
        judge = peer.judge()
        self.assertEqual(set(judge.deliveries().values()), {1})
        self.assertLessEqual(set(judge.deliveries()), innocents)
        self.assertEqual([line for line in spoold.lines("suspect") if "strikes=0" not in line], [], "a strike")
        suspects = {word for line in spoold.lines("suspect") for word in line.split() if word.startswith("to=")}
        released = {word for line in spoold.lines("released") for word in line.split() if word.startswith("to=")}
        self.assertEqual(suspects - released, set(), "suspects are left")
        spoold.check()
        return judge, took

    def test_closes_after_the_20th_rcpt(self):
        peer = self.peer("--close-after", "rcpt:20")
        judge, _ = self.run_post(peer, harness.members(300, 1), False)
        self.assertLess(len(judge.drops), 12)

    def test_closes_after_20_rejects(self):
        members = harness.members(120, 1)
        refused = members[::2]
        peer = self.peer("--close-after", "rejects:20", plan={"rcpt": [f"{r}=550 5.1.1 no such user" for r in refused]})
        judge, _ = self.run_post(peer, members, False, refused, connections=4)
        self.assertLessEqual(len(judge.drops), 2)

    def test_closes_after_every_10th_message(self):
        members = harness.members(300, 1)

        def rate(name, mode, *options):
            """Messages a second as the peer sees them; the end of a content takes 20 ms, a link's round trip."""
            stalls = ["--at", "dot=stall:0.02", "--at", "bdat=stall:0.02"]
            judge, _ = self.run_post(self.peer(*stalls, *mode, *options, name=name), members, True, connections=2, name=name + "d")
            self.daemons[-1].kill()
            times = [m["t"] for m in judge.messages]
            return len(times) / (max(times) - min(times))
        for number, mode in enumerate((["--no-chunking"], [])):
            free = rate(f"free{number}", mode)
            closing = rate(f"closing{number}", mode, "--close-after", "messages:10")
            self.assertGreaterEqual(closing / free, 0.8, f"{mode}: {free:.0f} messages a second free, {closing:.0f} closing")

    def test_closes_after_a_time(self):
        peer = self.peer("--close-after", "seconds:3", "--at", "mail=stall:0.03")
        judge, _ = self.run_post(peer, harness.members(400, 1), True, connections=1, doubtful=2)
        self.assertLess(len(judge.drops), 6)


if __name__ == "__main__":
    harness.main()
