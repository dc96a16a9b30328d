"""`spoolctl resend`: a letter that a list has sent goes out once more, as long as it is worth something."""
import smtplib

import harness
from peers.correspondents import Correspondents

ANNA, OWNER = "anna@dest.example", "owner@dest.example"


class Test(Correspondents):
    def send(self, spoold, to, sender=ANNA):
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=30 * harness.SLOW) as client:
            client.sendmail(sender, [to], f"From: {sender}\r\nTo: {to}\r\nSubject: hello\r\n\r\nhello\r\n".encode())

    def sent(self, spoold, subject):
        """The id of the last letter with this subject, when it is out."""
        def there():
            rows = [row for row in spoold.ctl("trace", ANNA) if row["event"] == "accepted"]
            ids = [row["id"] for row in rows if spoold.show(row["id"])["subject"] == subject]
            return ids and spoold.show(ids[-1])["state"] == "finished" and ids[-1]
        return harness.wait_until(there, 20, subject)

    def test_resend(self):
        spoold = self.spoold(self.keep_mail(), {"delivery": {"retry": ["1h"]}})
        spoold.list(owner=OWNER)
        self.send(spoold, "test-join@lists.example")
        first = self.letters(ANNA, 1)[0]
        qid = self.sent(spoold, "Please confirm that you join test@lists.example")
        self.assertTrue(spoold.ctl("resend", qid, "--dry-run")["dry_run"])
        self.assertEqual(spoold.run("resend", qid, "--to", "bert@dest.example").returncode, 3)
        spoold.stop()
        spoold.start()
        answer = spoold.ctl("resend", qid)
        self.assertEqual((answer["resent"], answer["recipients"]), (qid, 1))
        second = self.letters(ANNA, 2)[1]
        self.assertEqual((second["From"], second.get_content()), (first["From"], first.get_content()))
        self.assertIn(f"sent again as {answer['id']}", [row["detail"] for row in spoold.ctl("trace", qid)])
        # Its token is used now: the letter is worth nothing.
        self.send(spoold, second["From"])
        refused = spoold.run("resend", qid)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("its token is not good any more", refused.stderr)
        welcome = self.sent(spoold, "Welcome to test@lists.example")
        spoold.ctl("resend", welcome, "--to", ANNA)
        self.assertEqual([m["Subject"] for m in self.letters(ANNA, 4)[2:]], ["Welcome to test@lists.example"] * 2)
        # A post is no letter, and what is not there cannot be sent.
        spoold.post()
        post = spoold.last_id
        harness.wait_until(lambda: not spoold.queue(), 20, "an empty queue")
        self.assertIn("is no mail that a list itself has sent", spoold.run("resend", post).stderr)
        self.assertEqual(spoold.run("resend", "6H05R3BNW0001").returncode, 3)
        self.assertEqual(spoold.run("resend", "nonsense").returncode, 2)
        spoold.stop()
        spoold.check()


if __name__ == "__main__":
    harness.main()
