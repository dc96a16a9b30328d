# ctest: slow
"""Edits against delivery: an edit at 1,000 random instants. Each recipient is either reported refused and delivered once, or
reported removed and never seen by the next hop. Nothing in between."""
import random

import harness

ROUNDS, EDITS, PEOPLE = 50, 20, 400


class Test(harness.Case):
    def run_rounds(self, verp, rounds, delay, delivery):
        rng = random.Random(2007)
        sink = self.sink()
        link = self.proxy(sink.address, delay)  # so that a delivery lasts long enough to be edited
        spoold = self.spoold(link.url, {"delivery": delivery})
        people = harness.members(PEOPLE, domains=5)
        spoold.list(members=people, verp=verp)
        removed, refused, at_work = set(), set(), 0
        for n in range(rounds):
            post = spoold.post(subject=f"round {n}")
            qid = spoold.last_id
            for victim in rng.sample(people, EDITS):
                harness.time.sleep(rng.uniform(0, 0.04))
                was_removed = self.edit(spoold, qid, victim)
                (removed if was_removed else refused).add((victim, post))
            harness.wait_until(lambda: not spoold.queue(), 30, "an empty queue")
        spoold.check()
        sink.wait(rounds * PEOPLE - len(removed), 30)
        seen = {}
        for a in sink.arrivals():
            seen[(a.recipient, a.message_id)] = seen.get((a.recipient, a.message_id), 0) + 1
        self.assertEqual([v for v in removed if v in seen], [], "reported removed, and yet delivered")
        self.assertEqual([v for v in refused if seen.get(v) != 1], [], "reported refused, and not delivered once")
        self.assertEqual([v for v, n in seen.items() if n != 1], [], "delivered twice")
        self.assertEqual(len(seen), rounds * PEOPLE - len(removed))
        print(f"{len(removed) + len(refused)} edits: {len(removed)} removed, {len(refused)} refused because delivered")
        self.assertGreater(len(removed), 0)
        self.assertGreater(len(refused), 0)
        return len(removed) + len(refused)

    def edit(self, spoold, qid, victim):
        """Takes the victim out. Whether it is reported removed (and not refused). Each tenth time by spoolctl itself."""
        self.edits = getattr(self, "edits", 0) + 1
        if self.edits % 10 == 0:
            done = spoold.run("--json", "edit-recipients", qid, "--remove", victim)
            self.assertIn(done.returncode, (0, 1), done.stderr)
            answer = harness.json.loads(done.stdout)
        else:
            answer = spoold.ask(verb="edit-recipients", id=qid, remove=[victim])
        removed, refused = ({r["address"] for r in answer[key]} for key in ("removed", "refused"))
        self.assertEqual((victim in removed) + (victim in refused), 1, answer)
        return victim in removed

    def test_verp(self):
        self.run_rounds("always", ROUNDS // 2, 2, {"connections_per_destination": 2})

    def test_bulk(self):
        self.run_rounds("never", ROUNDS // 2, 8, {"connections_per_destination": 1, "recipients_per_transaction": 10})


if __name__ == "__main__":
    harness.main()
