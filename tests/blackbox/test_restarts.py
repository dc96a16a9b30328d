# ctest: slow
"""Restarts in the middle of a load: every message that was answered 250 arrives; SIGTERM duplicates nothing, SIGKILL not more
than the daemon's own count at the next start says."""
import json

import harness


class Test(harness.Case):
    def run_load(self, end, rounds=4, messages=3000):
        sink = self.sink()
        spoold = self.spoold(sink.url)
        accepted = self.folder / "accepted"
        load = self.load_in_background("--to", spoold.address, "--sessions", 20, "--messages", messages, "--persist", "--accepted", accepted, "--timeout", 200)
        possible = 0
        for n in range(rounds):
            harness.wait_until(lambda: accepted.exists() and accepted.read_bytes().count(b"\n") > messages * (n + 1) // (rounds + 2), 60, "load", every=0.005)
            end(spoold)
            spoold.start()
            possible += spoold.possible_duplicates()
        said, _ = load.communicate(timeout=240)
        report = json.loads(said)
        numbers = {int(n) for n in accepted.read_text().split()}
        self.assertEqual(len(numbers), report["accepted"])
        self.assertGreater(report["accepted"], messages // 2)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue", every=0.2)
        seen = [int(a.message_id.split(".")[2].split("@")[0]) for a in sink.arrivals()]
        self.assertEqual(numbers - set(seen), set(), "answered 250 and lost")
        duplicates = len(seen) - len(set(seen))
        spoold.check()
        return duplicates, possible, report, seen, numbers

    def test_sigterm(self):
        def end(spoold):
            self.assertEqual(spoold.stop(), 0)
        duplicates, _, report, seen, numbers = self.run_load(end)
        self.assertEqual(duplicates, 0, "an orderly stop duplicated mail")

    def test_sigkill(self):
        duplicates, possible, report, seen, numbers = self.run_load(lambda spoold: spoold.kill())
        print(f"{len(numbers)} accepted, {len(set(seen) - numbers)} more without a heard 250, {duplicates} duplicates, {possible} announced")
        self.assertLessEqual(duplicates, possible)

    def test_fan_out_with_restarts(self):
        people = harness.members(10000, domains=20)
        sink = self.sink()
        spoold = self.spoold(sink.url)
        spoold.list(members=people)
        post = spoold.post()
        announced = 0
        for n in range(6):
            harness.time.sleep(0.03 * harness.SLOW)
            spoold.stop() if n % 2 else spoold.kill()
            spoold.start()
            announced += spoold.possible_duplicates()
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue", every=0.1)
        arrivals = sink.arrivals()
        self.assertEqual({a.recipient for a in arrivals}, set(people))
        for a in arrivals:
            self.assertEqual((a.sender, a.message_id), (f"test-bounces+{a.recipient.replace('@', '=')}@lists.example", post))
        self.assertLessEqual(len(arrivals) - len(people), announced)
        spoold.check()


if __name__ == "__main__":
    harness.main()
