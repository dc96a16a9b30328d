#!/usr/bin/env python3
"""backup, restore, compact and check --repair of a store, and a change that is asked for twice, as an operator does them."""
import os
import shutil

import harness

PEOPLE = ["anne@one.example", "bart@one.example", "cris@two.example"]


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.hop = self.peer(plan={"at": ["rcpt=450 4.2.0 mailbox busy"]})
        self.daemon = self.spoold(self.hop.url, {"delivery": {"retry": ["1h"]}})
        self.daemon.list(members=PEOPLE)
        self.store = self.daemon.folder / "spoold.store"

    def waiting(self):
        known = {m["id"] for m in self.daemon.queue()}
        self.daemon.post()
        return harness.wait_until(lambda: [m["id"] for m in self.daemon.queue() if m["id"] not in known], what="a message in the queue")[0]

    def test_a_backup_beside_the_daemon_is_restored(self):
        qid = self.waiting()
        copy = self.folder / "spool.backup"
        copy.write_text("an older backup, replaced when the new one is whole")
        done = self.daemon.ctl("backup", str(copy))
        self.assertTrue(done["ok"])
        self.assertEqual(done["octets"], copy.stat().st_size)
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        later = self.waiting()
        self.assertEqual(self.daemon.stop(), 0)
        # As server/README.md says: data.mdb is replaced, the daemon started.
        shutil.copy(copy, self.store / "data.mdb")
        os.remove(self.store / "lock.mdb")
        self.assertEqual(self.daemon.ctl("hold", "--all")["messages"], 1)  # so that nothing is sent before it was looked at
        self.daemon.start()
        self.assertEqual([m["id"] for m in self.daemon.queue()], [qid])
        self.assertEqual(set(self.daemon.recipients(qid)), set(PEOPLE))
        self.daemon.check()
        self.assertNotIn(self.waiting(), [qid, later])
        self.daemon.check()

    def test_a_backup_that_cannot_be_written_leaves_nothing(self):
        for path in (self.folder / "no" / "folder", self.folder, "/dev/null"):
            done = self.daemon.run("backup", path)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(str(path), done.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir() if "." in p.name and len(p.suffix) == 7 and p.suffix.isalnum()], [])
        self.assertTrue(os.path.exists("/dev/null"))

    def test_compact_needs_the_store_for_itself(self):
        for _ in range(3):
            self.daemon.post(body="x" * 60 + "\r\n", subject="y")
        qid = self.waiting()
        size = (self.store / "data.mdb").stat().st_size
        would = self.daemon.ctl("compact", "--dry-run")
        self.assertEqual((would["before"], would["dry_run"]), (size, True))
        refused = self.daemon.run("compact")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("held by another process", refused.stderr)
        self.daemon.stop()
        done = self.daemon.ctl("compact")
        self.assertEqual(done["after"], (self.store / "data.mdb").stat().st_size)
        self.assertLessEqual(done["after"], done["before"])
        self.daemon.start()
        self.assertIn(qid, [m["id"] for m in self.daemon.queue()])
        self.daemon.check()
        self.waiting()

    def test_check_repair_of_a_sound_store_changes_nothing(self):
        qid = self.waiting()
        self.assertEqual(self.daemon.ctl("check", "--repair")["repaired"], [])
        self.assertEqual(self.daemon.ctl("check", "--repair", "--dry-run")["would_repair"], [])
        self.assertEqual(self.daemon.run("check", "--dry-run").returncode, 2)
        self.daemon.stop()
        self.assertTrue(self.daemon.ctl("check", "--repair")["ok"])
        self.daemon.start()
        self.assertEqual([m["id"] for m in self.daemon.queue()], [qid])

    def damage(self, text):
        """The length of this text in the packed rows that hold it becomes one that no row has: they cannot be read."""
        self.assertEqual(self.daemon.stop(), 0)
        file, text = self.store / "data.mdb", bytes([len(text)]) + text.encode()
        octets = file.read_bytes()
        self.assertIn(text, octets)
        file.write_bytes(octets.replace(text, b"\x7f" + text[1:]))

    def test_check_repair_mends_rows_that_cannot_be_read(self):
        self.waiting()
        damaged = self.daemon.last_id
        harness.wait_until(lambda: all(r["attempts"] for r in self.daemon.recipients(damaged).values()), what="a deferral of each")
        self.damage("mailbox busy")
        found = self.daemon.run("check")
        self.assertEqual(found.returncode, 1)
        self.assertIn("NOT sound", found.stdout)
        self.assertIn("spoolctl check --repair mends the rows that cannot be read, while spoold does not run", found.stdout)
        would = self.daemon.ctl("check", "--repair", "--dry-run", ok=(1,))["would_repair"]
        self.assertIn("table recipient", " ".join(would))
        # Beside a daemon nothing of it is mended, and it says so.
        self.daemon.start()
        beside = self.daemon.run("check", "--repair")
        self.assertEqual(beside.returncode, 1)
        self.assertIn("mends the rows that cannot be read, while spoold does not run", beside.stdout)
        self.assertNotIn("repaired: ", beside.stdout)
        self.assertIsNone(self.daemon.process.poll())
        self.daemon.stop()
        mended = self.daemon.ctl("check", "--repair")
        self.assertTrue(mended["ok"])
        held = [line for line in mended["repaired"] if "the recipient is held, as a possible duplicate" in line]
        self.assertEqual(len(held), len(PEOPLE))
        self.assertTrue(all(damaged in line for line in held), held)
        self.assertEqual(self.daemon.ctl("check", "--repair")["repaired"], [])
        self.hop.plan()
        self.daemon.start()
        self.assertEqual({r["state"] for r in self.daemon.recipients(damaged).values()}, {"held"})
        self.daemon.ctl("release", damaged)
        harness.wait_until(lambda: not self.daemon.queue(), what="an empty queue")
        self.daemon.check()

    def test_an_operation_that_is_asked_for_again_is_done_once(self):
        ask, events = self.daemon.ask, lambda: [line for line in self.daemon.lines("edited") if "new.example" in line]
        created = {"verb": "list-create", "list": "again@new.example", "owners": ["o@new.example"], "settings": {}, "operation": "create"}
        added = {"verb": "member-add", "list": "again@new.example", "addresses": ["anne@new.example"], "operation": "add"}
        removed = {"verb": "list-remove", "list": "again@new.example", "operation": "remove"}
        self.assertTrue(ask(**created)["ok"])
        self.assertTrue(ask(**created)["ok"])
        first = ask(**added)
        self.assertEqual(first["added"], ["anne@new.example"])
        self.assertTrue(ask(verb="member-remove", list="again@new.example", addresses=["anne@new.example"])["ok"])
        self.assertEqual(ask(**added), first)
        self.assertEqual(self.daemon.ctl("members", "again@new.example", ok=(0, 3)) or [], [])
        self.assertEqual(ask(**{**added, "operation": "add again"})["added"], ["anne@new.example"])
        self.assertEqual(len(events()), 4, events())
        gone = ask(**removed)
        self.assertTrue(gone["ok"])
        self.assertEqual(ask(**removed), gone)
        self.assertFalse(ask(**{**removed, "operation": "another"})["ok"])
        self.assertEqual(len(events()), 5, events())
        self.assertFalse(ask(**{**created, "operation": "x" * 65})["ok"])


if __name__ == "__main__":
    harness.main()
