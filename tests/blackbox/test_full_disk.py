#!/usr/bin/env python3
"""A store whose file system is full: it starts with mail on the wire, delivers, and can be emptied by hand."""
import os
import pathlib
import subprocess
import unittest

import harness

PEOPLE = harness.members(200)


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.disk)], capture_output=True)
        if done.returncode != 0:
            raise unittest.SkipTest("no file system may be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.disk)])

    def fill(self):
        """Takes the last page of the file system."""
        with open(self.disk / "filler", "ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError:
                    pass
        left = os.statvfs(self.disk)
        self.assertEqual(left.f_bavail, 0)

    def test_a_start_with_claims_on_a_full_file_system(self):
        hop = self.peer("--at", "rcpt=silence")
        daemon = self.spoold(hop.url, {"spool": {"path": str(self.disk / "store"), "reserve": "0B"}})
        daemon.list(members=PEOPLE)
        daemon.post()
        qid = harness.wait_until(lambda: daemon.queue(), what="a message in the queue")[0]["id"]
        harness.wait_until(lambda: any(r["state"] == "active" for r in daemon.recipients(qid).values()), what="recipients on the wire")
        daemon.kill()
        self.fill()
        daemon.start()
        self.assertGreater(daemon.possible_duplicates(), 0)
        # What is on the wire when the next hop falls silent: claimed, given back, claimed.
        daemon.kill()
        self.end_programs()
        daemon.configure(relay={"smarthost": self.peer(name="good").url})
        daemon.start()
        harness.wait_until(lambda: not daemon.queue(), seconds=30 * harness.SLOW, what="an empty queue")
        self.assertEqual(daemon.show(qid)["state"], "finished")
        daemon.check()

    def test_a_full_file_system_is_emptied_by_hand_without_a_daemon(self):
        hop = self.peer("--at", "rcpt=silence")
        daemon = self.spoold(hop.url, {"spool": {"path": str(self.disk / "store"), "reserve": "0B"}})
        daemon.list(members=PEOPLE)
        for _ in range(5):
            daemon.post(body="x" * 70 + "\r\n")
        harness.wait_until(lambda: len(daemon.queue()) == 5, what="five messages")
        daemon.kill()
        self.fill()
        self.assertEqual(daemon.ctl("remove", "--all")["messages"], 5)
        daemon.check()
        self.assertEqual(daemon.queue(), [])
        self.assertLess(pathlib.Path(self.disk / "store" / "data.mdb").stat().st_size, 64 << 20)


if __name__ == "__main__":
    harness.main()
