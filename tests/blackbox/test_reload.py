"""SIGHUP: configuration and certificates are read again without losing a connection; a bad file changes nothing; what waits for a
restart is named. And what systemd is told."""
# ctest: slow
import re
import signal
import smtplib
import socket
import ssl
import sys

import harness
from peers.tls_peer import Authority

TO = "anne@dest.example"
DEAD = "smtp://127.0.0.1:9"


class Reload(harness.Case):
    def hup(self, spoold, words="the configuration was read again", edit=None):
        """SIGHUP; the lines of the log about it, the last of which has these words."""
        before = len(spoold.lines("reload"))
        if edit:
            edit()
        else:
            spoold.config.write_text(harness.toml(spoold.settings))
        spoold.process.send_signal(signal.SIGHUP)
        return harness.wait_until(lambda: (lambda new: new if any(words in line for line in new) else None)(spoold.lines("reload")[before:]), 20, words)

    def tls_house(self):
        self.authority = Authority(self.folder)
        self.pem = self.folder / "server.pem"
        self.pem.write_bytes(self.authority.certificate("localhost").read_bytes())
        daemon = harness.Spoold(self.folder, DEAD, {"tls": [{"certificate": str(self.pem), "key": str(self.pem)}]}, start=False)
        self.daemons.append(daemon)
        daemon.settings["listen"] = [{"address": daemon.address, "tls": "starttls"}]
        daemon.start()
        return daemon

    def serial(self, client):
        context = ssl.create_default_context(cafile=self.authority.file)
        client.starttls(context=context)
        client.ehlo()
        return client.sock.getpeercert()["serialNumber"]

    def client(self, spoold):
        return smtplib.SMTP("localhost", spoold.port, timeout=30 * harness.SLOW)

    def test_a_new_certificate(self):
        spoold = self.tls_house()
        with self.client(spoold) as old, self.client(spoold) as begun:
            first = self.serial(old)
            begun.ehlo()
            self.hup(spoold, edit=lambda: self.pem.write_bytes(self.authority.certificate("localhost").read_bytes()))
            self.assertEqual(old.sendmail("s@client.example", TO, "Subject: x\r\n\r\nx"), {})
            self.assertEqual(self.serial(begun), first)  # a session ends as it began
            with self.client(spoold) as new:
                self.assertNotEqual(self.serial(new), first)

    def test_a_certificate_that_is_half_written_or_gone(self):
        spoold = self.tls_house()
        with self.client(spoold) as client:
            first = self.serial(client)
        whole = self.authority.certificate("localhost").read_bytes()
        for change, words in ((lambda: self.pem.write_bytes(whole[:400]), "holds no certificate in PEM form"),
                              (lambda: self.pem.write_bytes(whole[:-100]), "holds no private key"), (self.pem.unlink, "cannot be read: No such file")):
            lines = self.hup(spoold, "nothing was changed", edit=change)
            self.assertRegex("\n".join(lines), rf"{re.escape(str(spoold.config))}:\d+:\d+: '{re.escape(str(self.pem))}' {words}")
            with self.client(spoold) as client:
                self.assertEqual(self.serial(client), first)
        self.hup(spoold, edit=lambda: self.pem.write_bytes(whole))
        with self.client(spoold) as client:
            self.assertNotEqual(self.serial(client), first)

    def test_a_file_with_errors_changes_nothing(self):
        spoold = self.spoold(DEAD, {"domain": [{"name": "relayed.example"}], "smtp": {"trusted_networks": []}})
        text = spoold.config.read_text()
        lines = self.hup(spoold, "nothing was changed", edit=lambda: spoold.config.write_text(text.replace("relayed.example", "other.example") + "\n[smtpp]\n"))
        self.assertTrue(any(f"{spoold.config}:" in line and "unknown key 'smtpp'" in line for line in lines))
        lines = self.hup(spoold, "nothing was changed", edit=spoold.config.unlink)
        self.assertTrue(any("No such file" in line for line in lines))
        spoold.post(to="a@relayed.example")
        with self.assertRaisesRegex(AssertionError, "refused at RCPT"):
            spoold.post(to="a@other.example")

    def test_sessions_that_begin_later_have_the_new_rules(self):
        spoold = self.spoold(DEAD, {"domain": [{"name": "relayed.example"}], "smtp": {"trusted_networks": []}})
        with self.client(spoold) as old:
            old.ehlo()
            spoold.settings["domain"] = [{"name": "other.example"}]
            spoold.settings["smtp"]["max_message_size"] = "100KiB"
            self.hup(spoold)
            old.mail("s@client.example")
            self.assertEqual(old.rcpt("a@relayed.example")[0], 250)
            self.assertEqual(old.rcpt("a@other.example")[0], 550)
        with self.client(spoold) as new:
            new.ehlo()
            self.assertEqual(new.esmtp_features["size"], str(100 << 10))
            new.mail("s@client.example")
            self.assertEqual(new.rcpt("a@relayed.example")[0], 550)
            self.assertEqual(new.rcpt("a@other.example")[0], 250)

    def test_what_waits_for_a_restart_is_named(self):
        spoold = self.spoold(DEAD)
        spoold.settings["server"]["threads"] = 3
        spoold.settings["spool"]["path"] = str(self.folder / "elsewhere")
        spoold.settings["listen"] = [{"address": f"127.0.0.1:{harness.free_port()}"}]
        spoold.settings["delivery"]["max_connections"] = 7
        lines = "\n".join(self.hup(spoold))
        for key in ("[server]", "[spool]", f"[[listen]] {spoold.address} (no longer there)", "[delivery] max_connections"):
            self.assertIn(f"{key}: what changed there waits for a restart", lines)
        self.assertNotIn("[control]", lines)
        spoold.post(to=TO)  # at the old port, into the old store

    def test_mail_that_waits_goes_to_the_new_smarthost(self):
        old, sink = f"smtp://127.0.0.1:{harness.free_port()}", self.sink()
        spoold = self.spoold(old)
        spoold.post(to=TO)
        harness.wait_until(lambda: spoold.lines("unreachable"), 20, "a refused connection")
        spoold.settings["relay"]["smarthost"] = sink.url
        self.hup(spoold)
        spoold.ctl("retry", spoold.last_id)
        sink.wait(1, 20)
        harness.wait_until(lambda: spoold.show(spoold.last_id)["state"] == "finished", 20, "a finished message")
        spoold.check()

    def test_mail_for_a_next_hop_that_is_no_longer_named_is_rerouted(self):
        old, sink = f"smtp://127.0.0.1:{harness.free_port()}", self.sink()
        spoold = self.spoold(sink.url, {"domain": [{"name": "moved.example", "deliver_to": old}]})
        spoold.post(to="anna@moved.example")
        qid = spoold.last_id
        harness.wait_until(lambda: spoold.lines("unreachable"), 20, "a refused connection")
        spoold.settings["domain"] = [{"name": "moved.example"}]
        self.hup(spoold)
        spoold.ctl("retry", qid)
        sink.wait(1, 20)
        self.assertEqual([a.recipient for a in sink.arrivals()], ["anna@moved.example"])

    def test_a_hundred_times_under_load(self):
        """No connection is lost, each message is accepted and delivered once."""
        sink = self.sink()
        spoold = self.spoold(sink.url)
        load = self.load_in_background("--to", spoold.address, "--sessions", 20, "--messages", 3000, "--size", 500)
        times = 0
        while load.poll() is None or times < 100:
            spoold.settings["delivery"]["lifetime"] = f"{times % 5 + 1}d"  # lanes are made anew
            spoold.config.write_text(harness.toml(spoold.settings))
            spoold.process.send_signal(signal.SIGHUP)
            times += 1
            harness.time.sleep(0.01)
        told = harness.json.loads(load.stdout.read())
        self.assertEqual((told["accepted"], told["lost"]), (3000, 0), told)
        sink.wait(3000, 60)
        harness.wait_until(lambda: not spoold.queue(), 60, "an empty queue")
        ids = [a.message_id for a in sink.arrivals()]
        self.assertEqual(len(ids), len(set(ids)), "a copy arrived twice")
        self.assertFalse(any("nothing was changed" in line for line in spoold.lines("reload")))
        self.assertEqual(spoold.lines("bug"), [])
        spoold.check()
        self.assertEqual(spoold.stop(), 0)

    def test_the_stop_in_the_midst_of_reloads(self):
        for i in range(5):
            spoold = self.spoold(DEAD, name=f"stopped{i}")
            spoold.post(to=TO)
            for n in range(20):
                spoold.settings["delivery"]["lifetime"] = f"{n + 1}d"
                spoold.config.write_text(harness.toml(spoold.settings))
                spoold.process.send_signal(signal.SIGHUP)
            self.assertEqual(spoold.stop(), 0, spoold.tail())

    # systemd

    def notified(self, wrapper=(), **environment):
        path = str(self.folder / "notify")
        door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        door.bind(path)
        door.settimeout(20 * harness.SLOW)
        self.addCleanup(door.close)
        words = ["env", f"NOTIFY_SOCKET={path}", *(f"{k}={v}" for k, v in environment.items()), *wrapper]
        return door, self.spoold(DEAD, wrap=words)

    def test_systemd_is_told(self):
        door, spoold = self.notified(WATCHDOG_USEC=400000)
        told = lambda: next(text for text in iter(lambda: door.recv(1000).decode(), None) if text != "WATCHDOG=1")
        self.assertEqual(told(), "READY=1")
        self.hup(spoold)
        self.assertRegex(told(), r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(told(), "READY=1")
        for _ in range(3):
            self.assertEqual(door.recv(1000), b"WATCHDOG=1")
        self.assertEqual(spoold.stop(), 0)
        self.assertEqual(told(), "STOPPING=1")

    def test_sockets_that_systemd_has_bound(self):
        daemon = harness.Spoold(self.folder, DEAD, start=False)
        stray = harness.free_port()
        starter = (f"import fcntl, os, socket, sys\nall = [socket.create_server(('127.0.0.1', port)) for port in ({stray}, {daemon.port})]\n"
                   "for fd, kept in enumerate([fcntl.fcntl(s, fcntl.F_DUPFD, 50) for s in all], 3):\n os.dup2(kept, fd)\n os.close(kept)\n"
                   "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\nos.execv(sys.argv[1], sys.argv[1:])\n")
        daemon.wrap = [sys.executable, "-c", starter]
        self.daemons.append(daemon)
        daemon.start()
        daemon.post(to=TO)
        self.assertIn("descriptor 3", daemon.lines("refused")[0])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", stray))
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    harness.main()
