"""Real filters from Debian (libmilter by python3-milter, opendkim, clamav-milter with a signature of the test, rspamd), and Postfix as the
judge of what a filter is told."""
# ctest: slow
import importlib.util
import os
import pathlib
import shutil
import signal
import smtplib
import socket
import subprocess
import unittest

import harness
from peers import postfix
from peers.milter import ACCEPT, CONTINUE, REJECT, Milter
from test_milter import MAIL, Case

SIGNATURE = "SPOOLD-MILTER-TEST-SIGNATURE"


def installed(*programs):
    return all(shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") for program in programs)


class Real(Case):
    def program(self, *words, name):
        log = open(self.folder / f"{name}.out", "wb")
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def end():
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()
        self.addCleanup(end)
        return process

    def appears(self, path, process, seconds=60):
        def there():
            self.assertIsNone(process.poll(), "it ended")
            try:
                with socket.socket(socket.AF_UNIX) as door:
                    door.connect(str(path))
                return True
            except OSError:
                return False
        harness.wait_until(there, seconds * harness.SLOW, f"somebody listens at {path}")

    def row(self, path):
        return {"address": f"unix:{path}", "timeout": "20s"}

    @unittest.skipUnless(importlib.util.find_spec("Milter"), "python3-milter is not installed")
    def test_libmilter(self):
        path, log = self.folder / "lib.sock", self.folder / "lib.log"
        process = self.program("/usr/bin/python3", "-B", harness.SOURCE / "tests/peers/libmilter.py", path, log, name="libmilter")
        self.appears(path, process)
        spoold = self.house(self.row(path))
        client = self.client(spoold)
        mail = MAIL.replace("one\r\n two", "all")
        self.assertEqual(self.send(spoold, mail, client=client)[0], 250)
        sender, recipients, copy = self.copies()[0]
        self.assertEqual((sender, recipients), ("other@here.example", ["y@far.example"]))
        self.assertEqual(copy[copy.index("X-First"):], "X-First: 1\nFrom: <anne@here.example>\nTo: <x@far.example>\nSubject: changed\nX-Old: 2\n"
                         "X-Added: a\n b\n\n" + "new\n" * 20000)
        for subject, code in (("later", 451), ("skip", 250), ("quarantine", 250), ("discard", 250), ("plain", 250)):
            self.assertEqual(self.send(spoold, MAIL.replace("one\r\n two", subject) + "x\r\n" * 50000, client=client)[0], code, subject)
        said = self.send(spoold, to=["refuse@far.example"], client=client)
        self.assertEqual(said, (550, b"5.7.1 not\n5.7.1 this one"))
        client.quit()
        self.assertEqual(len(self.copies(3)), 3)
        self.assertEqual([m["state"] for m in spoold.queue()], ["held"])
        harness.wait_until(lambda: "close" in log.read_text(), 10, "the filter's end")
        told = log.read_text()
        self.assertIn("connect [127.0.0.1] 127.0.0.1 mx.lists.example\nhello client.example\nfrom <anne@here.example>\nto <x@far.example>\n", told)
        self.assertEqual(told.count("connect"), 1)
        self.assertEqual(spoold.lines("milter")[1:], [])  # but the one about what it discarded
        spoold.check()

    @unittest.skipUnless(installed("opendkim"), "opendkim is not installed")
    def test_opendkim_signs_what_users_send_and_verifies_the_rest(self):
        path, key = self.folder / "opendkim.sock", self.folder / "s.private"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        key.chmod(0o600)
        (self.folder / "hosts").write_text("127.0.0.1\n")
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        (self.folder / "opendkim.conf").write_text(
            f"Socket local:{path}\nDomain here.example\nSelector s\nKeyFile {key}\nCanonicalization relaxed/simple\nMode sv\n"
            f"InternalHosts {self.folder}/hosts\nPidFile {self.folder}/opendkim.pid\nSyslog no\nBackground no\nRequireSafeKeys no\n"
            f"AlwaysAddARHeader yes\n")
        process = self.program("opendkim", "-f", "-x", self.folder / "opendkim.conf", name="opendkim")
        self.appears(path, process)
        spoold = self.house(self.row(path))
        date = "Date: Sat, 28 Nov 2026 14:52:51 +0000\r\nMessage-ID: <1@here.example>\r\n"
        self.assertEqual(self.send(spoold, date + MAIL)[0], 250)
        copy = self.copies()[0][2]
        self.assertRegex(copy, r"(?m)^DKIM-Signature: .*d=here\.example; s=s;")
        # It holds for another implementation, over what went out.
        if importlib.util.find_spec("dkim"):
            import base64
            import dkim
            record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
            self.assertTrue(dkim.verify(copy.replace("\n", "\r\n").encode(), dnsfunc=lambda name, timeout=5: record))
        self.assertEqual(spoold.lines("milter"), [])

    @unittest.skipUnless(installed("clamd", "clamav-milter"), "clamav is not installed")
    def test_clamav_milter(self):
        path = self.folder / "clamav-milter.sock"
        (self.folder / "db").mkdir()
        (self.folder / "db/test.ndb").write_text(f"Test.Milter:0:*:{SIGNATURE.encode().hex()}\n")
        user = f"User {'root' if os.geteuid() == 0 else os.environ.get('USER', 'nobody')}\n"
        (self.folder / "clamd.conf").write_text(f"LocalSocket {self.folder}/clamd.sock\nDatabaseDirectory {self.folder}/db\nForeground yes\n{user}")
        (self.folder / "clamav-milter.conf").write_text(
            f"MilterSocket {path}\nClamdSocket unix:{self.folder}/clamd.sock\nForeground yes\nOnInfected Reject\nRejectMsg infected: %v\nAddHeader Replace\n{user}")
        self.appears(self.folder / "clamd.sock", self.program("clamd", "-c", self.folder / "clamd.conf", name="clamd"))
        self.appears(path, self.program("clamav-milter", "-c", self.folder / "clamav-milter.conf", name="clamav-milter"))
        spoold = self.house(self.row(path))
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertIn("X-Virus-Status: Clean\n", self.copies()[0][2])
        code, said = self.send(spoold, MAIL + SIGNATURE + "\r\n")
        self.assertEqual(code, 550)
        self.assertIn(b"infected: Test.Milter", said)
        self.assertEqual(spoold.lines("milter"), [])

    @unittest.skipUnless(installed("rspamd"), "rspamd is not installed")
    def test_rspamd(self):
        port = harness.free_port()
        (self.folder / "rspamd.lua").write_text(
            'rspamd_config:register_symbol({name = "TEST_SPAM", score = 7.0, callback = function(task) return task:get_subject() == "spam" end})\n'
            'rspamd_config:register_symbol({name = "TEST_BAD", score = 50.0, callback = function(task) return task:get_subject() == "bad" end})\n')
        (self.folder / "rspamd.conf").write_text(
            f'lua = "{self.folder}/rspamd.lua";\n'
            f'options {{ pidfile = "{self.folder}/rspamd.pid"; filters = ""; hs_cache_dir = "{self.folder}"; cores_dir = "{self.folder}"; url_tld = "/usr/share/rspamd/effective_tld_names.dat";\n'
            '  dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; } }\n'
            'logging { type = "console"; level = "notice"; }\n'
            'metric { name = "default"; actions { reject = 15; "add header" = 6; } }\n'
            f'worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; milter = yes; timeout = 20s; count = 1; upstream "local" {{ default = yes; self_scan = yes; }} }}\n')
        process = self.program("rspamd", "-f", "-i", "-c", self.folder / "rspamd.conf", name="rspamd")

        def listens():
            self.assertIsNone(process.poll(), "it ended")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        harness.wait_until(listens, 60 * harness.SLOW, "rspamd listens")
        spoold = self.house({"address": f"127.0.0.1:{port}", "timeout": "20s"})
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertNotIn("X-Spam: Yes", self.copies()[0][2])
        self.assertEqual(self.send(spoold, MAIL.replace("one\r\n two", "spam"))[0], 250)
        self.assertIn("X-Spam: Yes\n", self.copies(2)[1][2])
        code, said = self.send(spoold, MAIL.replace("one\r\n two", "bad"))
        self.assertEqual((code, said[:6]), (554, b"5.7.1 "))
        self.assertEqual(spoold.lines("milter"), [])


@unittest.skipUnless(postfix.available(), "Postfix is not installed, or this is not root")
class BesidePostfix(Case):
    """The same filter, asked by both."""

    def test_the_same_words_in_the_same_order(self):
        ours, theirs = self.milter(), self.milter()
        spoold = self.house(ours, when_away="tempfail")
        peer = postfix.Postfix(self.folder, {**postfix.relaying(self.hop.port), "smtpd_milters": f"inet:{theirs.address}"})
        self.addCleanup(peer.stop)
        mail = "Message-ID: <1@here.example>\r\nDate: Sat, 28 Nov 2026 14:52:51 +0000\r\n" + MAIL

        def talk(port, filter):
            filter.log.clear()
            with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example") as client:
                client.helo()
                said = []
                for sender, rcpts, data in (("anne@here.example", ["x@far.example"], True), ("bea@here.example", ["y@far.example"], False),
                                            ("", ["bad@far.example", "good@far.example"], True), ("cis@here.example", ["bad@far.example"], True)):
                    said.append(client.mail(sender)[0])
                    if said[-1] == 250:
                        said.extend(client.rcpt(to)[0] for to in rcpts)
                        if data and any(code == 250 for code in said[-len(rcpts):]):
                            said.append(client.data(mail)[0])
                    client.rset()
            if filter.commands() != "C":  # Postfix leaves without a word when the session was accepted
                harness.wait_until(lambda: filter.commands().endswith("Q"), 10, "the end")
            words = [(letter, data if letter != "C" else data.split(b"\0")[0]) for _, letter, data in filter.log if letter not in "ODAQ"]
            return said, words

        for plan in ({}, {"R": lambda _, data: REJECT if b"bad" in data else None}, {"M": ACCEPT}, {"N": Milter.reply("450 4.7.1 later, 100%% sure")},
                     {"C": ACCEPT}):
            ours.plan, theirs.plan = dict(plan), dict(plan)
            with self.subTest(plan=list(plan)):
                self.assertEqual(talk(spoold.port, ours), talk(peer.port, theirs))

    def test_the_same_changes(self):
        ours, theirs = self.milter(), self.milter()
        spoold = self.house(ours)
        peer = postfix.Postfix(self.folder, {**postfix.relaying(self.hop.port), "smtpd_milters": f"inet:{theirs.address}"})
        self.addCleanup(peer.stop)
        mail = "Message-ID: <1@here.example>\r\nDate: Sat, 28 Nov 2026 14:52:51 +0000\r\n" + MAIL.replace("..dots", "dots")
        plans = [[Milter.insert(i, "X-In", str(i))] for i in (1, 2, 3, 99)] + [
            [Milter.change(0, "X-Old", "z"), Milter.change(5, "X-New", "n"), Milter.change(2, "x-old", "")], [Milter.field("X-A", "a\nb: c\n d")],
            [Milter.change(1, "subject", "new\n two"), Milter.insert(1, "X-B", ""), Milter.body(b"one\ntwo\r\nthree")],
            [Milter.envelope("e", "<s@here.example>"), Milter.envelope("+", "y@far.example"), Milter.envelope("-", "<x@far.example>")]]
        for number, plan in enumerate(plans):
            for filter, port in ((ours, spoold.port), (theirs, peer.port)):
                filter.plan = {"E": [*plan, CONTINUE]}
                with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example") as client:
                    client.sendmail("anne@here.example", ["x@far.example"], mail)
                self.copies(2 * number + (1 if filter is ours else 2))
            (*mine, own), (*other, its) = self.copies(2 * number + 2)[-2:]
            self.assertEqual(mine, other)
            # Without the Received of each.
            self.assertEqual(own.split("+0000\n", 1)[1], its.split("(UTC)\n", 1)[1], plan)


if __name__ == "__main__":
    harness.main()
