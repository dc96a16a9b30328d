# ctest: serial
"""1999: a list of 100,000 exploded, the next hop refused connections under the load, and the next post arrived and was
exploded too. Here: posts are taken at once whatever the next hop does, memory stays small, others are not delayed, and when
the next hop takes mail again everything arrives once."""
import harness

PEOPLE = 100000 if not harness.SANITIZED else 20000


class Test(harness.Case):
    def test_posts_go_on_while_connections_are_refused(self):
        port = harness.free_port()
        good = self.sink(name="good")
        spoold = self.spoold(f"smtp://127.0.0.1:{port}", {"domain": [{"name": "good.example", "deliver_to": good.url}]})
        people = harness.members(PEOPLE, domains=100)
        spoold.list(members=people)
        spoold.list("small@lists.example", members=["a@good.example", "b@good.example"])
        posts, times = [], []
        for n in range(3):
            began = harness.time.monotonic()
            posts.append(spoold.post(subject=f"post {n}"))
            times.append(harness.time.monotonic() - began)
            began = harness.time.monotonic()
            spoold.post("small@lists.example")
            good.wait(2 * (n + 1), 5)  # the small list does not wait for the large one
            self.assertLess(harness.time.monotonic() - began, 2 * harness.SLOW)
        self.assertLess(max(times), 2 * harness.SLOW)
        if not harness.SANITIZED:
            anonymous = int(next(line for line in open(f"/proc/{spoold.process.pid}/status") if line.startswith("RssAnon")).split()[1]) // 1024
            print(f"{3 * PEOPLE} queued recipients: {anonymous} MiB anonymous memory; 250 after {max(times) * 1000:.0f} ms at most")
            self.assertLessEqual(anonymous, 64)
        sink = self.sink(listen=f"127.0.0.1:{port}", name="late")
        spoold.ctl("retry", "--all")
        sink.wait(3 * PEOPLE, 120)
        harness.wait_until(lambda: not spoold.queue(), 20, "an empty queue")
        end = sink.finish()
        self.assertEqual((end["recipients"], end["distinct_deliveries"], end["duplicates"], end["distinct_senders"]), (3 * PEOPLE, 3 * PEOPLE, 0, PEOPLE))
        spoold.check()

    def test_next_hop_that_takes_few_connections(self):
        peer = self.peer("--max-connections", "3")
        spoold = self.spoold(peer.url)
        people = harness.members(1000)
        spoold.list(members=people)
        spoold.post()
        harness.wait_until(lambda: len(harness.Judge(peer.log).deliveries()) == 1000, 60, "1,000 copies", every=0.3)
        self.assertEqual(peer.judge().duplicates(), {})


if __name__ == "__main__":
    harness.main()
