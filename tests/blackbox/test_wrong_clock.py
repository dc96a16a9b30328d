#!/usr/bin/env python3
"""A machine that starts with a clock a year ahead: nothing expires before somebody can put the clock right."""
import os
import pathlib
import subprocess
import unittest

import harness

FAKETIME = pathlib.Path(f"/usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1")


@unittest.skipUnless(FAKETIME.exists(), "needs Debian's faketime")
class Test(harness.Case):
    def start_ahead(self, spoold, days):
        spoold.wrap = ["env", "LD_PRELOAD=" + ":".join([*self.sanitizer(), str(FAKETIME)]), f"FAKETIME=+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        spoold.start()
        spoold.wrap = []

    def sanitizer(self):
        """Its library must be loaded first."""
        needed = subprocess.run(["ldd", str(harness.BUILD / "spoold")], capture_output=True, text=True).stdout
        return [line.split()[0] for line in needed.splitlines() if "san.so" in line]

    def test_a_clock_a_year_ahead_expires_neither_held_posts_nor_the_queue(self):
        hop = self.peer("--rcpt", "bart@two.example=450 4.2.1 try again later")
        spoold = self.spoold(hop.url, settings={"delivery": {"lifetime": "5d"}})
        spoold.list(members=["anne@one.example", "bart@two.example"], nonmembers="hold", moderators="mo@hop.example")
        spoold.post(sender="anne@one.example", subject="from a member")
        late = spoold.last_id
        spoold.post(sender="eve@far.example", subject="from outside")
        held = spoold.last_id
        harness.wait_until(lambda: spoold.lines("deferred"), 20, "bart is deferred")
        spoold.stop()

        self.start_ahead(spoold, 400)
        [doubt] = spoold.lines("clock")
        self.assertIn("nothing expires for an hour", doubt)
        harness.wait_until(lambda: spoold.lines("deferred"), 60, "bart is tried, and waits on")
        self.assertEqual([row["id"] for row in spoold.ctl("held")], [held])
        self.assertEqual(spoold.lines("expired"), [])
        spoold.stop()

        spoold.start()
        self.assertEqual(spoold.lines("clock"), [])
        harness.wait_until(lambda: spoold.lines("deferred"), 60, "bart is due, although the clock is back")
        self.assertEqual(spoold.show(late)["counts"]["expired"], 0)
        self.assertEqual([row["id"] for row in spoold.ctl("held")], [held])
        spoold.ctl("accept", held)
        harness.wait_until(lambda: "from outside" not in str(spoold.ctl("held")), 20, "the post is accepted")
        spoold.check()


if __name__ == "__main__":
    harness.main()
