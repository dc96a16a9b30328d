"""What an operator sees of next hops, with the daemon and without: health, why a recipient waits, wake, totals that agree."""
import harness


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.living, self.dead = self.sink(), harness.free_port()
        self.daemon = self.spoold("smtp://127.0.0.1:1", {"domain": [{"name": "alive.example", "deliver_to": self.living.url},
                                                    {"name": "dead.example", "deliver_to": f"smtp://127.0.0.1:{self.dead}"}]})

    def row(self, name):
        return {row["destination"]: row for row in self.daemon.ctl("destinations")}.get(f"smtp://127.0.0.1:{name}")

    def waits(self):
        row = self.row(self.dead)
        return row if row and row["health"] == "waiting" and row["recipients"] == 3 and row["queued"] == 3 else None

    def test_a_dead_next_hop(self):
        self.daemon.post(sender="anne@north.example", to="dirk@dead.example", rcpts=[f"d{i}@dead.example" for i in range(3)] + ["bart@alive.example"])
        qid = self.daemon.last_id
        self.living.wait(1)
        row = harness.wait_until(self.waits, 20, "three recipients that wait for their host")
        self.assertEqual((row["messages"], row["connections"], row["suspects"]), (1, 0, 0))
        self.assertIn("cannot connect", row["last_error"])
        self.assertGreaterEqual(row["next_attempt"], row["until"])
        [total] = [t for t in self.daemon.ctl("queue", "--by", "destination") if t["destination"] == row["destination"]]
        self.assertEqual({k: row[k] for k in total}, total)
        self.assertEqual(self.row(self.living.port)["health"], "up")

        # I2: nobody was charged; show and queue say whom they wait for.
        for address, recipient in self.daemon.recipients(qid).items():
            if address == "bart@alive.example":
                self.assertEqual(recipient["state"], "delivered")
                self.assertNotIn("waits_for", recipient)
                continue
            self.assertEqual(recipient["attempts"], 0)
            self.assertIn("cannot connect", recipient["waits_for"]["error"])
            self.assertEqual(recipient["next_attempt"], recipient["waits_for"]["until"])
        self.assertIn(f"waits for smtp://127.0.0.1:{self.dead}: ", self.daemon.run("show", qid).stdout)
        [line] = self.daemon.queue()
        self.assertIn("waits for smtp://", line["last_error"])
        self.assertIn("cannot connect", self.daemon.run("destinations").stdout)

        # FILTER: only where something that it matches waits.
        [only] = self.daemon.ctl("destinations", "--sender", "anne@*", "--state", "queued")
        self.assertEqual((only["destination"], only["recipients"]), (row["destination"], 3))
        self.assertEqual(self.daemon.run("destinations", "--sender", "bart@*").returncode, 3)

        # The same without a daemon; and its clock outlives it.
        self.assertEqual(self.daemon.stop(), 0)
        again = self.waits()
        self.assertEqual((again["until"], again["last_error"]), (row["until"], row["last_error"]))
        self.daemon.start()
        self.assertEqual(self.waits()["until"], row["until"])
        self.assertEqual(self.daemon.lines("unreachable"), [])

        self.assertEqual(self.daemon.run("wake", "nobody.example").returncode, 3)
        self.assertEqual(self.daemon.run("destinations", "nobody.example").returncode, 3)
        self.assertEqual(self.daemon.ctl("wake", f"*:{self.dead}", "--dry-run")["recipients"], 3)
        self.assertEqual(self.waits()["until"], row["until"])
        late = self.sink(listen=f"127.0.0.1:{self.dead}", name="late")
        woken = self.daemon.ctl("wake", f"smtp://127.0.0.1:{self.dead}")
        self.assertEqual((woken["destinations"], woken["recipients"]), ([row["destination"]], 3))
        late.wait(3, 10)
        harness.wait_until(lambda: not self.daemon.queue(), 10, "an empty queue")
        self.assertEqual(self.row(self.dead)["health"], "up")
        self.daemon.check()

    def test_wake_without_a_daemon(self):
        self.daemon.post(to="dirk@dead.example")
        harness.wait_until(lambda: (self.row(self.dead) or {}).get("health") == "waiting", 20, "a host that waits")
        self.daemon.stop()
        self.daemon.ctl("wake", "127.0.0.1")
        self.assertEqual(self.row(self.dead)["health"], "half-open")
        late = self.sink(listen=f"127.0.0.1:{self.dead}", name="late")
        self.daemon.start()
        late.wait(1, 5)


if __name__ == "__main__":
    harness.main()
