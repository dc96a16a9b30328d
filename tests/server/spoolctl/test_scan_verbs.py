#!/usr/bin/env python3
"""The verbs that read a mail or a reply: no daemon, no store, no configuration."""
import json
import os
import subprocess
import tempfile
import unittest

import harness

DSN = """From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: test-bounces@lists.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It did not work.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; anne@north.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.north.example
Diagnostic-Code: smtp; 550 5.1.1 User unknown

Final-Recipient: rfc822; bert@b.example
Action: delayed
Status: 4.4.1
--b--
"""
ARF = """From: abuse@provider.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

This is a complaint.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
Source-IP: 192.0.2.1
Arrival-Date: Sun, 8 Mar 2026 14:00:00 +0000
--b
Content-Type: message/rfc822

Return-Path: <test-bounces+anne=north.example@lists.example>
From: bert@b.example
Subject: Hello

Hello.
--b--
"""
ORDINARY = "From: anne@north.example\nTo: test@lists.example\nSubject: Hello\n\nHow are you?\n"


class Test(unittest.TestCase):
    def spoolctl(self, *words, given="", code=0):
        environment = {k: v for k, v in os.environ.items() if k != "SPOOLD_CONFIG"}
        done = subprocess.run([harness.BUILD / "spoolctl", *words], input=given, capture_output=True, text=True, env=environment, timeout=60 * harness.SLOW)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_bounce_scan(self):
        self.assertEqual(self.spoolctl("bounce-scan", given=DSN), "permanent anne@north.example\ntemporary bert@b.example\n")
        self.assertEqual(self.spoolctl("bounce-scan", given=ORDINARY), "")
        self.assertEqual(self.spoolctl("bounce-scan", given=""), "")
        anne, bert = json.loads(self.spoolctl("--json", "bounce-scan", given=DSN))
        self.assertEqual((anne["address"], anne["kind"], anne["format"], anne["status"]), ("anne@north.example", "permanent", "rfc3464", "5.1.1"))
        self.assertEqual((anne["diagnostic"], anne["remote"]), ("550 5.1.1 User unknown", "mx.north.example"))
        self.assertEqual((anne["action"], anne["scores"], anne["rule"]), ("score", True, "no-such-user"))
        self.assertEqual((bert["kind"], bert["scores"]), ("temporary", False))
        self.assertEqual(json.loads(self.spoolctl("bounce-scan", "--json", given=ORDINARY)), [])

    def test_a_failure_of_the_post_is_permanent_and_scores_nobody(self):
        spam = DSN.replace("5.1.1 User unknown", "5.7.1 Message rejected as spam").replace("Status: 5.1.1", "Status: 5.7.1")
        anne = json.loads(self.spoolctl("--json", "bounce-scan", given=spam))[0]
        self.assertEqual((anne["kind"], anne["action"], anne["scores"]), ("permanent", "post_fails", False))

    def test_reply_scan(self):
        given = "550 5.1.1 no such user\n\n452 4.2.2 mailbox full\n550 5.7.1 Message rejected as spam\n"
        rows = [json.loads(line) for line in self.spoolctl("reply-scan", given=given).splitlines()]
        self.assertEqual([r["action"] for r in rows], ["score", "retry", "soft", "post_fails"])
        self.assertEqual([r["scores"] for r in rows], [True, False, False, False])
        self.assertTrue(all(r["rule"] for r in rows))

    def test_reply_scan_with_a_table_of_ones_own(self):
        reply = "550 5.1.1 This mailbox is parked\n"
        with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
            self.addCleanup(os.remove, file.name)
            file.write('[[reply]]\nrule = "own"\nmx = ["*.partner.example"]\ntext = ["mailbox is parked"]\naction = "ours"\n')
        of_partner = json.loads(self.spoolctl("reply-scan", "--mx", "mx1.partner.example", "--replies", file.name, given=reply))
        self.assertEqual((of_partner["action"], of_partner["rule"]), ("ours", "own"))
        self.assertEqual(json.loads(self.spoolctl("reply-scan", "--replies", file.name, given=reply))["action"], "score")
        with open(file.name, "a") as more:
            more.write('[[reply]]\nrule = "bad"\naction = "explode"\n')
        self.assertIn(":8:10: 'explode' is no action", self.spoolctl("reply-scan", "--replies", file.name, given=reply, code=1))
        self.assertIn("cannot be read", self.spoolctl("reply-scan", "--replies", "/nowhere.toml", given=reply, code=1))

    def test_complaint_scan(self):
        self.assertEqual(json.loads(self.spoolctl("--json", "complaint-scan", given=ARF)), {
            "feedback_type": "abuse", "original_recipient": None, "member": "anne@north.example", "list": "test@lists.example",
            "source_ip": "192.0.2.1", "arrived": "2026-03-08T14:00:00.000Z"})
        self.assertIn("anne@north.example", self.spoolctl("complaint-scan", given=ARF))
        self.assertEqual(json.loads(self.spoolctl("--json", "complaint-scan", given=ORDINARY)), {})
        self.assertEqual(self.spoolctl("complaint-scan", given=ORDINARY), "")

    def test_octets_of_a_terminal_are_shown_and_not_sent(self):
        mail = "From: MAILER-DAEMON@x.example\nSubject: failure notice\n\nThe following addresses failed:\n\n  anne\u009b31m@north.example: user unknown\n"
        self.assertNotIn("\u009b", self.spoolctl("bounce-scan", given=mail))


if __name__ == "__main__":
    unittest.main()
