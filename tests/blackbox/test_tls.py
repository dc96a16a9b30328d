"""TLS and AUTH towards the next hop: what is recorded, what never goes in plain text, and who falls back."""
import os
import pathlib
import shutil
import subprocess
import unittest

import harness
from peers.tls_peer import TlsPeers

TO = "anne@dest.example"


class Tls(TlsPeers, harness.Case):
    def house(self, peer, host="127.0.0.1", relay=None, delivery=None, post=True, patience=60):
        """A spoold that relays to the peer, and one message on its way to TO. `patience` (seconds) is short only where the peer stalls:
        a handshake on a busy machine takes its time."""
        limits = {k: f"{patience * harness.SLOW}s" for k in ("greeting", "mail")}
        settings = {"relay": relay or {}, "delivery": {"ca_file": str(self.authority.file), "timeouts": limits, **(delivery or {})}}
        # A store of its own: what one has learned of its next hop is not for the others.
        spoold = self.spoold(peer.url(host), settings, name=f"spoold{len(self.daemons)}")
        if post:
            spoold.post(to=TO, sender="s@here.example")
        return spoold

    def delivered(self, spoold, qid=None):
        qid = qid or spoold.last_id
        harness.wait_until(lambda: spoold.recipients(qid)[TO]["state"] == "delivered", 15, "delivered")
        return spoold.recipients(qid)[TO]["last_reply"]

    def unreachable(self, spoold, words):
        """The host is at fault, not the recipient, and nothing was delivered; the line of the log."""
        line = harness.wait_until(lambda: (spoold.lines("unreachable") or [None])[0], 15, "event=unreachable")
        self.assertIn(words, line)
        row = spoold.recipients(spoold.last_id)[TO]
        self.assertIn(row["state"], ("queued", "deferred"))
        self.assertEqual(row["attempts"], 0)
        return line

    def test_starttls_is_used_and_recorded(self):
        peer = self.tls_peer()
        spoold = self.house(peer, "localhost", {"tls": "verified"})
        self.assertEqual(self.delivered(spoold)["tls"], "TLSv1.3 TLS_AES_256_GCM_SHA384 verified")
        self.assertIn('tls="TLSv1.3 TLS_AES_256_GCM_SHA384 verified"', spoold.lines("delivered")[0])
        under_tls, _, rcpts, content = peer.mails[0]
        self.assertTrue(under_tls)
        self.assertEqual(rcpts, [TO])
        self.assertIn(b"Hello, world.", content)
        commands = peer.connections[0].commands
        self.assertEqual([c for c in commands if not c[0]], [(False, "EHLO mx.lists.example"), (False, "STARTTLS")])
        self.assertEqual(commands[2], (True, "EHLO mx.lists.example"))

    def test_large_message_and_pipelining_under_tls(self):
        for tls13 in (True, False):
            peer = self.tls_peer(tls13=tls13)
            spoold = self.house(peer, "localhost", {"tls": "verified"}, post=False)
            body = "".join(f"line {i} {'x' * 60}\r\n" for i in range(20000))  # streamed in slices
            spoold.post(to=TO, sender="s@here.example", body=body)
            self.delivered(spoold)
            self.assertTrue(peer.mails[0][3].endswith(body.encode()))
            spoold.stop()

    def test_smtps(self):
        peer = self.tls_peer(implicit=True)
        spoold = self.house(peer, "localhost", {"tls": "verified"})
        self.assertTrue(self.delivered(spoold)["tls"].endswith(" verified"))
        self.assertTrue(all(under_tls for under_tls, _ in peer.connections[0].commands))

    def test_none_on_loopback_unless_asked(self):
        peer = self.tls_peer()
        spoold = self.house(peer)
        self.assertIsNone(self.delivered(spoold)["tls"])
        self.assertNotIn((False, "STARTTLS"), peer.connections[0].commands)

    def test_opportunistic_takes_whoever_is_there(self):
        for certificate in (self.authority.certificate("x.example"), self.authority.certificate("localhost", days=-1),
                            self.authority.certificate("localhost", self_signed=True)):
            spoold = self.house(self.tls_peer(certificate), "localhost", {"tls": "opportunistic"})
            self.assertTrue(self.delivered(spoold)["tls"].endswith(" untrusted"))
            spoold.stop()

    def refuses_to_start(self, words, **settings):
        """Nothing is delivered, in plain text least of all, while the certificates cannot be read."""
        spoold = harness.Spoold(self.folder, "smtp://127.0.0.1:9", settings, name=f"refused{len(self.daemons)}", start=False)
        self.daemons.append(spoold)
        spoold.start(wait=False)
        self.assertEqual(spoold.process.wait(20 * harness.SLOW), 1)
        self.assertIn(words, spoold.tail())
        return spoold

    def test_no_start_without_the_certificates_of_ca_file(self):
        file = pathlib.Path(self.folder) / "ca.txt"
        file.write_text("no certificate\n")
        spoold = self.refuses_to_start(f"ca_file {file} holds no certificates", delivery={"ca_file": str(file)})
        check = subprocess.run([harness.BUILD / "spoold", "--config", spoold.config, "--check"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 2)
        self.assertIn("holds no certificates", check.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root can start spoold for another user")
    def test_no_start_when_only_root_can_read_ca_file(self):
        self.folder.chmod(0o755)
        file = pathlib.Path(self.folder) / "ca.pem"
        file.write_bytes(pathlib.Path(self.authority.file).read_bytes())
        file.chmod(0o600)
        store = pathlib.Path(self.folder) / f"refused{len(self.daemons)}.store"
        store.mkdir()
        shutil.chown(store, "nobody")
        self.refuses_to_start(f"ca_file {file} holds no certificates", server={"user": "nobody"}, delivery={"ca_file": str(file)})

    def test_verified_says_what_is_wrong(self):
        for certificate, words in (
                (self.authority.certificate("x.example"), "hostname mismatch: it is for x.example, expected localhost"),
                (self.authority.certificate("localhost", days=-1), "certificate has expired"),
                (self.authority.certificate("localhost", self_signed=True), "self-signed certificate")):
            peer = self.tls_peer(certificate)
            spoold = self.house(peer, "localhost", {"tls": "verified"})
            self.assertIn("stage=STARTTLS", self.unreachable(spoold, words))
            self.assertEqual(peer.mails, [])
            self.assertEqual(len(peer.connections), 1)  # never again without TLS
            spoold.stop()

    def test_opportunistic_falls_back_once_and_remembers(self):
        for how, words in (("close", "connection closed while waiting for the reply to STARTTLS"), ("garbage", "protocol error"),
                           ("inject", "octets behind the reply to STARTTLS"), ("half", "wrong version number"),
                           ("late", "while waiting for the reply to EHLO"), ("stall", "timed out")):
            with self.subTest(how):
                peer = self.tls_peer(starttls=how)
                spoold = self.house(peer, relay={"tls": "opportunistic"}, patience=2 if how == "stall" else 60)
                self.assertIsNone(self.delivered(spoold)["tls"])
                self.assertEqual([m[0] for m in peer.mails], [False])
                self.assertEqual(len(peer.connections), 2)
                self.assertIn(words, spoold.lines("plaintext")[0])
                before = len(peer.connections)
                asked = sum((False, "STARTTLS") in c.commands for c in peer.connections)
                spoold.post(to=TO, sender="s@here.example")
                self.delivered(spoold)
                self.assertEqual(sum((False, "STARTTLS") in c.commands for c in peer.connections), asked)
                self.assertLessEqual(len(peer.connections), before + 1)
                spoold.stop()

    def test_starttls_refused_goes_on_where_that_is_allowed(self):
        peer = self.tls_peer(starttls="454 4.7.0 not now")
        spoold = self.house(peer, relay={"tls": "opportunistic"})
        self.assertIsNone(self.delivered(spoold)["tls"])
        self.assertEqual(len(peer.connections), 1)
        spoold.stop()
        spoold = self.house(peer, relay={"tls": "required"})
        self.unreachable(spoold, "454 4.7.0 not now")
        self.assertEqual(len(peer.mails), 1)

    def test_required_never_in_plain_text(self):
        for how, words in ((None, "STARTTLS is not offered"), ("close", "connection closed"), ("half", "wrong version number"),
                           ("inject", "octets behind"), ("stall", "timed out")):
            with self.subTest(how):
                peer = self.tls_peer(starttls=how)
                spoold = self.house(peer, relay={"tls": "required"}, patience=2 if how == "stall" else 60)
                self.unreachable(spoold, words)
                self.assertEqual(len(peer.connections), 1)
                self.assertFalse(any(text.startswith("MAIL") for _, text in peer.connections[0].commands))
                spoold.stop()

    def test_sessions_are_resumed(self):
        for tls13 in (True, False):
            with self.subTest(tls13=tls13):
                peer = self.tls_peer(tls13=tls13)
                spoold = self.house(peer, "localhost", {"tls": "verified"}, {"connections_per_destination": 1})
                self.delivered(spoold)
                harness.wait_until(lambda: peer.connections[0].commands[-1][1] == "QUIT", 30, "an idle connection ends")
                spoold.post(to=TO, sender="s@here.example")
                self.assertTrue(self.delivered(spoold)["tls"].endswith(" verified"))
                self.assertEqual([c.resumed for c in peer.connections], [False, True])
                spoold.stop()

    def auth(self, peer, password, **relay):
        file = pathlib.Path(self.folder) / "password"
        file.write_text(password + "\n")
        return self.house(peer, "localhost", {"username": "spoold", "password_file": str(file), **relay})

    def test_auth(self):
        for mechanisms in ("PLAIN LOGIN", "LOGIN"):
            peer = self.tls_peer(auth=("spoold", "se cret"), mechanisms=mechanisms)
            spoold = self.auth(peer, "se cret", tls="verified")
            self.delivered(spoold)
            auth = [c for c in peer.connections[0].commands if c[1].startswith("AUTH")]
            self.assertEqual([a[0] for a in auth], [True])
            spoold.stop()
            self.assertNotIn("se cret", spoold.log.read_text())

    def test_auth_refused_is_a_fault_of_the_host(self):
        peer = self.tls_peer(auth=("spoold", "right"))
        spoold = self.auth(peer, "wrong", tls="verified")
        line = self.unreachable(spoold, "535 5.7.8 no such user or password")
        self.assertIn("stage=AUTH", line)
        self.assertNotIn("wrong", spoold.log.read_text())
        # The operator repairs it: the file is read anew.
        (pathlib.Path(self.folder) / "password").write_text("right\n")
        spoold.ctl("retry", spoold.last_id)
        self.delivered(spoold)

    def test_password_stays_here_without_tls(self):
        peer = self.tls_peer(starttls=None, auth=("spoold", "secret"))
        spoold = self.auth(peer, "secret", tls="opportunistic")
        self.delivered(spoold)  # loopback: nobody listens
        self.assertIn((False, "AUTH PLAIN AHNwb29sZABzZWNyZXQ="), peer.connections[0].commands)
        spoold.stop()
        peer = self.tls_peer(starttls="close", auth=("spoold", "secret"))
        spoold = self.auth(peer, "secret", tls="required")
        self.unreachable(spoold, "connection closed")
        self.assertFalse(any("AUTH" in text for _, text in peer.connections[0].commands))


if __name__ == "__main__":
    harness.main()
