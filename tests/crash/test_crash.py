# ctest: slow
"""The crash matrix: a fixed script (three accepts, one of 2 MB, a list of 500, deliveries with one dropper, one edit) with
spoold killed at every fdatasync, judged from outside: by the client that heard the 250s, the next hops' own logs, and spoolctl
on the store that the crash left.

1. Nothing that was answered 250 is lost; what was not answered arrives whole or not at all.
2. Nothing that the store records as delivered is sent again.
3. Duplicates are at most the number that the next start logs.
4. `spoolctl check` is clean on what the crash left, and at the end."""
import collections
import concurrent.futures
import os
import re
import shutil
import smtplib
import subprocess
import threading
import unittest

import harness

PEOPLE = harness.members(498, domains=6) + ["anne@bad.example", "dirk@bad.example"]
WORKERS = 3
FIRST = int(os.environ.get("CRASH_FROM", 1))
MOST = 150  # the script needs far fewer; each worker stops at the first that was not reached


def left(spoold):
    """Open recipients but for the dropper."""
    return [r for m in spoold.queue() for r in spoold.recipients(m["id"]).values() if r["state"] in ("queued", "active", "deferred")
            and r["address"] != "dirk@bad.example"]


class Script:
    """What the client does, and what it was told. Ends early when the daemon dies."""

    def __init__(self, spoold, n):
        self.spoold, self.n = spoold, n
        self.answered, self.unanswered = {}, {}  # Message-ID -> recipients
        self.removed = False

    def post(self, name, recipients, to, size):
        message_id = f"<{name}.{self.n}@crash.example>"
        text = (f"From: <poster@example.net>\r\nTo: <{to}>\r\nSubject: {name}\r\nMessage-ID: {message_id}\r\n\r\n"
                + ("x" * 70 + "\r\n") * (size // 72 + 1))
        self.unanswered[message_id] = recipients
        with smtplib.SMTP("127.0.0.1", self.spoold.port, local_hostname="client.example", timeout=30) as client:
            client.sendmail("poster@example.net", [to] if to == harness.LIST else recipients, text)
            self.answered[message_id] = self.unanswered.pop(message_id)
        return message_id

    def run(self):
        try:
            self.post("small", ["one@a.example", "two@b.example"], "one@a.example", 2000)
            self.post("large", ["three@a.example"], "three@a.example", 2_000_000)
            self.post("list", PEOPLE, harness.LIST, 2000)
            self.post("last", ["four@a.example"], "four@a.example", 500)
            harness.wait_until(lambda: self.ended() or any("dirk@bad.example" in line for line in self.spoold.lines("deferred") + self.spoold.lines("suspect")),
                               20, "the dropper's deferral", every=0.02)
            if not self.ended():
                self.edit()
                harness.wait_until(lambda: self.ended() or not self.spoold.queue(), 20, "an empty queue", every=0.05)
        except (OSError, smtplib.SMTPException, AssertionError):
            try:
                self.spoold.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
            if not self.ended():
                raise

    def ended(self):
        return self.spoold.process.poll() is not None

    def edit(self):
        for message in self.spoold.queue():
            done = self.spoold.run("--json", "edit-recipients", message["id"], "--remove", "dirk@bad.example")
            self.removed = self.removed or (done.returncode == 0 and "dirk@bad.example" in done.stdout)


class Test(harness.Case):
    SCRIPT = Script
    SETTINGS = {}

    def prepare(self, spoold):
        """Fills the store that each run begins with; leaves the daemon stopped."""
        spoold.list(members=PEOPLE)
        self.assertEqual(spoold.stop(), 0)

    def crash_at(self, n, sink, peer):
        """One run; whether the n-th fdatasync was reached."""
        settings = {**self.SETTINGS, "domain": [{"name": "bad.example", "deliver_to": peer.url}]}
        spoold = harness.Spoold(self.folder, sink.url, settings, name=f"run{n}", start=False)
        self.daemons.append(spoold)
        shutil.copytree(self.base, self.folder / f"run{n}.store", ignore=shutil.ignore_patterns("control", "lock*"))
        # -D: strace is the grandchild, so that the process we started is spoold itself.
        spoold.wrap = ["strace", "-D", "-f", "-qq", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:signal=KILL:when={n}", "-o", "/dev/null"]
        script = self.SCRIPT(spoold, n)
        try:
            spoold.start(wait=self.SCRIPT is Script)
        except AssertionError:
            if spoold.process.poll() is None:
                raise
        else:
            script.run()
        reached = script.ended()
        spoold.kill()
        spoold.wrap = []

        spoold.check()
        delivered = self.delivered(spoold)
        before = self.arrivals(sink, peer, n)
        spoold.start()
        [ready] = spoold.lines("ready")
        possible = int(re.search(r"possible_duplicates=(\d+)", ready)[1])
        self.drain(spoold)
        after = self.arrivals(sink, peer, n)
        spoold.check()
        spoold.stop()
        shutil.rmtree(self.folder / f"run{n}.store")

        again = [copy for copy in delivered if after[copy] > max(before[copy], 1)]
        self.assertEqual(again, [], f"at fdatasync {n}: recorded as delivered and sent again")
        duplicates = sum(count - 1 for count in after.values())
        twice = [copy for copy, count in after.items() if count > 1]
        self.assertLessEqual(duplicates, possible, f"at fdatasync {n}: more duplicates than announced: {twice}")
        for message_id, recipients in script.answered.items():
            lost = [r for r in recipients if r != "dirk@bad.example" and not after[(r, message_id)]]
            self.assertEqual(lost, [], f"at fdatasync {n}: {message_id} was answered 250 and is lost")
        for message_id, recipients in script.unanswered.items():
            got = [r for r in recipients if r != "dirk@bad.example" and after[(r, message_id)]]
            self.assertIn(len(got), (0, len([r for r in recipients if r != "dirk@bad.example"])), f"at fdatasync {n}: half of {message_id} arrived")
        return reached, duplicates, possible

    def drain(self, spoold):
        """Until only the dropper is left, who is then taken out."""
        harness.wait_until(lambda: not left(spoold), 40, "all but the dropper delivered", every=0.05)

    def delivered(self, spoold):
        """(address, Message-ID) that the store the crash left records as delivered; the daemon is down."""
        found = set()
        ids = {qid for line in spoold.lines("accepted", whole=True) for qid in re.findall(r"qid=(\w+)", line)} | {m["id"] for m in spoold.queue()}
        for qid in ids:
            done = spoold.run("--json", "show", qid)
            if done.returncode != 0:
                continue
            message = harness.json.loads(done.stdout)
            message = message[0] if isinstance(message, list) else message
            message_id = message.get("message_id") or ""
            found |= {(r["address"], message_id) for r in message["recipients"] if r["state"] == "delivered"}
        return found

    def arrivals(self, sink, peer, n):
        copies = collections.Counter((a.recipient, a.message_id) for a in sink.arrivals() if f".{n}@crash.example" in a.message_id)
        copies.update({copy: count for copy, count in peer.judge().copies().items() if f".{n}@crash.example" in copy[1]})
        return copies

    def test_every_fdatasync(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        sink = self.sink(name="sink-base")
        self.prepare(self.spoold(sink.url, self.SETTINGS, name="base"))
        self.base = self.folder / "base.store"
        numbers, lock = iter(range(FIRST, MOST)), threading.Lock()
        over = threading.Event()
        totals = collections.Counter()

        def work(worker):
            own_sink, own_peer = self.sink(name=f"sink{worker}"), self.peer("--rcpt", "dirk@bad.example=fin", name=f"peer{worker}")
            while not over.is_set():
                with lock:
                    n = next(numbers)
                reached, duplicates, possible = self.crash_at(n, own_sink, own_peer)
                totals.update(crashes=reached, duplicates=duplicates, announced=possible)
                if not reached:
                    over.set()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for done in concurrent.futures.as_completed([pool.submit(work, w) for w in range(WORKERS)]):
                over.set() if done.exception() else None
                done.result()
        print(dict(totals))
        self.assertGreater(totals["crashes"], 10)
        self.assertLess(totals["crashes"], MOST - WORKERS - 1)


if __name__ == "__main__":
    harness.main()
