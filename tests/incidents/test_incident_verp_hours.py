# ctest: serial
"""VERP: individual envelopes cost a site hours. Here: 10,000 of them in seconds, each with its own sender, each once."""
import harness

PEOPLE = 10000


def verp(member):
    return "test-bounces+" + member.replace("@", "=") + "@lists.example"


class Test(harness.Case):
    def test_ten_thousand_envelopes_in_seconds(self):
        sink = self.sink()
        spoold = self.spoold(sink.url)
        people = harness.members(PEOPLE, domains=50)
        spoold.list(members=people)
        began = harness.time.monotonic()
        post = spoold.post()
        accepted = harness.time.monotonic() - began
        sink.wait(PEOPLE, 20)
        took = harness.time.monotonic() - began
        arrivals = sink.arrivals()
        self.assertEqual(len(arrivals), PEOPLE)
        self.assertEqual({a.message_id for a in arrivals}, {post})
        self.assertEqual({a.recipient: a.sender for a in arrivals}, {p: verp(p) for p in people})
        self.assertLess(took, 10 * harness.SLOW)
        print(f"10,000 VERP copies: 250 after {accepted * 1000:.0f} ms, the last at the sink after {took:.2f} s")
        harness.wait_until(lambda: not spoold.queue(), 10, "an empty queue")
        spoold.check()

    def test_a_few_culprits_do_not_slow_the_rest(self):
        """protocol/delivery/isolation.md: 50 culprits of 10,000 through one smarthost: innocents within 1.5 times of the time without."""
        people = harness.members(PEOPLE, domains=50)
        took = {}
        for culprits in (0, 50):
            bad = people[7::PEOPLE // 50][:culprits]
            peer = self.peer(name=f"peer{culprits}", plan={"rcpt": [f"{b}=rst" for b in bad]})
            spoold = self.spoold(peer.url, name=f"spoold{culprits}")
            spoold.list(members=people)
            began = harness.time.time()
            spoold.post()
            wanted = PEOPLE - culprits

            def all_there():
                judge = harness.Judge(peer.log)
                return len(judge.messages) >= wanted and judge
            judge = harness.wait_until(all_there, 60, f"{wanted} copies", every=0.5)
            took[culprits] = max(e["t"] for e in judge.messages) - began
            others = [line for line in spoold.lines() if "event=delivered" not in line]
            self.assertLess(took[culprits], 10 * harness.SLOW, "a stall:\n" + "\n".join(others[:40]))
            self.assertEqual(judge.duplicates(), {})
            self.assertEqual(set(judge.deliveries()), set(people) - set(bad))
            spoold.kill()
        print(f"10,000 VERP copies to the peer: {took[0]:.2f} s without, {took[50]:.2f} s with 50 culprits")
        self.assertLess(took[50], 1.5 * took[0] + 1.0)


if __name__ == "__main__":
    harness.main()
