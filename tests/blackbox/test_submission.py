"""Submission: users log in by AUTH under TLS and send anywhere; nobody else does. Real clients, guessers, and everything that an open relay is looked for with."""
# ctest: slow serial
import base64
import contextlib
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import unittest

import harness
from peers.tls_peer import Authority

PASSWORD = "correct horse"
ANNE = "anne@lists.example"
TO = "somebody@far.example"
DEAD = "smtp://127.0.0.1:9"
MAIL = f"From: Anne <{ANNE}>\r\nTo: <{TO}>\r\nSubject: hello\r\n\r\nHello, world.\r\n"


def b64(text):
    return base64.b64encode(text.encode())


def plain(user, password):
    return b"AUTH PLAIN " + b64(f"\0{user}\0{password}")


class Client:
    """A connection that says what it is told."""

    def __init__(self, test, port, source="127.0.0.1", tls=None):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=60 * harness.SLOW, source_address=(source, 0))
        test.addCleanup(self.s.close)
        if tls == "implicit":
            self.s = test.trusting.wrap_socket(self.s, server_hostname="localhost")
        self.reply()
        if tls == "starttls":
            self.ask(b"EHLO client.example")
            self.ask(b"STARTTLS")
            self.s = test.trusting.wrap_socket(self.s, server_hostname="localhost")
        test.addCleanup(self.s.close)
        self.offered = self.ask(b"EHLO client.example")

    def reply(self):
        got = b""
        while not re.search(rb"(?m)^\d{3} .*\r\n\Z", got):
            block = self.s.recv(4096)
            if not block:
                return (got + b"closed").decode()
            got += block
        return got.decode()

    def ask(self, command):
        self.s.sendall(command + b"\r\n")
        return self.reply()


class Submission(harness.Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.trusting = ssl.create_default_context(cafile=self.authority.file)
        self.starttls, self.implicit = harness.free_port(), harness.free_port()

    def house(self, *, user=True, **settings):
        """A spoold with a port for other servers, and one of each kind for users."""
        pem = str(self.authority.certificate("localhost"))
        daemon = harness.Spoold(self.folder, DEAD, harness.merge({"tls": [{"certificate": pem, "key": pem}], "smtp": {"trusted_networks": []}}, settings), start=False)
        self.daemons.append(daemon)
        daemon.settings["listen"] = [{"address": daemon.address, "tls": "starttls"},
                                     {"address": f"127.0.0.1:{self.starttls}", "protocol": "submission", "tls": "starttls"},
                                     {"address": f"127.0.0.1:{self.implicit}", "protocol": "submission", "tls": "implicit"}]
        daemon.start()
        if user:
            daemon.ctl("user", "add", "anne", "--address", ANNE, input=PASSWORD + "\n")
        return daemon

    def login(self, source="127.0.0.1", user="anne", password=PASSWORD):
        """A connection of implicit TLS, and what its AUTH was answered."""
        client = Client(self, self.implicit, source, "implicit")
        return client, client.ask(plain(user, password))

    def contents(self, spoold):
        out = []
        for row in spoold.queue():
            shown = spoold.run("show", row["id"], "--content")
            self.assertEqual(shown.returncode, 0, shown.stderr)
            out.append(shown.stdout.replace("\r\n", "\n"))
        return out

    def submitted(self, spoold, n):
        contents = self.contents(spoold)
        self.assertEqual(len(contents), n)
        for content in contents:
            self.assertRegex(content, r"\(spoold\) with ESMTPSA id \w+\n\tfor <somebody@far.example>\n\ttls TLS_\w+ \(TLSv1.3\); ")
            self.assertEqual(len(re.findall(r"(?im)^Date: ", content)), 1)
            self.assertEqual(len(re.findall(r"(?im)^Message-ID: <.+>", content)), 1)
        for line in spoold.lines("accepted"):
            self.assertIn(" user=anne", line)

    # Clients

    def test_smtplib(self):
        spoold = self.house()
        n = 0
        for port, make in ((self.starttls, smtplib.SMTP), (self.implicit, smtplib.SMTP_SSL)):
            for mechanism in ("PLAIN", "LOGIN"):
                keys = {"context": self.trusting} if port == self.implicit else {}
                with make("localhost", port, timeout=60 * harness.SLOW, **keys) as client:
                    if port == self.starttls:
                        client.ehlo()
                        self.assertFalse(client.has_extn("auth"))
                        client.starttls(context=self.trusting)
                    client.ehlo()
                    self.assertEqual(client.esmtp_features["auth"].split(), ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
                    client.esmtp_features["auth"] = mechanism
                    client.login("Anne", PASSWORD)
                    client.sendmail(ANNE, TO, MAIL)
                    client.sendmail("", TO, MAIL)  # the null reverse path is everybody's
                n += 2
        self.submitted(spoold, n)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
            smtplib.SMTP_SSL("localhost", self.implicit, context=self.trusting, timeout=60 * harness.SLOW).login("anne", "wrong")
        self.assertEqual(refused.exception.smtp_code, 535)

    def test_swaks(self):
        spoold = self.house()
        for port, option in ((self.starttls, "--tls"), (self.implicit, "--tlsc")):
            for mechanism in ("PLAIN", "LOGIN"):
                done = self.swaks(option, port, mechanism, PASSWORD)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.submitted(spoold, 4)
        done = self.swaks("--tls", self.starttls, "PLAIN", "wrong")
        self.assertEqual(done.returncode, 28, done.stdout)  # authentication failed
        self.assertIn("535 5.7.8 wrong user name or password", done.stdout)

    def swaks(self, option, port, mechanism, password):
        return subprocess.run(["swaks", option, "--server", "localhost", "--port", str(port), "--auth", mechanism, "--auth-user", "anne", "--auth-password", password,
                               "--from", ANNE, "--h-From", ANNE, "--to", TO], capture_output=True, text=True, timeout=60 * harness.SLOW)

    def test_curl(self):
        spoold = self.house()
        mail = self.folder / "mail"
        mail.write_text(MAIL)
        for url in (f"smtp://localhost:{self.starttls}", f"smtps://localhost:{self.implicit}"):
            for mechanism in ("PLAIN", "LOGIN"):
                subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", self.authority.file, "--user", f"anne:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
                                "--mail-from", ANNE, "--mail-rcpt", TO, "--upload-file", mail, url], check=True, timeout=60 * harness.SLOW)
        self.submitted(spoold, 4)

    def test_msmtp(self):
        spoold = self.house()
        for port, starttls in ((self.starttls, "on"), (self.implicit, "off")):
            for mechanism in ("plain", "login", "scram-sha-256"):
                done = self.msmtp(port, starttls, mechanism, PASSWORD)
                self.assertEqual(done.returncode, 0, done.stderr)
        self.submitted(spoold, 6)
        done = self.msmtp(self.starttls, "on", "scram-sha-256", "wrong")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("535", done.stderr)

    def msmtp(self, port, starttls, mechanism, password):
        return subprocess.run(["msmtp", "-C", "/dev/null", "--host=localhost", f"--port={port}", "--tls=on", f"--tls-starttls={starttls}",
                               f"--tls-trust-file={self.authority.file}", f"--auth={mechanism}", "--user=anne", f"--passwordeval=echo {password}",
                               f"--from={ANNE}", TO], input=MAIL, capture_output=True, text=True, timeout=60 * harness.SLOW)

    def test_gsasl(self):
        """Another SCRAM: it checks the server's signature."""
        self.house()
        for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
            for password, words in ((PASSWORD, "235 2.7.0"), ("wrong", "535 5.7.8")):
                done = subprocess.run(["gsasl", "--smtp", f"--mechanism={mechanism}", "--authentication-id=anne", "--no-cb", f"--password={password}",
                                       f"--x509-ca-file={self.authority.file}", "localhost", str(self.starttls)], input="QUIT\n", capture_output=True, text=True,
                                      timeout=60 * harness.SLOW)
                self.assertIn(words, done.stdout + done.stderr, mechanism)

    def test_passwords_that_are_not_ascii(self):
        """SASLprep (RFC 4013): composed or not, with a space that breaks or not, by a client that prepares it and by one that does not."""
        spoold = self.house()
        composed, typed = "Gr\u00fc\u00dfe aus K\u00f6ln", "Gru\u0308\u00dfe\u00a0aus Ko\u0308ln"
        spoold.ctl("user", "add", "karl", "--address", ANNE, input=typed + "\n")
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            for password in (composed, typed):
                done = subprocess.run(["gsasl", "--smtp", f"--mechanism={mechanism}", "--authentication-id=karl", "--no-cb", f"--password={password}",
                                       f"--x509-ca-file={self.authority.file}", "localhost", str(self.starttls)], input="QUIT\n", capture_output=True, text=True,
                                      timeout=60 * harness.SLOW)
                self.assertIn("235 2.7.0", done.stdout + done.stderr, mechanism)
        for password, code in ((composed, "235"), (typed, "235"), (composed + "!", "535")):
            self.assertTrue(self.login(user="karl", password=password)[1].startswith(code), password)
        self.assertIn("prohibits", spoold.run("user", "add", "kaj", "--address", ANNE, input="bell\x07\n").stderr)

    def test_spoold_submits_to_spoold(self):
        """Our own client logs in: [relay] username."""
        spoold = self.house()
        secret = self.folder / "relay.password"
        secret.write_text(PASSWORD + "\n")
        for port, scheme in ((self.starttls, "smtp"), (self.implicit, "smtps")):
            client = self.spoold(f"{scheme}://localhost:{port}", {"relay": {"username": "anne", "password_file": str(secret), "tls": "verified"}, "hostname": "client.example",
                                                                 "delivery": {"ca_file": str(self.authority.file)}}, name=f"client{port}")
            with smtplib.SMTP("127.0.0.1", client.port, timeout=60 * harness.SLOW) as s:
                s.sendmail(ANNE, TO, MAIL)
            harness.wait_until(lambda: client.lines("delivered"), 30, "the delivery")
        self.assertEqual(len(spoold.queue()), 2)
        for content in self.contents(spoold):
            self.assertRegex(content, r"with ESMTPSA id")

    # Who may send, and as whom

    def test_nobody_sends_without_a_login(self):
        spoold = self.house(smtp={"trusted_networks": ["127.0.0.0/8"]})
        for port, tls in ((self.starttls, None), (self.starttls, "starttls"), (self.implicit, "implicit")):
            client = Client(self, port, tls=tls)
            self.assertEqual("AUTH" in client.offered, tls is not None)
            self.assertTrue(client.ask(b"MAIL FROM:<anne@lists.example>").startswith("530 5.7.0 log in first"))
            self.assertTrue(client.ask(b"RCPT TO:<somebody@far.example>").startswith("503 "))
            self.assertTrue(client.ask(b"DATA").startswith("503 "))
        # No password in plain text, and none on a port for other servers.
        self.assertTrue(Client(self, self.starttls).ask(plain("anne", PASSWORD)).startswith("538 5.7.11 "))
        for tls in (None, "starttls"):
            client = Client(self, spoold.port, tls=tls)
            self.assertNotIn("AUTH", client.offered)
            self.assertTrue(client.ask(plain("anne", PASSWORD)).startswith("502 5.5.1 "))
        self.assertEqual(spoold.queue(), [])

    def send(self, client, sender, author, to=TO, more=""):
        """What MAIL, or the end of the data, was answered."""
        said = client.ask(f"MAIL FROM:<{sender}>".encode())
        if said[0] != "2":
            return said
        self.assertTrue(client.ask(f"RCPT TO:<{to}>".encode()).startswith("250 "))
        client.ask(b"DATA")
        field = f"From: {author}\r\n" if author is not None else ""
        return client.ask(f"{field}{more}Subject: x\r\n\r\nx\r\n.".encode())

    def test_sender_rules(self):
        spoold = self.house()
        spoold.ctl("user", "set", "anne", "--address", ANNE, "Anne.Other@two.example")
        own = f"you may send as {ANNE}, Anne.Other@two.example"
        client, _ = self.login()
        for sender, author, said in (
                (ANNE, ANNE, "250 "), ("ANNE@lists.example", "A <anne.other@TWO.example>", "250 "),
                ("bart@lists.example", ANNE, f"553 5.7.1 MAIL FROM:<bart@lists.example> is not yours; {own}"),
                (ANNE, "bart@lists.example", f"550 5.7.1 From: bart@lists.example is not yours; {own}"),
                (ANNE, f"{ANNE}, bart@lists.example", "550 5.7.1 From: bart@lists.example is not yours"),
                (ANNE, f"group: {ANNE}, b@far.example;", "550 5.7.1 From: b@far.example is not yours"),
                ("", "bart@lists.example", "550 5.7.1 From: bart@lists.example is not yours"),
                (ANNE, None, "550 5.6.0 "), (ANNE, "nobody", "550 5.6.0 "), (ANNE, f"{ANNE}\r\nFrom: bart@lists.example", "550 5.7.1 "),
                (ANNE, f"{ANNE}\r\nSender: bart@lists.example", "550 5.7.1 Sender: bart@lists.example is not yours")):
            got = self.send(client, sender, author)
            self.assertTrue(got.startswith(said), (sender, author, got))
            self.assertNotIn("\x00", got)
        client, _ = self.login()
        spoold.ctl("user", "set", "anne", "--no-address")
        self.assertIn("you have no address to send as", self.send(client, ANNE, ANNE))
        spoold.ctl("user", "remove", "anne")
        self.assertTrue(self.send(client, ANNE, ANNE).startswith("550 5.7.1 you may not send mail any more"))
        self.assertEqual(len(spoold.queue()), 2)

    def test_rules_domain_and_any(self):
        for rule, answers in (("domain", ("250", "250", "553")), ("any", ("250", "250", "250"))):
            spoold = self.house(submission={"senders": rule})
            client, _ = self.login()
            for sender, said in zip((ANNE, "bart@lists.example", "x@far.example"), answers):
                self.assertEqual(self.send(client, sender, sender)[:3], said, (rule, sender))
            if rule == "domain":
                self.assertTrue(self.send(client, ANNE, "x@far.example").startswith("550 5.7.1 From: x@far.example is not yours; you may send as anybody at lists.example"))
            spoold.stop()
            self.daemons.remove(spoold)
            subprocess.run(["rm", "-rf", str(self.folder / "spoold.store")], check=True)

    def test_date_and_message_id_are_added_for_users_only(self):
        spoold = self.house(smtp={"trusted_networks": ["127.0.0.0/8"]})
        spoold.ctl("list", "create", "test@lists.example", "--owner", "owner@far.example")
        spoold.ctl("list", "set", "test@lists.example", "nonmembers=accept")
        spoold.ctl("member", "add", "test@lists.example", "dirk@far.example")
        client, _ = self.login()
        self.assertTrue(self.send(client, ANNE, ANNE).startswith("250 "))
        self.assertTrue(self.send(client, ANNE, ANNE, "test@lists.example").startswith("250 "))
        self.assertTrue(self.send(client, ANNE, ANNE, more="date: Sat, 28 Nov 2026 05:00:00 +0000\r\nmessage-id: <mine@x>\r\n").startswith("250 "))
        contents = self.contents(spoold)
        self.assertEqual(len(contents), 3)
        for content in contents:
            header = content.split("\n\n")[0]
            self.assertEqual(len(re.findall(r"(?im)^Date: ", header)), 1, header)
            self.assertEqual(len(re.findall(r"(?im)^Message-ID: <\S+@(?:mx.lists.example|x)>$", header)), 1, header)
        self.assertTrue(any("message-id: <mine@x>" in content for content in contents))
        server = Client(self, spoold.port)
        self.assertTrue(self.send(server, ANNE, ANNE, "else@far.example").startswith("250 "))
        content = next(c for c in self.contents(spoold) if "for <else@far.example>" in c)
        self.assertNotRegex(content, r"(?im)^(Date|Message-ID): ")

    # Guessers

    def test_wrong_passwords_have_their_line(self):
        spoold = self.house()
        for user, password in (("anne", "wrong"), ("nobody", PASSWORD), ("anne", ""), ("an\nne", "x"), ("x" * 9000, "x"), ("anne", PASSWORD + "\0x")):
            client = Client(self, self.implicit, tls="implicit")
            client.ask(b"AUTH LOGIN")
            client.ask(b64(user))
            self.assertTrue(client.ask(b64(password)).startswith("535 5.7.8 wrong user name or password"), user)
        lines = [line for line in spoold.lines("refused") if "stage=AUTH" in line]
        self.assertEqual(len(lines), 6)
        for line in lines:
            self.assertRegex(line, r'^\S+ info event=refused stage=AUTH client=127\.0\.0\.1 user=\S+ reply="535 5\.7\.8 ')
            self.assertLess(len(line), 500)

    def test_a_network_that_guesses_is_refused_and_nobody_else(self):
        spoold = self.house()
        self.assertTrue(self.login("127.0.1.1")[1].startswith("235 "))
        for i in range(10):
            self.assertTrue(self.login("127.0.2.1", f"user{i}", "x")[1].startswith("535 "))
        client, said = self.login("127.0.2.1")
        self.assertTrue(said.startswith("454 4.7.0 too many failed logins"), said)
        self.assertTrue(self.login("127.0.3.1")[1].startswith("235 "))
        # Anne's name, from many networks: where she has logged in before she still does; where nobody has, nobody does.
        for i in range(50):
            self.assertTrue(self.login(f"127.0.4.{i + 1}", "anne", "x")[1].startswith("535 "))
        self.assertTrue(self.login("127.0.5.1")[1].startswith("454 4.7.0 too many failed logins"))
        self.assertTrue(self.login("127.0.1.1")[1].startswith("235 "))
        spoold.ctl("user", "add", "bart", input=PASSWORD + "\n")
        self.assertTrue(self.login("127.0.5.1", "bart")[1].startswith("235 "))
        stats = spoold.ctl("stats")
        self.assertEqual((stats["logins"], stats["failed_logins"]), (4, 62))
        self.assertTrue(any("454 4.7.0 too many failed logins" in line and "client=127.0.2.1 user=anne" in line for line in spoold.lines("refused")))

    def test_networks_of_logins_are_known_after_a_restart(self):
        spoold = self.house()
        for _ in range(3):
            self.assertTrue(self.login("127.0.1.1")[1].startswith("235 "))
        self.assertTrue(self.login("127.0.3.1")[1].startswith("235 "))
        self.assertEqual(spoold.stop(), 0)
        spoold.start()
        for i in range(50):
            self.assertTrue(self.login(f"127.0.4.{i + 1}", "anne", "x")[1].startswith("535 "))
        self.assertTrue(self.login("127.0.5.1")[1].startswith("454 4.7.0 too many failed logins"))
        self.assertTrue(self.login("127.0.1.1")[1].startswith("235 "))
        for i in range(10):
            self.assertTrue(self.login("127.0.3.1", f"user{i}", "x")[1].startswith("535 "))
        self.assertTrue(self.login("127.0.3.1", "bart")[1].startswith("454 "))
        self.assertTrue(self.login("127.0.3.1")[1].startswith("235 "))
        spoold.check()

    def test_many_logins_at_a_time_let_nobody_else_wait(self):
        """On one network thread: passwords are judged elsewhere, and the line before them is bounded."""
        spoold = self.house(server={"threads": 1}, smtp={"max_connections": 2000, "trusted_networks": ["127.0.0.1"]})
        session = Client(self, spoold.port)
        clients = [Client(self, self.implicit, f"127.1.{i // 100}.{i % 100 + 1}", "implicit") for i in range(150)]
        for i, client in enumerate(clients):
            client.s.sendall(plain(f"user{i}", "wrong") + b"\r\n")
        waits, answers = [], []
        readers = [threading.Thread(target=lambda c=c: answers.append(c.reply())) for c in clients]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers):
            asked = time.monotonic()
            self.assertTrue(session.ask(b"RSET").startswith("250 "))
            waits.append(time.monotonic() - asked)
            time.sleep(0.01)
        self.assertEqual({said[:9] for said in answers}, {"535 5.7.8", "454 4.7.0"})
        self.assertGreaterEqual(sum(said.startswith("535") for said in answers), 64)
        waits.sort()
        self.assertLess(waits[len(waits) * 9 // 10], 0.1 * harness.SLOW, waits[-5:])

    def test_stop_while_logins_wait(self):
        spoold = self.house(smtp={"max_connections": 2000}, server={"grace": "1s"})
        for i in range(60):
            client = Client(self, self.implicit, f"127.1.0.{i + 1}", "implicit")
            client.s.sendall(plain("anne", "wrong") + b"\r\n")
        self.assertEqual(spoold.stop(), 0)

    def resident(self, spoold):
        with open(f"/proc/{spoold.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) << 10

    def test_sixteen_mebibytes_of_auth_lines(self):
        spoold = self.house()
        before = self.resident(spoold)
        # One line of it.
        client = Client(self, self.implicit, tls="implicit")
        self.assertEqual(client.ask(b"AUTH PLAIN"), "334 \r\n")
        for _ in range(256):
            client.s.sendall(b"A" * 65536)
        self.assertTrue(client.ask(b"").startswith("500 5.5.6 the response is too long"))
        self.assertTrue(client.ask(plain("anne", PASSWORD)).startswith("235 "))
        # Many lines: a stranger makes so many errors and no more.
        client = Client(self, self.implicit, tls="implicit")
        lines = (b"AUTH LOGIN " + b"A" * 4000 + b"\r\n" + b"A" * 12288 + b"\r\n") * 4
        with contextlib.suppress(OSError):
            for _ in range(256):
                client.s.sendall(lines)
        with contextlib.suppress(OSError):
            while client.s.recv(65536):
                pass
        self.assertLess(self.resident(spoold) - before, (64 if harness.SLOW > 1 else 16) << 20)
        self.assertTrue(self.login("127.0.9.1")[1].startswith("235 "))

    def test_a_line_of_12288_octets_in_pieces(self):
        self.house()
        client = Client(self, self.implicit, tls="implicit")
        password = b64("\0anne\0" + "x" * 9000)
        client.ask(b"AUTH PLAIN")
        for at in range(0, len(password), 997):
            client.s.sendall(password[at:at + 997])
            time.sleep(0.01)
        self.assertTrue(client.ask(b"").startswith("535 5.7.8 "))

    def test_half_a_handshake_is_a_connection_of_its_host(self):
        spoold = self.house(smtp={"max_connections_per_host": 3})
        session, said = self.login("127.0.1.1")
        self.assertTrue(said.startswith("235 "))
        held = []
        for _ in range(3):
            s = socket.create_connection(("127.0.0.1", self.implicit), timeout=60 * harness.SLOW, source_address=("127.0.2.1", 0))
            self.addCleanup(s.close)
            s.sendall(b"\x16\x03\x01\x02\x00\x01")
            held.append(s)
        one_more = socket.create_connection(("127.0.0.1", self.implicit), timeout=60 * harness.SLOW, source_address=("127.0.2.1", 0))
        self.addCleanup(one_more.close)
        self.assertEqual(one_more.recv(100), b"")
        self.assertTrue(self.send(session, ANNE, ANNE).startswith("250 "))
        self.assertTrue(any("421 4.7.0 too many connections from your host" in line for line in spoold.lines("refused")))

    def test_a_reload_makes_a_port_one_of_submission(self):
        """The threads for passwords are made when the first listener needs them."""
        spoold = self.house()
        submission = spoold.settings["listen"][1:]
        for listen in submission:
            listen["protocol"] = "smtp"
        spoold.stop()
        spoold.start()
        old = Client(self, self.implicit, tls="implicit")
        self.assertNotIn("AUTH", old.offered)
        for listen in submission:
            listen["protocol"] = "submission"
        spoold.configure()
        spoold.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: spoold.lines("reload"), 20, "event=reload")
        self.assertTrue(self.login("127.0.1.1")[1].startswith("235 "))
        self.assertTrue(old.ask(plain("anne", PASSWORD)).startswith("502 "))  # it keeps the rules that it began with

    # Never an open relay

    def test_no_open_relay(self):
        """All that nmap's smtp-open-relay tries, and more forms of addresses that lead elsewhere; here, and where we relay for a domain."""
        spoold = self.house()
        spoold.ctl("list", "create", "test@lists.example", "--owner", "owner@far.example")
        self.nothing_leads_out(spoold, ("mx.lists.example", "lists.example"))
        spoold.stop()
        spoold.configure(domain=[{"name": "relayed.example", "deliver_to": "smtp://127.0.0.1:9"}])
        spoold.start()
        self.nothing_leads_out(spoold, ("mx.lists.example", "relayed.example"))

    def nothing_leads_out(self, spoold, ours):
        ip, (host, domain), far = "127.0.0.1", ours, "far.example"
        senders = ("", f"antispam@{far}", f"antispam@{host}", f"antispam@[{ip}]", f"antispam@{domain}")
        forms = [f"relaytest@{far}", f'"relaytest@{far}"', f'"relaytest%{far}"', f"{far}!relaytest", f'"{far}!relaytest"', "relaytest@[192.0.2.1]",
                 "relaytest@[IPv6:2001:db8::1]", f"relaytest@{far}.", "relaytest", f"<relaytest@{far}>", f"relaytest@{far},test@{domain}",
                 f"test+relaytest={far}@lists.example", f"test-request+relaytest@{far}@lists.example", f"test@lists.example> <relaytest@{far}"]
        for place in (f"[{ip}]", host, domain):
            forms += [f"relaytest%{far}@{place}", f"relaytest@{far}@{place}", f'"relaytest@{far}"@{place}', f'"relaytest%{far}"@{place}',
                      f"{far}!relaytest@{place}", f'"{far}!relaytest"@{place}', f"{place}!{far}!relaytest@{place}", f"relaytest%{far}%{place}@{place}",
                      f"@{place}:relaytest@{far}", f"@{place},@{host}:relaytest@{far}", f"@{far}:relaytest%{far}@{place}",
                      f"\\relaytest%{far}@{place}", f'relaytest"@{far}"@{place}', f"relaytest({far})@{far}"]
        for port, tls in ((spoold.port, None), (spoold.port, "starttls"), (self.starttls, None), (self.starttls, "starttls"), (self.implicit, "implicit")):
            for sender in senders if tls is None else senders[:2]:
                client = Client(self, port, tls=tls)
                tried = 0
                for form in forms:
                    if tried == 8:  # fewer than what slows a guesser down
                        client, tried = Client(self, port, tls=tls), 0
                    client.ask(b"RSET")
                    client.ask(f"MAIL FROM:<{sender}>".encode())
                    said = client.ask(f"RCPT TO:<{form}>".encode())
                    self.assertEqual(said[0], "5", (port, tls, sender, form, said))
                    tried += 1
        self.assertEqual(spoold.queue(), [])


if __name__ == "__main__":
    harness.main()
