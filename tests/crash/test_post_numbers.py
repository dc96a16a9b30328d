#!/usr/bin/env python3
# ctest: slow
"""Posts with spoold killed at every fdatasync: each post has a number of its own, no number is lost, and a list that was made
again begins anew."""
import concurrent.futures
import shutil
import smtplib
import unittest

import harness

POSTS = 12  # more than a block of numbers


def numbers(spoold):
    return [m["post"] for m in spoold.ctl("queue", "--list", harness.LIST, ok=(0, 3)) or []]


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class Test(harness.Case):
    def killed_at(self, n):
        """Whether the n-th fdatasync was reached."""
        hop = self.hop
        spoold = harness.Spoold(self.folder, hop.url, name=f"run{n}", start=False)
        self.daemons.append(spoold)
        shutil.copytree(self.base, self.folder / f"run{n}.store", ignore=shutil.ignore_patterns("control", "lock*"))
        spoold.wrap = ["strace", "-D", "-f", "-qq", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:signal=KILL:when={n}", "-o", "/dev/null"]
        answered = 0
        try:
            spoold.start()
            for _ in range(POSTS):
                spoold.post()
                answered += 1
        except (OSError, smtplib.SMTPException, AssertionError):
            spoold.process.wait(10)
        reached = spoold.process.poll() is not None
        spoold.kill()
        spoold.wrap = []
        left = sorted(numbers(spoold))
        self.assertIn(len(left), (answered, answered + 1), f"at fdatasync {n}")
        self.assertEqual(left, list(range(1, len(left) + 1)), f"at fdatasync {n}")
        spoold.start()
        for _ in range(10):
            spoold.post()
        self.assertEqual(sorted(numbers(spoold)), list(range(1, len(left) + 11)), f"at fdatasync {n}")
        [shown] = spoold.ctl("lists")
        self.assertEqual(shown["last_post"], len(left) + 10)
        spoold.check()
        spoold.stop()
        return reached

    def test_every_fdatasync(self):
        self.hop = self.peer("--at", "rcpt=450 4.2.0 later")
        base = self.spoold(self.hop.url, name="base")
        base.list(members=["anne@one.example"])
        self.assertEqual(base.stop(), 0)
        self.base = self.folder / "base.store"
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            reached = list(pool.map(self.killed_at, range(1, POSTS + 1)))
        self.assertGreaterEqual(sum(reached), POSTS - 2)


if __name__ == "__main__":
    harness.main()
