"""2013: an approved message vanished, because "approve" wrote a file into a queue that nobody served. Here held is a state in
the one store; nothing is lost between accept, hold, release and delivery, whatever dies in between."""
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


if __name__ == "__main__":
    harness.main()
