"""Who can move a member's score, and who cannot: bounces and complaints forged by the thousand, senders in the forms of other list
managers, a spike at one domain; and automatic answers, which end."""
import email
import email.policy
import re
import smtplib
import time

import harness

GONE = "gone@dest.example"
DSN = """From: MAILER-DAEMON@dest.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r
--b\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r
Reporting-MTA: dns; dest.example\r\n\r\nFinal-Recipient: rfc822; {who}\r\nAction: failed\r\nStatus: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--b--\r\n"""
ARF = """From: feedback@provider.example\r\nSubject: complaint\r\nMIME-Version: 1.0\r
Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r
--b\r\nContent-Type: text/plain\r\n\r\nThis is spam.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r
Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Mail-From: <{sender}>\r\nOriginal-Rcpt-To: <{who}>\r\n\r
--b\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <{sender}>\r\nFrom: x@y.example\r\nTo: test@lists.example\r
List-Post: <mailto:test@lists.example>\r\nList-Unsubscribe: <mailto:test-leave+{token}@lists.example>\r\nSubject: a post\r\n\r\nHello\r\n--b--\r\n"""


class Test(harness.Case):
    def start(self, *options, members=(GONE,), settings=None, **of_list):
        self.mails = self.folder / "mails"
        self.mails.mkdir()
        self.hop = self.peer("--content", self.mails, "--no-chunking", *options)
        spoold = self.spoold(self.hop.url, harness.merge({"delivery": {"retry": ["1h"]}}, settings or {}))
        spoold.list(members=members, **of_list)
        return spoold

    def send_all(self, spoold, mails):
        """(recipient, text) from the null path, many in a connection; how each was answered."""
        answers, mails = [], list(mails)
        while mails:
            with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=60 * harness.SLOW) as client:
                client.ehlo()
                for to, text in mails[:8]:
                    client.docmd("MAIL FROM:<>")
                    code, _ = client.docmd(f"RCPT TO:<{to}>")
                    answers.append((to, client.data(text.encode())[0] if code == 250 else code))
                    if code != 250:
                        client.docmd("RSET")
            mails = mails[8:]
        return answers

    def scores(self, spoold):
        return {row["address"]: row["score"] for row in spoold.ctl("bounces", harness.LIST, ok=(0, 3)) or []}

    def senders(self):
        return re.findall(r"MAIL FROM:<([^>]*)>", self.hop.log.read_text())

    def settled(self, spoold):
        harness.wait_until(lambda: not spoold.queue(), 30, "the post has an outcome for each recipient", every=0.1)

    def test_forged_bounces_and_complaints_by_the_thousand_move_nobody(self):
        people = [f"m{i}@dest.example" for i in range(20)]
        spoold = self.start(members=people, verp_format="signed", bounce_threshold="1", complaint="leave", one_click="true")
        spoold.post()
        self.settled(spoold)
        [real] = [s for s in set(self.senders()) if s.startswith("test-bounces+m0=dest.example=")]
        tag = real.rsplit("=", 1)[1].split("@")[0]
        mails = []
        for n in range(250):
            who = people[n % 20]
            folded = who.replace("@", "=")
            guessed = f"test-bounces+{folded}={'abcdefgh'[n % 8:] + 'abcdefgh'[:n % 8]}@lists.example"
            stolen = f"test-bounces+{people[1 + n % 19].replace('@', '=')}={tag}@lists.example"  # of another member
            for to in (f"test-bounces+{folded}@lists.example", guessed, stolen, f"test-bounces+b={'a' * 28}@lists.example",
                       "test-bounces@lists.example"):
                mails.append((to, DSN.format(who=who)))
            token = "abcdefghijklmnopqrstuvwxyz23"[:28]
            mails.append(("test-bounces@lists.example", ARF.format(sender=guessed, who=who, token=token)))
            mails.append(("test-owner@lists.example", ARF.format(sender=f"test-bounces+{folded}@lists.example", who=who, token=token)))
        answers = self.send_all(spoold, mails)
        self.assertEqual(len(answers), 1750)
        for to, code in answers:
            if "+" in to:
                self.assertEqual(code, 550, to)
        self.assertEqual(self.scores(spoold), {})
        self.assertEqual({m["delivery"] for m in spoold.ctl("members", harness.LIST)}, {"regular"})
        self.assertEqual(len(spoold.ctl("members", harness.LIST)), 20)
        # The one that is real counts.
        self.assertEqual(self.send_all(spoold, [(real, DSN.format(who=people[0]))]), [(real, 250)])
        harness.wait_until(lambda: any(person == people[0] for person in self.scores(spoold)), 20, "the real one counts")
        spoold.check()

    def test_senders_of_other_list_managers_while_a_site_migrates(self):
        spoold = self.start(members=[f"m{i}@dest.example" for i in range(5)])
        forms = {"mlmmj": "test+bounces-17-m0=dest.example@lists.example", "ezmlm": "test-return-17-m1=dest.example@lists.example",
                 "sympa": "bounce+m2==a==dest.example==test@lists.example", "xverp": "owner-test+m3=dest.example@lists.example"}
        mails = [(to, DSN.format(who="x@y.example")) for to in forms.values()]
        self.assertEqual({code for _, code in self.send_all(spoold, mails)}, {550})
        spoold.ctl("list", "set", harness.LIST, "verp_accept=mlmmj, sympa")
        self.assertEqual([code for _, code in self.send_all(spoold, mails)], [250, 550, 250, 550])
        spoold.ctl("list", "set", harness.LIST, "verp_accept=mlmmj,ezmlm,sympa,xverp")
        self.assertEqual([code for _, code in self.send_all(spoold, mails)], [250] * 4)
        self.assertEqual(self.scores(spoold), {f"m{i}@dest.example": 1.0 for i in range(4)})
        # A list that proves its own senders takes classic ones only if it is told to.
        classic = ("test-bounces+m4=dest.example@lists.example", DSN.format(who="x@y.example"))
        spoold.ctl("list", "set", harness.LIST, "verp_accept=", "verp_format=opaque")
        self.assertEqual(self.send_all(spoold, [classic]), [(classic[0], 550)])
        spoold.ctl("list", "set", harness.LIST, "verp_accept=classic")
        self.assertEqual(self.send_all(spoold, [classic]), [(classic[0], 250)])
        self.assertIn("m4@dest.example", self.scores(spoold))

    def test_a_spike_at_one_domain_counts_against_nobody(self):
        dead = [f"d{i}@ill.example" for i in range(30)]
        options = [word for d in dead for word in ("--rcpt", f"{d}=550 5.1.1 no such user")]
        spoold = self.start(*options, "--rcpt", f"{GONE}=550 5.1.1 no such user", members=[*dead, GONE], bounce_threshold="1", bounce_probe="false")
        spoold.post()
        self.settled(spoold)
        self.assertEqual(list(self.scores(spoold)), [GONE])
        self.assertEqual({m["delivery"] for m in spoold.ctl("members", harness.LIST) if m["address"] in dead}, {"regular"})

        def letters():
            all_mail = [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in self.mails.iterdir()]
            return [m for m in all_mail if "do not count" in m["Subject"]]
        [letter] = harness.wait_until(letters, 20, "the owner is told")
        self.assertIn("ill.example", letter["Subject"])
        spoold.post()
        self.settled(spoold)
        self.assertEqual(list(self.scores(spoold)), [GONE])
        time.sleep(0.5)
        self.assertEqual(len(letters()), 1)
        spoold.ctl("list", "set", harness.LIST, "bounce_guard=off")
        spoold.post()
        self.settled(spoold)
        self.assertEqual(len(self.scores(spoold)), 31)
        spoold.check()

    def submit(self, spoold, sender, to, subject, **fields):
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in
                       {"From": sender, "To": to, "Subject": subject, "Message-ID": email.utils.make_msgid(domain="x.example"), **fields}.items())
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=60 * harness.SLOW) as client:
            client.ehlo()
            client.docmd(f"MAIL FROM:<{sender}>")
            code, said = client.docmd(f"RCPT TO:<{to}>")
            return client.data((text + "\r\nautomatic\r\n").encode())[0] if code == 250 else code

    def test_automatic_answers_end(self):
        """A robot that answers each mail it gets, to From, to the list and to its owners; two lists whose command addresses are set on each other."""
        spoold = self.start(members=["robot@dest.example"])
        spoold.ctl("list", "create", "second@lists.example", "--owner", "robot@dest.example")
        spoold.ctl("list", "set", "test@lists.example", "owner=robot@dest.example", "nonmembers=hold")
        # A list's commands, sent by the other list's: one letter, and no answer to it.
        for a, b in (("test-request@lists.example", "second-request@lists.example"), ("second-join@lists.example", "test-request@lists.example"),
                     ("test-leave@lists.example", "second-leave@lists.example")):
            self.submit(spoold, b, a, "help")
        spoold.post(sender="stranger@far.example")  # held: the owner is told
        self.submit(spoold, "robot@dest.example", "test@lists.example", "a post of the robot")
        answered, rounds = set(), 0
        deadline = time.time() + 6 * harness.SLOW
        while time.time() < deadline:
            new = [p for p in sorted(self.mails.iterdir()) if p.name not in answered]
            for path in new:
                answered.add(path.name)
                mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                rounds += 1
                self.assertLess(rounds, 40, "the answers do not end")
                for to in {str(mail["From"]).split("<")[-1].strip(">"), "test@lists.example", "test-owner@lists.example"}:
                    if to.endswith("@lists.example"):
                        self.submit(spoold, "robot@dest.example", to, f"Re: {mail['Subject']}", Auto_Submitted="auto-replied")
            time.sleep(0.2)
        before = len(list(self.mails.iterdir()))
        time.sleep(1)
        self.assertEqual(len(list(self.mails.iterdir())), before)
        self.assertEqual(spoold.queue("--state", "queued"), [])


if __name__ == "__main__":
    harness.main()
