"""spoolctl judge: what a list would do with a mail, by the rules that decide on arrival. Nothing is stored."""
import json
import smtplib
import subprocess

import harness


class Test(harness.Case):
    def judge(self, spoold, mail, sender, *words, code=0):
        done = subprocess.run([harness.BUILD / "spoolctl", "--config", spoold.config, "--json", "judge", harness.LIST, "--mail-from", sender, *words],
                              input=mail, capture_output=True, text=True, timeout=60 * harness.SLOW)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def test_it_says_what_reception_does(self):
        spoold = self.spoold("smtp://127.0.0.1:1")
        spoold.list(members=["anne@x.example"], nonmembers="reject")
        for mail, sender in (("From: Anne <anne@x.example>\nSubject: s\n\nHello\n", "anne@x.example"),
                             ("From: eve@y.example\n\nHello\n", "eve@y.example"),
                             ("From: eve@y.example\n\nHello\n", "anne@x.example"),
                             ("From: anne@x.example\nAuto-Submitted: auto-replied\n\nHello\n", "anne@x.example"),
                             ("From: anne@x.example\n\nHello\n", ""),
                             ("Subject: nobody\n\nHello\n", "anne@x.example")):
            said = self.judge(spoold, mail, sender or "<>")
            with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="client.example", timeout=60) as client:
                client.ehlo()
                client.mail(sender)
                client.rcpt(harness.LIST)
                code, words = client.data(mail)
            self.assertEqual(said["outcome"], "accept" if code == 250 else "reject", said)
            if code != 250:
                self.assertEqual(said["reply"], f"{code} {words.decode()}")
            self.assertTrue(said["rule"])
        before = len(spoold.ctl("queue"))
        self.judge(spoold, "From: anne@x.example\n\nHello\n", "anne@x.example", "--client", "192.0.2.1")
        self.assertEqual(len(spoold.ctl("queue")), before)
        self.assertIn("'no address' is not an address", self.judge(spoold, "From: anne@x.example\n\nHello\n", "no address", code=2))


if __name__ == "__main__":
    harness.main()
