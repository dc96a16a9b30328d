"""The brake: a post that many refuse for one reason is held, its owners are told, and released it goes on."""
import unittest

import harness

BAD = [f"bad{i:02d}@people.example" for i in range(30)]
GOOD = [f"good{i:02d}@people.example" for i in range(150)]


class Test(harness.Case):
    def test_a_post_that_is_refused_is_held_and_released_it_goes_on(self):
        peer = self.peer(*[word for bad in BAD for word in ("--rcpt", f"{bad}=550 5.7.1 message considered spam")])
        spoold = self.spoold(peer.url, {"delivery": {"connections_per_destination": 1, "recipients_per_transaction": 10}})
        spoold.list(members=BAD + GOOD, verp="never", brake="10% of 100")
        spoold.post(subject="spam?")
        post = spoold.last_id
        harness.wait_until(lambda: spoold.show(post)["state"] in ("held", "finished"), 30, "the brake")
        shown = spoold.show(post)
        self.assertEqual(shown["state"], "held")
        harness.wait_until(lambda: harness.OWNER in peer.judge().deliveries(), 20, "a mail to the owner")
        refused = [a for a, r in spoold.recipients(post).items() if r["state"] == "failed"]
        self.assertGreater(len(refused), 10)
        held = [a for a, r in spoold.recipients(post).items() if r["state"] == "held"]
        self.assertGreater(len(held), 0)
        trace = spoold.ctl("trace", post)
        [why] = [e for e in trace if e["event"] == "held" and "10% of 100" in (e.get("detail") or "")]
        self.assertIn("for one reason", why["detail"])
        spoold.check()
        # Released it is not held again, whatever fails.
        spoold.ctl("release", post)
        harness.wait_until(lambda: spoold.show(post)["state"] == "finished", 60, "the end of the post")
        states = {a: r["state"] for a, r in spoold.recipients(post).items()}
        self.assertEqual({a for a, s in states.items() if s == "failed"}, set(BAD))
        self.assertEqual({a for a, s in states.items() if s == "delivered"}, set(GOOD))
        self.assertEqual(peer.judge().duplicates(), {})

    def test_without_a_brake_and_for_a_few_it_goes_on(self):
        peer = self.peer(*[word for bad in BAD for word in ("--rcpt", f"{bad}=550 5.7.1 message considered spam")])
        spoold = self.spoold(peer.url)
        spoold.list(members=BAD[:10] + GOOD, brake="10% of 100")
        spoold.post()
        post = spoold.last_id
        harness.wait_until(lambda: spoold.show(post)["state"] == "finished", 60, "the end of the post")


if __name__ == "__main__":
    unittest.main(verbosity=2)
