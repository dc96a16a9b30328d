"""Delivery status notifications of a real spoold, judged by others: Python's email package and Mailman's flufl.bounce. And
what next hops are asked to report (RFC 3461)."""
import email
import email.policy
import pathlib
import smtplib

import flufl.bounce

import harness

SENDER = "anne@client.example"
GONE, FULL, GOOD = "gone@dest.example", "full@dest.example", "good@dest.example"
POSTMASTER = "admin@admins.example"


class Report:
    """A notification, taken apart by the email package."""

    def __init__(self, path):
        self.message = email.message_from_bytes(pathlib.Path(path).read_bytes(), policy=email.policy.default)
        self.parts = self.message.get_payload()
        self.type = self.message.get_content_type()
        blocks = self.parts[1].get_payload()  # message/delivery-status: one block of fields for the message, one a recipient
        self.about, self.recipients = blocks[0], blocks[1:]

    def by_recipient(self):
        return {r["Final-Recipient"].split(";")[1].strip(): r for r in self.recipients}

    def actions(self):
        return {address: r["Action"] for address, r in self.by_recipient().items()}


class Test(harness.Case):
    def start(self, *options, settings=None):
        self.mails = self.folder / "mails"
        self.mails.mkdir()
        self.next_hop = self.peer("--content", self.mails, "--rcpt", f"{GONE}=550 5.1.1 no such user", "--rcpt",
                                  f"{FULL}=452 4.2.2 mailbox full", *options)
        self.spoold_ = self.spoold(self.next_hop.url, harness.merge(
            {"delivery": {"report_wait": "400ms", "retry": ["1h"]},
             "aliases": {"postmaster": [POSTMASTER], "staff@lists.example": ["s1@dest.example", "s2@dest.example"],
                         "boss@lists.example": ["b1@dest.example"]}}, settings or {}))
        return self.spoold_

    def send(self, rcpts, mail=(), sender=SENDER, body="Hello, world.\r\n"):
        """rcpts: address, or (address, parameters). Returns the queue id."""
        with smtplib.SMTP("127.0.0.1", self.spoold_.port, local_hostname="client.example", timeout=60) as client:
            client.ehlo()
            self.assertTrue(client.has_extn("dsn"))
            self.assertEqual(client.mail(sender, mail)[0], 250)
            for rcpt in rcpts:
                address, parameters = (rcpt, ()) if isinstance(rcpt, str) else rcpt
                self.assertEqual(client.rcpt(address, parameters)[0], 250)
            code, said = client.data(f"From: <{sender}>\r\nSubject: the subject\r\nMessage-ID: <m@client.example>\r\n\r\n{body}".encode())
        self.assertEqual(code, 250, said)
        return said.decode().split()[-1]

    def mails_to(self, address, n=1):
        def there():
            found = [m for m in self.next_hop.judge().messages if address in m["rcpts"]]
            return found if len(found) >= n else None
        return harness.wait_until(there, 15, f"{n} messages to {address}", every=0.1)

    def report(self, to=SENDER, n=1):
        found = self.mails_to(to, n)[n - 1]
        self.assertEqual(found["sender"], "")
        return Report(found["file"])

    def settled(self, messages):
        """Only so many messages wait: what the next hop has taken is settled, so that a kill makes nothing in doubt."""
        harness.wait_until(lambda: len(self.spoold_.queue()) == messages, 10, f"{messages} messages in the queue")

    def none_more(self, to, n):
        """Everything that is due was made and delivered: a marker of a later message to the same sender is the next one."""
        self.send([GONE], ["ENVID=marker"])
        self.assertEqual(self.report(to, n + 1).about["Original-Envelope-Id"], "marker")

    def commands(self, verb, to):
        return [e["line"] for e in self.next_hop.judge().commands(verb=verb) if to in e["line"]]

    def test_a_failure_as_others_read_it(self):
        self.start()
        qid = self.send([(GONE, ["NOTIFY=FAILURE", "ORCPT=rfc822;Gone+2Bx@dest.example"])], ["RET=FULL", "ENVID=QQ+20314"])
        report = self.report()
        self.assertEqual(report.type, "multipart/report")
        self.assertEqual(report.message.get_param("report-type"), "delivery-status")
        self.assertEqual([p.get_content_type() for p in report.parts], ["text/plain", "message/delivery-status", "message/rfc822"])
        self.assertEqual([d for p in report.message.walk() for d in p.defects], [])
        self.assertEqual(report.message["Auto-Submitted"], "auto-replied")
        self.assertEqual(report.about["Original-Envelope-Id"], "QQ 314")
        self.assertEqual(report.about["Reporting-MTA"], "dns; mx.lists.example")
        self.assertEqual(report.about["Received-From-MTA"], "dns; client.example")
        self.assertTrue(report.about["Arrival-Date"])
        [one] = report.recipients
        self.assertEqual((one["Action"], one["Status"]), ("failed", "5.1.1"))
        self.assertEqual(one["Original-Recipient"], "rfc822; Gone+x@dest.example")
        self.assertEqual(one["Final-Recipient"], "rfc822; " + GONE)
        self.assertEqual(one["Diagnostic-Code"], "smtp; 550 5.1.1 no such user")
        self.assertTrue(one["Remote-MTA"].startswith("dns; "))
        self.assertIn("Hello, world.", report.parts[2].get_payload()[0].get_content())
        self.assertEqual(flufl.bounce.all_failures(report.message), (set(), {b"Gone+x@dest.example"}))  # what the sender wrote
        self.assertIn(qid, " ".join(self.spoold_.lines("report")))

    def test_one_report_holds_those_who_fail_close_together_and_no_other(self):
        spoold = self.start()
        self.send([GONE, FULL, GOOD, ("silent@dest.example", ["NOTIFY=NEVER"])], ["RET=HDRS"])
        report = self.report()
        self.assertEqual(report.actions(), {GONE: "failed"})
        self.assertEqual(report.parts[2].get_content_type(), "text/rfc822-headers")
        self.assertEqual(flufl.bounce.scan_message(report.message), {GONE.encode()})
        self.assertEqual(self.report().recipients[0]["Status"], "5.1.1")
        self.none_more(SENDER, 1)
        spoold.check()

    def test_an_operator_bounces(self):
        spoold = self.start()
        qid = self.send([FULL, "silent@dest.example"])
        harness.wait_until(lambda: spoold.recipients(qid)[FULL]["state"] == "deferred", 10, "the deferral")
        self.assertIn("1", spoold.run("bounce", "--recipient", "full@*", "--dry-run").stdout)
        self.assertEqual(spoold.recipients(qid)[FULL]["state"], "deferred")
        self.assertEqual(spoold.run("bounce", "--recipient", "full@*").returncode, 0)
        [one] = self.report().recipients
        self.assertEqual((one["Final-Recipient"], one["Action"], one["Status"]), ("rfc822; " + FULL, "failed", "5.0.0"))
        self.assertEqual(one["Diagnostic-Code"], "X-Spoold; 5.0.0 an operator of this server ended the delivery; the last answer was: "
                                                 "452 4.2.2 mailbox full")
        self.assertEqual(flufl.bounce.all_failures(self.report().message), (set(), {FULL.encode()}))
        self.assertIn("bounce " + FULL, spoold.run("trace", qid).stdout)
        self.assertEqual(spoold.run("bounce", qid).returncode, 3, "nothing is open")
        self.none_more(SENDER, 1)
        spoold.check()

    def test_a_failure_is_reported_once_whatever_crashes(self):
        spoold = self.start(settings={"delivery": {"report_wait": "3s"}})
        qid = self.send([GONE, FULL])
        harness.wait_until(lambda: spoold.recipients(qid)[GONE]["state"] == "failed", 10, "the failure")
        spoold.kill()
        spoold.start()
        self.assertEqual(self.report().actions(), {GONE: "failed"})
        self.settled(1)
        spoold.kill()
        spoold.start()
        self.none_more(SENDER, 1)
        spoold.check()

    def test_a_host_that_reports_itself_is_asked_as_we_were(self):
        self.start("--keyword", "DSN")
        self.send([(GOOD, ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Good+2B@dest.example"]), (GONE, ["NOTIFY=NEVER"]), "plain@dest.example"],
                  ["RET=HDRS", "ENVID=id+2B1"])
        self.mails_to(GOOD)
        self.assertTrue(self.commands("MAIL", SENDER)[0].endswith(" RET=HDRS ENVID=id+2B1"))
        self.assertEqual(self.commands("RCPT", GOOD)[-1], f"RCPT TO:<{GOOD}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Good+2B@dest.example")
        self.assertEqual(self.commands("RCPT", GONE)[-1], f"RCPT TO:<{GONE}> NOTIFY=NEVER")
        self.assertEqual(self.commands("RCPT", "plain@dest.example")[-1], "RCPT TO:<plain@dest.example>")
        self.none_more(SENDER, 0)

    def test_success_at_a_host_that_reports_nothing(self):
        self.start()
        self.send([(GOOD, ["NOTIFY=SUCCESS"]), (GONE, ["NOTIFY=SUCCESS"]), ("plain@dest.example", ["NOTIFY=FAILURE"])])
        self.mails_to(GOOD)
        report = self.report()
        self.assertEqual(report.actions(), {GOOD: "relayed"})
        self.assertTrue(report.recipients[0]["Status"].startswith("2."))
        self.assertEqual(report.parts[2].get_content_type(), "text/rfc822-headers")
        self.assertNotIn("NOTIFY", " ".join(self.commands("RCPT", "@")))
        self.assertEqual(flufl.bounce.all_failures(report.message), (set(), set()))
        self.none_more(SENDER, 1)

    def test_a_list_is_the_originator_of_its_copies(self):
        spoold = self.start("--keyword", "DSN")
        spoold.list(members=["m1@dest.example", "m+2@dest.example"], verp="always")
        qid = self.send([(harness.LIST, ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;test+40lists.example"])], ["RET=FULL", "ENVID=secret"])
        self.mails_to("m1@dest.example")
        self.mails_to("m+2@dest.example")
        self.assertEqual(self.commands("RCPT", "m1@"), ["RCPT TO:<m1@dest.example> NOTIFY=FAILURE ORCPT=rfc822;m1@dest.example"])
        self.assertEqual(self.commands("RCPT", "m+2@"), ["RCPT TO:<m+2@dest.example> NOTIFY=FAILURE ORCPT=rfc822;m+2B2@dest.example"])
        for line in self.commands("MAIL", "test-bounces"):
            self.assertTrue(line.endswith(f" RET=HDRS ENVID={qid}"), line)
        report = self.report()
        self.assertEqual(report.actions(), {harness.LIST: "delivered"})
        self.assertEqual(report.about["Original-Envelope-Id"], "secret")
        self.assertEqual(report.recipients[0]["Original-Recipient"], "rfc822; test@lists.example")

    def test_aliases(self):
        self.start("--keyword", "DSN")
        self.send([("staff@lists.example", ["NOTIFY=SUCCESS,DELAY"]), ("boss@lists.example", ["NOTIFY=SUCCESS"])], ["ENVID=e"])
        self.mails_to("s2@dest.example")
        self.mails_to("b1@dest.example")
        self.assertEqual(self.report().actions(), {"staff@lists.example": "expanded"})
        for target in "s1@dest.example", "s2@dest.example":
            self.assertEqual(self.commands("RCPT", target), [f"RCPT TO:<{target}> NOTIFY=DELAY ORCPT=rfc822;staff@lists.example"])
        self.assertEqual(self.commands("RCPT", "b1@"), ["RCPT TO:<b1@dest.example> NOTIFY=SUCCESS ORCPT=rfc822;boss@lists.example"])

    def test_a_report_that_fails_goes_to_the_postmaster_once(self):
        spoold = self.start("--rcpt", f"{SENDER}=550 5.1.1 nobody", "--rcpt", f"{POSTMASTER}=550 5.1.1 nobody either")
        self.send([GONE])
        harness.wait_until(lambda: len(spoold.lines("failed")) == 3, 15, "the failures of message, report and double bounce")
        self.assertEqual(len(spoold.lines("report")), 2)
        self.assertEqual(spoold.queue(), [])
        self.assertEqual(self.commands("RCPT", POSTMASTER), [f"RCPT TO:<{POSTMASTER}>"])
        spoold.check()

    def test_what_the_postmaster_reads(self):
        self.start("--rcpt", f"{SENDER}=550 5.1.1 nobody")
        self.send([GONE])
        report = self.report(POSTMASTER)
        self.assertEqual(report.message["Subject"], "Report that could not be delivered")
        self.assertEqual(report.actions(), {SENDER: "failed"})
        self.assertEqual([p.get_content_type() for p in report.parts], ["text/plain", "message/delivery-status", "message/rfc822"])

    def test_a_delay_is_told_once_though_the_host_is_down_and_nobody_is_charged(self):
        dead = harness.free_port()
        spoold = self.start(settings={"delivery": {"delay_warning": "1s"},
                                      "domain": [{"name": "down.example", "deliver_to": f"smtp://127.0.0.1:{dead}"}]})
        self.send(["a@down.example", ("b@down.example", ["NOTIFY=FAILURE"]), ("c@down.example", ["NOTIFY=DELAY"])], ["ENVID=first"])
        report = self.report()
        self.assertEqual(report.actions(), {"a@down.example": "delayed", "c@down.example": "delayed"})
        for one in report.recipients:
            self.assertTrue(one["Status"].startswith("4."))
            self.assertTrue(one["Will-Retry-Until"])
        temporary, permanent = flufl.bounce.all_failures(report.message)
        self.assertEqual((temporary, permanent), ({b"a@down.example", b"c@down.example"}, set()))
        self.settled(1)
        spoold.kill()
        spoold.start()
        self.send(["a@down.example"], ["ENVID=second"])
        self.assertEqual(self.report(n=2).about["Original-Envelope-Id"], "second")
        spoold.check()


if __name__ == "__main__":
    harness.main()
