"""TLS for clients: STARTTLS and implicit TLS with real clients, which certificate they get, and what cannot be done with a handshake."""
# ctest: slow serial
import contextlib
import ctypes
import os
import re
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import unittest
import unittest.mock

import harness
from peers import postfix
from peers.tls_peer import Authority

TO = "anne@dest.example"
DEAD = "smtp://127.0.0.1:9"
MAIL = f"From: <s@client.example>\r\nTo: <{TO}>\r\nSubject: hello\r\n\r\nHello, world.\r\n"
SUITE = r"TLS_[A-Z0-9_]+"


def ask(s, command):
    """Sends a command; the reply."""
    s.sendall(command + b"\r\n")
    return reply(s)


def reply(s):
    got = b""
    while not re.search(rb"(?m)^\d{3} .*\r\n\Z", got):
        block = s.recv(4096)
        if not block:
            return got + b"closed"
        got += block
    return got


class KeyUpdates:
    """A client of TLS 1.3 that sends KeyUpdate (RFC 8446 4.6.3), each with the request for one of the peer's. Python's ssl cannot."""

    def __init__(self, s):
        self.s, self.lib = s, ctypes.CDLL("libssl.so.3")
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.SSL_CTX_new(ctypes.c_void_p(self.lib.TLS_client_method())))
        self.ssl = ctypes.c_void_p(self.lib.SSL_new(self.context))
        s.setblocking(True)
        self.lib.SSL_set_fd(self.ssl, s.fileno())
        if self.lib.SSL_connect(self.ssl) != 1:
            raise AssertionError("no TLS")

    def send(self, count):
        """How many could be sent before the peer closed the connection."""
        for i in range(count):
            if self.lib.SSL_key_update(self.ssl, 1) != 1 or self.lib.SSL_do_handshake(self.ssl) != 1:
                return i
        return count

    def ask(self, command):
        if self.lib.SSL_write(self.ssl, command + b"\r\n", len(command) + 2) <= 0:
            return b"closed"
        into = ctypes.create_string_buffer(4096)
        got = self.lib.SSL_read(self.ssl, into, 4096)
        return into.raw[:got] if got > 0 else b"closed"


class InboundTls(harness.Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.trusting = ssl.create_default_context(cafile=self.authority.file)
        self.implicit = harness.free_port()

    def table(self, pem):
        return {"certificate": str(pem), "key": str(pem)}

    def house(self, *names, **settings):
        """A spoold with STARTTLS on its port and implicit TLS on another one, and a certificate for each name."""
        tables = [self.table(self.authority.certificate(name)) for name in names or ("localhost",)]
        daemon = harness.Spoold(self.folder, DEAD, {"tls": tables, **settings}, name=f"spoold{len(self.daemons)}", start=False)
        self.daemons.append(daemon)
        daemon.settings["listen"] = [{"address": daemon.address, "tls": "starttls"},
                                     {"address": f"127.0.0.1:{self.implicit}", "tls": "implicit"}]
        daemon.start()
        return daemon

    def content(self, spoold, qid):
        done = spoold.run("show", qid, "--content")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def one_message(self, spoold):
        """The queue id and the content of the only message."""
        queue = harness.wait_until(spoold.queue, 10, "a message")
        self.assertEqual(len(queue), 1)
        return queue[0]["id"], self.content(spoold, queue[0]["id"])

    def arrived_under_tls(self, spoold, protocol="ESMTPS", version="TLSv1.3"):
        qid, content = self.one_message(spoold)
        self.assertRegex(content, rf"\(spoold\) with {protocol} id {qid}\r?\n\tfor <{TO}>\r?\n\ttls {SUITE} \({version}\); ")
        line = spoold.lines("accepted")[-1]
        self.assertRegex(line, rf'tls="{version} {SUITE}"')

    def plain(self, port, seconds=20):
        s = socket.create_connection(("127.0.0.1", port), timeout=seconds * harness.SLOW)
        self.addCleanup(s.close)
        return s

    def secured(self, port, name="localhost", context=None):
        s = self.plain(port)
        reply(s)
        ask(s, b"EHLO client.example")
        self.assertTrue(ask(s, b"STARTTLS").startswith(b"220 "))
        return (context or self.trusting).wrap_socket(s, server_hostname=name)

    # Clients

    def test_smtplib_starttls_and_implicit(self):
        for port, make in ((None, smtplib.SMTP), (self.implicit, smtplib.SMTP_SSL)):
            spoold = self.house()
            keys = {"context": self.trusting} if port else {}
            with make("localhost", port or spoold.port, timeout=30 * harness.SLOW, **keys) as client:
                if not port:
                    client.starttls(context=self.trusting)
                client.ehlo()
                self.assertFalse(client.has_extn("starttls"))
                client.sendmail("s@client.example", TO, MAIL)
            self.arrived_under_tls(spoold)
            spoold.stop()

    def test_tls_1_2(self):
        spoold = self.house()
        context = ssl.create_default_context(cafile=self.authority.file)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with smtplib.SMTP("localhost", spoold.port, timeout=30 * harness.SLOW) as client:
            client.starttls(context=context)
            client.sendmail("s@client.example", TO, MAIL)
        self.arrived_under_tls(spoold, version="TLSv1.2")

    def test_no_tls_1_1(self):
        spoold = self.house()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(ssl.SSLError):
            self.secured(spoold.port, context=context)
        harness.wait_until(lambda: any("unsupported protocol" in line for line in spoold.lines("refused")), 10, "the line of the log")

    def test_swaks(self):
        spoold = self.house()
        for option, port in (("--tls", spoold.port), ("--tlsc", self.implicit)):
            done = subprocess.run(["swaks", option, "--tls-verify", "--tls-ca-path", self.authority.file, "--server", "localhost", "--port", str(port),
                                   "--from", "s@client.example", "--to", TO], capture_output=True, text=True, timeout=60 * harness.SLOW)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for message in spoold.queue():
            self.assertRegex(self.content(spoold, message["id"]), rf"with ESMTPS[^;]*tls {SUITE}")

    def test_curl(self):
        spoold = self.house()
        mail = self.folder / "mail"
        mail.write_text(MAIL)
        for url in (f"smtp://localhost:{spoold.port}", f"smtps://localhost:{self.implicit}"):
            subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", self.authority.file, "--mail-from", "s@client.example", "--mail-rcpt", TO,
                            "--upload-file", mail, url], check=True, timeout=60 * harness.SLOW)
        self.assertEqual(len(spoold.queue()), 2)

    @unittest.skipUnless(postfix.available(), "needs root and Debian's postfix")
    def test_postfix_relays_by_starttls(self):
        spoold = self.house()
        upstream = postfix.Postfix(self.folder, {**postfix.relaying(spoold.port), "smtp_tls_security_level": "verify", "smtp_tls_verify_cert_match": "localhost",
                                                 "smtp_tls_CAfile": self.authority.file})
        self.addCleanup(upstream.run, "stop")
        with smtplib.SMTP("127.0.0.1", upstream.port, timeout=60) as client:
            client.sendmail("s@client.example", TO, MAIL)
        self.arrived_under_tls(spoold)

    @unittest.skipUnless(os.path.exists("/usr/sbin/posttls-finger"), "needs Debian's postfix")
    def test_posttls_finger(self):
        spoold = self.house()
        etc = self.folder / "etc"
        etc.mkdir()
        (etc / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = client.example\n")
        done = subprocess.run(["/usr/sbin/posttls-finger", "-c", "-l", "verify", "-F", self.authority.file, "-m", "0", "-r", "1", f"[127.0.0.1]:{spoold.port}",
                               "localhost"], env={**os.environ, "MAIL_CONFIG": str(etc)}, capture_output=True, text=True, timeout=60 * harness.SLOW)
        self.assertIn("Verified TLS connection established", done.stdout + done.stderr)

    # Certificates

    def test_the_name_chooses_the_certificate(self):
        spoold = self.house("mx.lists.example", "lists.other.example", "*.wild.example")
        for name, got in (("mx.lists.example", "mx.lists.example"), ("lists.other.example", "lists.other.example"), ("a.wild.example", "*.wild.example"),
                          ("unknown.example", "mx.lists.example"), (None, "mx.lists.example")):
            context = ssl.create_default_context(cafile=self.authority.file)
            context.check_hostname = False
            with self.secured(spoold.port, name, context) as s:
                self.assertEqual(dict(x[0] for x in s.getpeercert()["subject"])["commonName"], got, name)

    def test_chain(self):
        """The certificates behind the first one of the file are sent, too."""
        pem = self.authority.certificate("localhost")
        chain = self.folder / "chain.pem"
        certificate, key = pem.read_text().split("-----BEGIN PRIVATE KEY")
        chain.write_text(certificate + self.authority.file.read_text())
        spoold = self.house(tls=[{"certificate": str(chain), "key": str(pem)}])
        shown = self.s_client(spoold, "-showcerts")
        self.assertEqual(shown.count("BEGIN CERTIFICATE"), 2)

    def s_client(self, spoold, *options, input="QUIT\r\n"):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{spoold.port}", "-starttls", "smtp", "-CAfile", self.authority.file, "-crlf",
                               *options], input=input, capture_output=True, text=True, timeout=60 * harness.SLOW)
        return done.stdout + done.stderr

    def test_tickets_are_of_a_listener(self):
        spoold = self.house("localhost", "other.example")
        for name in ("localhost", "other.example"):
            ticket = self.folder / "ticket"
            self.s_client(spoold, "-tls1_2", "-servername", name, "-sess_out", ticket)
            self.assertIn("Reused, TLSv1.2", self.s_client(spoold, "-tls1_2", "-servername", name, "-sess_in", ticket))
            elsewhere = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.implicit}", "-servername", name, "-tls1_2", "-sess_in", ticket],
                                       input="QUIT\r\n", capture_output=True, text=True, timeout=60 * harness.SLOW)
            self.assertIn("New, TLSv1.2", elsewhere.stdout)

    def test_tls_1_3_sessions_are_resumed(self):
        spoold = self.house("localhost", "other.example")
        for name in ("localhost", "other.example"):
            context = ssl.create_default_context(cafile=self.authority.file)
            with self.secured(spoold.port, name, context) as s:
                ask(s, b"EHLO client.example")  # reads the ticket
                session = s.session
            s = self.plain(spoold.port)
            reply(s)
            ask(s, b"EHLO client.example")
            ask(s, b"STARTTLS")
            with context.wrap_socket(s, server_hostname=name, session=session) as again:
                self.assertTrue(again.session_reused, name)

    def check(self, **settings):
        """spoold --check of a configuration: exit status and what it says."""
        daemon = harness.Spoold(self.folder, DEAD, settings, name="checked", start=False)
        daemon.settings["listen"] = [{"address": "127.0.0.1:0", "tls": "starttls"}]
        daemon.configure()
        done = subprocess.run([harness.BUILD / "spoold", "--config", daemon.config, "--check"], capture_output=True, text=True, timeout=60 * harness.SLOW)
        started = subprocess.run([harness.BUILD / "spoold", "--config", daemon.config], capture_output=True, text=True,
                                 timeout=60 * harness.SLOW) if done.returncode else None
        if started:  # what --check refuses does not start either, for the same reason
            self.assertNotEqual(started.returncode, 0)
            for line in done.stderr.splitlines():
                if re.search(r":\d+:\d+: '", line):
                    self.assertIn(line, started.stderr)
        return done.returncode, done.stderr, daemon.config

    def test_certificates_that_cannot_be_used(self):
        good, other = self.authority.certificate("localhost"), self.authority.certificate("localhost")
        text = good.read_text()
        cut = self.folder / "cut.pem"
        cut.write_text(text[:300])
        chain = self.folder / "half-chain.pem"
        chain.write_text(text.split("-----BEGIN PRIVATE KEY")[0] + self.authority.file.read_text()[:400])
        locked = self.folder / "locked.pem"
        subprocess.run(["openssl", "ec", "-in", good, "-aes256", "-passout", "pass:x", "-out", locked], check=True, capture_output=True)
        empty = self.folder / "empty.pem"
        empty.write_text("")
        for certificate, key, column, words in (
                (good, other, "key", f"'{other}' is not the key of '{good}'"), (cut, good, "certificate", f"'{cut}' holds no certificate in PEM form"),
                (chain, good, "certificate", f"'{chain}' is damaged or cut off"), (good, locked, "key", f"'{locked}' has a passphrase"),
                (good, empty, "key", f"'{empty}' holds no private key"), (good, self.folder / "gone", "key", f"'{self.folder}/gone' cannot be read: No such file"),
                (empty, good, "certificate", f"'{empty}' holds no certificate")):
            status, said, file = self.check(tls=[{"certificate": str(certificate), "key": str(key)}])
            self.assertEqual(status, 2)
            lines = file.read_text().splitlines()
            line = next(i for i, row in enumerate(lines, 1) if row.startswith(column + " = "))
            self.assertIn(f"{file}:{line}:{len(column) + 4}: {words}", said)

    def test_a_certificate_that_has_expired_is_a_warning(self):
        pem = self.authority.certificate("localhost", days=-1)
        status, said, file = self.check(tls=[self.table(pem)])
        self.assertEqual(status, 0)
        self.assertRegex(said, rf"{file}:\d+:15: warning: '{pem}' has expired on 20")
        spoold = self.house(tls=[self.table(pem)])
        self.assertIn("has expired on", spoold.lines("certificate")[0])
        self.assertIn(b"250 ", ask(self.secured(spoold.port, context=self.anyone()), b"EHLO a"))

    def anyone(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    # Strangers

    def test_input_behind_starttls(self):
        """CVE-2011-0411: plain text behind STARTTLS is not taken for what the client says under TLS."""
        spoold = self.house()
        s = self.plain(spoold.port)
        reply(s)
        ask(s, b"EHLO client.example")
        s.sendall(b"STARTTLS\r\nMAIL FROM:<evil@client.example>\r\n")
        self.assertTrue(reply(s).startswith(b"554 5.5.0 protocol error: input behind STARTTLS"))
        self.assertEqual(s.recv(1), b"")
        # In a segment of its own, before the handshake: TLS does not take it.
        s = self.plain(spoold.port)
        reply(s)
        ask(s, b"EHLO client.example")
        self.assertTrue(ask(s, b"STARTTLS").startswith(b"220 "))
        s.sendall(b"MAIL FROM:<evil@client.example>\r\n")
        with self.assertRaises((ssl.SSLError, OSError)):
            self.trusting.wrap_socket(s, server_hostname="localhost")
        self.assertEqual(spoold.queue(), [])

    def test_state_is_fresh_after_the_handshake(self):
        spoold = self.house()
        with self.secured(spoold.port) as s:
            self.assertTrue(ask(s, b"MAIL FROM:<a@client.example>").startswith(b"503 5.5.1 say EHLO first"))
            self.assertNotIn(b"STARTTLS", ask(s, b"EHLO client.example"))
            self.assertTrue(ask(s, b"STARTTLS").startswith(b"503 5.5.1 TLS is in use already"))
            self.assertTrue(ask(s, b"MAIL FROM:<a@client.example>").startswith(b"250 "))

    def test_no_renegotiation(self):
        spoold = self.house()
        said = self.s_client(spoold, "-tls1_2", input="R\n")
        self.assertIn("no renegotiation", said)
        self.assertIn(b"250 ", ask(self.secured(spoold.port), b"EHLO a"))

    def test_key_updates_work_and_a_flood_of_them_holds_up_nobody(self):
        before = os.environ.get("ASAN_OPTIONS")  # it keeps what is freed
        with unittest.mock.patch.dict(os.environ, ASAN_OPTIONS=":".join(filter(None, [before, "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"]))):
            spoold = self.house(smtp={"trusted_networks": []}, server={"threads": 1})
        client = KeyUpdates(self.plain(self.implicit))
        into = ctypes.create_string_buffer(4096)
        self.assertGreater(client.lib.SSL_read(client.ssl, into, 4096), 0)  # the greeting
        self.assertEqual(client.send(3), 3)
        self.assertTrue(client.ask(b"NOOP").startswith(b"250 "))
        flood = KeyUpdates(self.plain(self.implicit))
        sent = []
        sender = threading.Thread(target=lambda: sent.append(flood.send(30_000)), daemon=True)  # it never reads
        other = self.plain(spoold.port)
        reply(other)
        memory = lambda: int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{spoold.process.pid}/status").read())[1])  # noqa: E731
        before, slowest, asked = memory(), 0, 0
        sender.start()
        while sender.is_alive() and asked < 2000:
            began = time.monotonic()
            self.assertTrue(ask(other, b"RSET").startswith(b"250 ") or asked >= 90)
            slowest, asked = max(slowest, time.monotonic() - began), asked + 1
            if asked % 90 == 0:  # a hundred commands without a message end a stranger's session
                other = self.plain(spoold.port)
                reply(other)
        grown = memory() - before
        flood.s.shutdown(socket.SHUT_RDWR)
        sender.join(20 * harness.SLOW)
        self.assertTrue(sent)
        self.assertGreater(asked, 3)
        self.assertLess(slowest, 1 * harness.SLOW)
        self.assertLess(grown, 64 * 1024)  # KiB
        with self.secured(spoold.port) as s:
            self.assertIn(b"250 ", ask(s, b"EHLO a"))

    def test_implicit_tls_says_nothing_in_plain_text(self):
        spoold = self.house(smtp={"max_connections_per_host": 1, "trusted_networks": []})
        with self.plain(self.implicit) as s:
            s.settimeout(1)
            with self.assertRaises(TimeoutError):
                s.recv(1)
            with self.plain(self.implicit) as refused:  # one too many
                self.assertEqual(refused.recv(100), b"")
            s.settimeout(20)
            s.sendall(b"EHLO client.example\r\n")
            self.assertIn(s.recv(1000)[:1], (b"", b"\x15"))  # an alert, if it is one to TLS
        harness.wait_until(lambda: [line for line in spoold.lines("refused") if "stage=STARTTLS" in line], 10, "the line of the log")
        self.assertTrue(any("421 4.7.0 too many connections from your host" in line for line in spoold.lines("refused")))

    def test_half_a_handshake_counts_in_the_census_and_ends_with_the_stop(self):
        spoold = self.house(smtp={"max_connections_per_host": 3, "trusted_networks": []}, server={"grace": "2s"})
        held = []
        for _ in range(3):
            s = self.plain(spoold.port)
            reply(s)
            ask(s, b"EHLO client.example")
            ask(s, b"STARTTLS")
            s.sendall(b"\x16\x03\x01\x02\x00\x01")  # the begin of a ClientHello
            held.append(s)
        self.assertTrue(reply(self.plain(spoold.port)).startswith(b"421 4.7.0"))
        self.assertEqual(spoold.stop(seconds=2), 0)
        for s in held:
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(s.recv(100), b"")

    def test_a_client_that_leaves_in_the_middle_of_the_handshake(self):
        spoold = self.house()
        s = self.plain(spoold.port)
        reply(s)
        ask(s, b"EHLO client.example")
        ask(s, b"STARTTLS")
        s.close()
        harness.wait_until(lambda: any("connection closed during the TLS handshake" in line for line in spoold.lines("refused")), 10, "the line of the log")
        self.assertIn(b"250 ", ask(self.secured(spoold.port), b"EHLO a"))

    def test_a_client_that_never_reads_under_tls(self):
        """Its replies are bounded, and it does not keep the server from stopping."""
        spoold = self.house(server={"grace": "1s"})
        s = self.secured(spoold.port)
        s.settimeout(1)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += s.send(b"HELP\r\n" * 1000)
        except (TimeoutError, OSError):
            pass
        self.assertLess(sent, 64 << 20)
        self.assertIn(b"250 ", ask(self.secured(spoold.port), b"EHLO a"))
        self.assertEqual(spoold.stop(), 0)

    def test_half_a_handshake_has_its_time(self):
        """30 s; 10 s where places are short, which is when nine tenths of those for strangers are taken."""
        spoold = self.house(smtp={"max_connections": 10, "max_connections_per_host": 10, "trusted_networks": []})
        half = [self.plain(self.implicit) for _ in range(9)]
        half[0].sendall(b"\x16\x03\x01\x02\x00\x01")
        half[0].settimeout(14 * harness.SLOW)
        self.assertEqual(half[0].recv(100), b"")
        harness.wait_until(lambda: any("timed out during the TLS handshake" in line for line in spoold.lines("refused")), 10, "the line of the log")

    def test_a_thousand_handshakes_do_not_starve_a_session(self):
        """All at once, on one thread: a session in progress waits for one step of one of them, not for all."""
        spoold = self.house(server={"threads": 1}, smtp={"max_connections": 2000, "max_connections_per_host": 2000})
        with self.secured(spoold.port) as s:
            ask(s, b"EHLO client.example")
            clients = [self.plain(self.implicit) for _ in range(1000)]
            hellos = []
            for _ in clients:
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                try:
                    self.trusting.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
                except ssl.SSLWantReadError:
                    hellos.append(outgoing.read())
            for client, hello in zip(clients, hellos):
                client.sendall(hello)
            waits, begun = [], time.monotonic()
            while time.monotonic() - begun < 0.5 or len(waits) < 50:
                asked = time.monotonic()
                self.assertTrue(ask(s, b"RSET").startswith(b"250 "))
                waits.append(time.monotonic() - asked)
            self.assertLess(max(waits), 0.05 * harness.SLOW)
            for client in clients:  # and each of them has its answer: a ServerHello
                self.assertEqual(client.recv(1), b"\x16")

    def test_a_large_message_under_tls(self):
        spoold = self.house()
        body = "".join(f"line {i} {'x' * 60}\r\n" for i in range(40000))
        with smtplib.SMTP_SSL("localhost", self.implicit, timeout=60 * harness.SLOW, context=self.trusting) as client:
            client.sendmail("s@client.example", TO, MAIL + body)
        _, content = self.one_message(spoold)
        self.assertTrue(content.replace("\r\n", "\n").endswith(body.replace("\r\n", "\n")))


if __name__ == "__main__":
    harness.main()
