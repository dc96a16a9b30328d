"""scripts/quickstart tells its story on this machine, with the programs of this build, and leaves nothing running."""
import pathlib
import shutil
import subprocess

import harness


class Test(harness.Case):
    def test_story(self):
        tree = self.folder / "tree"  # a copy, so that var/quickstart of the real tree stays as it is
        for name in ("scripts", "tests/peers"):
            shutil.copytree(harness.SOURCE / name, tree / name)
        script = [tree / "scripts/quickstart", "--programs", str(harness.BUILD)]
        done = subprocess.run([*script, "--keep"], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        try:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("Three copies of each post, none twice.", done.stdout)
            self.assertIn("The queue is empty.", done.stdout)
            pids = [int(f.read_text()) for f in (tree / "var/quickstart").glob("*.pid")]
            self.assertEqual(len(pids), 2)
            self.assertTrue(all(pathlib.Path(f"/proc/{p}").exists() for p in pids), "--keep left nothing running")
        finally:
            stopped = subprocess.run([tree / "scripts/quickstart", "--stop"], capture_output=True, text=True, timeout=60)
        self.assertEqual(stopped.stdout.strip(), "stopped.")
        for p in pids:  # ended (or a zombie whose parent does not care: without a command line)
            line = pathlib.Path(f"/proc/{p}/cmdline")
            self.assertFalse(line.exists() and line.read_bytes(), f"process {p} still runs")


if __name__ == "__main__":
    harness.main()
