#!/usr/bin/env python3
"""spoolctl that is ended while it reads: by Ctrl-C, by its reader, by kill -9. A running daemon must not grow for it."""
import os
import signal
import struct
import subprocess

import harness


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.daemon = self.spoold("smtp://127.0.0.1:1")
        self.daemon.list(members=harness.members(30_000))

    def spoolctl(self, *words, **keys):
        return subprocess.Popen([str(harness.BUILD / "spoolctl"), "--config", str(self.daemon.config), *words], stderr=subprocess.PIPE,
                                **{"stdout": subprocess.PIPE, **keys})

    def places(self, pid):
        """Places of LMDB's reader table (64 octets each, behind two of 64: txnid, pid, thread) that this process holds."""
        table = (self.daemon.folder / "spoold.store" / "lock.mdb").read_bytes()[128:]
        return sum(struct.unpack_from("<Qi", table, at)[1] == pid for at in range(0, len(table) - 63, 64))

    def reading(self, *words):
        """A spoolctl that has begun to read."""
        process = self.spoolctl(*words)
        harness.wait_until(lambda: self.places(process.pid) or process.poll() is not None, what="a reader", every=0.001)
        return process

    def test_a_signal_ends_the_read_before_the_process(self):
        for words in (["members", harness.LIST], ["check"]):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                process = self.reading(*words)
                process.send_signal(number)
                _, errors = process.communicate(timeout=60 * harness.SLOW)
                self.assertEqual(process.returncode, -number, errors.decode())
                self.assertEqual(self.places(process.pid), 0, f"{words} left its place at signal {number}")

    def test_an_output_that_nobody_reads_any_more(self):
        for words in (["members", harness.LIST], ["export", harness.LIST], ["--json", "members", harness.LIST]):
            process = self.spoolctl(*words)
            self.assertTrue(process.stdout.read(10))
            process.stdout.close()
            self.assertEqual(process.wait(60 * harness.SLOW), -signal.SIGPIPE)
            self.assertEqual(process.stderr.read(), b"")
            process.stderr.close()
            self.assertEqual(self.places(process.pid), 0, f"{words} left its place")

    def test_a_full_output_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            process = self.spoolctl("export", harness.LIST, stdout=full)
            _, errors = process.communicate(timeout=60 * harness.SLOW)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"No space left", errors)

    def test_the_daemon_frees_what_a_killed_spoolctl_held(self):
        process = self.spoolctl("export", harness.LIST)  # into a pipe that is full after 64 KiB
        harness.wait_until(lambda: self.places(process.pid), what="a reader")
        process.stdout.read(10)
        process.kill()
        process.communicate()
        self.assertTrue(self.places(process.pid))
        harness.wait_until(lambda: not self.places(process.pid), seconds=25 * harness.SLOW, what="the daemon's look at its readers")
        self.assertTrue(self.daemon.lines("reader"))

    def test_a_closed_output_is_not_the_lock_of_the_store(self):
        lock = self.daemon.folder / "spoold.store" / "lock.mdb"
        before = lock.stat().st_size
        done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", str(harness.BUILD / "spoolctl"), "--config",
                               str(self.daemon.config), "export", harness.LIST], timeout=60 * harness.SLOW)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(lock.stat().st_size, before)
        # An '@' alone may stand there: it is 0x40, and LMDB's locks hold pointers.
        self.assertNotIn(b".example", lock.read_bytes())

    def test_a_daemon_without_standard_error_does_not_log_into_its_files(self):
        self.daemon.stop()
        self.daemon.wrap = ["sh", "-c", 'exec "$@" 2>&- >&-', "sh"]
        self.daemon.start(wait=False)
        harness.wait_until(lambda: self.daemon.run("stats").returncode == 0, what="the daemon's control socket")
        for number in (1, 2):
            self.assertEqual(os.readlink(f"/proc/{self.daemon.process.pid}/fd/{number}"), "/dev/null")


if __name__ == "__main__":
    harness.main()
