"""What becomes of members whose mail fails: scores from the next hop's replies and from bounces that come in, the probe, the
warning, and what the operator sees. The next hop's log is the judge."""
import email
import email.policy
import smtplib

import harness

GONE, FULL, SPAM, GOOD = "gone@dest.example", "full@dest.example", "spam@dest.example", "good@dest.example"
DSN = """From: MAILER-DAEMON@dest.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r
--b\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r
Reporting-MTA: dns; dest.example\r\n\r\nFinal-Recipient: rfc822; {who}\r\nAction: failed\r\nStatus: {status}\r
Diagnostic-Code: smtp; {words}\r\n\r\n--b--\r\n"""


class Test(harness.Case):
    def start(self, *options, members=(GONE, FULL, SPAM, GOOD), **settings):
        self.mails = self.folder / "mails"
        self.mails.mkdir()
        self.next_hop = self.peer("--content", self.mails, *options)
        spoold = self.spoold(self.next_hop.url, {"delivery": {"retry": ["1h"]}})
        spoold.list(members=members, **settings)
        return spoold

    def send(self, spoold, to, text):
        """From the null path."""
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=30 * harness.SLOW) as client:
            client.ehlo()
            client.docmd("MAIL FROM:<>")
            code, said = client.docmd(f"RCPT TO:<{to}>")
            return client.data(text.replace("\r\n", "\n").replace("\n", "\r\n").encode())[1].decode() if code == 250 else f"{code} {said.decode()}"

    def scores(self, spoold):
        return {row["address"]: (row["score"], row["state"], row["cause"]) for row in spoold.ctl("bounces", harness.LIST)}

    def delivery(self, spoold, address):
        return spoold.ctl("member", "show", harness.LIST, address)["delivery"]

    def mails_to(self, address, n=1):
        def there():
            all_mail = [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in sorted(self.mails.iterdir())]
            return [m for m in all_mail if m["To"] == address]
        return harness.wait_until(lambda: len(there()) >= n and there(), 20, f"{n} mails to {address}")

    def post_and_settle(self, spoold):
        spoold.post()
        harness.wait_until(lambda: not spoold.queue(), 20, "the post has an outcome for each recipient")

    def test_replies_of_the_next_hop_count_by_their_class(self):
        spoold = self.start("--rcpt", f"{GONE}=550 5.1.1 no such user", "--rcpt", f"{FULL}=552 5.2.2 mailbox full", "--rcpt",
                            f"{SPAM}=550 5.7.1 message considered spam")
        self.post_and_settle(spoold)
        expected = {FULL: (0.5, "counted", "mailbox-full"), GONE: (1.0, "counted", "no-such-user")}
        self.assertEqual(self.scores(spoold), expected)
        self.post_and_settle(spoold)
        self.assertEqual(self.scores(spoold), expected, "a second point on the same day")
        spoold.kill()
        spoold.start()
        self.assertEqual(self.scores(spoold), expected)
        one = spoold.ctl("bounces", harness.LIST, GONE)
        self.assertEqual(one["score"]["score"], 1.0)
        self.assertRegex(one["events"][0]["detail"], r"^no-such-user, 1 point: 1\.0 of 5\.0; 550 5\.1\.1 no such user")
        self.assertIn("does not count", one["events"][1]["detail"])
        table = spoold.run("bounces", harness.LIST).stdout.splitlines()
        self.assertEqual(table[0].split(), ["ADDRESS", "SCORE", "STATE", "LAST", "FAILURE", "CAUSE", "NEXT"])
        self.assertEqual(len(table), 3)
        self.assertEqual(spoold.run("bounces", harness.LIST, GOOD).returncode, 3)
        self.assertEqual(spoold.run("bounces", "none@lists.example").returncode, 3)
        undo = ["bounces", harness.LIST, "--undo", "--cause", "no-such-user", "--since", "2020-01-01T00:00:00Z"]
        self.assertIn(GONE, spoold.run(*undo, "--dry-run").stdout)
        self.assertEqual(self.scores(spoold), expected)
        self.assertEqual(spoold.ctl(*undo)["members"], [GONE])
        self.assertEqual(self.scores(spoold), {FULL: expected[FULL]})
        self.assertEqual(spoold.run(*undo).returncode, 3)
        self.assertEqual(spoold.run("bounces", harness.LIST, "--undo").returncode, 2)
        spoold.check()

    def test_a_refused_content_counts_in_a_transaction_of_one(self):
        spoold = self.start("--at", "dot=550 5.1.1 no such user", "--no-chunking", members=(GONE,), verp="always")
        self.post_and_settle(spoold)
        self.assertEqual(self.scores(spoold), {GONE: (1.0, "counted", "no-such-user")})

    def test_a_refused_content_of_several_counts_against_nobody(self):
        spoold = self.start("--at", "dot:1=550 5.1.1 no such user", "--no-chunking", members=(GONE, GOOD), verp="never")
        self.post_and_settle(spoold)  # each of them is asked alone then, and taken
        self.assertEqual(self.scores(spoold), {})

    def test_a_probe_that_is_refused_disables_and_the_owner_hears_of_it(self):
        spoold = self.start("--rcpt", f"{GONE}=550 5.1.1 no such user", bounce_threshold="1")
        spoold.post()
        harness.wait_until(lambda: self.delivery(spoold, GONE) == "nomail_by_bounce", 20, "the member is disabled")
        told = self.mails_to("test-owner@lists.example")[0]
        self.assertIn(GONE, told["Subject"])
        self.assertEqual(told["Auto-Submitted"], "auto-generated")
        state = self.scores(spoold)[GONE]
        self.assertEqual(state[1], "disabled")
        before = len(self.mails_to(harness.LIST, 3))
        self.post_and_settle(spoold)
        self.mails_to(harness.LIST, before + 3)  # the three others
        events = [e["detail"] for e in spoold.ctl("bounces", harness.LIST, GONE)["events"]]
        self.assertTrue(any("probe sent" in e for e in events) and any("delivery disabled" in e for e in events), events)
        # Enabled again, he begins at 0.
        spoold.ctl("member", "set", harness.LIST, GONE, "delivery=regular")
        self.assertNotIn(GONE, self.scores(spoold))
        spoold.check()

    def test_a_probe_that_arrives_and_bounces_later(self):
        spoold = self.start(bounce_threshold="1")
        bounce = DSN.format(who=GONE, status="5.1.1", words="550 5.1.1 no such user")
        self.assertIn("noted", self.send(spoold, f"test-bounces+{GONE.replace('@', '=')}@lists.example", bounce))
        probe = self.mails_to(GONE)[0]
        self.assertRegex(probe["From"], r"^test-bounces\+[0-9a-f]{32}@lists\.example$")
        parts = [part.get_content_type() for part in probe.iter_parts()]
        self.assertEqual(parts, ["text/plain", "message/rfc822"])
        inside = probe.get_payload()[1].get_payload()[0]
        self.assertEqual(inside["Subject"], "Undelivered Mail Returned to Sender", "the bounce is attached")
        self.assertEqual(self.delivery(spoold, GONE), "regular")
        spoold.kill()
        spoold.start()
        self.assertIn("noted", self.send(spoold, probe["From"], bounce))
        self.assertEqual(self.delivery(spoold, GONE), "nomail_by_bounce")
        warned = harness.wait_until(lambda: [m for m in self.mails_to(GONE) if "disabled" in m["Subject"]], 20, "the warning")[0]
        self.assertIn("This is number 1.", warned.get_content())
        self.mails_to("test-owner@lists.example")
        # The token is used up: the owners get what comes to it.
        self.assertIn("queued", self.send(spoold, probe["From"], bounce))
        spoold.check()

    def test_no_probe_and_no_warning_removes_at_the_threshold(self):
        spoold = self.start("--rcpt", f"{GONE}=550 5.1.1 no such user", bounce_threshold="1", bounce_probe="false", bounce_warnings="0")
        spoold.post()
        told = self.mails_to("test-owner@lists.example")[0]
        self.assertEqual(told["Subject"], f"{GONE} was removed")
        self.assertEqual(spoold.run("member", "show", harness.LIST, GONE).returncode, 3)
        self.assertEqual(self.scores(spoold), {})
        spoold.check()

    def test_bounce_processing_off_counts_nothing(self):
        spoold = self.start("--rcpt", f"{GONE}=550 5.1.1 no such user", bounce_processing="false", bounce_threshold="0.5")
        self.post_and_settle(spoold)
        self.assertEqual(self.scores(spoold), {})
        self.assertEqual(self.delivery(spoold, GONE), "regular")


if __name__ == "__main__":
    harness.main()
