# ctest: slow serial
"""Debian's Postfix, Exim and Dovecot as next hops, with the limits on errors that they come with: whoever is good gets one copy,
whoever is refused has the refusal, and nobody is taken for the cause of a closed connection."""
import collections
import os
import re
import subprocess

import harness
from peers.postfix import Postfix
from peers.real import Dovecot, Exim

# Members are offered in alphabetical order: MIXED has good and unknown ones in turn, as a neglected list has them.
MIXED = [f"m{i:03d}-{'unknown' if i % 3 == 1 else 'good'}@dest.example" for i in range(125)]


def good(members):
    return [a for a in members if "good" in a]


class Test(harness.Case):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("these servers insist on being started by root")

    def started(self, daemon):
        self.addCleanup(daemon.stop)
        return daemon

    def deliver(self, hop, members, took):
        """A bulk post and a VERP post to good and unknown ones; what became of everybody."""
        spoold = self.spoold(hop)
        for verp in ("never", "always"):
            name = f"{verp}@lists.example"
            spoold.list(name, members=members, verp=verp, bounce_guard="off")  # a third of the domain is unknown here
            before = collections.Counter(took())
            spoold.post(name)
            qid = spoold.last_id
            def through():
                """Copies that were on the way when the hop hung up are in doubt, by name: the operator asks for them now, not in ten minutes."""
                for message in spoold.queue():
                    rows = spoold.recipients(message["id"]).values()
                    if any(r.get("possible_duplicate") and r["state"] == "deferred" for r in rows):
                        spoold.run("retry", message["id"])
                return not spoold.queue()
            harness.wait_until(through, 120, f"the post with verp={verp} is through", every=1)
            rows = spoold.recipients(qid)
            for address in good(members):
                self.assertEqual(rows[address]["state"], "delivered", rows[address])
            for address in set(members) - set(good(members)):
                self.assertEqual(rows[address]["state"], "failed", rows[address])
                self.assertIn(rows[address]["last_reply"]["stage"], ("RCPT",), rows[address])
                self.assertEqual(rows[address]["last_reply"]["code"], 550, rows[address])
            harness.wait_until(lambda: sum((collections.Counter(took()) - before).values()) >= len(good(members)), 30, "its log tells all")
            self.assertEqual(collections.Counter(took()) - before, collections.Counter(good(members)))
            self.assertEqual([r for r in rows.values() if r.get("suspect")], [])
        spoold.check()
        return spoold

    def test_postfix_hangs_up_after_twenty_errors(self):
        known = self.folder / "known"
        known.write_text("".join(f"{a} x\n" for a in good(MIXED)))
        postfix = self.started(Postfix(self.folder, {
            "mydestination": "", "virtual_mailbox_domains": "dest.example", "virtual_mailbox_maps": f"texthash:{known}",
            "virtual_transport": "discard:", "smtpd_error_sleep_time": "0", "smtpd_client_connection_count_limit": 0,
            "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_recipient_restrictions": "reject_unlisted_recipient"}))

        def took():
            return re.findall(r"to=<([^>]*)>,.*status=sent", postfix.log())
        self.deliver(f"smtp://127.0.0.1:{postfix.port}", MIXED, took)

    def test_exim_drops_after_five_refusals(self):
        """Whoever comes after them is answered 550 and hung up on, the good ones too: that is not about him."""
        if subprocess.run(["unshare", "--mount", "sh", "-c", "mount --bind /etc/passwd /etc/passwd"], capture_output=True).returncode != 0:
            self.skipTest("no mount namespace here, and Exim insists on a user of its own")
        exim = self.started(Exim(self.folder))
        self.deliver(f"smtp://127.0.0.1:{exim.port}", MIXED, exim.took)
        self.assertIn("too many unknown users", exim.log_file.read_text(), "nobody was dropped")

    def test_dovecot_answers_for_each_recipient(self):
        dovecot = self.started(Dovecot(self.folder))
        full = "full@dest.example"
        dovecot.know(good(MIXED), [full])
        hop = f"lmtp://127.0.0.1:{dovecot.port}"
        spoold = self.spoold(f"smtp://127.0.0.1:{harness.free_port()}", {
            "domain": [{"name": "dest.example", "deliver_to": hop}], "delivery": {"retry": ["1h"]}})
        spoold.list("bulk@lists.example", members=MIXED + [full], verp="never", bounce_guard="off")
        spoold.post("bulk@lists.example")
        qid = spoold.last_id
        harness.wait_until(lambda: not spoold.queue(), 60, "everybody has an outcome", every=0.2)
        rows = spoold.recipients(qid)
        self.assertEqual(collections.Counter(r["state"] for r in rows.values()), {"delivered": len(good(MIXED)), "failed": len(MIXED) - len(good(MIXED)) + 1})
        last = rows[full]["last_reply"]  # after the dot, for him alone
        self.assertEqual((last["code"], last["enhanced"], last["stage"]), (552, "5.2.2", "DOT"), last)
        self.assertEqual(collections.Counter(dovecot.took()), collections.Counter(good(MIXED)))


if __name__ == "__main__":
    harness.main()
