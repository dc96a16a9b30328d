# ctest: slow serial
"""Postfix answers 421 4.7.0 for one recipient (access table, policy daemon) and for a connection with too many errors. Both were
taken for a fault of the host: all members and all other lists of that next hop waited a minute, and again each minute.

Debian's Postfix is the next hop. SPOOLD_WHOLE_MATRIX=1 runs every combination and prints what it measured.
"""
import os
import pathlib
import re
import time
import unittest

import harness
from peers import postfix

GOOD = [f"m{i:03d}@dest.example" for i in range(101)]
WHOLE = bool(os.environ.get("SPOOLD_WHOLE_MATRIX"))
LISTS = {"never": "bulk@lists.example", "always": "verp@lists.example"}


@unittest.skipUnless(postfix.available(), "needs root and Debian's Postfix")
class Postfix421(harness.Case):
    def setUp(self):
        super().setUp()
        self.measured = []

    def hop(self, name, error_limit=20, refused=(), rejected=()):
        """A Postfix that takes the good ones for `discard`, answers 421 for `refused` and knows nobody in `rejected`."""
        folder = pathlib.Path(self.folder) / name
        folder.mkdir()
        folder.chmod(0o755)
        pathlib.Path(self.folder).chmod(0o755)
        rows = [f"{r} 421 4.7.0 go away" for r in refused] + [f"{r} 550 5.1.1 no such user" for r in rejected]
        table = folder / "access"
        table.write_text("".join(row + "\n" for row in rows) or "nobody@dest.example OK\n")
        hop = postfix.Postfix(folder, {
            "mydestination": "", "relay_domains": "dest.example", "default_transport": "discard", "relay_transport": "discard",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_client_connection_count_limit": 0,
            "smtpd_recipient_restrictions": f"check_recipient_access texthash:{table}", "smtpd_hard_error_limit": error_limit})
        return hop

    def one(self, name, verp, error_limit=20, culprits=0, dead=0, limit=5):
        """Posts to 101 good members and the others among them, and half a second later to another list of the same next hop."""
        refused = [f"421-{i}@dest.example" for i in range(culprits)]
        rejected = [f"dead{i}@dest.example" for i in range(dead)]
        hop = self.hop(name, error_limit, refused, rejected)
        try:
            self.judge(hop, name, verp, refused, rejected, limit)
        finally:
            for daemon in self.daemons:
                daemon.kill()
            hop.stop()

    def judge(self, hop, name, verp, refused, rejected, limit):
        spoold = self.spoold(f"smtp://127.0.0.1:{hop.port}", name=f"spoold-{name}", settings={"delivery": {"isolation_waits": ["5s", "30s", "2m"], "retry": ["5m", "15m"]}})
        members = list(GOOD)
        for i, address in enumerate(refused + rejected):
            members.insert((i * 37 + 11) % len(members), address)
        spoold.list("first@lists.example", members, verp=verp, bounce_guard="off")  # half of a domain may be dead here
        spoold.list("second@lists.example", ["other@dest.example"], verp=verp)
        begun = time.monotonic()
        spoold.post("first@lists.example")
        time.sleep(0.5)
        other_begun = time.monotonic()
        spoold.post("second@lists.example")
        taken, other = {}, None

        def all_good():
            nonlocal other
            now = time.monotonic()
            for line in re.findall(r"postfix/discard\[\d+\]: \w+: to=<([^>]+)>", hop.log()):
                taken.setdefault(line, now)
            if other is None and "other@dest.example" in taken:
                other = now - other_begun
            return other is not None and all(m in taken for m in GOOD)
        try:
            harness.wait_until(all_good, limit + 120 / harness.SLOW if WHOLE else limit, f"{name}: all good ones", every=0.05)
        finally:
            log = hop.log()
            took = max(taken.values(), default=begun) - begun
            asked = {r: len(re.findall(rf"NOQUEUE: reject: RCPT [^\n]*: 421 [^\n]*to=<{re.escape(r)}>", log)) for r in refused}
            connections = len(re.findall(r"smtpd\[\d+\]: connect from", log))
            self.measured.append((name, sum(m in taken for m in GOOD), f"{took:.1f} s", f"{other or -1:.1f} s", connections, max(asked.values(), default=0)))
        self.assertLess(other, 1 * harness.SLOW, f"{name}: another list's post")
        self.assertLess(took, limit * harness.SLOW, f"{name}: all good ones")
        copies = re.findall(r"postfix/discard\[\d+\]: \w+: to=<([^>]+)>", log)
        self.assertEqual(sorted(set(copies) - {"other@dest.example"}), GOOD)
        self.assertEqual(len(copies), len(GOOD) + 1, f"{name}: nobody twice")
        for address, times in asked.items():
            self.assertLessEqual(times, 2, f"{name}: {address} was asked")
        [message] = [m for m in spoold.queue() if m["list"] == "first@lists.example"] if refused else [None]
        if message:
            rows = spoold.recipients(message["id"])
            self.assertEqual({a for a, row in rows.items() if row["state"] not in ("delivered", "failed")}, set(refused))

    def matrix(self, rows):
        failed = []
        for row in rows:
            try:
                self.one(**row)
            except AssertionError as e:
                failed.append(str(e))
        if WHOLE or failed:
            print(*("{:28} {:>4} of 101 good in {:>7}, another list's post {:>7}, {:>3} connections, 421 to one recipient {} times".format(*m)
                    for m in self.measured), sep="\n")
        self.assertEqual(failed, [], "\n" + "\n".join(failed))

    def test_421_for_single_recipients(self):
        self.matrix([dict(name=f"421-{n}-{verp}", verp=verp, culprits=n) for n in (1, 3) for verp in LISTS])

    def test_too_many_errors(self):
        """Postfix delays a reply by a second when the connection has 10 errors (smtpd_soft_error_limit). spoold's budget of 9 keeps it
        below that, so that the same limit of time holds for all."""
        some = [(1, 3, "never"), (1, 10, "always"), (4, 10, "never"), (4, 50, "always"), (20, 50, "never"), (20, 50, "always")]
        every = [(limit, dead, verp) for limit in (1, 4, 20) for dead in (1, 3, 10, 50) for verp in LISTS]
        self.matrix([dict(name=f"limit{limit}-dead{dead}-{verp}", verp=verp, error_limit=limit, dead=dead) for limit, dead, verp in (every if WHOLE else some)])


if __name__ == "__main__":
    harness.main()
