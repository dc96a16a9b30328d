"""smtp-source -> spoold -> smtp-sink (Postfix's own load tools): 2,000 messages over 20 sessions; accepted = delivered + queued."""
import os
import pathlib
import signal
import subprocess

import harness

MESSAGES = 2000
TOOLS = {name: next((p for d in ("/usr/sbin", "/usr/bin") if (p := pathlib.Path(d, name)).exists()), None) for name in ("smtp-source", "smtp-sink")}


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        missing = [name for name, path in TOOLS.items() if not path]
        self.assertEqual(missing, [], "Postfix's tools are missing: scripts/install test")

    def run_load(self, *sink_options):
        port, dumps = harness.free_port(), self.folder / "dumps"
        dumps.mkdir()
        os.chmod(self.folder, 0o755)
        os.chmod(dumps, 0o777)
        as_root = ["-u", "nobody"] if os.geteuid() == 0 else []
        # -d: a file for each message, with its envelope on top
        sink = subprocess.Popen([TOOLS["smtp-sink"], *as_root, *sink_options, "-d", str(dumps) + "/%M.", f"127.0.0.1:{port}", "100"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=harness._die_with_parent)
        self.addCleanup(lambda: (sink.send_signal(signal.SIGTERM), sink.wait(10)))
        spoold = self.spoold(f"smtp://127.0.0.1:{port}")
        subprocess.run([TOOLS["smtp-source"], "-s", "20", "-m", str(MESSAGES), "-l", "4096", "-f", "anne@sender.example", "-t", "bart@rcpt.example",
                        spoold.address], check=True, timeout=120 * harness.SLOW, stdin=subprocess.DEVNULL)
        count = lambda: len(list(dumps.iterdir()))
        harness.wait_until(lambda: count() >= MESSAGES and not spoold.queue(), 60, "everything delivered", every=0.2)
        harness.time.sleep(0.3)
        self.assertEqual(count() + len(spoold.queue()), MESSAGES)
        accepted = [line for line in spoold.lines("accepted")]
        self.assertEqual(len(accepted), MESSAGES)
        spoold.check()

    def test_through(self):
        self.run_load()

    def test_through_without_pipelining(self):
        self.run_load("-p")

    def test_accepted_is_delivered_plus_queued_with_a_dead_next_hop(self):
        spoold = self.spoold(f"smtp://127.0.0.1:{harness.free_port()}")
        subprocess.run([TOOLS["smtp-source"], "-s", "20", "-m", "200", "-f", "a@sender.example", "-t", "b@rcpt.example", spoold.address], check=True,
                       timeout=60 * harness.SLOW, stdin=subprocess.DEVNULL)
        self.assertEqual(len(spoold.queue()), 200)
        spoold.check()


if __name__ == "__main__":
    harness.main()
