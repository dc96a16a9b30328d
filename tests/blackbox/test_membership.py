"""Joining and leaving by mail: what somebody asks, the token that he sends back, and the letters. The next hop's mails are the judge."""
import smtplib
import socket
import subprocess

import harness
from peers.correspondents import Correspondents

ANNA, BERT, OWNER = "anna@dest.example", "bert@dest.example", "owner@dest.example"


class Test(Correspondents):
    def start(self, settings=None, members=(BERT,), **of_list):
        spoold = self.spoold(self.keep_mail(), harness.merge({"delivery": {"retry": ["1h"]}}, settings or {}))
        spoold.list(members=members, owner=OWNER, **of_list)
        return spoold

    def send(self, spoold, role, sender, subject="", text="", headers="", reverse_path=None):
        """To test-ROLE@, or to an address; the reply to the end of data or the refusal before."""
        to = role if "@" in role else harness.LIST.replace("@", f"-{role}@")
        mail = f"From: Some One <{sender}>\nTo: {to}\nSubject: {subject}\n{headers}\n{text}\n"
        return self.submit(spoold, sender if reverse_path is None else reverse_path, to, mail)

    def members(self, spoold):
        return {row["address"] for row in spoold.ctl("members", harness.LIST)}

    def test_join_by_a_token_that_comes_back(self):
        spoold = self.start()
        self.assertIn("250", self.send(spoold, "join", ANNA))
        letter = self.letters(ANNA)[0]
        self.assertEqual(letter["Subject"], "Please confirm that you join test@lists.example")
        self.assertEqual(letter["Auto-Submitted"], "auto-replied")
        token = letter["From"]
        self.assertRegex(token, r"^test-confirm\+[0-9a-f]{32}@lists\.example$")
        self.assertIn(token, letter.get_content())
        self.assertEqual(self.members(spoold), {BERT})
        [waiting] = spoold.ctl("requests")
        self.assertEqual((waiting["address"], waiting["request"], waiting["waits_for"]), (ANNA, "join", "member"))
        # An autoresponder answers the letter: nothing is confirmed.
        for headers, path in (("Auto-Submitted: auto-replied\n", None), ("Precedence: bulk\n", None), ("", "")):
            self.assertIn("550 5.7.1 automatic mail", self.send(spoold, token, ANNA, headers=headers, reverse_path=path))
        self.assertEqual(self.members(spoold), {BERT})
        self.assertIn("250", self.send(spoold, token.upper(), "anna.other@elsewhere.example", f"Re: {letter['Subject']}", "> words"))
        self.assertEqual(self.members(spoold), {ANNA, BERT})
        self.assertEqual(self.letters(ANNA, 2)[1]["Subject"], "Welcome to test@lists.example")
        self.assertEqual(spoold.ctl("member", "show", harness.LIST, ANNA)["name"], "Some One")
        self.assertIn("550 5.1.1", self.send(spoold, token, ANNA), "a token is for one answer")
        self.assertEqual(spoold.ctl("requests"), [])
        events = [(row["event"], row["detail"]) for row in spoold.ctl("trace", ANNA)]
        self.assertIn(("asked", "join: confirm"), events)
        self.assertIn(("asked", "join: joined"), events)
        spoold.check()

    def test_ten_joins_for_one_victim_are_one_letter(self):
        spoold = self.start()
        for n in range(10):
            self.assertIn("250", self.send(spoold, "join", ANNA, reverse_path=f"attacker{n}@far.example"))
        self.assertIn("250", self.send(spoold, "request", ANNA, "help"))
        self.assertEqual(len(self.letters(ANNA, 2)), 2)  # the token, and the help
        harness.wait_until(lambda: not spoold.queue(), 20, "all letters are out")
        self.assertEqual(len(self.letters(ANNA, 2)), 2)
        spoold.check()

    def test_a_network_that_asks_for_many_is_slowed(self):
        """By the PROXY header, from networks that are not ours: a victim gets one letter from a hundred networks, a network ten letters."""
        port = harness.free_port()
        spoold = self.start({"smtp": {"trusted_networks": [], "proxies": ["127.0.0.1"], "spf": "off", "dmarc": "off"}})
        spoold.stop()
        spoold.settings["listen"].append({"address": f"127.0.0.1:{port}", "proxy_protocol": True})
        spoold.start()

        def join(network, who):
            with socket.create_connection(("127.0.0.1", port), timeout=30 * harness.SLOW) as s, s.makefile("rb") as answers:
                mail = f"From: {who}\r\nTo: test-join@lists.example\r\n\r\n.\r\n"
                for line in (f"PROXY TCP4 {network} 127.0.0.1 40000 25\r\n", "EHLO far.example\r\n", f"MAIL FROM:<{who}>\r\n",
                             "RCPT TO:<test-join@lists.example>\r\n", "DATA\r\n", mail):
                    s.sendall(line.encode())
                    answer = answers.readline()
                    while answer[3:4] == b"-":
                        answer = answers.readline()
                return answer.decode().strip()
        for n in range(100):
            self.assertTrue(join(f"198.51.{n}.7", ANNA).startswith("250"))
        for n in range(10):
            self.assertTrue(join(f"203.0.113.{n}", f"victim{n}@dest.example").startswith("250"))
        self.assertRegex(join("203.0.113.99", "victim99@dest.example"), r"^451 4\.7\.1 too many requests that nobody has confirmed; try again in (60|59) s")
        self.assertTrue(join("192.0.2.1", "victim99@dest.example").startswith("250"), "another network does not wait")
        harness.wait_until(lambda: not spoold.queue(), 20, "all letters are out")
        self.assertEqual(len(self.letters(ANNA)), 1)
        self.assertEqual(len(spoold.ctl("requests")), 12)
        spoold.check()

    def test_leave_and_what_strangers_cannot_do(self):
        spoold = self.start()
        self.assertIn("250", self.send(spoold, "leave", ANNA))
        self.assertEqual(self.letters(ANNA)[0]["Subject"], "You are no member of test@lists.example")
        self.assertIn("250", self.send(spoold, "unsubscribe", BERT))
        letter = self.letters(BERT)[0]
        self.assertEqual(letter["Subject"], "Please confirm that you leave test@lists.example")
        self.assertEqual(self.members(spoold), {BERT})
        self.assertIn("250", self.send(spoold, letter["From"], BERT))
        self.assertEqual(self.members(spoold), set())
        self.assertEqual(self.letters(BERT, 2)[1]["Subject"], "You have left test@lists.example")
        self.assertIn("550 5.1.1", self.send(spoold, f"test-confirm+{'0' * 32}@lists.example", ANNA), "a token that is guessed")
        spoold.check()

    def test_open_lists_and_commands_by_mail(self):
        spoold = self.start(subscribe="open", unsubscribe="open", language="de")
        self.assertIn("250", self.send(spoold, "request", ANNA, "", "join digest\nend\nleave\n"))
        self.assertEqual(spoold.ctl("member", "show", harness.LIST, ANNA)["delivery"], "digest")
        self.assertEqual(self.letters(ANNA)[0]["Subject"], "Willkommen bei test@lists.example")
        self.assertIn("250", self.send(spoold, "request", ANNA, "Re: set delivery off"))
        letter = self.letters(ANNA, 2)[1]
        self.assertEqual(letter["Subject"], "Bitte bestätigen: Änderung bei test@lists.example")
        self.assertIn("Zustellung: nichts", letter.get_content())
        self.assertIn("250", self.send(spoold, letter["From"], ANNA))
        self.assertEqual(spoold.ctl("member", "show", harness.LIST, ANNA)["delivery"], "nomail_by_user")
        self.assertIn("250", self.send(spoold, "request", OWNER, "who"))
        self.assertEqual(self.letters(OWNER)[0].get_content().split(), [ANNA, BERT])
        self.assertIn("250", self.send(spoold, "request", BERT, "who"))
        self.assertEqual(self.letters(BERT)[0]["Subject"], "Hilfe zu test@lists.example", "nobody else is told who is a member")
        self.assertIn("250", self.send(spoold, "request", BERT, "hello", "buy http://spam.example/ now\n"))
        self.assertNotIn("spam.example", self.letters(BERT, 2)[1].get_content().replace("buy httpspamexample now", ""))
        self.assertIn("250", self.send(spoold, "leave", ANNA))
        self.assertEqual(self.members(spoold), {BERT})
        spoold.check()

    def test_the_owners_decide(self):
        spoold = self.start(subscribe="confirm+moderate")
        self.send(spoold, "join", ANNA)
        self.send(spoold, self.letters(ANNA)[0]["From"], ANNA)
        self.assertEqual(self.letters(ANNA, 2)[1]["Subject"], "The owners of test@lists.example decide")
        asked = self.letters("test-owner@lists.example")[0]
        self.assertEqual(asked["Subject"], "anna@dest.example asks to join test@lists.example")
        self.assertEqual(self.members(spoold), {BERT})
        [waiting] = spoold.ctl("requests", harness.LIST)
        self.assertEqual(waiting["waits_for"], "owners")
        self.assertIn("accepted anna@dest.example", spoold.run("member", "accept", harness.LIST, ANNA).stdout)
        self.assertEqual(self.members(spoold), {ANNA, BERT})
        self.assertEqual(self.letters(ANNA, 3)[2]["Subject"], "Welcome to test@lists.example")
        self.assertIn("550 5.1.1", self.send(spoold, asked["From"], OWNER), "the second one is told that it was decided")
        self.assertEqual(spoold.run("member", "accept", harness.LIST, ANNA).returncode, 3)
        # Refused by an answer to the letter.
        carl = "carl@dest.example"
        self.send(spoold, "join", carl)
        self.send(spoold, self.letters(carl)[0]["From"], carl)
        asked = self.letters("test-owner@lists.example", 2)[1]
        self.assertIn("250", self.send(spoold, asked["From"], OWNER, "Re: your letter", "refuse\n"))
        self.assertEqual(self.letters(carl, 3)[2]["Subject"], "Your request to join test@lists.example was refused")
        self.assertEqual(self.members(spoold), {ANNA, BERT})
        spoold.check()

    def test_a_restart_and_texts_of_ones_own(self):
        texts = self.folder / "texts"
        (texts / "lists.example" / "en").mkdir(parents=True)
        (texts / "lists.example" / "en" / "welcome.txt").write_text("Subject: Hello, $user_address\n\nCost: $$5 at $list_name.\n")
        (texts / "lists.example" / "en" / "not-member.txt").write_text("")
        spoold = self.start({"lists": {"templates": str(texts)}})
        self.send(spoold, "join", ANNA)
        token = self.letters(ANNA)[0]["From"]
        spoold.kill()
        spoold.start()
        self.send(spoold, token, ANNA)
        # A letter whose 250 was not yet recorded at the kill comes twice.
        letter = harness.wait_until(lambda: [m for m in self.letters(ANNA) if m["Subject"] == "Hello, anna@dest.example"], 20, "the welcome")[0]
        self.assertEqual(letter.get_content().strip(), "Cost: $5 at test.")
        self.send(spoold, "leave", "nobody@dest.example")  # an empty text: no letter
        harness.wait_until(lambda: not spoold.queue(), 20, "all letters are out")
        self.assertFalse([p for p in self.mails.iterdir() if b"nobody@dest.example" in p.read_bytes()])
        (texts / "lists.example" / "en" / "welcome.txt").write_text("Subject: $nothing\n\nx\n")
        checked = subprocess.run([harness.BUILD / "spoold", "--config", spoold.config, "--check"], capture_output=True, text=True, timeout=60 * harness.SLOW)
        self.assertEqual(checked.returncode, 2)
        self.assertIn("lists.example/en/welcome.txt: there is no $nothing", checked.stderr)

    def test_a_letter_that_comes_back_ends_its_request_and_troubles_nobody(self):
        spoold = self.start()
        self.send(spoold, "join", ANNA)
        self.letters(ANNA)
        token = self.letters(ANNA)[0]["From"].split("+")[1].split("@")[0]
        bounces = f"test-bounces+{token}@lists.example"
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=30 * harness.SLOW) as client:
            client.ehlo()
            client.docmd("MAIL FROM:<>")
            self.assertEqual(client.docmd(f"RCPT TO:<{bounces}>")[0], 250)
            client.data((f"From: MAILER-DAEMON@dest.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
                         "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nno\r\n"
                         "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; dest.example\r\n\r\n"
                         f"Final-Recipient: rfc822; {ANNA}\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no\r\n\r\n--b--\r\n").encode())
        self.assertEqual(spoold.ctl("requests"), [])
        self.assertIn("550 5.1.1", self.send(spoold, f"test-confirm+{token}@lists.example", ANNA))
        harness.wait_until(lambda: not spoold.queue(), 20, "nothing is left")
        self.assertEqual(len(list(self.mails.iterdir())), 1, "nobody got a letter about it")
        spoold.check()

    def test_command_shows_what_a_mail_would_do(self):
        spoold = self.start()

        def would(role, mail):
            return spoold.ctl("command", harness.LIST.replace("@", f"-{role}@"), input=mail)
        mail = f"From: {ANNA}\r\nSubject: \r\n\r\n"
        self.assertEqual(would("join", mail)["outcome"], "confirm")
        self.assertEqual(would("leave", mail)["outcome"], "not_member")
        self.assertEqual(would("join", f"Auto-Submitted: auto-replied\r\n{mail}")["outcome"], "refused")
        self.assertEqual(would("request", f"From: {ANNA}\r\nSubject: help\r\n\r\n")["command"], "help")
        self.assertEqual(would("request", f"From: {ANNA}\r\nSubject: who\r\n\r\n")["outcome"], "help")
        capitals = OWNER.replace("dest.example", "DEST.example")
        self.assertEqual(would("request", f"From: {capitals}\r\nSubject: who\r\n\r\n")["outcome"], "who")
        self.assertEqual(spoold.ctl("requests"), [], "nothing is stored")


if __name__ == "__main__":
    harness.main()
