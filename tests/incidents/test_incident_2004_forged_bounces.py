"""2004: forged and misdirected bounces disabled good members; a site-wide database was locked by everybody; queue entries
were two files that could part. Here: bounces to our addresses are taken, nobody loses mail by them, nothing answers them,
and the store stays whole while all that happens at once."""
import smtplib
import threading

import harness

DSN = """From: MAILER-DAEMON@{host}\r\nTo: {to}\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r
Message-ID: <{n}.bounce@{host}>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r
--b\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r
Reporting-MTA: dns; {host}\r\n\r\nFinal-Recipient: rfc822; {who}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"""


class Test(harness.Case):
    def bounce(self, spoold, to, who, n):
        """A bounce from the null path; the code it was answered with."""
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=30) as client:
            client.ehlo()
            client.docmd("MAIL FROM:<>")
            code, _ = client.docmd(f"RCPT TO:<{to}>")
            if code != 250:
                return code
            client.docmd("DATA")
            client.send(DSN.format(host="far.example", to=to, who=who, n=n).encode() + b".\r\n")
            return client.getreply()[0]

    def test_forged_bounces_disable_nobody(self):
        sink = self.sink()
        spoold = self.spoold(sink.url)
        people = harness.members(20)
        spoold.list(members=people)
        answers = []

        def forge(start):
            for n in range(start, start + 10):
                who = people[n % 20]
                for to in (f"test-bounces+{who.replace('@', '=')}@lists.example", "test-bounces@lists.example",
                           "test-bounces+nobody=nowhere.example@lists.example", "test-bounces+b=aaaaaaaaaaaaaaaaaaaaaaaaaaaa@lists.example",
                           "bounces+b=aaaaaaaaaaaaaaaaaaaaaaaaaaaa@lists.example"):
                    answers.append((to, self.bounce(spoold, to, who, n)))

        threads = [threading.Thread(target=forge, args=(10 * n,)) for n in range(4)]
        for t in threads:
            t.start()
        posts = [spoold.post(subject=f"during {n}") for n in range(5)]  # posting does not wait for anybody's lock
        for t in threads:
            t.join()
        self.assertEqual([a for a in answers if a[1] not in (250, 550)], [])
        self.assertEqual([a for a in answers if a[1] != 250 and a[0] == "test-bounces@lists.example"], [], "a plain bounce was refused")
        self.assertEqual([a for a in answers if a[1] != 250 and "+member" in a[0]], [], "a VERP bounce was refused")
        posts.append(spoold.post(subject="after"))
        sink.wait(len(posts) * 20)
        harness.time.sleep(0.5)
        copies = [a for a in sink.arrivals() if a.message_id in posts]
        self.assertEqual(sorted({a.recipient for a in copies}), sorted(people))
        self.assertEqual(len(copies), len(posts) * 20)
        # nothing answers a bounce with a message; what comes to the owner has the null path or the bounce itself inside
        others = [a for a in sink.arrivals() if a.message_id not in posts]
        self.assertEqual([a for a in others if a.recipient != harness.OWNER], [])
        self.assertEqual([a for a in others if a.recipient == "mailer-daemon@far.example"], [])
        spoold.check()

    def test_state_survives_crashes_amid_bounces(self):
        sink = self.sink()
        spoold = self.spoold(sink.url)
        people = harness.members(20)
        spoold.list(members=people)
        for n in range(3):
            for who in people[:7]:
                self.assertEqual(self.bounce(spoold, f"test-bounces+{who.replace('@', '=')}@lists.example", who, n), 250)
            spoold.kill()
            spoold.start()
            spoold.check()
        post = spoold.post()
        harness.wait_until(lambda: len([a for a in sink.arrivals() if a.message_id == post]) == 20, 20, "all members get the next post")


if __name__ == "__main__":
    harness.main()
