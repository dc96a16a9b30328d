# ctest: slow
"""Edits against delivery: an edit at 1,000 random instants. Each recipient is either reported refused and delivered once, or
reported removed and never seen by the next hop. Nothing in between."""
import random

import harness

ROUNDS, EDITS, PEOPLE = 50, 20, 400


class Test(harness.Case):
    def run_rounds(self, verp, rounds):
        rng = random.Random(2007)
        sink = self.sink()
        link = self.proxy(sink.address, 2)  # a line of 4 ms, so that a delivery lasts long enough to be edited
        spoold = self.spoold(link.url, {"delivery": {"connections_per_destination": 4, "recipients_per_transaction": 20}})
        people = harness.members(PEOPLE, domains=5)
        spoold.list(members=people, verp=verp)
        removed, refused, at_work = set(), set(), 0
        for n in range(rounds):
            post = spoold.post(subject=f"round {n}")
            [qid] = [m["id"] for m in spoold.queue()] or [None]
            victims = rng.sample(people, EDITS)
            for victim in victims:
                if qid is None:
                    break
                done = spoold.run("--json", "edit-recipients", qid, "--remove", victim)
                self.assertIn(done.returncode, (0, 1, 3), done.stderr)
                was_removed = self.reported(done, victim)
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

    def reported(self, done, victim):
        """Whether spoolctl says that the recipient was removed (and not refused)."""
        answer = harness.json.loads(done.stdout)
        answer = answer[0] if isinstance(answer, list) else answer
        removed = {r["address"] if isinstance(r, dict) else r for r in answer.get("removed", [])}
        refused = {r["address"] if isinstance(r, dict) else r for r in answer.get("refused", [])}
        self.assertEqual((victim in removed) + (victim in refused), 1, done.stdout)
        return victim in removed

    def test_verp(self):
        self.run_rounds("always", ROUNDS // 2)

    def test_bulk(self):
        self.run_rounds("never", ROUNDS // 2)


if __name__ == "__main__":
    harness.main()
