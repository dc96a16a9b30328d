#!/usr/bin/env python3
"""spoolctl as an operator uses it: with the daemon, with the daemon killed, with the daemon stuck."""
import json
import os
import pathlib
import pty
import pwd
import signal
import subprocess
import time
import unittest

import harness

PEOPLE = ["anne@one.example", "bart@one.example", "cris@two.example", "dirk@two.example"]


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        # Every recipient is deferred, and waits.
        hop = self.peer("--at", "rcpt=450 4.2.0 mailbox busy")
        self.daemon = self.spoold(hop.url, {"delivery": {"retry": ["1h"]}})

    def waiting(self):
        """A post that waits with its four recipients; its queue id."""
        self.daemon.list(members=PEOPLE)
        self.daemon.post()
        qid = harness.wait_until(lambda: self.daemon.queue(), what="a message in the queue")[0]["id"]
        harness.wait_until(lambda: set(self.states(qid).values()) == {"deferred"}, what="four deferred recipients")
        return qid

    def states(self, qid):
        return {a: r["state"] for a, r in self.daemon.recipients(qid).items()}

    def fails(self, code, *words):
        done = self.daemon.run(*words)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertTrue(done.stderr.strip(), "no reason was given")
        return done.stderr

    def test_a_change_without_the_daemon_leaves_tries_that_are_days_ahead(self):
        hop = self.peer("--at", "rcpt=450 4.2.0 mailbox busy", name="far-hop")
        self.daemon = self.spoold(hop.url, {"delivery": {"retry": ["3d"]}}, name="far")
        qid = self.waiting()
        ahead = {a: r["next_attempt"] for a, r in self.daemon.recipients(qid).items()}
        self.assertEqual(self.daemon.stop(), 0)
        for person in PEOPLE[:2]:
            self.daemon.ctl("member", "remove", harness.LIST, person)
        self.assertEqual({a: r["next_attempt"] for a, r in self.daemon.recipients(qid).items()}, ahead)

    def test_the_contract_of_show_and_queue(self):
        qid = self.waiting()
        shown = self.daemon.show(qid)
        self.assertLessEqual({"id", "list", "sender", "size", "arrived", "state", "recipients"}, shown.keys())
        self.assertEqual((shown["id"], shown["list"]), (qid, harness.LIST))
        anne = self.daemon.recipients(qid)["anne@one.example"]
        self.assertEqual(anne["envelope_sender"], "test-bounces+anne=one.example@lists.example")
        self.assertEqual(set(anne["last_reply"]), {"code", "enhanced", "text", "remote", "at", "stage", "tls"})
        self.assertEqual(anne["last_reply"]["stage"], "RCPT")
        self.assertEqual((anne["last_reply"]["code"], anne["last_reply"]["enhanced"]), (450, "4.2.0"))
        row = self.daemon.ctl("queue")[0]
        self.assertEqual(row["recipients"]["deferred"], 4)
        self.assertTrue(row["next_attempt"] and row["last_error"])
        table = self.daemon.run("queue").stdout.splitlines()
        self.assertEqual(len(table), 2)
        self.assertEqual(table[0].split()[:3], ["ID", "AGE", "SIZE"])
        self.assertEqual(table[1].split()[0], qid)
        self.assertIn("4 deferred", table[1])
        self.assertEqual(self.daemon.ctl("queue", "--by", "destination")[0]["recipients"], 4)
        self.assertEqual(self.daemon.ctl("queue", "--by", "list")[0]["list"], harness.LIST)
        self.assertIn("Subject: hello", self.daemon.run("show", qid, "--content").stdout)
        self.assertEqual([m["address"] for m in self.daemon.ctl("members", harness.LIST)], PEOPLE)

    def test_changes_with_the_daemon(self):
        qid = self.waiting()
        answer = self.daemon.ctl("edit-recipients", qid, "--remove", PEOPLE[0], "--add", "eve@three.example", "--replace",
                                 f"{PEOPLE[1]}=a=b@three.example")
        self.assertEqual([r["address"] for r in answer["removed"]], [PEOPLE[0]])
        self.assertEqual(answer["replaced"][0]["new"], "a=b@three.example")
        states = self.states(qid)
        self.assertEqual((states[PEOPLE[0]], states[PEOPLE[1]]), ("removed", "removed"))
        self.assertIn("eve@three.example", states)
        refused = self.daemon.ctl("edit-recipients", qid, "--remove", PEOPLE[0], PEOPLE[2], ok=(1,))
        self.assertEqual(([r["address"] for r in refused["refused"]], [r["address"] for r in refused["removed"]]), ([PEOPLE[0]], [PEOPLE[2]]))
        edited = self.daemon.lines("edited")
        self.assertTrue(any(qid in line and "who=" in line and PEOPLE[0] in line for line in edited), edited)
        self.daemon.ctl("hold", qid)
        self.assertEqual(self.daemon.show(qid)["state"], "held")
        self.daemon.ctl("release", "--list", harness.LIST)
        self.assertEqual(self.daemon.show(qid)["state"], "queued")
        self.assertGreaterEqual(self.daemon.ctl("stats")["accepted"], 1)
        events = [e["event"] for e in self.daemon.ctl("trace", PEOPLE[0])]
        self.assertIn("edited", events)
        self.assertEqual(self.daemon.ctl("remove", "--all")["messages"], 1)
        self.assertEqual(self.daemon.queue(), [])
        self.daemon.check()

    def test_the_same_with_the_daemon_killed(self):
        qid = self.waiting()
        self.daemon.kill()
        self.assertEqual(len(self.daemon.show(qid)["recipients"]), 4)
        self.fails(1, "stats")
        self.daemon.ctl("edit-recipients", qid, "--remove", PEOPLE[0])
        self.daemon.ctl("member", "add", harness.LIST, "fay@four.example")
        self.assertEqual(self.states(qid)[PEOPLE[0]], "removed")
        self.daemon.check()
        # Only the folder is known: the same store.
        by_folder = subprocess.run([harness.BUILD / "spoolctl", "--json", "--spool", self.daemon.settings["spool"]["path"], "show", qid],
                                   capture_output=True, text=True, timeout=60)
        self.assertEqual(json.loads(by_folder.stdout)["id"], qid, by_folder.stderr)
        self.daemon.start()
        self.assertEqual(self.states(qid)[PEOPLE[0]], "removed")
        self.assertEqual(len(self.daemon.ctl("members", harness.LIST)), 5)

    def test_a_stuck_daemon_is_named(self):
        qid = self.waiting()
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(lambda: self.daemon.process and self.daemon.process.send_signal(signal.SIGCONT))
        begun = time.monotonic()
        said = self.fails(1, "remove", qid)
        self.assertIn(f"pid {self.daemon.process.pid}", said)
        self.assertLess(time.monotonic() - begun, 8 * harness.SLOW)
        self.assertEqual(len(self.daemon.show(qid)["recipients"]), 4)  # reading goes on
        self.daemon.process.send_signal(signal.SIGCONT)
        self.daemon.ctl("remove", qid)

    def test_the_editor(self):
        qid = self.waiting()
        editor = self.folder / "editor.py"
        editor.write_text("#!/usr/bin/python3\nimport sys\np = sys.argv[-1]\nlines = open(p).read().splitlines()\n"
                          f"lines.remove('{PEOPLE[3]}')\nlines.append('gus@five.example')\nopen(p, 'w').write('\\n'.join(lines))\n")
        editor.chmod(0o755)
        done = subprocess.run([harness.BUILD / "spoolctl", "--config", self.daemon.config, "edit-recipients", qid], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, env={**os.environ, "EDITOR": str(editor), "VISUAL": ""})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"- {PEOPLE[3]}\n+ gus@five.example\n", done.stderr)
        states = self.states(qid)
        self.assertEqual(states[PEOPLE[3]], "removed")
        self.assertIn("gus@five.example", states)

    @unittest.skipUnless(os.geteuid() == 0, "only root becomes the owner of somebody else's store")
    def test_as_root_on_a_store_of_another_user(self):
        """The editor runs as the caller; the record names who became root, not the store's owner."""
        qid = self.waiting()
        nobody = pwd.getpwnam("nobody")
        self.folder.chmod(0o711)
        as_alice = {**os.environ, "VISUAL": "", "SUDO_USER": "alice", "ASAN_OPTIONS": "detect_leaks=0"}  # that needs root to the end
        store = pathlib.Path(self.daemon.settings["spool"]["path"])
        for path in (store, *store.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        editor = self.folder / "editor.py"
        editor.write_text("#!/usr/bin/python3\nimport os, sys\np = sys.argv[-1]\nlines = open(p).read().splitlines()\n"
                          f"lines.remove('{PEOPLE[3]}')\nopen(p, 'w').write('\\n'.join(lines))\n"
                          f"open('{self.folder}/ids', 'w').write(' '.join(map(str, (*os.getresuid(), *os.getresgid(), os.stat(p).st_uid))))\n")
        editor.chmod(0o755)
        done = subprocess.run([harness.BUILD / "spoolctl", "--config", self.daemon.config, "edit-recipients", qid], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, env={**as_alice, "EDITOR": str(editor)})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "ids").read_text(), "0 0 0 0 0 0 0")
        self.assertTrue(any('who="alice (root)"' in line for line in self.daemon.lines("edited")), self.daemon.tail())
        copy = self.folder / "root" / "copy"
        copy.parent.mkdir(mode=0o700)
        done = subprocess.run([harness.BUILD / "spoolctl", "--config", self.daemon.config, "backup", copy], capture_output=True, text=True, timeout=60,
                              env=as_alice)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(copy.stat().st_uid, 0)

    def test_settings_behind_the_owner(self):
        self.daemon.ctl("list", "create", "a@lists.example", "--owner", "o@lists.example", "p=q@lists.example", "verp=never", "description=a=b")
        shown = self.daemon.ctl("list", "show", "a@lists.example")
        self.assertEqual(shown["owner"], ["o@lists.example", "p=q@lists.example"])
        self.assertEqual((shown["verp"], shown["description"]), ("never", "a=b"))

    def test_mail_on_a_terminal_is_text(self):
        self.daemon.list(members=PEOPLE)
        self.daemon.post(subject="A \u202egnp.exe", body="\x1b]0;owned\x07 \u009b31m\r\n")
        qid = harness.wait_until(lambda: self.daemon.queue(), what="a message in the queue")[0]["id"]
        raw = self.daemon.run("show", qid, "--content").stdout
        self.assertIn("\x1b]0;owned\x07", raw)  # into a file: the octets
        ours, theirs = pty.openpty()
        with subprocess.Popen([harness.BUILD / "spoolctl", "--config", self.daemon.config, "show", qid, "--content"], stdout=theirs) as shown:
            os.close(theirs)
            text = b""
            while True:
                try:
                    part = os.read(ours, 65536)
                except OSError:  # all of it was read
                    break
                text += part
            os.close(ours)
        self.assertEqual(shown.returncode, 0)
        self.assertIn(b"\\x1b]0;owned\\x07 \\xc2\\x9b31m", text)
        for words in (["--json", "show", qid], ["show", qid], ["--json", "show", qid, "--content"], ["queue"]):
            out = self.daemon.run(*words).stdout
            for octet in ("\x1b", "\x07", "\u009b", "\u202e"):
                self.assertNotIn(octet, out, words)

    def test_a_large_import_is_quick_and_all_or_nothing(self):
        self.daemon.list()
        file = self.folder / "many.txt"
        file.write_text("".join(m + "\n" for m in harness.members(100_000)) + "no address\n")
        done = self.daemon.run("import", harness.LIST, file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 100001", done.stdout)
        self.assertEqual(self.daemon.ctl("list", "show", harness.LIST)["members"], 0)
        file.write_text("".join(m + "\n" for m in harness.members(100_000)))
        begun = time.monotonic()
        self.assertEqual(self.daemon.ctl("import", harness.LIST, file)["added"], 100_000)
        self.assertLess(time.monotonic() - begun, 10 * harness.SLOW)
        exported = self.daemon.run("export", harness.LIST).stdout.split()
        self.assertEqual(sorted(exported), sorted(harness.members(100_000)))

    def test_wrong_usage_and_nothing_matched(self):
        self.daemon.list(members=PEOPLE)
        self.fails(2, "frobnicate")
        self.fails(2, "hold")
        self.fails(2, "show", "not-an-id")
        self.fails(2, "queue", "--state", "sleeping")
        self.fails(2, "queue", "--older", "5")
        self.fails(2, "list", "set", harness.LIST, "verp")
        self.fails(2, "list", "set", harness.LIST, "vrep=never")
        self.fails(3, "show", "0000000000000")
        self.fails(3, "remove", "--recipient", "nobody@*")
        self.fails(3, "list", "show", "other@lists.example")
        self.fails(3, "member", "remove", harness.LIST, "nobody@one.example")
        self.fails(1, "list", "create", harness.LIST, "--owner", "o@lists.example")
        self.daemon.ctl("member", "remove", harness.LIST, PEOPLE[0], "--dry-run")
        self.assertEqual(len(self.daemon.ctl("members", harness.LIST)), 4)

    def test_a_store_is_never_created(self):
        nothing = self.folder / "nothing"
        for words in (["list", "create", "a@lists.example", "--owner", "o@lists.example"], ["queue"]):
            done = subprocess.run([harness.BUILD / "spoolctl", "--spool", nothing, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("first start", done.stderr)
        self.assertFalse(pathlib.Path(nothing).exists())


if __name__ == "__main__":
    harness.main()
