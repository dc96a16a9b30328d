#!/usr/bin/env python3
"""spoolctl user: with the daemon and without it, on a terminal and without one; no secret where it does not belong."""
import glob
import os
import pty
import signal
import unittest

import harness

SECRET = "correct horse battery"


class Users(harness.Case):
    def setUp(self):
        super().setUp()
        self.daemon = self.spoold("smtp://127.0.0.1:9")

    def fails(self, code, words, *command, input=SECRET + "\n"):
        done = self.daemon.run(*command, input=input)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertIn(words, done.stderr)

    def names(self):
        return {row["name"]: row["addresses"] for row in self.daemon.ctl("user", "list")}

    def the_whole_life(self, suffix):
        d = self.daemon
        anne, bart = "anne" + suffix, "bart" + suffix
        self.assertEqual(d.ctl("user", "add", anne.upper(), "--address", "anne@lists.example", "Anne@BÜCHER.example", "--dry-run", input=SECRET + "\n"),
                         {"ok": True, "exit": 0, "dry_run": True, "user": anne, "addresses": ["anne@lists.example", "Anne@xn--bcher-kva.example"]})
        self.assertNotIn(anne, self.names())
        d.ctl("user", "add", anne, "--address", "anne@lists.example", "anne@x.example", input=SECRET + "\r\n")
        d.ctl("user", "add", f"{bart}@lists.example", input=SECRET + "\n")
        self.assertEqual(self.names()[anne], ["anne@lists.example", "anne@x.example"])
        self.assertEqual(self.names()[f"{bart}@lists.example"], [f"{bart}@lists.example"])
        self.fails(1, f"there is a user {anne} already", "user", "add", anne)
        self.fails(1, f"there is a user {anne} already", "user", "add", anne, "--dry-run")
        before = next(row for row in d.ctl("user", "list") if row["name"] == anne)
        self.assertEqual(set(before), {"name", "addresses", "created", "password_set"})
        file = self.folder / "password"
        file.write_text("another one\nand no second line\n")
        d.ctl("user", "password", anne, "--password-file", file)
        d.ctl("user", "set", anne, "--address", "other@x.example")
        after = next(row for row in d.ctl("user", "list") if row["name"] == anne)
        self.assertEqual(after["addresses"], ["other@x.example"])
        self.assertEqual(after["created"], before["created"])
        self.assertGreater(after["password_set"], before["password_set"])
        d.ctl("user", "set", anne, "--no-address")
        self.assertEqual(self.names()[anne], [])
        d.ctl("user", "remove", anne, "--dry-run")
        d.ctl("user", "remove", anne)
        self.fails(3, f"there is no user {anne}", "user", "remove", anne)
        self.fails(3, f"there is no user {anne}", "user", "remove", anne, "--dry-run")
        self.fails(3, f"there is no user {anne}", "user", "password", anne)
        self.assertNotIn(anne, self.names())

    def test_with_the_daemon_and_without_it(self):
        self.the_whole_life("")
        edited = "\n".join(self.daemon.lines("edited"))
        for what in ("added user anne of anne@lists.example anne@x.example", "set the password of user anne", "set user anne of other@x.example", "removed user anne"):
            self.assertIn(f'what="{what}"', edited)
        self.daemon.stop()
        self.the_whole_life("2")
        self.assertIn("bart2@lists.example", self.daemon.run("user", "list").stdout)
        self.assertEqual(self.daemon.run("check").returncode, 0)

    def test_no_secret_anywhere(self):
        self.daemon.ctl("user", "add", "anne", input=SECRET + "\n")
        said = self.daemon.run("user", "list").stdout + self.daemon.run("--json", "user", "list").stdout
        self.daemon.stop()
        for file in [*glob.glob(str(self.folder / "*.log")), *glob.glob(str(self.folder / "spoold.store" / "*"))]:
            if not os.path.isfile(file):
                continue  # the link to a socket that is gone
            with open(file, "rb") as f:
                self.assertNotIn(SECRET.encode(), f.read(), file)
        for secret in (SECRET, "$y$"):
            self.assertNotIn(secret, said + self.daemon.tail(1000))

    def test_what_is_refused(self):
        self.fails(2, "the password is empty", "user", "add", "anne", input="\n")
        self.fails(2, "the password is empty", "user", "add", "anne", input="")
        self.fails(2, "prohibits", "user", "add", "anne", input="pass\x07word\n")
        self.fails(2, "at most 500", "user", "add", "anne", input="x" * 501 + "\n")
        self.fails(2, "visible ASCII", "user", "add", "an ne")
        self.fails(2, "cannot be read", "user", "add", "anne", "--password-file", self.folder / "gone")
        self.fails(2, "'no address'", "user", "add", "anne", "--address", "no address")
        self.fails(2, "name the addresses", "user", "set", "anne")
        self.assertEqual(self.names(), {})
        # The daemon does not take what spoolctl would not send.
        answer = self.daemon.ask(verb="user-add", user="anne", addresses=[], verifiers={"crypt": "x", "salt": "", "iterations": 1, "stored_key": "", "server_key": ""})
        self.assertFalse(answer["ok"])
        self.assertIn("verifiers are not whole", answer["error"])
        self.assertFalse(self.daemon.ask(verb="user-add", user="anne", addresses=[], password="x")["ok"])

    def on_a_terminal(self, *lines):
        """user add anne, and lines typed when they are asked for: what the terminal showed, and the exit code."""
        process, terminal = pty.fork()
        if process == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what it starts in the background
            os.execv(harness.BUILD / "spoolctl", ["spoolctl", "--config", str(self.daemon.config), "user", "add", "anne"])
        shown = b""
        for line in lines:
            asked = shown.count(b": ")
            while shown.count(b": ") == asked:
                shown += os.read(terminal, 1000)
            os.write(terminal, line)
        try:
            while block := os.read(terminal, 1000):
                shown += block
        except OSError:
            pass  # the end of a terminal
        _, status = os.waitpid(process, 0)
        os.close(terminal)
        return shown.decode(), status

    def test_on_a_terminal_nothing_is_shown(self):
        shown, status = self.on_a_terminal(SECRET.encode() + b"\n", b"another\n")
        self.assertIn("the two passwords differ", shown)
        self.assertEqual(os.waitstatus_to_exitcode(status), 2)
        shown, status = self.on_a_terminal(SECRET.encode() + b"\n", SECRET.encode() + b"\n")
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, shown)
        self.assertIn("Password of anne: ", shown)
        self.assertNotIn(SECRET, shown)
        self.assertEqual(self.names(), {"anne": []})
        shown, status = self.on_a_terminal(b"\x03")
        self.assertTrue(os.WIFSIGNALED(status), shown)


if __name__ == "__main__":
    harness.main()
